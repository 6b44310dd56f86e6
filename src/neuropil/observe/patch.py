"""Activation patching: let a part of a model do what it did in another run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from neuropil.observe.hold import Hold, assert_moments, holding
from neuropil.observe.names import Target, locate
from neuropil.observe.record import Seen, observe

Source = Seen | tuple[nn.Module, Any]


class Replay(Hold):
    """Writes what was seen of the target in another run, moment by moment or run by run, in that order."""

    def __init__(self, target: Target, seen: Seen) -> None:
        super().__init__(target, 0.0)
        items, indexed = seen.part(target)
        self.selected = indexed
        self.values: list[Tensor] = []
        for value, whole in items:
            self.values.extend(value.unbind() if whole else [value])

    def _next(self, value: Tensor) -> Tensor:
        assert_moments(self.target.name, self.moment, len(self.values))
        new = self.values[self.moment]
        if self.target.kind not in ("parameter", "buffer"):
            self.moment += 1
        return self._put(value, new if self.selected else self.target.select(new))

    def write(self, value: Tensor, whole: bool = False, before: bool = False) -> Tensor:
        """Give what was seen; a state on its way into a step is left alone, it was written after the step before."""
        self.ran = True
        if before or (whole and not len(value)):
            return value
        return torch.stack([self._next(one) for one in value.unbind()]) if whole else self._next(value)


@contextmanager
def patch(model: nn.Module, *names: str, source: Source) -> Iterator[nn.Module]:
    """Give named parts the values they had in another run: ``with patch(net, "blocks.2.attn", source=seen): net(x)``.

    ``source``: what ``observe`` saw of these names, or a pair (model, input) to run now without gradients, where the input is a tensor, a
    tuple of arguments or a mapping of keyword arguments. States and outputs of cells are replayed moment by moment, other outputs run by
    run; an indexed name takes that part of the other run and leaves the rest. Gradients do not flow into a detached source.
    Raises ``ValueError`` for names the source has not seen, shapes that differ, a source that is shorter than the run, and as ``clamp`` does.
    """
    if not names:
        raise ValueError("patch was given no name; give one or more, for example patch(model, 'hidden', source=seen).")
    targets = [locate(model, name) for name in names]
    seen = source if isinstance(source, Seen) else _run(source, names)
    with holding(model, [Replay(target, seen) for target in targets], "patched"):
        yield model


def _run(source: Any, names: tuple[str, ...]) -> Seen:
    if not (isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], nn.Module)):
        raise TypeError(f"The source of a patch was a {type(source).__name__}; accepted is what observe gave, or a pair (model, input).")
    model, given = source
    with torch.no_grad(), observe(model, *names) as seen:
        if isinstance(given, Mapping):
            model(**given)
        else:
            model(*given) if isinstance(given, tuple) else model(given)
    return seen
