"""STDP whose depression is set by an astrocyte that hears the whole network."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, Decay, parameter
from neuropil.dynamics.parameter import Value
from neuropil.dynamics.registry import RULES
from neuropil.plasticity.plastic import along_leading, check_third, current, starting_weight


@RULES.register(
    cites=("ivanov2021",),
    tags=("hebbian", "spiking", "homeostatic", "astrocyte"),
    example={"size": 4, "out_size": 3, "inputs": 1, "inhibitory": 1, "dt": 1e-3},
    along={"post": 3},
    off={"potentiation": 0.0, "baseline": 0.0, "gain": 0.0},
    like=lambda off: lambda x: x @ off.weight.mT,
)
class AstrocyteSTDP(Cell):
    """Plastic synapses that one astrocyte weakens where the network fires more than its input, so that activity neither dies nor explodes.

    Equation, with spikes ``x`` (pre), ``z`` (post) and traces ``p``, ``q`` of the spikes before: from excitatory cells and inputs ``dw = s potentiation z p - a q x``, from inhibitory
    cells ``dw = s potentiation q x - a z p``; ``p <- exp(-dt / tau_trace) (p + amplitude x)``, ``q`` likewise. The astrocyte:
    ``a <- fade (a + (s gain (sum of z - sum of x over inputs) + s baseline - a) dt / tau)``; ``s <- fade s`` from 1. ``gain = 0`` is STDP with a constant rate of depression.

    ``y, s = synapse.step(x, s, post=...)``: ``x`` [..., N] spikes, the first ``inputs`` of them from outside, the last ``inhibitory`` from inhibitory cells; ``post`` [..., M] spikes of the target in
    this moment (``None``: silent); ``y = w x`` [..., M] with the weights before the change. ``w`` [..., M, N] is State, begins at the parameter ``weight`` and keeps within ``limit`` of 0 and, but for
    inputs, its sign; ``connected`` [M, N] of 0 and 1 (``None``: all). ``baseline`` (``None``: as ``potentiation``) is also where ``a`` begins; rates in units of ``w`` a unit of trace, times in seconds, ``fade`` a step.
    Raises ``ValueError`` for times not above 0, ``dt`` missing or above one, more inputs and inhibitory cells than there are, a weight out of bounds, inputs that do not fit. Source: ivanov2021 and its code.
    """

    emits = "current"
    out_size: int
    connected: Tensor

    class State(NamedTuple):
        """``w`` [..., M, N]; ``pre`` [..., N], ``post`` [..., M]: traces of spikes so far; ``astrocyte``, ``scale`` [..., 1]: ``a`` and ``s``."""

        w: Tensor
        pre: Tensor
        post: Tensor
        astrocyte: Tensor
        scale: Tensor

    def __init__(
        self,
        size: int,
        out_size: int,
        *,
        dt: float | None = None,
        inputs: int = 0,
        inhibitory: int = 0,
        weight: Tensor | None = None,
        connected: Tensor | None = None,
        limit: float = 3.0,
        potentiation: Value = 0.15,
        gain: Value = 0.015,
        baseline: Value | None = None,
        amplitude: float = 0.1,
        tau: float = 0.1,
        tau_trace: float = 0.01,
        fade: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(size, dt=dt)
        if min(inputs, inhibitory) < 0 or inputs + inhibitory > size:
            raise ValueError(
                f"{size} presynaptic cells hold {inputs} inputs and {inhibitory} inhibitory ones; give 0 or more, {size} in all."
            )
        if not limit > 0:
            raise ValueError(f"limit is the largest size of a weight, above 0, {limit!r} was given.")
        self.out_size, self.inputs, self.inhibitory = out_size, inputs, inhibitory
        place = torch.arange(size)
        sign = torch.where(place < inputs, 0.0, torch.where(place < size - inhibitory, 1.0, -1.0))
        self.lowest, self.highest = nn.Buffer(-limit * (sign <= 0).to(sign)), nn.Buffer(limit * (sign >= 0).to(sign))
        self.excites = nn.Buffer((sign >= 0).to(sign))
        begun = starting_weight(weight, out_size, size, (-limit, limit), generator)
        begun = begun if weight is not None else torch.where(sign == 0, begun, sign * begun.abs())
        if not ((begun >= self.lowest) & (begun <= self.highest)).all():
            raise ValueError("weight has the sign of its presynaptic cell, the last ones being inhibitory; another was given, change it.")
        self.connected = nn.Buffer(torch.ones_like(begun) if connected is None else connected.to(begun.dtype).clone())
        if self.connected.shape != begun.shape:
            raise ValueError(
                f"connected is [{out_size}, {size}] of 0 and 1, {list(self.connected.shape)} was given; rows are postsynaptic neurons."
            )
        self.weight = nn.Parameter(begun * self.connected)
        self.potentiation = parameter(potentiation, name="potentiation")
        self.gain = parameter(gain, name="gain")
        self.baseline = parameter(potentiation if baseline is None else baseline, name="baseline")
        self.decay_trace, self.decay = Decay(tau_trace, dt=dt, name="tau_trace"), Decay(tau, dt=dt)
        if not (0 < fade <= 1 and math.isfinite(amplitude)):
            raise ValueError(f"fade is a factor a step in (0, 1] and amplitude a number, {fade!r} and {amplitude!r} were given.")
        self.amplitude, self.fade = amplitude, fade

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Weights at the parameter, no spikes yet, the astrocyte at its baseline."""
        w = along_leading(self.weight.to(device=device, dtype=dtype), leading)
        one = torch.ones_like(w[..., 0, :1])
        return self.State(w, torch.zeros_like(w[..., 0, :]), torch.zeros_like(w[..., 0]), self.baseline.to(one) * one, one)

    def step(self, x: Tensor, s: Any = None, *, post: Tensor | None = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N], ``post`` [..., M] -> ``y`` [..., M]."""
        s = self.ready(x, s)
        y = current(s.w, x, "AstrocyteSTDP")
        z = torch.zeros_like(y) if post is None else check_third(post, y, "post", y.shape[-1:], "AstrocyteSTDP")
        late, early = z.unsqueeze(-1) * s.pre.unsqueeze(-2), s.post.unsqueeze(-1) * x.unsqueeze(-2)
        up, down = (s.scale * self.potentiation).unsqueeze(-1), s.astrocyte.unsqueeze(-1)
        dw = torch.where(self.excites > 0.5, up * late - down * early, up * early - down * late)
        w = torch.clamp(s.w + self.connected * dw, self.lowest, self.highest)
        excess = z.sum(-1, keepdim=True) - x[..., : self.inputs].sum(-1, keepdim=True)
        drive = s.scale * (self.gain * excess + self.baseline)
        a = self.fade * (s.astrocyte + self.decay.dt / self.decay.tau * (drive - s.astrocyte))
        decay = self.decay_trace()
        pre, after = (decay * (trace + self.amplitude * spikes) for trace, spikes in ((s.pre, x), (s.post, z)))
        return y, self.State(w, pre, after, a, self.fade * s.scale)
