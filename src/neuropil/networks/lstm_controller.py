"""One layer of long short-term memory that takes one moment at a time, as a controller of memories must."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell
from neuropil.synapses.synapse import check_size


class LSTMController(Cell):
    """One layer of long short-term memory, a moment at a time: ``c <- sig(f) c + sig(i) tanh(g)``, ``y = h = sig(o) tanh(c)``, all four ``W (x, h) + b``.

    ``x`` [..., size] -> ``y`` [..., units]. ``weight`` [4 units, size + units] in the order f, i, g, o begins uniform in +-1 / sqrt(units), ``bias`` at 0, that of f at 1. Raises ``ValueError`` for sizes below 1. Source: hochreiter1997, with the gate f of later use.
    """

    class State(NamedTuple):
        """``h``: what is said; ``c``: what is kept, both [..., units]."""

        h: Tensor
        c: Tensor

    def __init__(self, size: int, units: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(size)
        self.out_size = self.units = check_size(units, "units", "LSTMController")
        self.weight = nn.Parameter(torch.empty(4 * units, size + units).uniform_(-(units**-0.5), units**-0.5, generator=generator))
        self.bias = nn.Parameter(torch.cat((torch.ones(units), torch.zeros(3 * units))))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """At rest: nothing kept, nothing said."""
        place = self._place(device, dtype)
        return self.State(torch.zeros(*leading, self.units, **place), torch.zeros(*leading, self.units, **place))

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment."""
        s = self.ready(x, s)
        f, i, g, o = (torch.cat((x, s.h), -1) @ self.weight.mT + self.bias).chunk(4, -1)
        c = f.sigmoid() * s.c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, self.State(h, c)
