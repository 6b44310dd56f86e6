"""Three-factor Hebbian rule: pre- and postsynaptic activity mark a synapse, a modulator turns the marks into changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, Decay, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


@RULES.register(
    cites=("fremaux2016", "gerstner2018"),
    tags=("hebbian", "rate", "three-factor"),
    example={"size": 4, "out_size": 3, "rate": 0.05, "tau_eligibility": 0.02, "dt": 1e-3},
    along={"post": 3, "modulator": 1},
    off={"rate": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class ThreeFactorHebb(Cell):
    """Linear neurons whose synapses become eligible by coincidence and change by a modulator.

    Equation: ``y = w x``; ``e_mn <- d e_mn + a_m x_n``; ``dw_mn = rate modulator_m e_mn``, with ``a = post`` where given, else ``y``, and
    ``d = exp(-dt / tau_eligibility)``, 0 where there is no ``tau_eligibility``. With ``post`` the error of the output, target less ``y``,
    it is the delta rule behind a gate, its modulator.

    ``y, s = synapse.step(x, s, post=..., modulator=...)``: ``x`` [..., N] -> ``y`` [..., M] with the weights before the change; ``post`` [..., M];
    ``modulator`` [..., 1] or [..., M] (``None``: 1), for example of ``Neuromodulator``. ``w`` [..., M, N] is State and begins at the parameter
    ``weight`` [M, N]; ``rate`` per step; times in seconds. Nothing bounds ``w``. Raises ``ValueError`` for ``tau_eligibility`` not above 0, ``dt`` missing with
    it or above it, and inputs that do not fit. Source: fremaux2016, gerstner2018.
    """

    emits = "output"

    class State(NamedTuple):
        """``w``: the weights; ``eligibility``: the marks; both [..., M, N]."""

        w: Tensor
        eligibility: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        rate: Value = 0.01,
        tau_eligibility: float | None = None,
        dt: float | None = None,
        weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        self.out_size = out_size
        self.weight = nn.Parameter(starting_weight(weight, out_size, size, None, generator))
        self.rate = parameter(rate, name="rate")
        self.decay_eligibility = None if tau_eligibility is None else Decay(tau_eligibility, dt=dt, name="tau_eligibility")

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter, no synapse marked."""
        w = along_leading(self.weight.to(device=device, dtype=dtype), leading)
        return self.State(w, torch.zeros_like(w))

    def step(self, x: Tensor, s: Any = None, *, post: Tensor | None = None, modulator: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = current(s.w, x, "ThreeFactorHebb")
        a = y if post is None else check_third(post, y, "post", y.shape[-1:], "ThreeFactorHebb")
        marks = a.unsqueeze(-1) * x.unsqueeze(-2)
        if self.decay_eligibility is not None:
            marks = self.decay_eligibility() * s.eligibility + marks
        dw = self.rate * marks
        if modulator is not None:
            dw = check_third(modulator, y, "modulator", (1, y.shape[-1]), "ThreeFactorHebb").unsqueeze(-1) * dw
        return y, self.State(s.w + dw, marks)
