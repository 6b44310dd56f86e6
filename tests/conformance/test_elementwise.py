"""What every cell does that states its equation elementwise, as ``update``."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from neuropil.dynamics import leaves
from neuropil.dynamics.kernels.compiled import available

CONSTANTS = {"aten.detach.default", "aten.ones_like.default", "aten.zeros_like.default"}


def test_neurons_do_not_touch(pointwise_bench):
    bench = pointwise_bench
    cell, x = bench.make(), bench.x(30, 2)
    y, _ = cell(x)
    other = x.clone()
    other[..., 0] = 0.5 * other[..., 0] + 0.1
    changed, _ = cell(other)
    torch.testing.assert_close(changed[..., 1:], y[..., 1:], rtol=0, atol=0)
    assert not torch.equal(changed[..., 0], y[..., 0])


def test_every_field_of_the_state_has_the_shape_of_the_input(pointwise_bench):
    cell = pointwise_bench.make()
    x = pointwise_bench.x(3, 2, 5)
    assert all(tensor.shape == x[0].shape for s in (cell.initial_like(x[0]), cell(x)[1]) for _, tensor in leaves(s))


def test_without_a_size_it_takes_any_number_of_neurons(pointwise_bench):
    bench = pointwise_bench
    x = bench.x(20, 2)
    wide = torch.cat((x, x), -1)
    y, _ = bench.make(size=None)(wide)
    torch.testing.assert_close(y, torch.cat([bench.make()(x)[0]] * 2, -1))


def test_update_is_pointwise_torch(pointwise_bench):
    cell = pointwise_bench.make()
    x = pointwise_bench.x(2)
    s = cell.initial_like(x)
    graph = make_fx(lambda s, x: tuple(pytree.tree_leaves(cell.update(s, x))))(s, x)
    called = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert called
    for target in called:
        assert torch.Tag.pointwise in target.tags or str(target) in CONSTANTS, f"{target} is not pointwise"


@pytest.mark.skipif(bool(available()), reason=f"no kernels here: {available()}")
@pytest.mark.parametrize("store", ["recompute", "state"])
def test_the_kernel_is_the_steps_gradients_of_inputs_and_parameters_included(pointwise_bench, store):
    found = []
    for backend in ("torch", "fused"):
        cell = pointwise_bench.make().double().use(backend=backend, store=store)
        x = pointwise_bench.x(30, 3, dtype=torch.float64).requires_grad_()
        own = [tensor.requires_grad_() for tensor in pointwise_bench.tensors(cell).values()]
        y, s = cell(x)
        loss = y.square().sum() + sum(tensor.square().sum() for _, tensor in leaves(s))
        found.append((y, s, torch.autograd.grad(loss, [x, *own], allow_unused=True, materialize_grads=True)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_it_says_what_its_output_is(pointwise_bench):
    y, _ = pointwise_bench.make()(pointwise_bench.x(40, 3))
    values = set(y.unique().tolist())
    assert (values == {0.0, 1.0}) == pointwise_bench.spikes
