"""The network that every cell of a board stands in: synapses, one recurrent layer of the cell, a leaky read-out; and its drive."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.cells import LI
from neuropil.dynamics import Cell, Chain
from neuropil.synapses import Dense, Recurrent, Synapse

READ_OUT = 1.0
"""Time constant of the read-out in seconds: long beside every sequence, so that it sums what it hears."""


class Scaled(Synapse):
    """Connections in units of the neuron's drive: ``y = scale W x``, ``W ~ Normal(0, gain^2 / N)``."""

    def __init__(self, size: int, scale: float, *, gain: float, generator: torch.Generator) -> None:
        super().__init__(size, size)
        self.weight, self.scale = Dense(size, size, gain=gain, generator=generator).weight, scale

    def effective(self) -> Tensor:
        """``scale W``."""
        return self.scale * self.weight


class Amplifier(nn.Module):
    """Current into a neuron: ``scale x``."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """``scale x``."""
        return self.scale * x


def network(cell: Cell, inputs: int, outputs: int, *, scale: float, gain: float, steps: int, generator: torch.Generator) -> Chain:
    """Chain ``x`` [T, B, inputs] -> potentials [T, B, outputs], the last of which is read.

    Synapses, batch normalisation, a drive of ``scale`` (what a standard deviation of current is for this cell), the cell hearing itself
    one step later, synapses, a leaky integrator. Everything learned is in units in which 1 is a usual size, whatever the cell's units are.
    """
    width = _units(cell)
    read_out = nn.Linear(width, outputs)
    with torch.no_grad():
        read_out.weight.copy_(Dense(width, outputs, generator=generator).weight)
        read_out.bias.zero_()
    return Chain(
        synapse=Dense(inputs, width, generator=generator),
        norm=nn.BatchNorm1d(width),
        drive=Amplifier(scale),
        hidden=Recurrent(cell, Scaled(width, scale, gain=gain, generator=generator)),
        read=read_out,
        mean=Amplifier(steps**-0.5),
        readout=LI(outputs, tau=READ_OUT, dt=1e-3),
    )


def drive_of(cell: Cell, *, steps: int, share: float) -> float:
    """Find the drive at which a cell begins to be active: the least power of 2 at which it answers noise.

    Noise [steps, ..., N] of standard deviation 1, half of its variance constant in time, times the drive; active is a cell with outputs other
    than 0 in a ``share`` of moments, or, where it emits no events, with a root mean square of one half. The same noise for every cell.
    Raises ``ValueError`` for a cell that no drive up to 2^16 moves.
    """
    size = _units(cell)
    generator = torch.Generator().manual_seed(0)
    noise = (torch.randn(1, 64, size, generator=generator) + torch.randn(steps, 64, size, generator=generator)) * 0.5**0.5
    with torch.no_grad():
        for power in range(-6, 17):
            y, _ = cell(2.0**power * noise)
            if not torch.isfinite(y).all():
                break
            events = cell.emits in ("spikes", "events")
            if float((y != 0).float().mean()) >= share if events else float(y.square().mean()) >= 0.25:
                return float(2.0**power)
    raise ValueError(
        f"No drive from 2^-6 to 2^16 makes a {type(cell).__name__} answer noise of {steps} steps; it cannot stand on this board."
    )


def _units(cell: Cell) -> int:
    if cell.size is None:
        raise ValueError(f"A {type(cell).__name__} without a size was given; give it a number of units.")
    return cell.size
