"""See what a model does while it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from neuropil.observe.names import Target, locate
from neuropil.observe.tap import tapped


def recomputing() -> bool:
    """Whether this is the backward pass: what runs there, under activation checkpointing, ran before and was seen then."""
    return bool(torch._C._current_graph_task_id() != -1)


class Record:
    """What was seen under one name since the last call of the model began: moments, or whole sequences."""

    def __init__(self, target: Target, detach: bool) -> None:
        self.target, self.detach = target, detach
        self.items: list[tuple[Tensor, bool]] = []
        self.ran = False

    def see(self, value: Tensor, whole: bool) -> None:
        """Keep ``value``, a copy of it where it is detached."""
        self.ran = True
        if recomputing():
            return
        if torch._C._functorch.is_batchedtensor(value):
            raise ValueError(
                f"{self.target.name!r} cannot be observed inside torch.vmap; give the model the mapped axis as a leading axis."
            )
        value = self.target.select(value, whole=whole)
        self.items.append((value.detach().clone() if self.detach else value, whole))

    def begin(self) -> None:
        """Forget: a new call of the model begins."""
        if not recomputing():
            self.items = []

    def joined(self) -> Tensor:
        """One tensor: [T, ...] for what has a value a moment, the output itself for a module that ran once, else stacked by run."""
        parts = [value for value, _ in self.items]
        if len(parts) == 1 and (self.items[0][1] or not self.target.timed):
            return parts[0]
        try:
            if self.target.timed:
                return torch.cat([value if whole else value.unsqueeze(0) for value, whole in self.items])
            return torch.stack(parts)
        except RuntimeError:
            shapes = sorted({tuple(part.shape) for part in parts})
            raise ValueError(
                f"{self.target.name!r} ran with different shapes {shapes}, which make no one tensor; take them from seen.all(name)."
            ) from None


class Seen(Mapping[str, Tensor]):
    """What was observed, by name: ``seen["hidden.v"]``; filled again by every call of the model, and kept after the context ends.

    ``seen[name]``: [T, ..., N] for states and outputs of cells; the output for a module that ran once in the last call, else its outputs
    stacked by run; the current value (after the context: the value at its end) of a parameter. ``seen.all(name)``: the same, not joined.
    Raises ``KeyError`` for a name that was not asked for or did not run.
    """

    def __init__(self, records: dict[str, Record], detach: bool) -> None:
        self._records, self._detach = records, detach
        self._ended: dict[str, Tensor] = {}

    def all(self, name: str) -> list[Tensor]:
        """Every value seen under ``name`` in the last call of the model, in order."""
        record = self._record(name)
        if record.target.kind in ("parameter", "buffer"):
            return [self._value(record.target)]
        return [value for value, _ in record.items]

    def __getitem__(self, name: str) -> Tensor:
        record = self._record(name)
        return self._value(record.target) if record.target.kind in ("parameter", "buffer") else record.joined()

    def _record(self, name: str) -> Record:
        if name not in self._records:
            raise KeyError(f"{name!r} was not observed; these were: {', '.join(self._records)}.")
        record = self._records[name]
        if not record.items and record.target.kind not in ("parameter", "buffer"):
            raise KeyError(f"{name!r} has not run in the last call of the model; run the part it belongs to inside the context.")
        return record

    def _value(self, target: Target) -> Tensor:
        if target.name in self._ended:
            return self._ended[target.name]
        value = target.select(getattr(target.module, target.leaf))
        return value.detach().clone() if self._detach else value

    def end(self) -> None:
        """Keep the values of parameters and buffers as they are now."""
        for name, record in self._records.items():
            if record.target.kind in ("parameter", "buffer"):
                self._ended[name] = self._value(record.target)

    def part(self, target: Target) -> tuple[list[tuple[Tensor, bool]], bool]:
        """For ``patch``: what was seen of ``target``, as (value, whole) pairs, and whether its index is already applied.

        Raises ``ValueError`` where neither the name nor, for an indexed name, the name without index was observed.
        """
        fitting = [one for one in self._records.values() if one.target.what == target.what and one.target.index in (None, target.index)]
        if fitting:
            record = self._record(min(fitting, key=lambda one: one.target.index != target.index).target.name)
            items = record.items or [(value, False) for value in self.all(record.target.name)]
            return items, record.target.index == target.index
        raise ValueError(
            f"The source of a patch has not seen {target.name!r} but {', '.join(self._records)}; observe that name in the other run."
        )

    def __iter__(self) -> Iterator[str]:
        return (name for name, record in self._records.items() if record.items or record.target.kind in ("parameter", "buffer"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Seen({', '.join(f'{name}: {list(self[name].shape)}' for name in self)})"


@contextmanager
def observe(model: nn.Module, *names: str, detach: bool = True) -> Iterator[Seen]:
    """Record what has these names while the model runs: ``with observe(net, "hidden.v") as seen: net(x); seen["hidden.v"]``.

    States and outputs of cells are trajectories [T, ..., N], of sequences and of moments stepped by hand alike; outputs of other modules
    are what the module returned (its first tensor). Each call of ``model`` begins the record anew; without one, steps add up. What is
    held by ``clamp`` is seen as held, whichever context came first. ``detach=False`` keeps the graph: gradients flow from what was seen.
    Raises ``ValueError`` for a name that is not there (with the nearest ones) and, at the end, for one that never ran.
    """
    if not names:
        raise ValueError("observe was given no name; give one or more, for example observe(model, 'hidden.v'); names(model) lists them.")
    records = {name: Record(locate(model, name), detach) for name in names}
    seen = Seen(records, detach)
    running = [record for record in records.values() if record.target.kind not in ("parameter", "buffer")]

    def begin() -> None:
        for record in running:
            record.begin()

    with tapped(model, readers=running, begin=begin):
        try:
            yield seen
        finally:
            seen.end()
    check_ran("observed", [record.target.name for record in running if not record.ran])


def check_ran(what: str, never: list[str]) -> None:
    """Raise ``ValueError`` for names that never ran inside their context."""
    if never:
        raise ValueError(
            f"{', '.join(map(repr, never))} never ran while {what}; run the model inside the context, or name a part that it uses."
        )
