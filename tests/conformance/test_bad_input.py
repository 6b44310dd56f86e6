"""Bad input to any registered part is one clear sentence: what was given, what is accepted, what to do."""

from typing import NamedTuple

import pytest
import torch


class Foreign(NamedTuple):
    v: torch.Tensor


def refused(kind, call):
    with pytest.raises(kind) as error:
        call()
    text = str(error.value)
    assert type(error.value) is kind
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) > 40


def test_wrong_type_rank_dtype_and_size(bench):
    part, x = bench.make(), bench.x(3, 2)
    refused(TypeError, lambda: bench.run(part, x.tolist()))
    refused(ValueError, lambda: bench.run(part, torch.tensor(1.0)))
    refused(TypeError, lambda: bench.run(part, x.long()))
    refused(TypeError, lambda: bench.run(part, x > 0))
    axis = x.ndim - len(bench.features)
    refused(ValueError, lambda: bench.run(part, torch.cat((x, x.narrow(axis, 0, 1)), axis)))
    refused(ValueError, lambda: bench.run(part, x.to("meta")))


def test_further_inputs_of_another_length(cell_bench):
    bench = cell_bench
    part, x = bench.make(), bench.x(3, 2)
    for name, tensor in bench.along(x).items():
        refused(ValueError, lambda name=name, tensor=tensor: part(x, **{name: tensor[:2]}))


def test_the_state_of_another(cell_bench):
    bench = cell_bench
    part, x = bench.make(), bench.x(3, 2)
    _, s = part(x)
    refused(TypeError, lambda: part(x, Foreign(torch.zeros(2, 4))))
    refused(TypeError, lambda: part(x, tuple(s)))
    refused(ValueError, lambda: part(x[:, :1], s))
    refused(ValueError, lambda: part.step(x[0, :1], s))


@pytest.mark.parametrize("size", [0, -2, 1.5, True])
def test_sizes_are_whole_and_positive(bench, size):
    if "size" not in bench.part.example:
        pytest.skip("it has no size of its own")
    refused(ValueError, lambda: bench.make(size=size))


@pytest.mark.parametrize("dt", [None, 0.0, -1e-3, 10.0, float("nan")])
def test_dt_missing_not_positive_or_above_a_time_constant(cell_bench, dt):
    if "dt" not in cell_bench.part.example:
        pytest.skip("it has no dt")
    refused(ValueError, lambda: cell_bench.make(dt=dt))
