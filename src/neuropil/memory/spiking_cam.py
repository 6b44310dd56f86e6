"""A content-addressable memory of spiking cells after hippocampal CA3: two plastic pathways between cues and contents, and a gate."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neuropil.dynamics import Cell
from neuropil.memory.protocol import MEMORIES, check_binary, check_sizes
from neuropil.plasticity.plastic import check_third

DT_MS = 1.0
TAU_SYN_MS = 0.3
THRESHOLD_MV = 3.0
SLOW = (3.0, 0.27)
FAST = (0.5, 0.14)
INPUT_NA = 6.0
HOLD_MS, OPERATION_MS = 3, 10
POPULATIONS = ("cue", "content", "gate", "interneuron", "cue_copy", "content_copy", "cue_merge", "content_merge")
QUICK = ("gate", "interneuron", "cue_copy")


@MEMORIES.register(cites=("hippocampal-spiking-cam2023",), tags=("one-hot", "spiking"), example={"cue_size": 6, "content_size": 12})
class SpikingCAM(Cell):
    """Memory of pairs (one-hot cue, binary content) in spiking cells: written by holding both for 3 ms, asked by one spike of either.

    Cells, one moment being 1 ms: ``i <- exp(-1 / 0.3) i + 0.3 (1 - exp(-1 / 0.3)) w x``; where not refractory (1 ms)
    ``v <- R i + exp(-1 / tau) (v - R i)``; a spike where ``v >= 3``, then ``v <- 0``. ``v`` in mV above rest, ``i`` and weights in nA,
    ``R = tau / c``: tau 3 ms, c 0.27 nF, and 0.5 ms, 0.14 nF for gate, interneuron and cue_copy.
    Plastic synapses, all to all, cue -> content and content_copy -> cue_copy, with ``y'`` the postsynaptic spikes of the moment before:
    ``w <- min(w + A_plus y' pre, w_max)``; ``post <- d post + y'``; ``w <- max(w - A_minus x post, 0)``; then ``w x`` is sent and
    ``pre <- d pre + x``. So with ``lag = t_post + 1 - t_pre``: ``dw = A_plus exp(-lag / tau)`` where lag > 0, ``-A_minus exp(lag / tau)`` where lag <= 0:
    spikes of one moment strengthen (lag 1), and a postsynaptic spike one moment earlier (lag 0) takes all of ``A_minus``, which is what forgets.
    Fixed wiring: content drives its gate cell, which a cue silences 2 ms later (unless content comes at the same time, through the
    interneuron); the gate drives content_copy; cue drives cue_copy; a cue or an answer silences all other cue_copy cells.

    ``x`` [..., K + N] spikes at cues and contents -> ``y`` [..., K + N] spikes of the merging cells: what was put in 3 moments later, what is
    recalled 4 moments later. ``plasticity`` [..., 1] multiplies weight changes (``None``: 1); traces go on. ``write``, ``recall`` and
    ``recall_cues`` drive this for 10 moments each, the pace of the authors' examples of asking by content (at the shortest that they allow, 7 and 6,
    a write ties its cue to the next content by 1.9 nA, so that two cells of that content call it). A fragment is answered by every cue with a strong enough
    synapse from any of its cells (3.36 nA in sum), so the answer is the set of cues whose content meets it.
    ``gating=False``: cues do not silence the gate. ``lateral=False``: cue_copy cells are not silenced. Raises ``ValueError`` or
    ``TypeError`` for sizes below 1, negative amplitudes, a time not above 0, inputs or states that do not fit. No gradient passes a spike.
    Source: hippocampal-spiking-cam2023; cell and pair rule as in rhodes2018, where it ran (the current is held at its mean over a
    moment). Differs in that numbers are floating, and input and output populations, 1 ms each, are the user's. Differs from
    ``plasticity.STDP`` in the moment's delay of ``y'``, lag 0, the order of bounds, and that weights change before they send.
    """

    emits = "spikes"
    synapses: tuple[str, ...] = ("content_w", "cue_w")

    class State(NamedTuple):
        """``v``, ``i``, ``left`` (moments of rest to come) [..., P]; ``recent`` [..., 3, P]: the last spikes, newest first; weights
        ``content_w`` [..., N, K] from cues and ``cue_w`` [..., K, N] from contents; ``pre_``, ``post_``: traces of either pathway."""

        v: Tensor
        i: Tensor
        left: Tensor
        recent: Tensor
        content_w: Tensor
        cue_w: Tensor
        pre_cue: Tensor
        post_content: Tensor
        pre_content: Tensor
        post_cue: Tensor

    wiring: Tensor
    decay: Tensor
    resistance: Tensor

    def __init__(
        self,
        cue_size: int,
        content_size: int,
        *,
        potentiation: float = 6.0,
        depression: float = 6.0,
        tau_stdp: float = 3e-3,
        w_max: float = 6.0,
        gating: bool = True,
        lateral: bool = True,
    ) -> None:
        check_sizes(cue_size, content_size, "SpikingCAM")
        super().__init__(cue_size + content_size, dt=DT_MS / 1000)
        for name, value, least in (
            ("potentiation", potentiation, 0),
            ("depression", depression, 0),
            ("tau_stdp", tau_stdp, 1e-9),
            ("w_max", w_max, 0),
        ):
            if not least <= value < math.inf:
                raise ValueError(
                    f"{name} of SpikingCAM is a finite number of {least} or more, {value!r} was given; the authors' is the default."
                )
        self.cue_size, self.content_size = cue_size, content_size
        self.potentiation, self.depression, self.w_max = potentiation, depression, w_max
        self.trace_decay = math.exp(-DT_MS / 1000 / tau_stdp)
        sizes = [1 if name == "interneuron" else cue_size if name.startswith("cue") else content_size for name in POPULATIONS]
        ends = list(accumulate(sizes))
        self.place = {name: slice(end - size, end) for name, size, end in zip(POPULATIONS, sizes, ends, strict=True)}
        self.cells = ends[-1]
        tau_and_c = torch.tensor([FAST if name in QUICK else SLOW for name in POPULATIONS]).repeat_interleave(torch.tensor(sizes), dim=0)
        self.register_buffer("decay", torch.exp(-DT_MS / tau_and_c[:, 0]))
        self.register_buffer("resistance", tau_and_c[:, 0] / tau_and_c[:, 1])
        self.register_buffer("wiring", self._wire(gating, lateral))

    def least_weight(self, target: str) -> float:
        """The weight in nA by which one spike fires a resting cell of the population ``target``: ``3 / (0.3 (1 - exp(-1/0.3)) R (1 - exp(-1/tau)))``.

        3.29 for content, 3.36 for cue_copy. Raises ``ValueError`` for a name that is none of the populations.
        """
        if target not in POPULATIONS:
            raise ValueError(f"SpikingCAM has no population {target!r}; accepted are {', '.join(POPULATIONS)}.")
        tau, c = FAST if target in QUICK else SLOW
        held = TAU_SYN_MS / DT_MS * (1 - math.exp(-DT_MS / TAU_SYN_MS))
        return THRESHOLD_MV / (held * tau / c * (1 - math.exp(-DT_MS / tau)))

    def _wire(self, gating: bool, lateral: bool) -> Tensor:
        """Return the fixed weights [P, 3 P] in nA, from the spikes of one, two and three moments ago."""
        wiring = torch.zeros(self.cells, 3, self.cells)
        others = 1 - torch.eye(self.cue_size)

        def connect(source: str, target: str, weight: float | Tensor, delay: int) -> None:
            wiring[self.place[target], delay - 1, self.place[source]] += weight

        same_cue, same_content = torch.eye(self.cue_size), torch.eye(self.content_size)
        connect("content", "gate", 9 * same_content, 1)
        connect("content", "interneuron", 6.0, 1)
        connect("interneuron", "gate", 2.0, 1)
        connect("gate", "content_copy", 6 * same_content, 1)
        connect("cue", "cue_copy", 6 * same_cue, 2)
        if gating:
            connect("cue", "gate", -6.0, 2)
        if lateral:
            connect("cue", "cue_copy", -6 * self.content_size * others, 3)
            connect("cue_copy", "cue_copy", -6 * self.content_size * others, 2)
        for source, delay in (("", 3), ("_copy", 1)):
            connect(f"cue{source}", "cue_merge", 6 * same_cue, delay)
            connect(f"content{source}", "content_merge", 6 * same_content, delay)
        return wiring.flatten(1)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Cells at rest, nothing held."""
        zeros = torch.zeros(*leading, self.cells, **self._place(device, dtype))
        k, n = zeros[..., : self.cue_size], zeros[..., : self.content_size]
        recent, synapses = torch.stack((zeros, zeros, zeros), dim=-2), n.unsqueeze(-1) * k.unsqueeze(-2)
        return self.State(
            zeros, zeros.clone(), zeros.clone(), recent, synapses, synapses.mT.clone(), k.clone(), n.clone(), n.clone(), k.clone()
        )

    def step(self, x: Tensor, s: Any = None, *, plasticity: Tensor | None = None) -> tuple[Tensor, State]:
        """One millisecond: ``x`` [..., K + N] spikes in -> ``y`` [..., K + N] spikes out."""
        s = self.ready(x, s)
        if plasticity is not None:
            check_third(plasticity, x, "plasticity", (1,), "SpikingCAM")
        at, last = self.place, s.recent[..., 0, :]
        arriving = s.recent.flatten(-2) @ self.wiring.mT
        arriving[..., at["cue"]] += INPUT_NA * x[..., : self.cue_size]
        arriving[..., at["content"]] += INPUT_NA * x[..., self.cue_size :] + _through(s.content_w, last[..., at["cue"]])
        arriving[..., at["cue_copy"]] += _through(s.cue_w, last[..., at["content_copy"]])
        fade = math.exp(-DT_MS / TAU_SYN_MS)
        i = fade * s.i + TAU_SYN_MS / DT_MS * (1 - fade) * arriving
        drive = self.resistance * i
        v = torch.where(s.left > 0, s.v, drive + self.decay * (s.v - drive))
        spikes = (v >= THRESHOLD_MV).to(v.dtype)
        content_w, pre_cue, post_content = self._learn(
            s.content_w, s.pre_cue, s.post_content, spikes[..., at["cue"]], last[..., at["content"]], plasticity
        )
        cue_w, pre_content, post_cue = self._learn(
            s.cue_w, s.pre_content, s.post_cue, spikes[..., at["content_copy"]], last[..., at["cue_copy"]], plasticity
        )
        recent = torch.cat((spikes.unsqueeze(-2), s.recent[..., :2, :]), dim=-2)
        state = self.State(
            v * (1 - spikes),
            i,
            (s.left - 1).clamp(min=0) + spikes,
            recent,
            content_w,
            cue_w,
            pre_cue,
            post_content,
            pre_content,
            post_cue,
        )
        return torch.cat((spikes[..., at["cue_merge"]], spikes[..., at["content_merge"]]), dim=-1), state

    def _learn(
        self, w: Tensor, pre: Tensor, post: Tensor, x: Tensor, y: Tensor, plasticity: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        pre, post = self.trace_decay * pre, self.trace_decay * post + y
        scale = 1.0 if plasticity is None else plasticity.unsqueeze(-1)
        w = (w + scale * self.potentiation * y.unsqueeze(-1) * pre.unsqueeze(-2)).clamp(max=self.w_max)
        w = (w - scale * self.depression * post.unsqueeze(-1) * x.unsqueeze(-2)).clamp(min=0.0)
        return w, pre + x, post

    def _present(self, s: State, cue: Tensor | None, content: Tensor | None, hold: int) -> tuple[Tensor, State]:
        leading = s.v.shape[:-1]
        given = []
        for name, size, part in (("cue", self.cue_size, cue), ("content", self.content_size, content)):
            given.append(s.v.new_zeros(*leading, size) if part is None else check_binary(part, size, leading, name, "SpikingCAM"))
        x = torch.cat(given, dim=-1)
        silence = torch.zeros_like(x)
        y, s = self(torch.stack([x if t < hold else silence for t in range(OPERATION_MS)]), s)
        return y.amax(dim=0), s

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Hold both for 3 ms, then 7 ms of rest."""
        return self._present(s, cue, content, HOLD_MS)[1]

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """One spike of ``cue`` [..., K], 10 ms: -> the contents [..., N] that answered. Synapses go on learning."""
        y, s = self._present(s, cue, None, 1)
        return y[..., self.cue_size :], s

    def recall_cues(self, s: State, fragment: Tensor) -> tuple[Tensor, State]:
        """One spike of each cell of ``fragment`` [..., N], 10 ms: -> the cues [..., K] that answered. Synapses go on learning."""
        y, s = self._present(s, None, fragment, 1)
        return y[..., : self.cue_size], s


def _through(w: Tensor, x: Tensor) -> Tensor:
    return (w @ x.unsqueeze(-1)).squeeze(-1)
