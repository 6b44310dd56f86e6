"""What every registered cell, synapse and plasticity rule does, tested by its existing."""

import copy
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call, stack_module_state

from neuropil.dynamics import leaves, map_state, smoothed

BIBLIOGRAPHY = Path(__file__).parents[2] / "references.bib"


def same(one, other, exact=True):
    tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(one, other, equal_nan=True, **tolerance)


def same_state(one, other, exact=True):
    assert type(one) is type(other)
    for (name, a), (other_name, b) in zip(leaves(one), leaves(other), strict=True):
        assert name == other_name
        same(a, b, exact)


def test_sources_are_in_the_bibliography(bench):
    if not bench.part.make.__module__.startswith("neuropil."):
        pytest.skip("not one of ours")
    for key in bench.part.cites:
        assert f"{{{key}," in BIBLIOGRAPHY.read_text()


def test_step_equals_sequence_and_a_sequence_may_be_cut(cell_bench):
    bench = cell_bench
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


def test_samples_of_a_batch_do_not_touch(bench):
    part, x = bench.make().double(), bench.x(20, 4, dtype=torch.float64)
    along = bench.along(x)
    y, _ = bench.run(part, x, **along)
    for b in range(4):
        alone, _ = bench.run(part, x[:, b : b + 1], **{name: tensor[:, b : b + 1] for name, tensor in along.items()})
        same(y[:, b : b + 1], alone, exact=False)


@pytest.mark.parametrize("lead", [(), (1,), (2, 3), (2, 1, 3)], ids=str)
def test_any_leading_axes(bench, lead):
    part, x = bench.make().double(), bench.x(15, *lead, dtype=torch.float64)
    along = bench.along(x)
    y, s = bench.run(part, x, **along)
    flat = lambda tensor, n: tensor.reshape(15, -1, *tensor.shape[tensor.ndim - n :])  # noqa: E731
    n = len(bench.features)
    expected, _ = bench.run(part, flat(x, n), **{name: flat(tensor, 1) for name, tensor in along.items()})
    assert y.shape[: 1 + len(lead)] == (15, *lead)
    same(y.reshape(expected.shape), expected, exact=False)
    if bench.is_cell:
        same_state(bench.run(part, x, s, **along)[1], bench.run(part, x, map_state(torch.clone, s), **along)[1])


def test_nothing_is_hidden(bench):
    part, x = bench.make(), bench.x(20, 2)
    along = bench.along(x)
    before = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    attributes, given = set(vars(part)), x.clone()
    y, s = bench.run(part, x, **along)
    kept = map_state(torch.clone, s)
    bench.run(part, 2 * x, s, **along)
    same(y, bench.run(part, x, **along)[0])
    same(x, given)
    if bench.is_cell:
        same_state(s, kept)  # a state given is not written to
    assert set(vars(part)) == attributes
    for name, tensor in part.state_dict().items():
        same(tensor, before[name])
    if bench.is_cell:
        rest = part.initial_like(x[0])
        kept = map_state(torch.clone, rest)
        with torch.no_grad():
            for tensor in bench.tensors(part).values():
                tensor.add_(1)
        same_state(rest, kept)  # a state shares no memory with the part


def test_a_single_sample_shares_no_memory_with_the_part_either(cell_bench):
    part = cell_bench.make()
    own = {tensor.untyped_storage().data_ptr() for tensor in part.state_dict().values()}
    assert all(tensor.untyped_storage().data_ptr() not in own for _, tensor in leaves(part.initial_like(cell_bench.x(1)[0])))


def test_instances_do_not_touch_even_under_threads(bench):
    inputs = [bench.x(25, 2, seed=seed) for seed in range(6)]
    parts = [bench.make(seed=seed) for seed in range(3)]
    shared = [bench.run(parts[0], x)[0] for x in inputs]
    own = [bench.run(parts[k % 3], x)[0] for k, x in enumerate(inputs)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for a, b in zip(shared, pool.map(lambda x: bench.run(parts[0], x)[0], inputs), strict=True):
                same(a, b)
            for a, b in zip(own, pool.map(lambda kx: bench.run(parts[kx[0] % 3], kx[1])[0], enumerate(inputs)), strict=True):
                same(a, b)


def test_state_dict_round_trip_by_safetensors_and_deep_copy(bench, tmp_path):
    part, x = bench.make(seed=0), bench.x(20, 2)
    other = bench.make(seed=1)
    save_file({name: tensor.contiguous() for name, tensor in part.state_dict().items()}, tmp_path / "part.safetensors")
    other.load_state_dict(load_file(tmp_path / "part.safetensors"), strict=True)
    same(bench.run(part, x)[0], bench.run(other, x)[0])
    same(bench.run(part, x)[0], bench.run(copy.deepcopy(part), x)[0])


def test_the_seed_decides_and_nothing_else(bench):
    for name, tensor in bench.make(seed=3).state_dict().items():
        same(tensor, bench.make(seed=3).state_dict()[name])
    if "generator" in signature(bench.part.make).parameters:
        one, two = (bench.make(seed=seed, generator=torch.Generator().manual_seed(7)).state_dict() for seed in (0, 1))
        for name, tensor in one.items():
            same(tensor, two[name])
        other = bench.make(generator=torch.Generator().manual_seed(8)).state_dict()
        assert any(not torch.equal(one[name], other[name]) for name in one)


def test_dtypes(bench):
    x = bench.x(8, 2, dtype=torch.float64)
    outputs = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        part = bench.make().to(dtype)
        with smoothed(part):
            y, s = bench.run(part, x.to(dtype), **bench.along(x.to(dtype)))
        assert y.dtype == dtype
        assert y.isfinite().all()
        assert all(tensor.dtype == dtype for _, tensor in leaves(s))
        outputs[dtype] = y.double()
    torch.testing.assert_close(outputs[torch.float32], outputs[torch.float64], rtol=1e-3, atol=1e-3)


def test_devices(bench):
    x = bench.x(6, 2)
    y, _ = bench.run(bench.make(), x, **bench.along(x))
    for device in ["meta", *(["cuda"] if torch.cuda.is_available() else [])]:
        there, at = bench.make().to(device), x.to(device)
        moved, state = bench.run(there, at, **bench.along(at))
        assert moved.device.type == device
        assert moved.shape == y.shape
        assert all(tensor.device.type == device for _, tensor in leaves(state))
        if device != "meta":
            torch.testing.assert_close(moved.cpu(), y, rtol=1e-4, atol=1e-5)


def test_gradients_of_inputs_parameters_and_buffers(bench):
    part, x = bench.make().double(), bench.x(4, 2, dtype=torch.float64).requires_grad_()
    along = {name: tensor.requires_grad_() for name, tensor in bench.along(x).items()}
    names = list(bench.tensors(part))

    def outputs(x, *rest):
        values = dict(zip([*along, *names], rest, strict=True))
        arguments = (x, None) if bench.is_cell else (x,)
        result = functional_call(part, {name: values[name] for name in names}, arguments, {name: values[name] for name in along})
        y, s = result if bench.is_cell else (result, None)
        return (y, *(tensor for _, tensor in leaves(s)))

    with smoothed(part):
        own = [tensor.detach().clone().requires_grad_() for tensor in bench.tensors(part).values()]
        everything = (x, *along.values(), *own)
        assert torch.autograd.gradcheck(outputs, everything, eps=1e-6, atol=1e-5, rtol=1e-3, nondet_tol=0)
        loss = sum(tensor.square().sum() for tensor in outputs(*everything))
    gradients = dict(zip(names, torch.autograd.grad(loss, own, allow_unused=True), strict=True))
    for name, _ in part.named_parameters():
        assert gradients[name] is not None, f"{name} is a parameter and gets no gradient"
        assert gradients[name].abs().sum() > 0, f"{name} is a parameter and its gradient is 0"


def test_vmap_over_the_batch(bench):
    part, x = bench.make().double(), bench.x(12, 5, dtype=torch.float64)
    y = torch.vmap(lambda one: bench.run(part, one)[0], in_dims=1, out_dims=1)(x)
    same(y, bench.run(part, x)[0], exact=False)


def test_vmap_over_replicas_of_the_parameters(bench):
    parts, x = [bench.make(seed=seed).double() for seed in range(3)], bench.x(12, 2, dtype=torch.float64)
    parameters, buffers = stack_module_state(parts)
    run = lambda p, b: functional_call(parts[0], (p, b), (x,))  # noqa: E731
    first = lambda result: result[0] if bench.is_cell else result  # noqa: E731
    if not parameters and not buffers:
        pytest.skip("it has no parameters")
    stacked = torch.vmap(lambda p, b: first(run(p, b)))(parameters, buffers)
    for y, part in zip(stacked, parts, strict=True):
        same(y, first(part(x)), exact=False)


def test_nan_gives_nan_and_never_a_spike_and_stays_in_its_sample(bench):
    part, x = bench.make(), bench.x(12, 2)
    clean, _ = bench.run(part, x)
    place = (3, 0, *(size // 2 for size in bench.features))
    x[place] = float("nan")
    y, _ = bench.run(part, x)
    same(y[:, 1], clean[:, 1])
    same(y[:3], clean[:3])
    assert y[3:5, 0].isnan().any()  # at once, or a moment later where the output does not yet depend on this moment's input
    if bench.elementwise:
        n = bench.features[0] // 2
        assert y[3, 0, n].isnan() or y[3, 0, n] == clean[3, 0, n]
        assert y[4:, 0, n].isnan().all()  # poisoned from then on, at no moment a spike
        others = [k for k in range(bench.features[0]) if k != n]
        same(y[:, 0, others], clean[:, 0, others])


def test_on_and_off_as_declared(bench):
    if bench.part.off is None:
        pytest.skip("it declares no off")
    x = bench.x(40, 3, dtype=torch.float64)
    along = bench.along(x)
    off, on = bench.make(**bench.part.off).double(), bench.make().double()
    plain = bench.part.like(off)
    plain = plain.double() if isinstance(plain, torch.nn.Module) else plain
    expected = plain(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    same(bench.run(off, x, **along)[0], expected, exact=False)
    if hasattr(on, "weight"):
        on.weight.data.copy_(off.weight.data)  # so that nothing else differs
    assert (bench.run(on, x, **along)[0] - expected).abs().max() > 1e-3


def test_input_need_not_be_contiguous(bench):
    part, x = bench.make(), bench.x(10, 3)
    scattered = x.movedim(0, -1).contiguous().movedim(-1, 0)
    assert not scattered.is_contiguous()
    along = bench.along(x)
    y, s = bench.run(part, x, **along)
    ys, ss = bench.run(part, scattered, **along)
    torch.testing.assert_close(ys, y)
    assert [tensor.shape for _, tensor in leaves(ss)] == [tensor.shape for _, tensor in leaves(s)]


def test_sequences_of_no_and_one_moment(bench):
    part, x = bench.make(), bench.x(3, 2)
    along = bench.along(x)
    y, s = bench.run(part, x, **along)
    none, still = bench.run(part, x[:0], s, **{name: tensor[:0] for name, tensor in along.items()})
    assert none.shape == (0, *y.shape[1:])
    one, after = bench.run(part, x[:1], s, **{name: tensor[:1] for name, tensor in along.items()})
    assert one.shape == (1, *y.shape[1:])
    if bench.is_cell:
        same_state(still, s)
        stepped, expected = part.step(x[0], s, **{name: tensor[0] for name, tensor in along.items()})
        torch.testing.assert_close(one[0], stepped)  # a kernel's exp and tanh may differ from a step's in the last bit
        for (_, a), (_, b) in zip(leaves(after), leaves(expected), strict=True):
            torch.testing.assert_close(a, b)
