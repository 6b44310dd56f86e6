"""Hold any part of a model where you want it, in inference and in training: clamps and lesions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neuropil.observe.names import Target, locate
from neuropil.observe.record import check_ran
from neuropil.observe.tap import tapped

Value = float | Sequence[Any] | Tensor | Callable[[Tensor], Tensor]


class Hold:
    """Writes a constant, a trajectory [T, ...] moment by moment, or a function of the present value over a target, at its index."""

    def __init__(self, target: Target, value: Value) -> None:
        if not (callable(value) or isinstance(value, Tensor | int | float | list | tuple)):
            raise TypeError(
                f"{target.name!r} was to be held at a {type(value).__name__}; accepted are numbers, tensors and functions of the value."
            )
        if target.kind == "attention":
            raise ValueError(
                f"{target.name!r} can be observed only, the module has used its pattern before returning it; hold {target.path or 'output'!r}."
            )
        self.target, self.value = target, value
        self.moment = 0
        self.ran = False

    def begin(self) -> None:
        """A new call of the model: trajectories start over."""
        self.moment = 0

    def write(self, value: Tensor, whole: bool = False, before: bool = False) -> Tensor:
        """Give ``value`` with what is held put in; ``before`` a step functions and trajectories leave the state alone."""
        self.ran = True
        if not whole:
            return self._one(value, before)
        if len(value) and (callable(self.value) or self._runs(value[0])):
            return torch.stack([self._one(one, False) for one in value.unbind()])
        return self._put(value, self.value, whole=True)

    def _one(self, value: Tensor, before: bool) -> Tensor:
        if callable(self.value):
            return value if before else self._put(value, self.value(self.target.select(value)))
        if not self._runs(value):
            return self._put(value, self.value)
        if before:
            return value
        assert_moments(self.target.name, self.moment, len(self.value))  # type: ignore[arg-type]
        self.moment += 1
        return self._put(value, self.value[self.moment - 1])  # type: ignore[index]

    def _runs(self, value: Tensor) -> bool:
        return self.target.timed and isinstance(self.value, Tensor) and self.value.ndim == self.target.select(value).ndim + 1

    def _put(self, value: Tensor, new: Any, whole: bool = False) -> Tensor:
        part = self.target.select(value, whole=whole)
        if not isinstance(new, Tensor | int | float | list | tuple):
            raise TypeError(f"The function that holds {self.target.name!r} gave a {type(new).__name__}; accepted are tensors and numbers.")
        fitted: Tensor = torch.as_tensor(new, dtype=value.dtype, device=value.device)
        try:
            fitted = fitted.expand(part.shape)
        except RuntimeError:
            shape = list(part.shape[1:] if whole else part.shape)
            more = " (or one more axis in front, time)" if self.target.timed else ""
            raise ValueError(
                f"{self.target.name!r} was to be held at a value of shape {list(fitted.shape)}; accepted is what broadcasts to {shape}{more}."
            ) from None
        if self.target.index is None:
            return fitted.clone()
        out = value.clone()
        out[(slice(None), *self.target.index) if whole else self.target.index] = fitted
        return out


def assert_moments(name: str, moment: int, available: int) -> None:
    """Raise ``ValueError`` where a trajectory is over before the run is."""
    if moment >= available:
        raise ValueError(f"{name!r} is held along {available} moments and the model runs longer; give as many moments as it runs.")


class Freeze(Hold):
    """Holds a state at what it was when the call began, an output at its first value, a parameter at its value without learning."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, 0.0)
        self.first: Tensor | None = None

    def begin(self) -> None:
        """A new call of the model: its first value is frozen."""
        if self.target.kind not in ("parameter", "buffer"):
            self.first = None

    def write(self, value: Tensor, whole: bool = False, before: bool = False) -> Tensor:
        """Give the first value seen, whatever comes."""
        self.ran = True
        if self.first is None:
            if whole and not len(value):
                return value
            self.first = self.target.select(value[0] if whole else value).detach().clone()
        return self._put(value, self.first, whole=whole)


def aliases(model: nn.Module, target: Target) -> list[Target]:
    """A parameter or buffer under every module that shares it, so that tied weights are held together; anything else alone."""
    if target.kind not in ("parameter", "buffer"):
        return [target]
    store = f"_{target.kind}s"
    tensor = getattr(target.module, store).get(target.leaf)
    return [
        replace(target, module=module, leaf=leaf)
        for module in model.modules()
        for leaf, other in getattr(module, store).items()
        if other is tensor
    ]


@contextmanager
def holding(model: nn.Module, holds: list[Any], what: str) -> Iterator[nn.Module]:
    """Have ``holds`` (writers with ``begin`` and ``ran``) act on ``model``; each must have acted by the end."""
    writers = [
        hold if alias.module is hold.target.module and alias.leaf == hold.target.leaf else _Alias(alias, hold)
        for hold in holds
        for alias in aliases(model, hold.target)
    ]

    def begin() -> None:
        for hold in holds:
            hold.begin()

    with tapped(model, writers=writers, begin=begin):
        yield model
    check_ran(what, [hold.target.name for hold in holds if not hold.ran])


class _Alias:
    def __init__(self, target: Target, hold: Any) -> None:
        self.target, self.hold = target, hold

    def write(self, value: Tensor, whole: bool = False, before: bool = False) -> Tensor:
        return self.hold.write(value, whole, before)  # type: ignore[no-any-return]


@contextmanager
def clamp(model: nn.Module, held: Mapping[str, Value]) -> Iterator[nn.Module]:
    """Hold named parts at values while the model runs, learns or both: ``with clamp(net, {"hidden.v[..., 17]": 0.0}): ...``.

    A state is held before and after every step (the step's output still follows from the cell's equation), an output is replaced on its
    way out, a parameter or buffer wherever it is read, shared places included. A value is a number, a tensor that broadcasts to the part,
    a function of the part as it is (applied once a moment, after the step), or, for what has a value a moment, a tensor with time in
    front. Gradients flow around what is held and into a held tensor that requires them; the true parameters get none there, and return
    with the end of the context, also after an exception (optimisers and ``parameters()`` reach them; writing into ``net.fc.weight`` in
    place meanwhile is lost, it writes into what is held). Later holds on the same part act on earlier ones.
    Raises ``ValueError`` for a name that is not there, a shape that does not fit and, at the end, for a part that never ran.
    """
    if not isinstance(held, Mapping) or not held:
        raise ValueError("clamp was given nothing to hold; give names and values, for example clamp(model, {'hidden.v': 0.0}).")
    with holding(model, [Hold(locate(model, name), value) for name, value in held.items()], "clamped"):
        yield model


@contextmanager
def lesion(model: nn.Module, *names: str, mode: Literal["zero", "freeze"] = "zero") -> Iterator[nn.Module]:
    """Put parts out of action: ``with lesion(net, "modulator"): ...``.

    ``"zero"``: outputs, states and weights are 0. ``"freeze"``: a state stays what it was as the call of the model began, an output stays
    its first value in the call, and a parameter keeps its value and learns nothing. Raises as ``clamp`` does, and for another mode.
    """
    if mode not in ("zero", "freeze"):
        raise ValueError(f"A lesion is 'zero' or 'freeze', {mode!r} was given; 'zero' silences the part.")
    if not names:
        raise ValueError("lesion was given no name; give one or more, for example lesion(model, 'hidden').")
    targets = [locate(model, name) for name in names]
    with holding(model, [Hold(target, 0.0) if mode == "zero" else Freeze(target) for target in targets], "lesioned"):
        yield model
