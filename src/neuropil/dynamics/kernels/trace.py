"""From a cell's ``update`` to pointwise programs: one forwards, one for the vector-Jacobian product.

``update`` runs once on distinct example tensors, parameters and buffers included, while a dispatch mode of torch writes down every operator that is
called, and once more through autograd, which differentiates surrogates and detached resets as it always does. What depends on parameters alone (``exp(-dt / tau)``) is set apart as
*coefficients*, computed once a call in torch and only read at every moment.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from neuropil.dynamics.kernels.program import IN_TORCH, ONE, TRUTHS, ZERO, Constant, Operand, Operation, Program

_SAME = {"alias", "clone", "detach", "lift_fresh_copy"}
_CONSTANT = {"new_ones": ONE, "new_zeros": ZERO, "ones": ONE, "ones_like": ONE, "zeros": ZERO, "zeros_like": ZERO}
_RENAMED = {
    "logical_and_": "logical_and",
    "bitwise_and": "logical_and",
    "bitwise_not": "logical_not",
    "bitwise_or": "logical_or",
    "sgn": "sign",
}


class Untraceable(ValueError):  # noqa: N818
    """No kernel can be written from this ``update``; the message says why in one sentence."""


@dataclass(frozen=True)
class Side:
    """One direction of a traced cell: a program, the values that it reads as coefficients, and what it puts out."""

    program: Program
    coefficients: tuple[int, ...]
    outputs: tuple[Operand | None, ...]

    def body(self) -> list[int]:
        """The operations to compute at every moment, in order."""
        outputs = [one for one in self.outputs if one is not None]
        once = set(self.coefficients)
        waiting, found = [one for one in outputs if isinstance(one, int)], set[int]()
        while waiting:
            one = waiting.pop()
            if one not in found and one not in once:
                found.add(one)
                waiting += self.program.made_of(one)
        return sorted(one for one in found if isinstance(self.program.values[one], Operation))


@dataclass(frozen=True)
class Traced:
    """A cell's equation: ``forward`` puts out the new state and y; ``backward`` the gradients of state, x and the ``learnable`` of its ``tensors``."""

    fields: tuple[str, ...]
    tensors: tuple[str, ...]
    learnable: tuple[str, ...]
    forward: Side
    backward: Side

    @lru_cache(maxsize=256)  # noqa: B019  traced equations are kept for good
    def learning(self, names: tuple[str, ...]) -> Traced:
        """The same with gradients for these of its tensors only."""
        kept = tuple(name for name in self.learnable if name in names)
        gradients = dict(zip(self.learnable, self.backward.outputs[len(self.fields) + 1 :], strict=True))
        outputs = (*self.backward.outputs[: len(self.fields) + 1], *(gradients[name] for name in kept))
        return replace(self, learnable=kept, backward=_with_coefficients(self.backward.program, self.tensors, outputs))


def trace(cell: Any) -> Traced:
    """Trace ``cell.update``, with gradients for every parameter and buffer.

    Raises ``Untraceable`` where ``update`` does what no pointwise kernel can: other operations, branching on values, other shapes.
    """
    own_tensors = own_by_name(cell)
    fields, tensors, size, name = tuple(cell.State._fields), tuple(own for own, _ in own_tensors), (2, 3), type(cell).__name__
    if not fields or any(not tensor.is_floating_point() for _, tensor in own_tensors):
        raise Untraceable(f"{name} has no state, or a parameter or buffer that is not floating-point.")
    generator = torch.Generator().manual_seed(0)

    def example() -> Tensor:
        return torch.rand(size, generator=generator, dtype=torch.float64) + 0.5

    s, x, own = [example() for _ in fields], example(), [example() for _ in tensors]
    gs, gy = [example() for _ in fields], example()

    def update(s: Sequence[Tensor], x: Tensor, own: Sequence[Tensor]) -> list[Tensor]:
        after, y = _holding(cell, dict(zip(tensors, own, strict=True))).update(cell.State(*s), x)
        if type(after) is not cell.State or any(not isinstance(t, Tensor) or t.shape != size for t in (*after, y)):
            raise Untraceable(f"update of {name} does not give back its State and an output, all of the shape of x.")
        return [*after, y]

    def vjp(s: Sequence[Tensor], x: Tensor, own: Sequence[Tensor], gs: Sequence[Tensor], gy: Tensor) -> list[Tensor | None]:
        s, x, own = ([t.detach().requires_grad_() for t in s], x.detach().requires_grad_(), [t.detach().requires_grad_() for t in own])
        outputs = [(y, g) for y, g in zip(update(s, x, own), [*gs, gy], strict=True) if y.requires_grad]
        inputs = [*s, x, *own]
        if not outputs:
            return [None] * len(inputs)
        return list(torch.autograd.grad([y for y, _ in outputs], inputs, [g for _, g in outputs], allow_unused=True))

    names = [*(f"s.{f}" for f in fields), "x", *(f"own.{t}" for t in tensors)]
    back_names = [*names, *(f"g.{f}" for f in fields), "gradient"]
    try:
        forward = _recorded(name, names, tensors, [*s, x, *own], lambda: update(s, x, own))
        backward = _recorded(name, back_names, tensors, [*s, x, *own, *gs, gy], lambda: vjp(s, x, own, gs, gy))
    except Untraceable:
        raise
    except Exception as error:  # whatever a user's update raises on example tensors, or tracing on what it cannot follow
        raise Untraceable(f"update of {name} cannot be traced ({type(error).__name__}: {str(error).splitlines()[0][:200]}).") from error
    return Traced(fields, tensors, tensors, forward, backward)


def own_by_name(cell: nn.Module) -> list[tuple[str, Tensor]]:
    """Every parameter and buffer by its first name, each once."""
    return [*cell.named_parameters(), *cell.named_buffers()]


def _holding(cell: nn.Module, tensors: dict[str, Tensor]) -> Any:
    """A shallow copy of ``cell`` that holds ``tensors`` in place of its own; the cell itself is not touched, other threads may be using it."""
    by_identity = {id(tensor): tensors[name] for name, tensor in own_by_name(cell)}

    def copied(module: nn.Module) -> nn.Module:
        twin = copy.copy(module)
        for store in ("_parameters", "_buffers"):
            held = {name: None if t is None else by_identity[id(t)] for name, t in dict.items(getattr(module, store))}
            vars(twin)[store] = held
        vars(twin)["_modules"] = {name: None if m is None else copied(m) for name, m in module._modules.items()}
        return twin

    return copied(cell)


class _Recorder(TorchDispatchMode):
    """Writes every operator that torch runs into a program; tensors are known by identity, and so kept alive."""

    def __init__(self, cell: str, inputs: Sequence[str], tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cell, self.program = cell, Program(inputs)
        self.alive: list[Tensor] = list(tensors)
        self.held: dict[int, Operand] = {id(tensor): place for place, tensor in enumerate(tensors)}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch's compiler has nothing to do with this; importing it for no use would take longer than all the rest."""
        return False

    def operand(self, tensor: Tensor) -> Operand:
        """What the program calls this tensor; one that no operator made is a constant."""
        if id(tensor) not in self.held:
            if tensor.numel() != 1:
                raise Untraceable(
                    f"update of {self.cell} holds a tensor of {tensor.numel()} numbers that is neither parameter nor buffer; register it."
                )
            with torch.utils._python_dispatch._disable_current_modes():
                self.keep(tensor, Constant(float(tensor)))
        return self.held[id(tensor)]

    def keep(self, tensor: Tensor, operand: Operand) -> None:
        """Know this tensor from now on."""
        self.alive.append(tensor)
        self.held[id(tensor)] = operand

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and write it down."""
        operator = func.overloadpacket.__name__
        operand = _operation(self, operator, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        self.keep(result, operand)
        return result


def _recorded(
    cell: str, inputs: Sequence[str], tensors: Sequence[str], given: Sequence[Tensor], function: Callable[[], Sequence[Tensor | None]]
) -> Side:
    with _Recorder(cell, inputs, given) as recorder:
        outputs = function()
    return _with_coefficients(recorder.program, tensors, [None if one is None else recorder.operand(one) for one in outputs])


def _with_coefficients(program: Program, tensors: Sequence[str], outputs: Sequence[Operand | None]) -> Side:
    """What the body reads of all that depends on parameters alone is its coefficients."""
    once, wanted = program.only_from(f"own.{name}" for name in tensors), [one for one in outputs if one is not None]
    read = {one for number in program.needed(wanted) - once for one in program.made_of(number)} | {
        one for one in wanted if isinstance(one, int)
    }
    return Side(program, tuple(sorted(read & once)), tuple(outputs))


def _operation(recorder: _Recorder, operator: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Operand:
    program, name = (
        recorder.program,
        operator.removesuffix("_"),
    )  # what ends with it writes into its first operand, which the result then is
    values: list[Any] = [recorder.operand(one) if isinstance(one, Tensor) else one for one in args]
    if name in _SAME:
        return values[0]  # type: ignore[no-any-return]
    if name in _CONSTANT:
        return _CONSTANT[name]
    if name in ("full_like", "full", "new_full", "scalar_tensor"):
        return Constant(float(values[0] if name == "scalar_tensor" else values[-1]))
    options = {key: value for key, value in kwargs.items() if key in ("alpha", "rounding_mode") and value not in (None, 1)}
    name = _RENAMED.get(operator, _RENAMED.get(name, name))
    arguments = [
        Constant(float(one)) if isinstance(one, int | float) and not isinstance(given, Tensor) else one
        for one, given in zip(values, args, strict=True)
    ]
    if name in COMPOUND and not options:
        return COMPOUND[name](program, *arguments)
    if name in ("add", "sub") and set(options) == {"alpha"}:
        return program.add(name, arguments[0], program.add("mul", arguments[1], Constant(float(str(options["alpha"])))))
    if name not in IN_TORCH or options or any(one is None for one in arguments):
        raise Untraceable(
            f"update of {recorder.cell} uses aten.{operator}, which is not among the pointwise operations a kernel can be written from."
        )
    return program.add(name, *arguments)


def _number(program: Program, x: Operand, *_: Any) -> Operand:
    value = program.values[x] if isinstance(x, int) else x
    return program.add("number", x) if isinstance(value, Operation) and value.name in TRUTHS else x


def _clamp(program: Program, x: Operand, low: Operand | None = None, high: Operand | None = None) -> Operand:
    if low is not None:
        x = program.add("where", program.add("lt", x, low), low, x)
    return x if high is None else program.add("where", program.add("gt", x, high), high, x)


def _threshold_backward(program: Program, g: Operand, x: Operand, threshold: Operand) -> Operand:
    return program.add("where", program.add("le", x, threshold), ZERO, g)


COMPOUND: dict[str, Callable[..., Operand]] = {
    "_to_copy": _number,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda p, x, high: _clamp(p, x, None, high),
    "masked_fill": lambda p, x, mask, value: p.add("where", mask, value, x),
    "relu": lambda p, x: _clamp(p, x, ZERO),
    "rsub": lambda p, x, other: p.add("sub", other, x),
    "sigmoid_backward": lambda p, g, y: p.add("mul", p.add("mul", g, p.add("sub", ONE, y)), y),
    "silu": lambda p, x: p.add("mul", x, p.add("sigmoid", x)),
    "square": lambda p, x: p.add("mul", x, x),
    "tanh_backward": lambda p, g, y: p.add("mul", g, p.add("sub", ONE, p.add("mul", y, y))),
    "threshold_backward": _threshold_backward,
}
"""Operators of torch that are written with several of ours."""
