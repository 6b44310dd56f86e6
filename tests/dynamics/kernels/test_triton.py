"""The kernels written for Triton are the steps: in NumPy's hands everywhere, in Triton's interpreter and compiler where it is, on a GPU where one is."""

import importlib.util
import inspect
import itertools
import re
import sys
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

import neuropil.cells  # noqa: F401
from neuropil.cells import ALIF, LIF, CubaLIF
from neuropil.dynamics import Cell
from neuropil.dynamics.kernels import launched, machine
from neuropil.dynamics.kernels.compiled import imported
from neuropil.dynamics.kernels.emit_triton import emit_triton
from neuropil.dynamics.kernels.fused import equation
from neuropil.dynamics.kernels.program import IN_TORCH, Constant, Program
from neuropil.dynamics.kernels.trace import Side, Traced
from neuropil.dynamics.registry import CELLS
from neuropil.observe import observe
from neuropil.synapses import Recurrent

ELEMENTWISE = [part for part in CELLS if part.make.update is not Cell.update]
TRITON = importlib.util.find_spec("triton") is not None
GPU = TRITON and torch.cuda.is_available()
needs_triton = pytest.mark.skipif(not TRITON, reason="Triton is not installed; pip install 'neuropil[cuda]' runs these tests")
needs_gpu = pytest.mark.skipif(not GPU, reason="there is no GPU, or no Triton, to run kernels with")
ROUNDED = {"atan", "cos", "erf", "exp", "expm1", "log", "log1p", "pow", "sigmoid", "sin", "tanh"}
"""Operations that two libraries may round apart."""
BLOCK = 16
LIBRARY = {
    "atan": torch.atan, "cos": torch.cos, "erf": torch.erf, "exp": torch.exp, "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p,
    "pow": torch.pow, "rint": torch.round, "sin": torch.sin, "tanh": torch.tanh,
}  # fmt: skip
"""The functions of the device's library that kernels call, in torch."""


def in_torch(function):
    return lambda *values: function(*(torch.from_numpy(np.ascontiguousarray(value)) for value in values)).numpy()


class Pointer:
    """An array in flat memory, or places in it; what lies outside is an error."""

    def __init__(self, array, place=0):
        self.array, self.place = array, place

    def __add__(self, step):
        return Pointer(self.array, self.place + step)


class Language:
    """What kernels use of ``triton.language``, on blocks that are NumPy arrays; stricter than Triton about kinds of numbers."""

    constexpr, int64, float32, float64 = "constexpr", np.int64, np.float32, np.float64
    program = 0

    def program_id(self, axis):
        assert axis == 0
        return self.program

    def arange(self, low, high):
        return np.arange(low, high)

    def cast(self, value, kind):
        return np.asarray(value).astype(kind)[()]

    def full(self, shape, value, kind):
        return np.full(shape, value, kind)

    def load(self, pointer, mask, other):
        value = np.full(mask.shape, other, pointer.array.dtype)
        value[mask] = pointer.array[self._inside(pointer, mask)]
        return value

    def store(self, pointer, value, mask):
        assert value.dtype == pointer.array.dtype
        assert value.shape == mask.shape
        pointer.array[self._inside(pointer, mask)] = value[mask]

    @staticmethod
    def _inside(pointer, mask):
        place = pointer.place[mask]
        assert ((place >= 0) & (place < len(pointer.array))).all()
        return place

    def where(self, condition, one, other):
        assert np.asarray(condition).dtype == bool
        assert one.dtype == other.dtype
        return np.where(condition, one, other)

    def minimum(self, one, other):
        return min(one, other)

    def div_rn(self, one, other):
        assert one.dtype == other.dtype == np.float32
        return one / other

    def sqrt_rn(self, one):
        assert one.dtype == np.float32
        return np.sqrt(one)

    def sqrt(self, one):
        assert one.dtype == np.float64  # in float32 Triton's is approximate
        return np.sqrt(one)

    abs, ceil, floor = staticmethod(np.abs), staticmethod(np.ceil), staticmethod(np.floor)

    def debug_barrier(self):
        pass


class Function:
    """A function under ``triton.jit``, run program after program."""

    def __init__(self, function, language):
        self.function, self.language = function, language

    def __getitem__(self, grid):
        def run(*given, enable_fp_fusion):
            assert not enable_fp_fusion
            arrays = [Pointer(one.reshape(-1).numpy()) if isinstance(one, torch.Tensor) else one for one in given]
            for self.language.program in range(grid[0]):
                self.function(*arrays)

        return run


def stand_in(patch):
    """Put modules in Triton's place."""
    language = Language()

    def jit(do_not_specialize):
        def wrapped(function):
            assert set(do_not_specialize) <= set(inspect.signature(function).parameters)
            return Function(function, language)

        return wrapped

    modules = {name: ModuleType(name) for name in ("triton", "triton.language.extra", "triton.language.extra.libdevice")}
    modules["triton"].jit, modules["triton"].language = jit, language
    modules["triton.language.extra"].libdevice = SimpleNamespace(**{name: in_torch(function) for name, function in LIBRARY.items()})
    modules["triton.language"] = language
    for name, module in modules.items():
        patch.setitem(sys.modules, name, module)


def interpreter(patch):
    """Let Triton interpret what it would compile, the device's library in torch."""
    import triton.language as tl
    from triton.language.extra import libdevice
    from triton.runtime.interpreter import TensorHandle

    def called(function):
        run = in_torch(function)
        return lambda *given: tl.tensor(TensorHandle(run(*(one.handle.data for one in given)), given[0].handle.dtype), given[0].type)

    patch.setenv("TRITON_INTERPRET", "1")
    for name, function in LIBRARY.items():
        patch.setattr(libdevice, name, called(function))


def here(patch, how, cache_folder):
    """Have kernels of the CPU written for Triton, and run by one of the two above."""
    how(patch)
    patch.setenv("NEUROPIL_CACHE", str(cache_folder))
    patch.setattr(launched, "_module", cache(lambda text: imported(f"{text}# {how.__name__}\n")[0]))
    patch.setattr(launched, "BLOCK", BLOCK)
    patch.setitem(machine.COMPILERS, "cpu", "Triton")
    patch.setattr(launched, "available", lambda: "")


@pytest.fixture(params=["stand-in", *["interpreter"] * TRITON, *["gpu"] * GPU])
def device(request, monkeypatch, tmp_path_factory):
    """Where kernels written for Triton run: a device for tensors."""
    if request.param == "gpu":
        return "cuda"
    here(monkeypatch, {"stand-in": stand_in, "interpreter": interpreter}[request.param], tmp_path_factory.getbasetemp() / "kernels")
    monkeypatch.setattr(launched.Launch, "run", np.errstate(all="ignore")(launched.Launch.run))
    return "cpu"


def exact(traced):
    """Whether the steps' bits can be asked for: IEEE's operations only, forwards and backwards."""
    return not any(
        side.program.values[number].name in ROUNDED and not isinstance(side.program.values[number].operands[-1], Constant)
        for side in (traced.forward, traced.backward)
        for number in side.body()
    )


def sequence(*shape, drive=0.6, seed=1, dtype=torch.float32, device="cpu"):
    return (drive * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(device, dtype)


def both(cell, x):
    """(outputs, gradients of inputs, gradients of parameters and buffers), by steps and by the kernel."""
    results = []
    for backend in ("torch", "fused"):
        cell.use(backend=backend)
        own = [tensor.requires_grad_() for tensor in (*cell.parameters(), *cell.buffers())]
        given, rest = x.detach().requires_grad_(), cell.initial_like(x[0])
        start = type(rest)(*((one + 0.1 * sequence(*one.shape, seed=5).to(one)).requires_grad_() for one in rest))
        y, last = cell(given, start)
        weights = sequence(*y.shape, seed=2).to(y)
        loss = (y * weights).sum() + sum((one * one * (k + 1)).sum() for k, one in enumerate(last))
        found = torch.autograd.grad(loss, [given, *start, *own], allow_unused=True, materialize_grads=True)
        results.append(([y.detach(), *(one.detach() for one in last)], found[: 1 + len(start)], found[1 + len(start) :]))
    return zip(*results, strict=True)


def same(cell, x):
    outputs, inputs, own = both(cell, x)
    bits = {"rtol": 0, "atol": 0} if exact(equation(cell)) else {}
    for steps, kernel in (*zip(*outputs, strict=True), *zip(*inputs, strict=True)):
        torch.testing.assert_close(kernel, steps, equal_nan=True, **bits)
    for steps, kernel in zip(*own, strict=True):  # summed in another order
        torch.testing.assert_close(kernel, steps, equal_nan=True, rtol=1e-4 if x.dtype == torch.float32 else 1e-11, atol=1e-6)


@pytest.mark.parametrize("store", ["recompute", "state"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("part", ELEMENTWISE, ids=lambda part: part.name)
def test_every_cell_is_its_steps(part, dtype, store, device):
    torch.manual_seed(0)
    cell = part.small().to(device, dtype).use(store=store)
    drive = {"ExponentialIF": 60.0, "Izhikevich": 30.0, "QuadraticIF": 20.0, "PLIF": 3.0, "CubaLIF": 2.0}.get(part.name, 0.6)
    same(cell, sequence(12, 3, 2, 4, drive=drive, dtype=dtype, device=device))


@pytest.mark.parametrize(("moments", "leading", "features"), [(1, 1, 1), (2, 3, 5), (40, 1, 3), (7, 1, BLOCK), (7, 2, 21)])
def test_lengths_and_widths_that_fill_no_block(moments, leading, features, device):
    cell = LIF(features, dt=1e-3, tau=torch.linspace(0.005, 0.03, features), threshold=torch.linspace(0.5, 1.5, features)).to(device)
    same(cell, sequence(moments, leading, features, drive=1.0, device=device))


def test_recomputing_passes_several_blocks_of_moments(device):
    same(ALIF(5, dt=1e-3).to(device), sequence(27, 2, 5, drive=1.0, device=device))  # kept every 6, the last block is 3 long


def test_what_is_not_a_number_stays_with_its_neuron(device):
    x = sequence(12, 2, 4, drive=1.0, device=device)
    x[3, 1, 2], x[5, 0, 0] = torch.nan, torch.inf
    cell = ALIF(4, dt=1e-3).to(device)
    same(cell, x)
    assert cell(x)[1].v.isnan().sum() in (1, 2)


def test_replicas_of_the_parameters_are_one_kernel(device, monkeypatch):
    cells = [LIF(6, dt=1e-3, tau=0.01 + 0.004 * k, threshold=torch.linspace(0.4 + 0.1 * k, 1.0, 6)).double().to(device) for k in range(3)]
    x = sequence(20, 3, 5, 6, dtype=torch.float64, drive=1.0, device=device).requires_grad_()
    stacked = {name: torch.stack([c.get_buffer(name) for c in cells]).requires_grad_() for name in ("decay.log_tau", "threshold")}
    launches = []
    run = launched.Launch.run
    monkeypatch.setattr(launched.Launch, "run", lambda launch: launches.append(1) or run(launch))
    y, s = vmap(lambda weights, given: functional_call(cells[0], weights, (given,)), in_dims=(0, 1), out_dims=1)(stacked, x)
    weights = sequence(*y.shape, seed=2, dtype=torch.float64, device=device)
    ((y * weights).sum() + (s.v**2).sum()).backward()
    assert len(launches) == 2
    for k, cell in enumerate(cells):
        own = [cell.get_buffer(name).requires_grad_() for name in stacked]
        given = x.detach()[:, k].requires_grad_()
        alone, last = cell.use(backend="torch")(given)
        assert torch.equal(alone, y[:, k])
        ((alone * weights[:, k]).sum() + (last.v**2).sum()).backward()
        torch.testing.assert_close(given.grad, x.grad[:, k], rtol=1e-12, atol=1e-12)
        for tensor, name in zip(own, stacked, strict=True):
            torch.testing.assert_close(stacked[name].grad[k], tensor.grad, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("store", ["recompute", "state"])
def test_a_cell_that_hears_itself(store, device):
    model = Recurrent(ALIF(5, dt=1e-3), generator=torch.Generator().manual_seed(0)).double().to(device).use(store=store)
    x, found = sequence(11, 2, 5, drive=1.5, dtype=torch.float64, device=device), []
    for backend in ("torch", "fused"):
        given = x.clone().requires_grad_()
        y, s = model.use(backend=backend)(given)
        loss = (y * sequence(*y.shape, seed=2).to(y)).sum() + s.cell.v.square().sum()
        found.append([y.detach(), *torch.autograd.grad(loss, [given, *model.parameters()])])
    torch.testing.assert_close(found[1], found[0], rtol=1e-11, atol=1e-11)
    assert "one update compiled by Triton" in model.explain(x)


def test_observed_states_and_what_explain_says(device):
    cell, x = CubaLIF(4, dt=1e-3).to(device), sequence(12, 2, 4, drive=2.0, device=device)
    seen = []
    for backend in ("torch", "fused"):
        with observe(cell.use(backend=backend), "v", "spikes") as record:
            cell(x)
        seen.append((record["v"], record["spikes"]))
    torch.testing.assert_close(seen[1], seen[0], rtol=0, atol=0)
    assert cell.explain(x) == "CubaLIF runs 12 moments as one kernel compiled by Triton, keeping states by store='recompute'."


class Gated(Cell):
    """A cell with a truth value of its parameters, one no float holds exactly, and one that is not finite."""

    class State(NamedTuple):
        v: Tensor

    def __init__(self):
        super().__init__(3)
        self.gain, self.leak = nn.Parameter(torch.tensor([0.2, 0.7, 0.9])), nn.Buffer(torch.tensor(0.3))

    def update(self, s, x):
        v = torch.where((self.gain > 0.5) & (s.v < 0.4), 0.1 * s.v + self.gain * x, x - self.leak * s.v)
        return self.State(torch.minimum(v, torch.full_like(x, float("inf")))), (v > self.leak).to(x.dtype) * v


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_truth_values_of_parameters_and_numbers_of_any_kind(dtype, device):
    same(Gated().to(device, dtype), sequence(15, 7, 3, drive=1.0, dtype=dtype, device=device))


NUMBERS = [0.0, -0.0, 0.3, -0.7, 0.5, 1.5, 2.5, -1.5, 3.0, 1e-9, -1e-9, 80.0, -80.0, float("inf"), float("-inf"), float("nan")]
TWO = {"add", "div", "eq", "ge", "gt", "le", "logical_and", "logical_or", "lt", "maximum", "minimum", "mul", "ne", "pow", "sub"}


OPERATIONS = [*((name, None) for name in sorted(IN_TORCH)), *(("pow", power) for power in (2.0, 3.0, 0.5, -1.0, -2.0, 1.7))]


def one_operation(name, power):
    """A cell that puts out one operation on its state and input, and chooses by it."""
    program = Program(["s.v", "x"])
    above = [program.add("gt", one, Constant(0.0)) for one in (0, 1)]
    v, x = above if name.startswith("logical") or name == "number" else (0, 1)
    operands = {"where": (1, 0, 1), **dict.fromkeys(TWO, (v, x))}.get(name, (x,))
    made = program.add(name, *(operands if power is None else (x, Constant(power))))
    chosen = program.add("where", made, 1, 0)  # by a truth value, or by a number that is not 0
    return Traced(("v",), (), (), Side(program, (), (chosen, made)), Side(program, (), (None, None)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "power"), OPERATIONS)
def test_every_operation_means_what_it_means_in_torch(name, power, dtype, device):
    v, x = (torch.tensor(one, dtype=dtype, device=device) for one in zip(*itertools.product(NUMBERS, NUMBERS), strict=True))
    if power is not None:
        expected = x**power
    elif name == "where":
        expected = torch.where(x.bool(), v, x)
    else:
        given = (v, x) if name in TWO else (x,)
        expected = IN_TORCH[name](*(one > 0 if name.startswith("logical") or name == "number" else one for one in given)).to(dtype)
    y, state = torch.empty(1, len(x), dtype=dtype, device=device), v.clone()
    kernel = machine.Machine(one_operation(name, power), {}, len(x), 0)
    kernel.forwards(1, x.unsqueeze(0), [state], y, [y.new_empty((0, len(x)))]).run()
    if name in ROUNDED and power in (None, 1.7):
        torch.testing.assert_close(y[0], expected, equal_nan=True)
    else:
        if name == "sqrt" or power == 0.5:  # torch's own square root of a double is one unit off on some processors, NumPy's is IEEE's
            torch.testing.assert_close(y[0], expected, equal_nan=True, rtol=torch.finfo(dtype).eps, atol=0)
            with np.errstate(invalid="ignore"):
                expected = torch.from_numpy(np.sqrt(x.cpu().numpy())).to(device)
        torch.testing.assert_close(y[0], expected, equal_nan=True, rtol=0, atol=0)
        assert torch.equal(y[0][expected == 0].signbit(), expected[expected == 0].signbit())
    torch.testing.assert_close(state, torch.where(y[0] != 0, x, v), rtol=0, atol=0, equal_nan=True)


def compiled_for(target, text, name, option, fusion=False):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    function = getattr(imported(text)[0], name)
    arguments = list(inspect.signature(function.fn).parameters)
    kind = "*fp32" if "tl.float32" in text else "*fp64"
    signature = {one: kind if one.startswith("all_") else "constexpr" if one.isupper() else "i32" for one in arguments}
    constants = {one: launched.BLOCK if one == "BLOCK" else option for one in arguments if one.isupper()}
    return compile(ASTSource(function, signature, constants), target=GPUTarget("cuda", target, 32), options={"enable_fp_fusion": fusion})


@needs_triton
@pytest.mark.parametrize("part", ELEMENTWISE, ids=lambda part: part.name)
def test_every_cell_compiles_for_a_gpu_that_is_not_here(part, monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    traced = equation(part.small())
    options = (True, False) if part.name == "LIF" else (True,)  # what is left out without it is the same in all
    for dtype, name, option in itertools.product(("float32", "float64"), ("forward", "backward"), options):
        code = compiled_for(90, emit_triton(traced, dtype), name, option).asm["ptx"]
        assert "div.full" not in code
        if exact(traced):
            assert not re.search(r"fma\.rn\.f|approx|\.ftz", code)


@needs_triton
def test_every_operation_compiles_for_a_gpu_that_is_not_here(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    program = Program(["s.v", "x"])
    above = program.add("gt", 0, 1)
    for name in IN_TORCH:
        first, second = (above, above) if name.startswith("logical") else (0, 1)
        program.add(name, *((above, 0, 1) if name == "where" else (first, second) if name in TWO else (first,)))
    every = [number for number, value in enumerate(program.values) if not isinstance(value, str)]
    total = 0
    for number in every:
        total = program.add("add", total, number)
    traced = Traced(("v",), (), (), Side(program, (), (total, total)), Side(program, (), (None, None)))
    for dtype in ("float32", "float64"):
        assert compiled_for(80, emit_triton(traced, dtype), "forward", True).asm["cubin"]


@needs_gpu
def test_on_a_gpu_a_long_sequence_of_many_neurons_is_its_steps():
    cell = ALIF(700, dt=1e-3, tau=torch.linspace(0.005, 0.03, 700)).cuda()
    same(cell, sequence(400, 9, 700, drive=1.0, device="cuda"))
    assert "one kernel compiled by Triton" in cell.explain(sequence(5, 2, 700, device="cuda"))


def test_what_is_missing_is_said(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "triton" else find(name))
    assert machine.missing("cuda") == "Triton is not installed; `pip install 'neuropil[cuda]'` brings it"
    assert machine.missing("mps") == "the input lies on mps"
    monkeypatch.setitem(machine.COMPILERS, "cpu", "Triton")
    cell, x = LIF(4, dt=1e-3), sequence(5, 2, 4)
    assert cell.explain(x) == "LIF takes steps in torch: Triton is not installed; `pip install 'neuropil[cuda]'` brings it."
    with pytest.raises(RuntimeError, match=r"cannot: Triton is not installed; .*; use\(backend='auto'\) takes steps instead"):
        cell.use(backend="fused")(x)


def test_a_cache_that_cannot_be_written_is_no_obstacle(device, monkeypatch, tmp_path):
    if device == "cuda":
        pytest.skip("Triton writes its own cache on a GPU")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("NEUROPIL_CACHE", str(blocked / "cache"))
    cell = LIF(3, dt=1e-3)
    cell.threshold = torch.nn.Buffer(torch.tensor(0.731))
    same(cell, sequence(6, 2, 3))
