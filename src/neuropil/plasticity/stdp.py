"""Spike-timing-dependent plasticity of pairs, with a third factor."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, Decay, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


@RULES.register(
    cites=("song2000", "bi1998", "fremaux2016"),
    tags=("hebbian", "spiking", "three-factor"),
    example={"size": 4, "out_size": 3, "dt": 1e-3},
    along={"post": 3, "modulator": 1},
    off={"potentiation": 0.0, "depression": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class STDP(Cell):
    """Plastic synapses whose weights move with the order of pre- and postsynaptic spikes.

    Equation, for all pairs of spikes with ``lag = t_post - t_pre``: ``dw = A_plus exp(-lag / tau_plus)`` where ``lag > 0``,
    ``dw = -A_minus exp(lag / tau_minus)`` where ``lag < 0``, 0 where ``lag = 0``. Kept up by traces:
    ``dw = modulator (A_plus post d_plus pre_trace - A_minus d_minus post_trace pre)``, then ``trace <- d trace + spike``. With
    ``tau_eligibility`` the pairs gather in an eligibility ``e <- d_e e + pairs``, and ``dw = modulator e``: a late reward still reaches them.

    ``y, s = synapse.step(x, s, post=..., modulator=...)``: ``x`` [..., N] spikes; ``post`` [..., M] spikes of the target in this moment
    (``None``: silent); ``modulator`` [..., 1] or [..., M] (``None``: 1); ``y = w x`` [..., M] with the weights before the change. ``w`` [..., M, N] is
    State, begins at the parameter ``weight`` [M, N] and stays in ``bounds``; ``potentiation`` = A_plus, ``depression`` = A_minus, in units of ``w``.
    Times in seconds. Raises ``ValueError`` for times not above 0, ``dt`` missing or above one, bounds out of order, inputs that do not fit.
    Source: song2000 (window of bi1998; third factor as in fremaux2016). Differs from song2000 in that a pair in the same step does nothing.
    """

    emits = "current"

    class State(NamedTuple):
        """``w``, ``eligibility`` [..., M, N]; ``pre`` [..., N], ``post`` [..., M]: traces of spikes so far."""

        w: Tensor
        eligibility: Tensor
        pre: Tensor
        post: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        dt: float | None = None,
        weight: Tensor | None = None,
        potentiation: Value = 0.005,
        depression: Value = 0.00525,
        tau_plus: float = 0.02,
        tau_minus: float = 0.02,
        tau_eligibility: float | None = None,
        bounds: tuple[float, float] | None = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.out_size = out_size
        self.weight = nn.Parameter(starting_weight(weight, out_size, size, bounds, generator))
        self.potentiation = parameter(potentiation, name="potentiation")
        self.depression = parameter(depression, name="depression")
        self.decay_plus = Decay(tau_plus, dt=dt, name="tau_plus")
        self.decay_minus = Decay(tau_minus, dt=dt, name="tau_minus")
        self.decay_eligibility = None if tau_eligibility is None else Decay(tau_eligibility, dt=dt, name="tau_eligibility")
        self.bounds = bounds

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter, no spikes yet."""
        w = along_leading(self.weight.to(device=device, dtype=dtype), leading)
        return self.State(w, torch.zeros_like(w), torch.zeros_like(w[..., 0, :]), torch.zeros_like(w[..., 0]))

    def step(self, x: Tensor, s: Any = None, *, post: Tensor | None = None, modulator: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N], ``post`` [..., M] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = current(s.w, x, "STDP")
        post = torch.zeros_like(y) if post is None else check_third(post, y, "post", y.shape[-1:], "STDP")
        pre_trace, post_trace = self.decay_plus() * s.pre, self.decay_minus() * s.post
        pairs = self.potentiation * post.unsqueeze(-1) * pre_trace.unsqueeze(-2)
        pairs = pairs - self.depression * post_trace.unsqueeze(-1) * x.unsqueeze(-2)
        eligibility = pairs if self.decay_eligibility is None else self.decay_eligibility() * s.eligibility + pairs
        dw = eligibility
        if modulator is not None:
            dw = check_third(modulator, y, "modulator", (1, y.shape[-1]), "STDP").unsqueeze(-1) * eligibility
        w = s.w + dw
        w = w if self.bounds is None else w.clamp(*self.bounds)
        return y, self.State(w, eligibility, pre_trace + x, post_trace + post)
