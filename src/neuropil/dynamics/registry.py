"""Registries: parts of one kind list themselves, so that one conformance suite, boards and searches find them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

SMALL: Mapping[str, Any] = MappingProxyType({"size": 4, "dt": 1e-3})


@dataclass(frozen=True)
class Part:
    """One registered part, and what a suite needs to know to test it.

    ``example``: arguments that make a small instance; ``features``: the shape of one moment where it is not [size]; ``along``: further inputs of ``step`` and their number of features;
    ``off``: arguments that switch the mechanism off, ``like(instance)``: what the switched-off instance then does, a function of ``x``.
    """

    name: str
    make: Callable[..., Any]
    cites: tuple[str, ...]
    tags: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=lambda: SMALL)
    features: tuple[int, ...] = ()
    along: Mapping[str, int] = field(default_factory=dict)
    off: Mapping[str, Any] | None = None
    like: Callable[[Any], Callable[[Any], Any]] | None = None

    def small(self, **changed: Any) -> Any:
        """A small instance, arguments named here changed."""
        made = {name: value() if callable(value) else value for name, value in self.example.items()}
        return self.make(**{**made, **changed})


class Registry:
    """The parts of one kind by name, in the order of their registration.

    Using it: ``CELLS["LIF"].make``, ``CELLS.find(tag="spiking")``, ``CELLS.find(cites="fang2021")``, ``for part in CELLS``. Adding to it, in
    the part's own file::

        @CELLS.register(cites=("fang2021",), tags=("spiking",))
        class Mine(Cell): ...

    ``cites``: keys in references.bib. A value in ``example`` that is callable is called anew for each instance. Raises ``ValueError`` for a
    name that is taken, no source, or ``off`` without ``like``; ``KeyError`` for an unknown name, with the nearest ones.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, Part] = {}

    def register(
        self,
        *,
        cites: Sequence[str],
        tags: tuple[str, ...] = (),
        example: Mapping[str, Any] = SMALL,
        features: tuple[int, ...] = (),
        along: Mapping[str, int] | None = None,
        off: Mapping[str, Any] | None = None,
        like: Callable[[Any], Callable[[Any], Any]] | None = None,
    ) -> Callable[[T], T]:
        """Decorator that lists a class under its own name and gives it back unchanged."""

        def add(cls: T) -> T:
            name = cls.__name__
            if name in self._parts:
                taken = self._parts[name].make
                raise ValueError(f"A {self.kind} named {name!r} is registered already, by {taken.__module__}; give one another name.")
            if isinstance(cites, str) or not cites:
                raise ValueError(f"{name} names {cites!r} as its sources; accepted is a tuple of keys in references.bib, one or more.")
            if (off is None) != (like is None):
                raise ValueError(f"{name} gives one of off and like; off says how to switch it off, like what it then equals: give both.")
            self._parts[name] = Part(name, cls, tuple(cites), tags, example, features, along or {}, off, like)
            return cls

        return add

    def find(self, *, tag: str | None = None, cites: str | None = None) -> tuple[Part, ...]:
        """All parts with this tag and this source; without either, all."""
        return tuple(part for part in self if (tag is None or tag in part.tags) and (cites is None or cites in part.cites))

    def __getitem__(self, name: str) -> Part:
        if name not in self._parts:
            near = get_close_matches(name, self._parts, n=3, cutoff=0.4) or sorted(self._parts)
            raise KeyError(f"No {self.kind} is named {name!r}; the nearest are {', '.join(near) or 'none, import the family first'}.")
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts.values())

    def __len__(self) -> int:
        return len(self._parts)


CELLS = Registry("cell")
SYNAPSES = Registry("synapse")
RULES = Registry("plasticity rule")
