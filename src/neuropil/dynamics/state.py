"""States are NamedTuples of tensors (or of further states, tuples, dicts): walked, mapped, compared here, and nowhere kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor, nn

S = TypeVar("S")


def map_state(function: Callable[[Tensor], Tensor], state: S) -> S:
    """Rebuild ``state`` with ``function`` applied to every tensor; ``None`` stays."""
    node: Any = state
    if isinstance(node, Tensor):
        return function(node)  # type: ignore[return-value]
    if isinstance(node, dict):
        return {key: map_state(function, value) for key, value in node.items()}  # type: ignore[return-value]
    if isinstance(node, tuple):
        parts = [map_state(function, value) for value in node]
        return type(node)(*parts) if hasattr(node, "_fields") else tuple(parts)  # type: ignore[return-value]
    return state


def detach(state: S) -> S:
    """The same state without its history: between pieces of a sequence this truncates backpropagation through time."""
    return map_state(Tensor.detach, state)


def leaves(state: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a state with its dotted path: ``"v"``, ``"layers.0.v"``, ``"buffers.inhibition"``."""
    if isinstance(state, Tensor):
        yield path, state
    elif isinstance(state, dict | tuple):
        keys = state if isinstance(state, dict) else getattr(state, "_fields", range(len(state)))
        for key, part in zip(keys, state.values() if isinstance(state, dict) else state, strict=True):
            yield from leaves(part, f"{path}.{key}" if path else str(key))


def own_tensors(module: nn.Module) -> Iterator[Tensor]:
    """The parameters and buffers of ``module`` and of all in it; what it shares comes more than once, which makes this fast."""
    for store in (module._parameters, module._buffers):
        yield from (tensor for tensor in store.values() if tensor is not None)
    for child in module._modules.values():
        if child is not None:
            yield from own_tensors(child)


def check_state(given: Any, expected: Any, cell: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` in one sentence where ``given`` is no state like ``expected`` (type, shape, dtype, device)."""
    if type(given) is not type(expected):
        what = f"a {type(given).__module__}.{type(given).__qualname__}"
        raise TypeError(
            f"{cell} was given {what} as its state; accepted is its own {type(expected).__qualname__}, from initial() or the last call."
        )
    wanted = dict(leaves(expected))
    found = dict(leaves(given))
    if found.keys() != wanted.keys():
        raise ValueError(
            f"The state given to {cell} holds {sorted(found)}, accepted is {sorted(wanted)}; use the state this cell returned."
        )
    for name, tensor in wanted.items():
        for what in ("shape", "dtype", "device"):
            one, other = getattr(found[name], what), getattr(tensor, what)
            if one != other:
                one, other = (list(one), list(other)) if what == "shape" else (one, other)
                raise ValueError(f"State {name!r} given to {cell} has {what} {one}, this input needs {other}; use a state made for it.")
