"""Checks: bad input is one clear sentence: what was given, what is accepted, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neuropil.testing.bench import Bench, is_cell
from neuropil.testing.stating import asked, require


class Foreign(NamedTuple):
    """The state of another cell."""

    v: Tensor


def refused(kind: type[Exception], call: Callable[[], Any], what: str) -> None:
    """Require a call to raise exactly this kind of error, in one sentence of more than 40 characters."""
    try:
        call()
    except Exception as error:
        said = str(error)
        require(type(error) is kind, f"{what} raised {type(error).__name__} ({said}); a {kind.__name__} is due.")
        require("\n" not in said and said.endswith(".") and len(said) > 40, f"{what} was refused with {said!r}; say it in one sentence.")
        return
    raise AssertionError(f"{what} was accepted; a {kind.__name__} is due.")


@asked()
def wrong_type_rank_dtype_size_and_device(bench: Bench) -> None:
    """What is no tensor, has no axes, is not floating, has another size or lies elsewhere."""
    part, x = bench.make(), bench.x(3, 2)
    listed: Any = x.tolist()
    refused(TypeError, lambda: bench.run(part, listed), "A list")
    refused(ValueError, lambda: bench.run(part, torch.tensor(1.0)), "A tensor without axes")
    refused(TypeError, lambda: bench.run(part, x.long()), "An integer input")
    refused(TypeError, lambda: bench.run(part, x > 0), "A boolean input")
    axis = x.ndim - len(bench.features)
    refused(ValueError, lambda: bench.run(part, torch.cat((x, x.narrow(axis, 0, 1)), axis)), "An input of another size")
    refused(ValueError, lambda: bench.run(part, x.to("meta")), "An input on another device")


@asked(lambda part: is_cell(part) and bool(part.along))
def further_inputs_of_another_length(bench: Bench) -> None:
    """Inputs beside ``x`` last as long as ``x``."""
    part, x = bench.make(), bench.x(3, 2)
    for name, tensor in bench.along(x).items():
        refused(ValueError, lambda name=name, tensor=tensor: part(x, **{name: tensor[:2]}), f"A shorter {name}")  # type: ignore[misc]


@asked(is_cell)
def the_state_of_another(bench: Bench) -> None:
    """A state of another type or shape."""
    part, x = bench.make(), bench.x(3, 2)
    _, s = part(x)
    refused(TypeError, lambda: part(x, Foreign(torch.zeros(2, 4))), "The state of another cell")
    refused(TypeError, lambda: part(x, tuple(s)), "A plain tuple as state")
    refused(ValueError, lambda: part(x[:, :1], s), "The state of another batch")
    refused(ValueError, lambda: part.step(x[0, :1], s), "The state of another batch, in a step")


@asked(lambda part: "size" in part.example, cases={"0": 0, "-2": -2, "1.5": 1.5, "True": True})
def sizes_are_whole_and_positive(bench: Bench, size: Any) -> None:
    """Sizes that are none."""
    refused(ValueError, lambda: bench.make(size=size), f"size={size}")


@asked(
    lambda part: is_cell(part) and "dt" in part.example,
    cases={"None": None, "0": 0.0, "-0.001": -1e-3, "10": 10.0, "nan": float("nan")},
)
def dt_missing_not_positive_or_above_a_time_constant(bench: Bench, dt: float | None) -> None:
    """Steps in seconds that are none, or longer than the fastest time constant."""
    refused(ValueError, lambda: bench.make(dt=dt), f"dt={dt}")
