"""What can be seen and held in a model, by name: outputs of modules, states of cells, attention patterns, parameters and buffers.

Grammar: ``path`` or ``path[index]``. A path is a module's name (its output; ``"output"`` for the whole model), or a module's name and
the field of a cell's ``State`` (``"hidden.v"``), ``"output"`` or the cell's own word for it (``"hidden.spikes"``), ``"attention"``, a
parameter or a buffer, looked up in this order. An index is whole numbers, slices, lists and ``...`` as in torch; for states and outputs
of cells it addresses one moment [..., N], for anything else the tensor itself.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from torch import Tensor, nn

Kind = Literal["output", "state", "attention", "parameter", "buffer"]


@dataclass(frozen=True)
class Target:
    """A resolved name: ``kind`` of thing, the ``module`` it belongs to and its ``path``, the ``leaf`` (field, ...) and the ``index``, if any."""

    name: str
    kind: Kind
    module: nn.Module
    path: str
    leaf: str
    index: tuple[Any, ...] | None

    @property
    def base(self) -> str:
        """The name without its index."""
        return self.name.partition("[")[0]

    @property
    def what(self) -> tuple[str, str]:
        """What it is whatever it was called: ``hidden``, ``hidden.output`` and ``hidden.spikes`` are one thing."""
        return self.path, "output" if self.kind == "output" else self.leaf

    @property
    def timed(self) -> bool:
        """Whether it has one value a moment: states and outputs of cells."""
        return self.kind in ("state", "output") and is_cell(self.module)

    def select(self, tensor: Tensor, *, whole: bool = False) -> Tensor:
        """The indexed part of ``tensor``; ``whole``: the tensor has a time axis in front, which the index leaves alone."""
        if self.index is None:
            return tensor
        index = (slice(None), *self.index) if whole else self.index
        try:
            return tensor[index]
        except IndexError:
            shape = list(tensor.shape[1:] if whole else tensor.shape)
            raise ValueError(
                f"The index of {self.name!r} does not fit a tensor of shape {shape}; give at most {len(shape)} entries within it."
            ) from None


def is_cell(module: nn.Module) -> bool:
    """Whether a module has a NamedTuple class ``State`` and a ``step``: state in, state out."""
    return hasattr(getattr(type(module), "State", None), "_fields") and callable(getattr(type(module), "step", None))


def fields(module: nn.Module) -> tuple[str, ...]:
    """The fields of a cell's ``State``; none of another module."""
    return tuple(getattr(type(module), "State")._fields) if is_cell(module) else ()  # noqa: B009


def words(module: nn.Module) -> tuple[str, ...]:
    """What the output of a module is called, beside the module's own name."""
    own = getattr(module, "emits", "output") if is_cell(module) else "output"
    return ("output",) if own == "output" else (own, "output")


def names(model: nn.Module) -> list[str]:
    """Every name that ``observe``, ``clamp``, ``lesion`` and ``patch`` take for ``model``, attention patterns aside."""
    found: dict[str, None] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        found[path or "output"] = None
        kinds = getattr(getattr(type(module), "State", None), "__annotations__", {})
        states = [field for field in fields(module) if _is_tensor(kinds.get(field))]
        kept = [leaf for store in (module._parameters, module._buffers) for leaf, tensor in store.items() if tensor is not None]
        leaves = [*words(module)[:-1], *states, *kept]
        found.update(dict.fromkeys(prefix + leaf for leaf in leaves))
    return list(found)


def _is_tensor(annotation: Any) -> bool:
    return annotation is Tensor or getattr(annotation, "__forward_arg__", annotation) in ("Tensor", "torch.Tensor")


def locate(model: nn.Module, name: str) -> Target:
    """Resolve ``name`` in ``model``; raises ``ValueError`` with the nearest matches for a name that is not there."""
    if not isinstance(name, str):
        raise TypeError(f"A name is a text such as 'hidden.v', a {type(name).__name__} was given; names(model) lists them.")
    path, bracket, rest = name.partition("[")
    index = parse_index(name, rest) if bracket else None
    modules = dict(model.named_modules(remove_duplicate=False))
    if path in modules and path:
        return Target(name, "output", modules[path], path, "output", index)
    owner, _, leaf = path.rpartition(".")
    kind = _kind(modules[owner], leaf) if owner in modules else None
    if kind is None:
        close = get_close_matches(path, names(model), n=3, cutoff=0.5)
        advice = f"nearest are {', '.join(map(repr, close))}" if close else "names(model) lists what there is"
        raise ValueError(f"{type(model).__name__} has nothing named {path!r}; {advice}.")
    return Target(name, kind, modules[owner], owner, leaf, index)


def _kind(module: nn.Module, leaf: str) -> Kind | None:
    if leaf in fields(module):
        return "state"
    if leaf in words(module):
        return "output"
    if module._parameters.get(leaf) is not None:
        return "parameter"
    if module._buffers.get(leaf) is not None:
        return "buffer"
    return "attention" if leaf == "attention" else None


def parse_index(name: str, rest: str) -> tuple[Any, ...]:
    """Read ``":, 17]"`` (what follows the first bracket) as an index, evaluating nothing."""
    try:
        if not rest.endswith("]"):
            raise SyntaxError
        node = ast.parse(f"_[{rest}", mode="eval").body
        if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
            raise SyntaxError
        entries = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return tuple(_entry(entry) for entry in entries)
    except (SyntaxError, ValueError):
        raise ValueError(
            f"{name!r} has no readable index; accepted are whole numbers, slices, lists and ..., as in 'hidden.v[:, 17]'."
        ) from None


def _entry(node: ast.expr) -> Any:
    match node:
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else _integer(part) for part in (lower, upper, step)))
        case ast.List(elts=elements):
            return [_integer(element) for element in elements]
        case ast.Constant(value=value) if value is ...:
            return ...
        case _:
            return _integer(node)


def _integer(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if not isinstance(value, bool):
            return -value
        case _:
            raise SyntaxError
