"""Layers one after another, each run over the whole sequence before the next begins."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics.cell import Cell

UNFOLDED = (nn.Linear, nn.LayerNorm, nn.Identity, nn.Dropout, nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus)
"""Plain modules that take any leading axes and so need no folding of time into the batch."""


def output_size(module: nn.Module) -> int | None:
    """How many features ``module`` puts out, where it says so (``out_size`` of cells, ``out_features`` of linear layers)."""
    size = getattr(module, "out_size", getattr(module, "out_features", None))
    return size if isinstance(size, int) else None


def check_plain(module: nn.Module, where: str) -> None:
    """Raise ``TypeError`` for a plain module with a ``Cell`` inside, whose time it would hide."""
    held = next((type(part).__name__ for part in module.modules() if isinstance(part, Cell)), None)
    if held is not None and not isinstance(module, Cell):
        raise TypeError(
            f"{where} is a {type(module).__name__} that holds a {held}, a Cell; make it a Chain or a Cell, which carry its state."
        )


class Chain(Cell):
    """Cells and plain modules, layer by layer over all time: ``y, s = Chain(nn.Linear(3, 9), hidden=LIF(9, dt=1e-3))(x, s)``.

    Equation: ``y = layer_n(... layer_1(x))``. ``x`` [T, ..., N] -> ``y`` [T, ..., M]; ``step`` takes one moment through all layers, and
    both give the same (save for what depends on the whole batch in training, as batch norm does). A plain module is applied to all time steps at once: linear layers and activations to [T, ..., N] as it is, any
    other sees time folded into the batch, [T * B, ...] (so convolutions and batch norm work), or [T, N] where there is no batch axis; in
    ``step`` it sees the moment itself. Layers are named by
    keyword, else by place. ``State.layers`` holds one state a layer, ``None`` for plain modules and, at rest, for cells not yet run.
    Raises ``TypeError`` for layers that are no modules or plain ones with a Cell inside (``nn.Sequential(..., LIF(9))``), and ``ValueError`` for no layer, a taken name or the state of another chain.
    """

    class State(NamedTuple):
        """``layers``: one state a layer, ``None`` where it has none."""

        layers: tuple[Any, ...]

    def __init__(self, *layers: nn.Module, **named: nn.Module) -> None:
        everything = {**{str(place): layer for place, layer in enumerate(layers)}, **named}
        if not everything:
            raise ValueError("A Chain was given no layer; give one module or more, for example Chain(nn.Linear(3, 9)).")
        for name, layer in everything.items():
            if not isinstance(layer, nn.Module):
                raise TypeError(f"Layer {name!r} of a Chain is a {type(layer).__name__}; accepted are nn.Modules and Cells.")
            check_plain(layer, f"Layer {name!r} of a Chain")
        first = next(iter(everything.values()))
        super().__init__(first.size if isinstance(first, Cell) else None)
        self.out_size = output_size(list(everything.values())[-1])
        for name, layer in everything.items():
            if hasattr(self, name):
                raise ValueError(f"A layer of a Chain cannot be named {name!r}, a Chain has that attribute; choose another name.")
            self.add_module(name, layer)
        self.names = tuple(everything)

    @property
    def layers(self) -> tuple[nn.Module, ...]:
        """The layers in order."""
        return tuple(self.get_submodule(name) for name in self.names)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
        """Every layer at rest: a layer makes its own state when it first sees its input."""
        return self.State((None,) * len(self.names))

    def ready(self, x: Tensor, s: Any = None) -> Any:
        """Check the input and that ``s`` is a chain's state with one part a layer; the layers check their parts."""
        self._check_input(x, "[..., N]", 1)
        if s is None:
            return self.initial()
        if not isinstance(s, self.State):
            raise TypeError(f"Chain was given a {type(s).__name__} as its state; accepted is its own Chain.State, from the last call.")
        if len(s.layers) != len(self.names):
            raise ValueError(
                f"Chain has {len(self.names)} layers and was given the state of {len(s.layers)}; use the state this chain returned."
            )
        return s

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, Any]:
        """One moment through all layers: ``x`` [..., N] -> ``y`` [..., M]."""
        after: list[Any] = []
        for layer, part in zip(self.layers, self.ready(x, s).layers, strict=True):
            if isinstance(layer, Cell):
                x, part = layer.step(x, part)
            else:
                x = layer(x)
            after.append(part)
        return x, self.State(tuple(after))

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, Any]:
        """A sequence: ``x`` [T, ..., N] -> ``y`` [T, ..., M] and the last state of every layer."""
        if along:
            raise TypeError(f"Chain takes x and a state, {sorted(along)} was given too; run the layer that takes it by itself.")
        self._check_input(x, "[T, ..., N], time first", 2)
        after: list[Any] = []
        for layer, part in zip(self.layers, self.ready(x, s).layers, strict=True):
            if isinstance(layer, Cell):
                x, part = layer(x, part)
            elif x.ndim < 3 or type(layer) in UNFOLDED:
                x = layer(x)
            else:
                x = layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            after.append(part)
        return x, self.State(tuple(after))
