"""Recurrent connections: a population that hears itself one step later."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.cells.lif import LIF
from neuropil.dynamics import Cell, leaves
from neuropil.dynamics.chain import output_size
from neuropil.dynamics.kernels.fused import Runs, kernel_for
from neuropil.dynamics.kernels.recurrent import RecurrentKernel
from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.dense import Dense
from neuropil.synapses.synapse import matrix_of


@SYNAPSES.register(
    cites=("elman1990",),
    tags=("recurrent",),
    example={"cell": lambda: LIF(4, dt=1e-3)},
    off={"gain": 0.0},
    like=lambda off: off.cell,
)
class Recurrent(Cell):
    """A cell whose own last output is part of its input.

    Equation: ``y(t) = cell(x(t) + synapse(y(t - 1)))``, ``y`` before the first moment 0.

    Where the cell has a kernel and the synapse is a matrix of weights, a sequence runs as one matrix product and one fused update a moment.

    ``x``, ``y`` [T, ..., N]; ``cell``: a Cell with a size and as many outputs; ``synapse``: a plain module from N to N, ``Dense`` unless given.
    ``State``: the cell's state and the last output. Raises ``ValueError`` for a cell without size, or sizes that do not fit; ``TypeError`` for a
    cell that is no Cell or a synapse that is one. Source: elman1990.
    """

    class State(NamedTuple):
        """``cell``: the state of the cell; ``output``: its last output [..., N]."""

        cell: Any
        output: Tensor

    def __init__(
        self, cell: Cell, synapse: nn.Module | None = None, *, gain: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"Recurrent wraps a Cell, a {type(cell).__name__} was given; give for example LIF(64, dt=1e-3).")
        if cell.size is None or cell.out_size != cell.size:
            raise ValueError(
                f"Recurrent wraps a cell with as many outputs as inputs, size {cell.size} and out_size {cell.out_size} were given; give it a size."
            )
        super().__init__(cell.size, dt=cell.dt)
        if isinstance(synapse, Cell):
            raise TypeError(f"The synapse of a Recurrent is a plain module, a {type(synapse).__name__} was given; a Circuit takes cells.")
        self.cell, self.neurons = cell, cell.size
        self.synapse = Dense(cell.size, cell.size, gain=gain, generator=generator) if synapse is None else synapse
        for size in (getattr(self.synapse, "size", None), getattr(self.synapse, "in_features", None), output_size(self.synapse)):
            if size not in (None, cell.size):
                raise ValueError(
                    f"Recurrent has a cell of size {cell.size} and a synapse of size {size}; give the synapse N = M = {cell.size}."
                )
        self.emits = cell.emits

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """The cell at rest and no output yet."""
        cell = self.cell.initial(*leading, device=device, dtype=dtype)
        like = next((tensor for _, tensor in leaves(cell)), torch.zeros((), device=device, dtype=dtype))
        return self.State(cell, like.new_zeros((*leading, self.neurons)))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment: ``x`` [..., N] -> ``y`` [..., N]."""
        s = self.ready(x, s)
        y, inner = self.cell.step(x + self.synapse(s.output), s.cell)
        return y, self.State(inner, y)

    def _compiled(self, x: Tensor, s: Any) -> Runs | str:
        cell, synapse = self.cell, self.synapse
        if not cell.elementwise:
            return f"the steps of its {type(cell).__name__} are its own"
        if "step" in vars(cell) or any(part._forward_hooks or part._forward_pre_hooks for part in (cell, synapse)):
            return "its parts are observed or held"
        inner = kernel_for(cell, x, s.cell)
        if isinstance(inner, str):
            return inner
        if torch.is_autocast_enabled(x.device.type):
            return "autocast may choose another dtype at every step"
        weight = matrix_of(synapse)
        if weight is None:
            return f"its {type(synapse).__name__} is more than a matrix of weights"
        if weight.dtype != s.output.dtype:
            return f"its weights are {weight.dtype} and its state is {s.output.dtype}"
        return RecurrentKernel(inner, weight)
