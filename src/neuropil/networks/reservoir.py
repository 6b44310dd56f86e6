"""A reservoir: a fixed recurrent network that turns the past of its input into a state, of which only a readout learns."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from neuropil.cells import EchoUnit
from neuropil.dynamics import Cell
from neuropil.dynamics.chain import check_plain, output_size
from neuropil.synapses import Dense, Recurrent


class Reservoir(Cell):
    """Cells that hear an input and, a step later, each other, through connections that are not trained.

    Equation: ``y(t) = cell(drive(x(t)) + recurrent(y(t - 1)) + bias)``, ``y`` before the first moment 0.

    ``x`` [T, ..., K] -> ``y`` [T, ..., N]; ``cell``: any cell with a size N, rate or spiking; ``recurrent``: a plain module from N to N (``Dense``, ``Sparse``, ``SignConstrained``,
    ``ExcitatoryInhibitory``, ...); ``drive``: one from K to N; ``bias`` shared or [N]. All parameters are frozen (``requires_grad`` is off); a readout is
    ``learning.ridge``, what it holds of the past ``interpret.memory_capacity``. ``State`` is that of ``Recurrent``, and sequences run as its kernel where they can.
    Raises ``ValueError`` for sizes that do not fit, ``TypeError`` for a cell that is no Cell or connections that are one. Sources: jaeger2001; maass2002.
    """

    class State(NamedTuple):
        """``network``: the state of the recurrent network: its cells', and their last output."""

        network: Any

    def __init__(self, cell: Cell, recurrent: nn.Module, drive: nn.Module, *, bias: float | Tensor = 0.0) -> None:
        network = Recurrent(cell, recurrent)
        check_plain(drive, "The drive of a Reservoir")
        if isinstance(drive, Cell):
            raise TypeError(
                f"The drive of a Reservoir is a plain module, a {type(drive).__name__} was given; put a Cell before it in a Chain."
            )
        if output_size(drive) not in (None, cell.size):
            raise ValueError(f"The drive of a Reservoir of {cell.size} cells puts out as many, {output_size(drive)} was given; match them.")
        inputs = getattr(drive, "size", getattr(drive, "in_features", None))
        super().__init__(inputs if isinstance(inputs, int) else None, dt=cell.dt)
        self.out_size, self.emits = cell.size, cell.emits
        self.network, self.drive = network, drive
        given = torch.as_tensor(bias, dtype=torch.get_default_dtype())
        if given.shape not in ((), (cell.size,)):
            raise ValueError(f"bias of a Reservoir is one number or [{cell.size}], {list(given.shape)} was given.")
        self.bias = nn.Buffer(given.detach().clone())
        self.requires_grad_(False)

    @classmethod
    def echo_state(
        cls,
        size: int,
        inputs: int,
        *,
        spectral_radius: float = 0.9,
        input_scale: float = 1.0,
        leak: float = 1.0,
        bias: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Make the standard echo-state network: tanh units, normal weights scaled to a spectral radius, inputs uniform in [-input_scale, input_scale].

        Raises ``ValueError`` for a radius below 0. Source: jaeger2001.
        """
        if not spectral_radius >= 0:
            raise ValueError(f"spectral_radius is 0 or more, {spectral_radius!r} was given; near 1 memory is longest.")
        recurrent, drive = Dense(size, size, generator=generator), Dense(inputs, size, generator=generator)
        with torch.no_grad():
            recurrent.weight.mul_(spectral_radius / torch.linalg.eigvals(recurrent.weight).abs().max())
            drive.weight.copy_(input_scale * (2 * torch.rand(size, inputs, generator=generator) - 1))
        return cls(EchoUnit(size, leak=leak), recurrent, drive, bias=bias)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """All cells at rest, and no output yet."""
        return self.State(self.network.initial(*leading, device=device, dtype=dtype))

    def initial_like(self, x: Tensor) -> State:
        """All cells at rest for one moment of input ``x`` [..., K]."""
        return self.initial(*x.shape[:-1], device=x.device, dtype=torch.promote_types(x.dtype, self.bias.dtype))

    def current(self, x: Tensor) -> Tensor:
        """What the cells get from outside: ``x`` [..., K] -> [..., N]."""
        found: Tensor = self.drive(x) + self.bias
        return found

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., K] -> ``y`` [..., N]."""
        s = self.ready(x, s)
        y, network = self.network.step(self.current(x), s.network)
        return y, self.State(network)

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, State]:
        """A sequence: ``x`` [T, ..., K] -> ``y`` [T, ..., N] and the last state."""
        if along or "step" in vars(self) or not len(x):
            found: tuple[Tensor, Reservoir.State] = super().forward(x, s, **along)
            return found
        self._check_input(x, "[T, ..., K], time first", 2)
        y, network = self.network(self.current(x), self.ready(x[0], s).network)
        return y, self.State(network)
