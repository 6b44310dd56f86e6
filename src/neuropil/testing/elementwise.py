"""Checks of cells that state their equation elementwise, as ``update``."""

from __future__ import annotations

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from neuropil.dynamics import leaves
from neuropil.dynamics.kernels.compiled import available
from neuropil.testing.bench import Bench, is_elementwise
from neuropil.testing.stating import asked, require

CONSTANTS = {"aten.detach.default", "aten.ones_like.default", "aten.zeros_like.default"}


@asked(is_elementwise)
def neurons_do_not_touch(bench: Bench) -> None:
    """Another input to the first neuron changes the first neuron alone."""
    cell, x = bench.make(), bench.x(30, 2)
    y, _ = cell(x)
    other = x.clone()
    other[..., 0] = 0.5 * other[..., 0] + 0.1
    changed, _ = cell(other)
    torch.testing.assert_close(changed[..., 1:], y[..., 1:], rtol=0, atol=0)
    require(not torch.equal(changed[..., 0], y[..., 0]), "Another input gave the same output: the neuron does not hear it.")


@asked(is_elementwise)
def every_field_of_the_state_has_the_shape_of_the_input(bench: Bench) -> None:
    """States at rest and after a sequence are [..., N]."""
    cell, x = bench.make(), bench.x(3, 2, 5)
    for s in (cell.initial_like(x[0]), cell(x)[1]):
        for name, tensor in leaves(s):
            require(tensor.shape == x[0].shape, f"The field {name} is {list(tensor.shape)} for an input {list(x[0].shape)}.")


@asked(lambda part: is_elementwise(part) and "size" in part.example)
def without_a_size_it_takes_any_number_of_neurons(bench: Bench) -> None:
    """With ``size=None`` twice as many neurons are twice the same neurons."""
    x = bench.x(20, 2)
    wide = torch.cat((x, x), -1)
    y, _ = bench.make(size=None)(wide)
    torch.testing.assert_close(y, torch.cat([bench.make()(x)[0]] * 2, -1))


@asked(is_elementwise)
def update_is_pointwise_torch(bench: Bench) -> None:
    """Every operation that ``update`` calls is pointwise, so that it compiles."""
    cell, x = bench.make(), bench.x(2)
    s = cell.initial_like(x)
    graph = make_fx(lambda s, x: tuple(pytree.tree_leaves(cell.update(s, x))))(s, x)
    called = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    require(called, "update calls no operation at all.")
    for target in called:
        pointwise = isinstance(target, torch._ops.OpOverload) and torch.Tag.pointwise in target.tags
        require(pointwise or str(target) in CONSTANTS, f"{target} is not pointwise")


@asked(lambda part: is_elementwise(part) and not available(), cases={"recompute": "recompute", "state": "state"})
def the_kernel_is_the_steps_gradients_of_inputs_and_parameters_included(bench: Bench, store: str) -> None:
    """The compiled kernel gives the outputs, states and gradients of the steps to 1e-9, in float64."""
    found = []
    for backend in ("torch", "fused"):
        cell = bench.make().double().use(backend=backend, store=store)
        x = bench.x(30, 3, dtype=torch.float64).requires_grad_()
        own = [tensor.requires_grad_() for tensor in bench.tensors(cell).values()]
        y, s = cell(x)
        loss = y.square().sum() + torch.stack([tensor.square().sum() for _, tensor in leaves(s)]).sum()
        found.append((y, s, torch.autograd.grad(loss, [x, *own], allow_unused=True, materialize_grads=True)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


@asked(is_elementwise)
def it_says_what_its_output_is(bench: Bench) -> None:
    """``emits = "spikes"`` if and only if outputs are 0 and 1."""
    y, _ = bench.make()(bench.x(40, 3))
    binary = set(y.unique().tolist()) == {0.0, 1.0}
    require(
        binary == bench.spikes, f"It emits {'numbers other than' if bench.spikes else 'only'} 0 and 1, and says otherwise; mend `emits`."
    )
