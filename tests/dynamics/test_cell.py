"""The Cell contract, against closed forms, scipy's filters, hand recursions and numerical gradients."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from neuropil.dynamics import Cell, Decay, FastSigmoid, Reset, detach, leaves, parameter, smoothed


class LI(Cell):
    class State(NamedTuple):
        v: Tensor

    def __init__(self, size=None, *, tau=0.02, dt=1e-3, learnable=False, rest=0.0):
        super().__init__(size, dt=dt)
        self.decay = Decay(tau, dt=dt, size=size, learnable=learnable)
        self.rest = rest

    def resting(self):
        return {"v": self.rest}

    def update(self, s, x):
        v = self.decay() * s.v + x
        return self.State(v), v


class LIF(LI):
    class State(NamedTuple):
        v: Tensor

    emits = "spikes"

    def __init__(self, size=None, *, reset="soft", threshold=1.0, **kwargs):
        super().__init__(size, **kwargs)
        self.threshold = parameter(threshold, size=size, learnable=kwargs.get("learnable", False))
        self.surrogate = FastSigmoid()
        self.reset = Reset.of(reset)

    def update(self, s, x):
        v = self.decay() * s.v + x
        spike = self.surrogate(v - self.threshold)
        return self.State(self.reset(v, spike, self.threshold)), spike


class Bare(Cell):
    """A cell without any tensor."""

    class State(NamedTuple):
        v: Tensor

    def update(self, s, x):
        return self.State(s.v + x), s.v


class Recurrent(Cell):
    """Not elementwise: states ``step``; other size out than in; a further input ``gate``."""

    class State(NamedTuple):
        h: Tensor

    def __init__(self, size=3, hidden=4):
        super().__init__(size)
        self.out_size = hidden
        self.inward, self.across = nn.Linear(size, hidden), nn.Linear(hidden, hidden)

    def initial(self, *leading, device=None, dtype=None):
        return self.State(torch.zeros(*leading, self.out_size, device=device, dtype=dtype))

    def step(self, x, s=None, gate=None):
        s = self.ready(x, s)
        h = torch.tanh(self.inward(x) + self.across(s.h))
        h = h if gate is None else gate * h
        return h, self.State(h)


class Empty(Cell):
    class State(NamedTuple):
        v: Tensor


@pytest.fixture(autouse=True)
def doubles():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_relaxation_is_exponential_for_every_neuron():
    tau = [0.005, 0.02, 0.3]
    cell = LI(3, tau=tau)
    y, s = cell(torch.zeros(200, 1, 3), cell.State(torch.ones(1, 3)))
    t = torch.arange(1, 201) * 1e-3
    assert torch.allclose(y[:, 0], torch.exp(-t[:, None] / torch.tensor(tau)), rtol=1e-10, atol=0)
    assert torch.equal(s.v, y[-1])


def test_driven_cell_is_scipys_filter():
    x = torch.randn(300, 2, 3)
    y, _ = LI(3, tau=0.013)(x)
    assert np.allclose(y, lfilter([1.0], [1.0, -math.exp(-1 / 13)], x.numpy(), axis=0), rtol=1e-10)


@pytest.mark.parametrize("mode", ["soft", "hard", "none"])
def test_spikes_and_resets_follow_the_recursion_worked_in_numpy(mode):
    x = torch.rand(100, 4) * 0.4
    y, s = LIF(4, reset=mode)(x)
    v, decay = np.zeros(4), math.exp(-1 / 20)
    for t in range(100):
        v = decay * v + x[t].numpy()
        spike = v >= 1
        assert np.array_equal(y[t].numpy().astype(bool), spike)
        v = {"soft": v - spike, "hard": np.where(spike, 0.0, v), "none": v}[mode]
    assert np.allclose(s.v, v)
    assert y.sum() > 0


def test_exactly_at_threshold_spikes():
    cell = LIF(1, threshold=0.75)
    assert cell.step(torch.tensor([0.75]))[0].item() == 1
    assert cell.step(torch.tensor([np.nextafter(0.75, 0)]))[0].item() == 0


@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
def test_gradients_through_a_sequence_by_gradcheck(reset):
    cell = LIF(2, reset=reset, learnable=True, tau=[0.01, 0.02], threshold=[1.0, 0.8])
    names = [name for name, _ in cell.named_parameters()]

    def run(x, v, *values):
        with smoothed(cell):
            y, s = torch.func.functional_call(cell, dict(zip(names, values, strict=True)), (x, cell.State(v)))
        return y, s.v

    inputs = (torch.randn(4, 3, 2), torch.randn(3, 2), *(p.detach() for p in cell.parameters()))
    assert torch.autograd.gradcheck(run, tuple(tensor.clone().requires_grad_() for tensor in inputs))


@pytest.mark.parametrize("detached", [False, True])
def test_detached_reset_has_the_gradient_worked_by_hand(detached):
    cell = LIF(1, reset=Reset("soft", detach=detached))
    x = torch.tensor([[1.1], [0.3]], requires_grad=True)
    y, _ = cell(x)
    (gradient,) = torch.autograd.grad(y[1, 0], x)
    # v1 = x1, s1 = H(v1 - 1), v2 = d (v1 - s1) + x2:  ds2/dx2 = g(v2 - 1),  ds2/dx1 = g(v2 - 1) d (1 - g(v1 - 1))
    d, g = math.exp(-1 / 20), lambda u: 1 / (1 + 10 * abs(u)) ** 2
    outer = g(d * 0.1 + 0.3 - 1)
    assert gradient.flatten().tolist() == pytest.approx([outer * d * (1 - (0.0 if detached else g(0.1))), outer])


@pytest.mark.parametrize("cell", [LI(3), LIF(3), LIF(3, tau=[0.01, 0.02, 0.03]), LIF(), Recurrent()], ids=lambda cell: type(cell).__name__)
@pytest.mark.parametrize("leading", [(), (2,), (2, 5), (1, 2, 2)])
def test_a_sequence_is_its_steps_with_any_leading_axes(cell, leading):
    cell = copy.deepcopy(cell).double()
    x = torch.randn(7, *leading, 3)
    y, last = cell(x)
    s, steps = None, []
    for moment in x:
        out, s = cell.step(moment, s)
        steps.append(out)
    assert torch.equal(y, torch.stack(steps))
    assert torch.equal(y, torch.cat([first := cell(x[:3])[0], cell(x[3:], cell(x[:3])[1])[0]]))
    assert len(first) == 3
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(leaves(last), leaves(s), strict=True))


def test_no_moment_at_all():
    for cell, out in ((LIF(3), 3), (Recurrent(), 4)):
        begin = cell.initial(2)
        y, s = cell(torch.zeros(0, 2, 3), begin)
        assert y.shape == (0, 2, out)
        assert torch.equal(s[0], begin[0])
    with pytest.raises(ValueError, match="LIF has 3 features"):
        LIF(3)(torch.zeros(0, 2, 4))


def test_further_inputs_run_along_with_time():
    cell = Recurrent()
    x, gate = torch.randn(6, 2, 3), torch.rand(6, 2, 1)
    y, _ = cell(x, gate=gate)
    s = None
    for t in range(6):
        out, s = cell.step(x[t], s, gate=gate[t])
        assert torch.equal(out, y[t])
    assert torch.equal(cell(x, gate=None)[0], cell(x)[0])
    assert cell(x[:0], gate=gate[:0])[0].shape == (0, 2, 4)
    with pytest.raises(ValueError, match="gate has 5 moments and x has 6"):
        cell(x, gate=gate[:5])
    with pytest.raises(TypeError, match=r"gate of Recurrent was a tensor without axes; accepted is a tensor \[T, ...\], time first"):
        cell(x, gate=torch.tensor(1.0))
    with pytest.raises(TypeError, match=r"gate of Recurrent was a float; accepted is a tensor"):
        cell(x, gate=1.0)
    with pytest.raises(TypeError, match=r"Recurrent takes x and a state, 'post' was given too; accepted are \['gate'\]"):
        cell(x, post=gate)
    with pytest.raises(TypeError, match=r"LI takes x and a state, 'post' was given too; accepted are no others"):
        LI(3)(x, post=gate)


def test_the_state_at_rest():
    cell = LI(2, rest=torch.tensor([-65.0, -70.0]))
    assert cell.initial(3).v.tolist() == [[-65.0, -70.0]] * 3
    assert LI(rest=-1.0).initial(3, 4).v.shape == (3, 4)
    assert Bare().initial_like(torch.zeros(2, device="meta")).v.device.type == "meta"
    assert cell.initial(3, dtype=torch.float32).v.dtype == torch.float32
    assert cell.float().initial(1).v.dtype == torch.float32
    assert LI(2, dt=1e-3).initial_like(torch.zeros(5, 2, dtype=torch.float16)).v.dtype == torch.float64
    assert LI(2, dt=1e-3).to(torch.float16).initial_like(torch.zeros(5, 2, dtype=torch.float16)).v.dtype == torch.float16
    assert LI(2, tau=[0.1, 0.2]).initial_like(torch.zeros(5, 2, dtype=torch.float16)).v.dtype == torch.float64


def test_an_input_in_half_precision_decays_as_slowly_as_it_should():
    # exp(-1 ms / 1 s) = 0.9990 is 1 in bfloat16: a membrane kept in the dtype of the input would stay at 1 for ever.
    x = torch.zeros(1001, 2, 1, dtype=torch.bfloat16)
    x[0] = 1
    for tau in (1.0, [1.0]):
        y, _ = LI(1, tau=tau).float()(x)
        assert y[-1].flatten().tolist() == pytest.approx([math.exp(-1)] * 2, rel=1e-4)


def test_autocast_leaves_states_in_the_precision_of_the_cell():
    cell = LIF(4).float()
    with torch.autocast("cpu", torch.bfloat16):
        x = nn.Linear(3, 4).float()(torch.randn(6, 2, 3, dtype=torch.float32))
        y, s = cell(x)
    assert x.dtype == torch.bfloat16
    assert s.v.dtype == torch.float32
    assert torch.equal(y, cell(x.float())[0])


def test_nan_in_gives_nan_out_for_that_neuron_alone_and_never_a_spike():
    x = torch.full((10, 2, 2), 0.2)
    x[3, 0, 1] = math.nan
    y, s = LIF(2)(x)
    assert y[3:, 0, 1].isnan().all()
    assert s.v[0, 1].isnan()
    clean, _ = LIF(2)(torch.full((10, 2, 2), 0.2))
    keep = torch.ones_like(x, dtype=torch.bool)
    keep[3:, 0, 1] = False
    assert torch.equal(y[keep], clean[keep])


def test_two_calls_share_nothing_so_backward_needs_no_reset():
    cell = LIF(3, learnable=True, threshold=[1.0] * 3)
    before = {name: value.clone() for name, value in cell.state_dict().items()}
    x = torch.randn(20, 3)
    first, _ = cell(x)
    first.sum().backward()
    second, _ = cell(x)
    second.sum().backward()
    assert torch.equal(first, second)
    assert all(torch.equal(before[name], value) for name, value in cell.state_dict().items())


def test_detach_cuts_the_history():
    cell = LI(1)
    x = torch.ones(2, 1, requires_grad=True)
    _, s = cell(x)
    y, _ = cell(torch.ones(2, 1), detach(s))
    assert s.v.requires_grad
    assert not y.requires_grad


def test_threads_and_instances_do_not_meet():
    cell, other = LIF(8), LIF(8)
    inputs = [torch.rand(60, 8) for _ in range(16)]
    alone = [cell(x)[0] for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: cell(x)[0], inputs))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    with torch.no_grad():
        other.threshold += 5
    assert torch.equal(cell(inputs[0])[0], alone[0])


def test_vmap_and_batch_independence():
    cell, x = LIF(3), torch.rand(30, 5, 3)
    y, _ = cell(x)
    assert torch.equal(torch.vmap(lambda one: cell(one)[0], in_dims=1, out_dims=1)(x), y)
    assert torch.equal(cell(x[:, 2:3])[0], y[:, 2:3])


def test_state_dict_round_trip_and_moves():
    cell = LIF(2, tau=[0.01, 0.02], threshold=[0.5, 0.6])
    twin = LIF(2, tau=[0.03, 0.04], threshold=[1.0, 1.0])
    twin.load_state_dict(cell.state_dict())
    x = torch.rand(30, 2)
    assert torch.equal(cell(x)[0], twin(x)[0])
    y, s = cell.float()(x.float())
    assert y.dtype == s.v.dtype == torch.float32
    assert all(tensor.device.type == "meta" for tensor in cell.to("meta").state_dict().values())


def test_update_and_its_gradient_trace_to_pointwise_operations():
    cell = LIF(3, reset=Reset("hard", detach=True))

    def pullback(v, x, dv, dy):
        def run(v, x):
            s, y = cell.update(cell.State(v), x)
            return s.v, y

        return torch.func.vjp(run, v, x)[1]((dv, dy))

    one = torch.rand(2, 3)
    for function, count in ((lambda v, x: cell.update(cell.State(v), x)[1], 2), (pullback, 4)):
        graph = make_fx(function)(*[one] * count).graph
        used = {node.target for node in graph.nodes if node.op == "call_function"}
        blank = {"aten.ones_like.default", "aten.zeros_like.default", "aten.detach.default"}
        assert {str(op) for op in used if torch.Tag.pointwise not in op.tags} <= blank


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda c: c(torch.zeros(3)), ValueError, r"LIF was given an input of shape \[3\]; accepted is \[T, ..., N\], time first"),
        (lambda c: c.step(torch.tensor(1.0)), ValueError, r"shape \[\]; accepted is \[..., N\]"),
        (lambda c: c([1.0]), TypeError, "LIF was given a list; accepted is a tensor"),
        (lambda c: c(torch.zeros(5, 2, 3, dtype=torch.int64)), TypeError, r"dtype torch.int64; .* convert it with x.float\(\)"),
        (lambda c: c(torch.zeros(5, 2, 4)), ValueError, r"LIF has 3 features and was given an input of shape \[5, 2, 4\]"),
        (lambda c: c.step(torch.zeros(2, 4)), ValueError, "LIF has 3 features"),
        (lambda c: c(torch.zeros(5, 2, 3, device="meta")), ValueError, r"LIF lies on cpu and was given an input on meta; move one"),
        (lambda c: c(torch.zeros(5, 2, 3), LI(3).initial(2)), TypeError, r"LIF was given a .*LI.State as its state; accepted is its own"),
        (lambda c: c(torch.zeros(5, 2, 3), torch.zeros(2, 3)), TypeError, "LIF was given a torch.Tensor as its state"),
        (
            lambda c: c(torch.zeros(5, 2, 3), c.initial(4)),
            ValueError,
            r"State 'v' given to LIF has shape \[4, 3\], this input needs \[2, 3\]",
        ),
        (lambda c: c.step(torch.zeros(2, 3), c.initial(4)), ValueError, r"has shape \[4, 3\]"),
        (
            lambda c: c(torch.zeros(5, 2, 3), c.initial(2, dtype=torch.float32)),
            ValueError,
            "has dtype torch.float32, this input needs torch.float64",
        ),
        (lambda c: c(torch.zeros(5, 2, 3), c.initial(2, device="meta")), ValueError, "has device meta, this input needs cpu"),
        (lambda c: LIF(0), ValueError, "The size of a LIF is its number of features, 1 or more, 0 was given"),
        (lambda c: LIF(3.0), ValueError, "3.0 was given"),
        (lambda c: LIF(3, dt=None), ValueError, "dt is missing"),
        (lambda c: LIF(3, dt=-1e-3), ValueError, "above 0, -0.001 was given"),
        (lambda c: LIF(3, dt=0.1), ValueError, "dt is at most tau"),
        (lambda c: Cell(3), TypeError, "Cell has no State; give the class a NamedTuple class State"),
        (lambda c: Empty(3).step(torch.zeros(3)), NotImplementedError, r"Empty states neither update\(s, x\) nor step\(x, s\)"),
    ],
)
def test_bad_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        call(LIF(3))
    assert "\n" not in str(caught.value)
