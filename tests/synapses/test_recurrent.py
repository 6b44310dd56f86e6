"""Recurrent: against torch's own recurrent network, and by hand."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from neuropil.cells import ALIF, LI, LIF, LeakyRate
from neuropil.dynamics import smoothed
from neuropil.observe import clamp, observe
from neuropil.synapses import Dense, Recurrent, SignConstrained


def test_with_an_instant_rate_unit_it_is_torchs_rnn():
    # LeakyRate: h <- d h + (1 - d) x, y = tanh(h). With d -> 0 that is h = x + W y(t - 1): nn.RNN without biases and with identity input.
    cell = LeakyRate(5, tau=1e-3, dt=1e-3)
    cell.decay.dt = 1.0  # exp(-1000) is exactly 0
    model = Recurrent(cell)
    reference = nn.RNN(5, 5, bias=False)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(torch.eye(5))
        reference.weight_hh_l0.copy_(model.synapse.weight)
    x = torch.randn(12, 3, 5)
    torch.testing.assert_close(model(x)[0], reference(x)[0], rtol=1e-5, atol=1e-6)


def test_a_loop_of_one_by_hand():
    model = Recurrent(LI(1, tau=0.02, dt=1e-3))
    model.synapse.weight.data.fill_(0.5)
    d = math.exp(-1e-3 / 0.02)
    y, s = model(torch.tensor([[1.0], [0.0], [0.0]]))
    expected = [1.0, d + 0.5, (d + 0.5) ** 2]  # v <- d v + 0.5 y(t - 1), y = v
    assert y.flatten().tolist() == pytest.approx(expected, rel=1e-6)
    assert s.output.item() == pytest.approx(expected[-1], rel=1e-6)


def test_learning_reaches_the_recurrent_weights_through_time():
    model = Recurrent(LIF(4, dt=1e-3)).double()
    x = torch.rand(10, 2, 4, dtype=torch.float64)
    with smoothed(model):
        y, _ = model(x)
        y[-1].sum().backward()
    assert (model.synapse.weight.grad != 0).all()


@pytest.mark.parametrize(
    ("cell", "synapse", "kind", "says"),
    [
        (nn.Linear(3, 3), None, TypeError, "wraps a Cell"),
        (LI(dt=1e-3), None, ValueError, "give it a size"),
        (LI(3, dt=1e-3), Dense(3, 4), ValueError, "a synapse of size 4"),
        (LI(3, dt=1e-3), nn.Linear(4, 3), ValueError, "a synapse of size 4"),
        (LI(3, dt=1e-3), LI(3, dt=1e-3), TypeError, "plain module"),
    ],
)
def test_bad_parts(cell, synapse, kind, says):
    with pytest.raises(kind, match=says):
        Recurrent(cell, synapse)


def results(model, x, backend, store="recompute"):
    """Outputs and states, gradients of inputs and first states, gradients of parameters."""
    model.use(backend=backend, store=store)
    own = [*model.parameters(), *(buffer.requires_grad_() for buffer in model.cell.buffers())]
    given = x.clone().requires_grad_()
    start = model.State(type(model.cell.initial(1))(*(torch.full_like(x[0], 0.1).requires_grad_() for _ in model.cell.State._fields)),
                        (x[0] > 0.2).to(x.dtype).requires_grad_())  # fmt: skip
    y, s = model(given, start)
    weights = torch.linspace(0, 1, y.numel(), dtype=x.dtype).view(y.shape)
    loss = (y * weights).sum() + (s.output * 2).sum() + sum((one * one).sum() for one in s.cell)
    found = torch.autograd.grad(loss, [given, *start.cell, start.output, *own], allow_unused=True, materialize_grads=True)
    count = 2 + len(start.cell)
    return [y.detach(), s.output.detach(), *(one.detach() for one in s.cell)], found[:count], found[count:]


@pytest.mark.parametrize("store", ["recompute", "state"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("moments", "lead"), [(1, (3,)), (11, (2, 3)), (26, ())])
def test_one_product_and_one_update_a_moment_are_the_steps(store, dtype, moments, lead):
    pytest.importorskip("numba", reason="Numba is not installed; pip install 'neuropil[fast]' runs this test")
    torch.manual_seed(0)
    model = Recurrent(ALIF(12, dt=1e-3, tau=torch.linspace(0.005, 0.03, 12)), SignConstrained(12, 12)).to(dtype)
    x = 0.5 * torch.rand(moments, *lead, 12, dtype=dtype)
    steps, fused = (results(model, x, backend, store) for backend in ("torch", "fused"))
    assert steps[0][0].mean() > 0.01
    tight = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-11}
    for one, other in zip(steps[0], fused[0], strict=True):
        assert torch.equal(one, other)
    for one, other in zip((*steps[1], *steps[2]), (*fused[1], *fused[2]), strict=True):
        torch.testing.assert_close(other, one, **tight)


def test_replicas_and_samples_under_vmap():
    pytest.importorskip("numba", reason="Numba is not installed; pip install 'neuropil[fast]' runs this test")
    models = [Recurrent(LIF(6, dt=1e-3, tau=0.01 + 0.01 * k), generator=torch.Generator().manual_seed(k)).double() for k in range(3)]
    names = ("synapse.weight", "cell.decay.log_tau", "cell.threshold")
    get = [{name: dict((*m.named_parameters(), *m.named_buffers()))[name].detach() for name in names} for m in models]
    stacked = {name: torch.stack([one[name] for one in get]).requires_grad_() for name in names}
    x = torch.rand(9, 3, 4, 6, dtype=torch.float64)
    y, s = vmap(lambda w, one: functional_call(models[0].use(backend="fused"), w, (one,)), in_dims=(0, 1), out_dims=(1, 0))(stacked, x)
    (y.square() * torch.arange(1.0, 10.0)[:, None, None, None]).sum().backward()
    for k, model in enumerate(models):
        own = {name: tensor.clone().requires_grad_() for name, tensor in get[k].items()}
        alone, last = functional_call(model.use(backend="torch"), own, (x[:, k],))
        torch.testing.assert_close(y[:, k], alone, rtol=0, atol=0)
        torch.testing.assert_close(s.cell.v[k], last.cell.v)
        (alone.square() * torch.arange(1.0, 10.0)[:, None, None]).sum().backward()
        for name in names:
            torch.testing.assert_close(stacked[name].grad[k], own[name].grad, rtol=1e-10, atol=1e-11)
    loss = lambda w, one: functional_call(models[0], w, (one,))[0].square().sum()  # noqa: E731
    samples = vmap(torch.func.grad(loss), in_dims=(None, 1))(get[0], x[:, 0])
    own = {name: tensor.clone().requires_grad_() for name, tensor in get[0].items()}
    loss(own, x[:, 0, 1]).backward()
    torch.testing.assert_close(samples["synapse.weight"][1], own["synapse.weight"].grad, rtol=1e-10, atol=1e-11)


def test_when_steps_are_taken_and_why():
    x = torch.rand(8, 2, 4)
    assert "one matrix product and one update" in Recurrent(LIF(4, dt=1e-3)).explain(x)
    assert "more than a matrix of weights" in Recurrent(LIF(4, dt=1e-3), nn.Linear(4, 4)).explain(x)
    assert "steps of its Recurrent" in Recurrent(Recurrent(LIF(4, dt=1e-3))).explain(x)
    model = Recurrent(LIF(4, dt=1e-3))
    y, _ = model(x)
    with observe(model, "cell.v", "synapse") as seen:
        assert "observed or held" in model.explain(x)
        assert torch.equal(model(x)[0], y)
    assert seen["cell.v"].shape == (8, 2, 4)
    with observe(model, "output") as seen:
        assert torch.equal(model(x)[0], seen["output"])
    with clamp(model, {"synapse.weight": 0.0}):
        assert torch.equal(model(x)[0], model.cell(x)[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert "autocast" in model.explain(x)
