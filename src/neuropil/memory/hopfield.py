"""The network of Hopfield, dense or sparse: graded Hebbian synapses by the covariance rule, read by letting the cells settle."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import MEMORIES, check_asked, check_binary, check_cells, check_own
from neuropil.memory.settle import check_steps, check_winners, fire, settle

Order = Literal["synchronous", "asynchronous"]


@MEMORIES.register(cites=("hopfield1982", "tsodyks1988"), tags=("auto",), example={"size": 24})
class Hopfield(nn.Module):
    """Memory of one recurrent network: cells of 0 and 1, synapses that add up covariances.

    Equation: a write adds ``(content - f) (cue - f)^T`` to ``w``, the diagonal left 0; ``f`` is ``activity``, the mean of patterns: 1/2 gives Hopfield's rule for
    -1 and 1 (a quarter of it), less the covariance rule for sparse patterns. Read by settling from the cue: a cell fires where
    ``h_i = sum_j w_ij (x_j - f) - inhibition (n - x_i) - threshold`` is above 0, stays where it is 0; ``n``: active cells. ``inhibition`` is by default
    ``(1/2 - f) (1 - f)``, which puts the step midway between the two values of the field that a whole pattern, or a part of it, gives (0 for f = 1/2).
    ``winners``: in place of that, so many cells with the largest field fire, to which a cell's own activity adds ``inertia``.

    With ``order="asynchronous"`` cells take turns by number, and where ``w`` is symmetric (cues are their contents) ``energy`` never rises; ``"synchronous"``:
    all at once, which is faster and may end in a cycle of two. ``steps``: passes over all cells, at most. Pairs of different cue and content make
    ``w`` asymmetric: ``steps=1`` reads the content, more walk along a sequence in which each content is the next cue. One step of a clean cue puts a cell wrong with
    probability ``Phi(-sqrt(N / (4 M f (1 - f))))`` after M random patterns (with f = 1/2 that of hertz1991); settling from there, dense patterns are lost at
    M = 0.138 N (amit1985). ``cue``, ``content`` [..., N] of 0 and 1; ``w`` [..., N, N] is State. Raises ``ValueError`` or
    ``TypeError`` for sizes and settings that are none and inputs that do not fit. Sources: hopfield1982; tsodyks1988. Differs in that ``w`` is not divided by N.
    """

    class State(NamedTuple):
        """``w`` [..., N, N]: synapses, to cell (row) from cell (column)."""

        w: Tensor

    synapses: tuple[str, ...] = ("w",)

    def __init__(
        self,
        size: int,
        *,
        activity: float = 0.5,
        winners: int | None = None,
        inhibition: float | None = None,
        threshold: float = 0.0,
        inertia: float = 0.0,
        steps: int = 20,
        order: Order = "synchronous",
    ) -> None:
        super().__init__()
        self.cue_size = self.content_size = check_cells(size, "size", "Hopfield")
        if not 0 < activity < 1:
            raise ValueError(
                f"activity of Hopfield is the mean share of active cells, between 0 and 1, {activity!r} was given; give 0.5 for dense patterns."
            )
        if order not in get_args(Order):
            raise ValueError(f"order of Hopfield is 'synchronous' or 'asynchronous', {order!r} was given; choose one.")
        check_winners(winners, size, "Hopfield")
        check_steps(steps, "Hopfield")
        if winners is not None and (inhibition is not None or threshold or order == "asynchronous"):
            raise ValueError(
                "Hopfield with winners takes no inhibition, threshold or asynchronous order, which winners stand for; leave them out."
            )
        if not inertia >= 0 or (inertia and winners is None):
            raise ValueError(
                f"inertia of Hopfield is 0 or more, and goes with winners, {inertia!r} was given; give winners, or leave it out."
            )
        self.inhibition = (0.5 - activity) * (1 - activity) if inhibition is None else inhibition
        if not (math.isfinite(self.inhibition) and math.isfinite(threshold)):
            raise ValueError(
                f"inhibition and threshold of Hopfield are finite numbers, {inhibition!r} and {threshold!r} were given; leave them out for a step midway."
            )
        self.activity, self.winners, self.threshold, self.inertia, self.steps, self.order = (
            activity,
            winners,
            threshold,
            inertia,
            steps,
            order,
        )

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """No synapse."""
        return self.State(torch.zeros(*leading, self.content_size, self.cue_size, device=device, dtype=dtype))

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Add the covariance of ``content`` and ``cue``; give the same for both to hold a pattern."""
        return self.State(s.w + self._covariance(s, cue, content))

    def erase(self, s: State, cue: Tensor, content: Tensor | None = None) -> State:
        """Subtract what a write of these added, to the bit where all are multiples of a power of 2; ``content`` is by default the cue itself."""
        return self.State(s.w - self._covariance(s, cue, cue if content is None else content))

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """Settle from ``cue``; the memory is left as it is."""
        x = self._checked(s, cue, "cue")
        if self.order == "synchronous":
            return settle(lambda now: self.field(s, now), x, self.steps, self.winners), s
        for _ in range(self.steps):
            before = x
            for cell in range(self.cue_size):
                x = x.clone()
                x[..., cell] = fire(self.field(s, x)[..., cell], x[..., cell], None)
            if torch.equal(before, x):
                break
        return x, s

    def field(self, s: State, x: Tensor) -> Tensor:
        """What drives each cell, ``h`` [..., N] at ``x`` [..., N]."""
        h = (s.w @ (x - self.activity).unsqueeze(-1)).squeeze(-1)
        if self.winners is not None:
            return h + self.inertia * x
        return h - self.inhibition * (x.sum(-1, keepdim=True) - x) - self.threshold

    def energy(self, s: State, x: Tensor) -> Tensor:
        """``-1/2 (x - f)^T w (x - f) + inhibition n (n - 1) / 2 + threshold n`` [...], which no asynchronous step raises."""
        away, n = x - self.activity, x.sum(-1)
        return -0.5 * (away * (s.w @ away.unsqueeze(-1)).squeeze(-1)).sum(-1) + self.inhibition * n * (n - 1) / 2 + self.threshold * n

    def capacity(self, cue_active: int, content_active: int, *, wrong: float = 0.01) -> float:
        """Give how many random pairs as active as ``activity`` says it holds before one step midway errs: ``N / (4 f (1 - f) z^2)``, ``Phi(-z) = wrong f``."""
        check_asked(cue_active, content_active, wrong, self)
        f = content_active / self.content_size
        z = NormalDist().inv_cdf(wrong * f)
        return math.inf if f == 1 else self.cue_size / (4 * f * (1 - f) * z * z)

    def _covariance(self, s: State, cue: Tensor, content: Tensor) -> Tensor:
        added = (self._checked(s, content, "content") - self.activity).unsqueeze(-1) * (
            self._checked(s, cue, "cue") - self.activity
        ).unsqueeze(-2)
        added.diagonal(dim1=-2, dim2=-1).zero_()
        return added

    def _checked(self, s: State, given: Tensor, name: str) -> Tensor:
        check_own(s, self)
        return check_binary(given, self.cue_size, s.w.shape[:-2], name, "Hopfield")

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.cue_size}, activity={self.activity}" + ("" if self.winners is None else f", winners={self.winners}")
