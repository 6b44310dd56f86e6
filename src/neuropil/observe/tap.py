"""The one hook layer under ``observe``, ``clamp``, ``lesion`` and ``patch``: values pass writers, then readers, and go on.

A ``Tap`` sits on a module while anyone reads or writes it: a forward hook for its output and, on a cell, an instance attribute ``step``
around the class's, for its states at every moment. Writers act before readers, whoever came first, so what is seen is what acted.
Parameters and buffers are read through a mapping that applies the writers at every access, while ``parameters()``, ``state_dict()`` and
optimisers keep the true ones. All of it sits on the model, as PyTorch's own hooks do: every thread that runs the model meets it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

from neuropil.observe.names import Target, is_cell

_lock = threading.RLock()


class Reader(Protocol):
    """Takes note of a value: of one moment, or with ``whole`` of a whole sequence, time first."""

    target: Target

    def see(self, value: Tensor, whole: bool) -> None:
        """Take note of ``value``."""


class Writer(Protocol):
    """Replaces a value; ``before``: a state on its way into a step."""

    target: Target

    def write(self, value: Tensor, whole: bool = False, before: bool = False) -> Tensor:
        """Give what takes the place of ``value``."""


def first_tensor(output: Any, name: str) -> Tensor:
    """The main tensor of a module's output: itself, or the first of a tuple, list or mapping (a cell's ``(y, s)``, a Hugging Face output)."""
    if isinstance(output, Mapping):
        output = next(iter(output.values()), None)
    elif isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"The output of {name!r} holds no tensor in first place but a {type(output).__name__}; name a module inside it.")
    return output


def _attention(output: Any, name: str) -> Tensor:
    pattern = output[1] if isinstance(output, tuple | list) and len(output) > 1 else None
    if not isinstance(pattern, Tensor):
        raise ValueError(
            f"{name!r} was asked for but the module returns no attention pattern; build it with attn_implementation='eager' or need_weights=True."
        )
    return pattern


def _replaced(output: Any, value: Tensor) -> Any:
    if isinstance(output, Tensor):
        return value
    if isinstance(output, Mapping):
        new: Any = copy.copy(output)
        new[next(iter(output))] = value
        return new
    parts = [value, *output[1:]]
    return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)


class Tap:
    """What is read and written of one module; calling it is one step of a cell."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.readers: list[Reader] = []
        self.writers: list[Writer] = []
        self.within = threading.local()
        self.handles: list[Any] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Tap:
        return Tap(copy.deepcopy(self.module, memo))

    def attach(self) -> None:
        """Put the hooks in place."""
        vars(self.module)["_tap"] = self
        self.handles = [self.module.register_forward_hook(self.leave)]
        if is_cell(self.module):
            vars(self.module)["step"] = self
            self.handles.append(self.module.register_forward_pre_hook(self._enter))
            self.handles.append(self.module.register_forward_hook(self._exit, always_call=True))

    def detach(self) -> None:
        """Take the hooks away."""
        for handle in self.handles:
            handle.remove()
        for name in ("_tap", "step"):
            vars(self.module).pop(name, None)

    def _enter(self, *_: Any) -> None:
        self.within.depth = getattr(self.within, "depth", 0) + 1

    def _exit(self, *_: Any) -> None:
        self.within.depth = max(getattr(self.within, "depth", 0) - 1, 0)  # also called where a hook before ``_enter`` has failed

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """The forward hook: outputs of the module, of a cell over the whole sequence, and attention patterns."""
        changed = self._pass_on(output, whole=is_cell(module))
        for reader in self.readers:
            if reader.target.kind == "attention":
                reader.see(_attention(output, reader.target.name), False)
        return changed

    def _pass_on(self, output: Any, whole: bool) -> Any:
        writers = [one for one in self.writers if one.target.kind == "output"]
        readers = [one for one in self.readers if one.target.kind == "output"]
        if not writers and not readers:
            return output
        value = first_tensor(output, (writers or readers)[0].target.base)
        for writer in writers:
            value = writer.write(value, whole)
        for reader in readers:
            reader.see(value, whole)
        return _replaced(output, value) if writers else output

    def __call__(self, x: Tensor, s: Any = None, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """One moment of a cell, its states written before and after, then read."""
        writers = [one for one in self.writers if one.target.kind == "state"]
        cell: Any = self.module
        if writers and s is None and hasattr(cell, "initial_like"):
            s = cell.initial_like(x)
        if s is not None:
            s = self._write(s, writers, before=True)
        y, s = type(cell).step(cell, x, s, *args, **kwargs)
        s = self._write(s, writers, before=False)
        for reader in self.readers:
            if reader.target.kind == "state":
                reader.see(_field(s, reader.target), False)
        return (y if getattr(self.within, "depth", 0) else self._pass_on(y, whole=False)), s

    @property
    def content_afterwards(self) -> bool:
        """Whether it is enough to see a cell's states once a sequence has run, without their gradients."""
        held = any(one.target.kind == "state" for one in self.writers)
        return not held and all(getattr(one, "detach", False) for one in self.readers if one.target.kind == "state")

    @property
    def reads_states(self) -> bool:
        """Whether anyone reads a state."""
        return any(one.target.kind == "state" for one in self.readers)

    def read_states(self, states: Any) -> None:
        """Let readers see the states after every moment, fields [T, ..., N]."""
        for reader in self.readers:
            if reader.target.kind == "state":
                reader.see(_field(states, reader.target), True)

    def _write(self, s: Any, writers: list[Writer], before: bool) -> Any:
        for writer in writers:
            s = s._replace(**{writer.target.leaf: writer.write(_field(s, writer.target), before=before)})
        return s


def _field(s: Any, target: Target) -> Tensor:
    value = getattr(s, target.leaf)
    if not isinstance(value, Tensor):
        raise TypeError(f"{target.name!r} is a {type(value).__name__}, not a tensor; name a part inside it, names(model) lists them.")
    return value


class HeldMapping(dict[str, Any]):
    """The parameters (or buffers) of a module, read through their writers; iterating gives the true ones."""

    def __init__(self, true: dict[str, Any]) -> None:
        super().__init__(true)
        self.writers: list[Writer] = []

    def __getitem__(self, name: str) -> Any:
        value = true = super().__getitem__(name)
        for writer in self.writers:
            if writer.target.leaf == name and value is not None:
                value = writer.write(value)
        if value is not true:
            value._true = true
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, getattr(value, "_true", value))

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self.items()), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self.items()),)


def _drop(group: list[Any], one: Any) -> None:
    group[:] = [other for other in group if other is not one]


def _hook(kind: str, one: Any) -> Callable[[], None]:
    target: Target = one.target
    if target.kind in ("parameter", "buffer"):
        store = f"_{target.kind}s"
        mapping = getattr(target.module, store)
        if not isinstance(mapping, HeldMapping):
            mapping = vars(target.module)[store] = HeldMapping(mapping)
        mapping.writers.append(one)

        def unhold() -> None:
            _drop(mapping.writers, one)
            if not mapping.writers:
                vars(target.module)[store] = dict(mapping.items())

        return unhold
    tap = vars(target.module).get("_tap")
    if tap is None:
        tap = Tap(target.module)
        tap.attach()
    getattr(tap, kind).append(one)

    def untap() -> None:
        _drop(getattr(tap, kind), one)
        if not tap.readers and not tap.writers:
            tap.detach()

    return untap


@contextmanager
def tapped(
    model: nn.Module, *, readers: list[Any] | None = None, writers: list[Any] | None = None, begin: Callable[[], None]
) -> Iterator[None]:
    """Have the readers and writers in place inside the context; ``begin`` is called whenever a call of ``model`` begins."""
    undo: list[Callable[[], None]] = []
    try:
        with _lock:
            undo.append(model.register_forward_pre_hook(lambda called, _: begin() if called is model else None, prepend=True).remove)
            for kind, group in (("writers", writers or []), ("readers", readers or [])):
                undo.extend(_hook(kind, one) for one in group)
        yield
    finally:
        with _lock:
            for one in reversed(undo):
                one()
