"""One kernel for a sequence: bit for bit the steps where the arithmetic is IEEE's, gradients and all; and everything it must survive."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.func import functional_call, grad, vmap

import neuropil.cells  # noqa: F401
from neuropil.cells import ALIF, LI, LIF, PLIF, CubaLIF
from neuropil.dynamics import Cell, Chain
from neuropil.dynamics.kernels.fused import configuration
from neuropil.dynamics.kernels.layout import CACHE, Place, every
from neuropil.dynamics.kernels.sequence import SequenceFunction
from neuropil.dynamics.registry import CELLS
from neuropil.observe import clamp, observe

pytest.importorskip("numba", reason="Numba is not installed; pip install 'neuropil[fast]' runs these tests")
ELEMENTWISE = [part for part in CELLS if part.make.update is not Cell.update]
INEXACT = {"AstrocyteLIF", "DisinhibitoryUnit", "EchoUnit", "EventUnit", "ExponentialIF", "Izhikevich", "LeakyRate"}
"""Their loops hold exp or tanh, whose last bit torch's vector library and the compiler's round apart."""


def sequence(*shape, drive=0.6, seed=1, dtype=torch.float32):
    return (drive * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def both(cell, x, s=None):
    """(outputs, gradients of inputs, gradients of parameters and buffers), by steps and by the kernel."""
    results = []
    for backend in ("torch", "fused"):
        cell.use(backend=backend)
        own = [tensor.requires_grad_() for tensor in (*cell.parameters(), *cell.buffers())]
        given = x.detach().requires_grad_()
        start = type(cell.initial_like(x[0]))(*(one.detach().requires_grad_() for one in (s or cell.initial_like(x[0]))))
        y, last = cell(given, start)
        weights = sequence(*y.shape, seed=2, dtype=y.dtype)
        loss = (y * weights).sum() + sum((one * one * (k + 1)).sum() for k, one in enumerate(last))
        found = torch.autograd.grad(loss, [given, *start, *own], allow_unused=True, materialize_grads=True)
        results.append(([y.detach(), *(one.detach() for one in last)], found[: 1 + len(start)], found[1 + len(start) :]))
    return zip(*results, strict=True)


@pytest.mark.parametrize("store", ["recompute", "state"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("part", ELEMENTWISE, ids=lambda part: part.name)
def test_every_cell_is_its_steps(part, dtype, store):
    torch.manual_seed(0)
    cell = part.small().to(dtype).use(store=store)
    drive = {"ExponentialIF": 60.0, "Izhikevich": 30.0, "QuadraticIF": 20.0, "PLIF": 3.0, "CubaLIF": 2.0}.get(part.name, 0.6)
    outputs, inputs, own = both(cell, sequence(50, 2, 3, 4, drive=drive, dtype=dtype))
    rounded = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}  # a last bit grows over 50 moments
    exact = {"rtol": 0, "atol": 0} if part.name not in INEXACT else rounded
    for steps, kernel in zip(*outputs, strict=True):
        torch.testing.assert_close(kernel, steps, **exact)
    for steps, kernel in zip(*inputs, strict=True):
        torch.testing.assert_close(kernel, steps, **exact)
    for steps, kernel in zip(*own, strict=True):  # summed in another order
        torch.testing.assert_close(kernel, steps, rtol=1e-4 if dtype == torch.float32 else 1e-11, atol=1e-6)


@pytest.mark.parametrize(("moments", "features"), [(1, 1), (1, 700), (2, 5), (600, 3), (40, 5000)])
def test_lengths_and_widths_that_cut_unevenly(moments, features):
    cell = LIF(features, dt=1e-3, tau=torch.linspace(0.005, 0.03, features), threshold=torch.linspace(0.5, 1.5, features))
    outputs, inputs, own = both(cell, sequence(moments, 3, features))
    for steps, kernel in (*zip(*outputs, strict=True), *zip(*inputs, strict=True)):
        assert torch.equal(kernel, steps)
    for steps, kernel in zip(*own, strict=True):
        torch.testing.assert_close(kernel, steps, rtol=1e-4, atol=1e-5)


def test_pieces_cover_every_neuron_once_and_fit_the_cache():
    for flat, features in ((7, 7), (6000, 3), (8192, 4096), (4500 * 3, 4500), (5, 1), (4 * 9000, 9000)):
        for replicas in {1, flat // features}:
            for moments in (0, 100, 1000):
                place = Place.of(flat, features, replicas=replicas, bytes_each=8 * moments)
                covered = []
                for piece in range(place.total):
                    replica, rest = divmod(piece, -(-place.span // place.period) * place.pieces)
                    start = rest // place.pieces * place.period + rest % place.pieces * place.width
                    stop = min(start + place.width, (rest // place.pieces + 1) * place.period, place.span)
                    covered += range(replica * place.span + start, replica * place.span + stop)
                assert covered == list(range(flat))
                assert place.width * 8 * moments <= max(CACHE, 8 * moments * 256)
                assert place.period % features == 0


def test_recomputing_keeps_a_roots_share_of_states_at_most():
    assert every(100, 1, 4, "state") == 1
    assert every(100, 1, 4, "recompute") == 16  # so many of the widest piece are computed again within the cache
    assert every(12, 1, 4, "recompute") == 12
    assert every(100, 2, 8, "recompute") == 10
    assert every(100, 1, 4, "recompute", cached=False) == 10
    long = 100_000
    assert (long - 1) // every(long, 2, 4, "recompute") + 1 <= long**0.5 + 1


def test_spikes_exactly_at_threshold_and_the_reset_to_zero():
    x = torch.tensor([[1.0], [0.0], [0.9999999], [0.5]]).unsqueeze(1)
    cell = LIF(1, dt=1e-3, reset="hard").use(backend="fused")
    y, s = cell(x)
    assert y.flatten().tolist() == [1, 0, 0, 1]
    assert s.v.item() == 0
    assert torch.equal(cell.use(backend="torch")(x)[0], y)


def test_no_batch_many_axes_scattered_memory_and_half_precision_inputs():
    cell = CubaLIF(4, dt=1e-3).use(backend="fused")
    x = sequence(30, 4, drive=2.0)
    alone, _ = cell(x)
    many, _ = cell(x[:, None, None].expand(-1, 2, 3, -1))
    assert torch.equal(many[:, 1, 2], alone)
    scattered = x.movedim(0, -1).contiguous().movedim(-1, 0)
    assert not scattered.is_contiguous()
    assert torch.equal(cell(scattered)[0], alone)
    low = x.to(torch.bfloat16)
    assert torch.equal(cell(low)[0], cell.use(backend="torch")(low)[0])


def test_gradients_for_each_sample_and_replicas_of_the_parameters_under_vmap():
    cell, x = PLIF(4, dt=1e-3, per_neuron=True).double(), sequence(25, 6, 4, drive=3.0, dtype=torch.float64)
    weights = {name: tensor.detach() for name, tensor in (*cell.named_parameters(), *cell.named_buffers())}

    def loss(weights, sample):
        y, s = functional_call(cell, weights, (sample,))
        return (y * y).sum() + s.v.square().sum()

    found = {}
    for backend in ("torch", "fused"):
        cell.use(backend=backend)
        samples = vmap(grad(loss), in_dims=(None, 1))(weights, x)
        replicas = {name: torch.stack([tensor, tensor * 0.9]) for name, tensor in weights.items()}
        found[backend] = (
            samples,
            vmap(grad(loss), in_dims=(0, None))(replicas, x),
            vmap(loss, in_dims=(0, 1))({n: t[None].expand(6, *t.shape) for n, t in weights.items()}, x),
        )
    assert found["fused"][0]["decay.log_tau"].shape == (6, 4)
    torch.testing.assert_close(found["fused"], found["torch"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_first_call_may_come_from_within_any_context(around):
    class Fresh(LIF):
        pass

    cell, x = Fresh(4, dt=1e-3, tau=0.015), sequence(20, 2, 4)
    with around():
        cell(x)
    expected = both(Fresh(4, dt=1e-3, tau=0.015), x)
    for steps, kernel in zip(*list(expected)[1], strict=True):
        assert torch.equal(steps, kernel)
    assert kernel.abs().sum() > 0


def test_without_gradients_nothing_is_kept_and_going_back_says_so():
    cell, x = LIF(4, dt=1e-3).use(backend="fused", store="state"), sequence(10, 2, 4)
    with torch.no_grad():
        y, _ = cell(x)
    assert y.grad_fn is None
    y, _ = cell(x.requires_grad_())
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"first derivatives only; use\(backend='torch'\)"):
        first.sum().backward()


def test_threads_of_the_caller_and_two_cells_at_once():
    cells = [ALIF(64, dt=1e-3), LIF(64, dt=1e-3)]
    x = sequence(40, 16, 64)
    expected = [cell(x)[0] for cell in cells]
    with ThreadPoolExecutor(8) as pool:
        for k, y in enumerate(pool.map(lambda k: cells[k % 2](x)[0], range(40))):
            assert torch.equal(y, expected[k % 2])


def test_the_number_of_threads_changes_no_bit():
    cell, x = ALIF(96, dt=1e-3), sequence(60, 64, 96)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            given = x.clone().requires_grad_()
            y, _ = cell(given)
            y.sum().backward()
            found.append((y.detach(), given.grad))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")
def test_a_forked_process_has_threads_of_its_own():
    code = (
        "import os, sys, torch; from neuropil.cells import LIF; torch.set_num_threads(2)\n"
        "cell, x = LIF(64, dt=1e-3), torch.rand(50, 64, 64, generator=torch.Generator().manual_seed(0))\n"
        "y, _ = cell(x); child = os.fork()\n"
        "same = bool((cell(x)[0].numpy() == y.numpy()).all())\n"  # torch itself cannot compute in parallel in a child after its parent has
        "if child == 0: os._exit(0 if same else 1)\n"
        "sys.exit(0 if same and os.waitpid(child, 0)[1] == 0 else 1)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_kernel_writes_the_states_that_are_observed():
    cell, x = CubaLIF(4, dt=1e-3), sequence(12, 2, 4, drive=2.0)
    seen = {}
    for backend in ("fused", "torch"):
        cell.use(backend=backend)
        with observe(cell, "v", "i[..., 1]", "spikes") as record:
            given = x.clone().requires_grad_()
            y, _ = cell(given)
            y.sum().backward()
        seen[backend] = [record[name] for name in ("v", "i[..., 1]", "spikes")] + [given.grad]
    assert seen["fused"][0].shape == (12, 2, 4)
    assert seen["fused"][1].shape == (12, 2)
    assert all(torch.equal(one, other) for one, other in zip(seen["fused"], seen["torch"], strict=True))


def test_what_is_held_or_observed_with_gradients_takes_steps():
    cell, x = LIF(4, dt=1e-3), sequence(12, 2, 4)
    assert "one kernel" in cell.explain(x)
    with observe(cell, "v", detach=False) as seen:
        assert "observed with their gradients" in cell.explain(x)
        cell(x.requires_grad_())
    assert seen["v"].requires_grad
    with clamp(cell, {"v": 0.0}):
        assert cell(x)[0].sum() == 0
    with clamp(cell, {"threshold": 100.0}):
        assert "parameters are held" in cell.explain(x)
        assert cell(x)[0].sum() == 0


def test_replicas_of_the_parameters_are_one_kernel_and_the_same_as_one_after_another():
    cells = [LIF(6, dt=1e-3, tau=0.01 + 0.004 * k, threshold=torch.linspace(0.4 + 0.1 * k, 1.0, 6)).double() for k in range(3)]
    x = sequence(30, 3, 5, 6, drive=1.0, dtype=torch.float64).requires_grad_()
    stacked = {name: torch.stack([c.get_buffer(name) for c in cells]).requires_grad_() for name in ("decay.log_tau", "threshold")}
    assert stacked["decay.log_tau"].shape == (3,)

    def run(weights, given):
        return functional_call(cells[0], weights, (given,))

    calls = []
    original = SequenceFunction.forward
    watched = staticmethod(lambda *given: calls.append(given[3]) or original(*given))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SequenceFunction, "forward", watched)
        y, s = vmap(run, in_dims=(0, 1), out_dims=1)(stacked, x)
    assert calls == [3]
    weights = sequence(*y.shape, seed=2, dtype=torch.float64)
    ((y * weights).sum() + (s.v**2).sum()).backward()
    for k, cell in enumerate(cells):
        own = [cell.get_buffer(name).requires_grad_() for name in stacked]
        given = x.detach()[:, k].requires_grad_()
        alone, last = cell(given)
        assert torch.equal(alone, y[:, k])
        ((alone * weights[:, k]).sum() + (last.v**2).sum()).backward()
        assert torch.equal(given.grad, x.grad[:, k])
        for tensor, name in zip(own, stacked, strict=True):
            torch.testing.assert_close(stacked[name].grad[k], tensor.grad, rtol=1e-12, atol=1e-12)


def test_use_explain_and_source_say_what_they_do_and_refuse_in_a_sentence():
    cell, x = LIF(4, dt=1e-3), sequence(12, 2, 4)
    chain = Chain(cell, LI(4, dt=1e-3))
    assert chain.use(backend="torch", store="state") is chain
    assert (cell.backend, cell.store) == ("torch", "state")
    assert cell.explain(x) == "LIF takes steps in torch: it was told to."
    with pytest.raises(ValueError, match="backend is one of auto, fused, torch, 'gpu' was given"):
        cell.use(backend="gpu")
    cell.use(backend="fused")
    with pytest.raises(RuntimeError, match="was to run as one kernel and cannot: the input lies on meta"):
        cell.to("meta")(x.to("meta"))
    with pytest.raises(TypeError, match="accepted are floating dtypes"):
        LIF(4, dt=1e-3)(torch.ones(3, 2, 4, dtype=torch.int64))
    assert "def backward_row" in LIF(4, dt=1e-3).source()
    with pytest.raises(ValueError, match=r"torch\.float16 on cpu was given"):
        LIF(4, dt=1e-3).source(torch.float16)
    assert "@triton.jit" in LIF(4, dt=1e-3).source(torch.float64, "cuda")
    with pytest.raises(ValueError, match=r"on cpu or cuda, torch\.float32 on mps was given"):
        LIF(4, dt=1e-3).source(device="mps")


def test_changed_attributes_are_another_equation():
    cell, x = ALIF(4, dt=1e-3), sequence(30, 2, 4)
    before = configuration(cell)
    y, _ = cell(x)
    cell.reset = type(cell.reset)("none")
    assert configuration(cell) != before
    assert not torch.equal(cell(x)[0], y)
    assert torch.equal(cell(x)[0], cell.use(backend="torch")(x)[0])


def test_a_tensor_kept_aside_is_not_baked_in():
    cell, x = LIF(4, dt=1e-3), sequence(5, 2, 4)
    cell.note = torch.ones(3)
    assert "neither parameter nor buffer" in cell.explain(x)
    assert cell(x)[0].shape == x.shape


def test_compiled_kernels_are_kept_and_a_cache_that_cannot_be_written_or_read_is_no_obstacle(tmp_path):
    code = (
        "import time, torch; from neuropil.cells import LIF; x = torch.rand(20, 4, 8).requires_grad_()\n"
        "import numba\n"
        "begin = time.perf_counter(); y, _ = LIF(8, dt=1e-3)(x); y.sum().backward(); print(time.perf_counter() - begin)"
    )

    def seconds(folder):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"NEUROPIL_CACHE": str(folder)}, check=False
        )
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    cold, warm = seconds(tmp_path), seconds(tmp_path)
    assert len(list((tmp_path / "kernels").glob("kernel_*.py"))) == 2  # forwards and backwards
    assert warm < cold
    for file in (tmp_path / "kernels" / "__pycache__").glob("*.nb?"):
        file.write_bytes(b"torn")
    seconds(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    seconds(blocked / "cache")
