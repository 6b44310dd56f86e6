"""Checks: a step, a sequence, any leading axes, vmap and memory layouts are one equation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from neuropil.dynamics import leaves, map_state
from neuropil.testing.bench import Bench, is_cell
from neuropil.testing.stating import asked, require, same, same_state


@asked(is_cell)
def step_equals_sequence_and_a_sequence_may_be_cut(bench: Bench) -> None:
    """Moment by moment, at once and in two pieces give the same outputs and states."""
    cell, x = bench.make().double(), bench.x(30, 3, dtype=torch.float64)
    along = bench.along(x)
    y, last = cell(x, **along)
    s, ys = None, []
    for t in range(len(x)):
        yt, s = cell.step(x[t], s, **{name: tensor[t] for name, tensor in along.items()})
        ys.append(yt)
    same(y, torch.stack(ys), exact=False)
    same_state(last, s, exact=False)
    first, s = cell(x[:11], **{name: tensor[:11] for name, tensor in along.items()})
    second, s = cell(x[11:], s, **{name: tensor[11:] for name, tensor in along.items()})
    same(y, torch.cat((first, second)), exact=False)
    same_state(last, s, exact=False)


@asked(cases={"[T]": (), "[T, 1]": (1,), "[T, 2, 3]": (2, 3), "[T, 2, 1, 3]": (2, 1, 3)})
def any_leading_axes(bench: Bench, lead: tuple[int, ...]) -> None:
    """Leading axes are so many samples."""
    part, x = bench.make().double(), bench.x(15, *lead, dtype=torch.float64)
    along = bench.along(x)
    y, s = bench.run(part, x, **along)
    n = len(bench.features)

    def flat(tensor: Tensor, n: int) -> Tensor:
        return tensor.reshape(15, -1, *tensor.shape[tensor.ndim - n :])

    expected, _ = bench.run(part, flat(x, n), **{name: flat(tensor, 1) for name, tensor in along.items()})
    require(y.shape[: 1 + len(lead)] == (15, *lead), f"Inputs {list(x.shape)} gave outputs {list(y.shape)}: the leading axes are lost.")
    same(y.reshape(expected.shape), expected, exact=False)
    if bench.is_cell:
        same_state(bench.run(part, x, s, **along)[1], bench.run(part, x, map_state(torch.clone, s), **along)[1])


@asked()
def vmap_over_the_batch(bench: Bench) -> None:
    """``torch.vmap`` over samples gives what a batch gives."""
    part, x = bench.make().double(), bench.x(12, 5, dtype=torch.float64)
    y = torch.vmap(lambda one: bench.run(part, one)[0], in_dims=1, out_dims=1)(x)
    same(y, bench.run(part, x)[0], exact=False)


@asked()
def vmap_over_replicas_of_the_parameters(bench: Bench) -> None:
    """``torch.vmap`` over stacked parameters gives what each instance gives; without parameters there is nothing to stack."""
    parts, x = [bench.make(seed=seed).double() for seed in range(3)], bench.x(12, 2, dtype=torch.float64)
    parameters, buffers = stack_module_state(parts)
    if not parameters and not buffers:
        return

    def first(result: Any) -> Tensor:
        y: Tensor = result[0] if bench.is_cell else result
        return y

    stacked = torch.vmap(lambda p, b: first(functional_call(parts[0], (p, b), (x,))))(parameters, buffers)
    for y, part in zip(stacked, parts, strict=True):
        same(y, first(part(x)), exact=False)


@asked()
def input_need_not_be_contiguous(bench: Bench) -> None:
    """A transposed input gives the same numbers."""
    part, x = bench.make(), bench.x(10, 3)
    scattered = x.movedim(0, -1).contiguous().movedim(-1, 0)
    along = bench.along(x)
    y, s = bench.run(part, x, **along)
    ys, ss = bench.run(part, scattered, **along)
    torch.testing.assert_close(ys, y)
    shapes = [[tensor.shape for _, tensor in leaves(state)] for state in (ss, s)]
    require(shapes[0] == shapes[1], "The states of a contiguous and of a transposed input have other shapes.")


@asked()
def sequences_of_no_and_one_moment(bench: Bench) -> None:
    """No moment changes nothing; one moment is a step."""
    part, x = bench.make(), bench.x(3, 2)
    along = bench.along(x)
    y, s = bench.run(part, x, **along)
    none, still = bench.run(part, x[:0], s, **{name: tensor[:0] for name, tensor in along.items()})
    require(none.shape == (0, *y.shape[1:]), f"A sequence of no moment gave {list(none.shape)}, {[0, *y.shape[1:]]} was due.")
    one, after = bench.run(part, x[:1], s, **{name: tensor[:1] for name, tensor in along.items()})
    require(one.shape == (1, *y.shape[1:]), f"A sequence of one moment gave {list(one.shape)}, {[1, *y.shape[1:]]} was due.")
    if bench.is_cell:
        same_state(still, s)
        stepped, expected = part.step(x[0], s, **{name: tensor[0] for name, tensor in along.items()})
        torch.testing.assert_close(one[0], stepped)  # a kernel's exp and tanh may differ from a step's in the last bit
        for (_, a), (_, b) in zip(leaves(after), leaves(expected), strict=True):
            torch.testing.assert_close(a, b)
