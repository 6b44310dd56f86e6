"""Chunks of time computed again against plain backpropagation through time, for every registered part with a state."""

import gc
import random
import weakref

import pytest
import torch
from torch import nn
from torch.func import functional_call

import neuropil.plasticity  # noqa: F401
from neuropil.cells import LI, LIF, CubaLIF
from neuropil.dynamics import Cell, Chain, Circuit, Edge, checkpoint_through_time, leaves, map_state
from neuropil.dynamics.checkpoint import _Chunk
from neuropil.dynamics.registry import CELLS, SYNAPSES
from neuropil.learning.replicas import Replicas
from neuropil.observe import clamp, observe
from neuropil.synapses import DelayedLinear, Dense, EventDense, Recurrent

WITH_STATE = [part for registry in (CELLS, SYNAPSES) for part in registry if isinstance(part.small(), Cell)]


def drawn(*shape, high=3.0, seed=0):
    return high * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(run, model, x, s, along, loss=lambda y: y.square().mean(0).sum()):
    """Outputs and last states, and the gradients of the input, the first states, what comes along and the parameters."""
    x, s, along = map_state(lambda tensor: tensor.detach().clone().requires_grad_(), (x, s, along))
    y, last = run(model, x, s, **along)
    total = loss(y) + sum((1 + place) * tensor.square().sum() for place, (_, tensor) in enumerate(leaves(last)))
    wanted = [x, *(tensor for _, tensor in leaves((s, along))), *model.parameters()]
    return [y, *(tensor for _, tensor in leaves(last))], torch.autograd.grad(total, wanted, allow_unused=True)


def plain(model, x, s, **along):
    return model(x, s, **along)


def assert_alike(model, x, s=None, along=None, chunk=None, **options):
    def in_chunks(model, x, s, **along):
        return checkpoint_through_time(model, x, s, chunk=chunk, **along)

    ours, theirs = (gradients(run, model, x, s, along or {}, **options) for run in (in_chunks, plain))
    for one, other in zip((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    assert any(one is not None and one.any() for one in ours[1])


@pytest.mark.parametrize("part", WITH_STATE, ids=lambda part: part.name)
def test_gradients_of_every_part_are_those_of_the_whole_sequence(part):
    torch.manual_seed(0)
    model = part.small().double()
    features = part.features or (model.size,)
    x = drawn(11, 2, *features)
    along = {name: drawn(11, 2, size, seed=1) for name, size in part.along.items()}
    s = model(drawn(5, 2, *features, seed=2), **{name: tensor[:5] for name, tensor in along.items()})[1]
    assert_alike(model, x, s, along)


def network():
    torch.manual_seed(0)
    inner = Chain(Recurrent(LIF(6, dt=1e-3)), nn.LayerNorm(6))
    loop = Circuit(
        {"e": CubaLIF(6, dt=1e-3), "i": LIF(6, dt=1e-3)}, [("input", "e"), ("e", "i"), Edge("i", "e", 2, Dense(6, 6))], output="e", size=6
    )
    return Chain(
        DelayedLinear(5, 6, max_delay=4), LIF(6, dt=1e-3), inner, loop, EventDense(6, 80), nn.Linear(80, 3), LI(3, dt=1e-3)
    ).double()


@pytest.mark.parametrize("chunk", [None, 1, 3, 22, 23, 40])
def test_a_network_of_delays_loops_and_nested_states(chunk):
    assert_alike(network(), drawn(23, 2, 5), chunk=chunk)
    assert_alike(network(), drawn(23, 2, 5), chunk=chunk, loss=lambda y: y.max(0).values.sum() - y[-1].sum())


@pytest.mark.parametrize("moments", [0, 1, 2])
def test_short_sequences(moments):
    model, x = network(), drawn(moments, 2, 5)
    assert torch.equal(checkpoint_through_time(model, x)[0], model(x)[0])


def test_without_gradients_it_runs_too():
    model, x = network(), drawn(23, 2, 5)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            assert torch.allclose(checkpoint_through_time(model, x)[0], model(x)[0])


def test_what_a_chunk_computes_is_forgotten_until_it_is_due():
    alive, most = [], []

    class Watched(nn.Identity):
        def forward(self, x):
            out = x * 1.0
            alive.append(weakref.ref(out))
            most.append(sum(one() is not None for one in alive))
            return out

    model = Chain(nn.Linear(3, 4), Watched(), LIF(4, dt=1e-3).use(backend="torch"), nn.Linear(4, 2)).double()
    y, _ = checkpoint_through_time(model, drawn(100, 2, 3))
    assert len(alive) == 10
    assert not any(one() is not None for one in alive)
    y.square().sum().backward()
    assert len(alive) == 20
    assert max(most) == 1


def test_no_graph_holds_itself():
    gc.collect()
    gc.disable()
    try:
        y, s = checkpoint_through_time(network(), drawn(23, 2, 5))
        y.square().sum().backward()
        del y, s
        assert not any(type(one) is _Chunk for one in gc.get_objects())
    finally:
        gc.enable()


def test_dropout_draws_the_same_on_the_way_back_and_leaves_the_generator_alone():
    x = (1 + drawn(20, 3, 4)).requires_grad_()
    torch.manual_seed(3)
    y, _ = checkpoint_through_time(Chain(nn.Dropout(0.5)), x)
    after = torch.get_rng_state()
    y.sum().backward()
    assert torch.allclose(x.grad * x, y)
    assert 0.2 < float((y == 0).double().mean()) < 0.8
    assert torch.equal(torch.get_rng_state(), after)


def test_autocast_is_that_of_the_way_forwards():
    model, x = Chain(nn.Linear(5, 6), LI(6, dt=1e-3)), drawn(16, 2, 5).float()
    found = []
    for run in (plain, checkpoint_through_time):
        with torch.autocast("cpu", torch.bfloat16):
            y, _ = run(model, x, None)
        found.append(torch.autograd.grad(y.float().square().sum(), list(model.parameters())))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=0.02)


def test_the_graph_can_be_gone_through_twice():
    model = network()
    y, _ = checkpoint_through_time(model, drawn(23, 2, 5))
    first = torch.autograd.grad(y.sum(), list(model.parameters()), retain_graph=True, allow_unused=True)
    second = torch.autograd.grad(y.sum(), list(model.parameters()), allow_unused=True)
    assert all(one is other is None or torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_tensors_put_in_by_functional_call_are_those_of_the_way_back():
    class Through(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Chain(nn.Linear(3, 3), nn.Tanh(), LI(3, dt=1e-3), nn.Linear(3, 2)).double()

        def forward(self, x, chunks):
            return (checkpoint_through_time(self.net, x) if chunks else self.net(x))[0]

    model, x = Through(), drawn(9, 2, 3)
    own = {name: drawn(*tensor.shape, seed=4).requires_grad_() for name, tensor in model.named_parameters()}
    found = [torch.autograd.grad(functional_call(model, own, (x, chunks)).square().sum(), list(own.values())) for chunks in (True, False)]
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-9)


def test_replicas_under_a_module_with_time_first():
    class TimeFirst(nn.Module):
        def __init__(self, models):
            super().__init__()
            self.replicas = Replicas(models)

        def forward(self, x, s=None):
            y, s = self.replicas(x.movedim(1, 0), *(() if s is None else (s,)))
            return y.movedim(1, 0), s

    torch.manual_seed(0)
    model = TimeFirst(Chain(nn.Linear(3, 4), LIF(4, dt=1e-3), nn.Linear(4, 2)).double() for _ in range(3))
    assert_alike(model, drawn(17, 3, 2, 3))


def test_what_runs_inside_is_observed_once():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Chain(nn.Linear(3, 4), hidden=LIF(4, dt=1e-3))

        def forward(self, x, chunks=True):
            return (checkpoint_through_time(self.net, x) if chunks else self.net(x))[0]

    torch.manual_seed(0)
    model, x = Net().double(), drawn(20, 2, 3)
    with observe(model, "net.hidden.v") as seen:
        model(x).sum().backward()
        in_chunks = seen["net.hidden.v"]
        model(x, chunks=False)
        assert torch.allclose(seen["net.hidden.v"], in_chunks)
    with clamp(model, {"net.hidden.v": 0.0}):
        y = model(x)
    with pytest.raises(RuntimeError, match=r"Chain did not do on the way back what it did|different metadata|number of tensors"):
        y.sum().backward()


class Draws(nn.Module):
    def forward(self, x, s=None):
        return x.square() * random.random(), s


class Counts(nn.Module):
    def __init__(self, anew=False):
        super().__init__()
        self.runs, self.anew = nn.Buffer(torch.zeros(())), anew

    def forward(self, x, s=None):
        self.runs = self.runs + 1 if self.anew else self.runs.add_(1)
        return x, s


def test_a_model_that_does_not_repeat_itself_is_refused_on_the_way_back():
    y, _ = checkpoint_through_time(Draws(), drawn(9, 2).requires_grad_())
    with pytest.raises(RuntimeError, match="Draws did not do on the way back what it did on the way forwards; it draws random numbers"):
        y.sum().backward()


def test_tensors_changed_before_the_way_back_are_refused():
    model = network()
    y, _ = checkpoint_through_time(model, drawn(9, 2, 5))
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(2)
    with pytest.raises(
        RuntimeError, match=r"changed in place before its way back; change parameters, inputs and states after backward\(\)"
    ):
        y.sum().backward()


def test_the_last_state_may_be_changed_in_place():
    model = network()
    y, s = checkpoint_through_time(model, drawn(9, 2, 5))
    with torch.no_grad():
        map_state(torch.Tensor.zero_, s)
    y.sum().backward()
    assert model.get_parameter("0.weight").grad.any()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda net, x: checkpoint_through_time(net, x, chunk=0), ValueError, "A chunk is a whole number of moments, 1 or more, 0 was given"),
        (lambda net, x: checkpoint_through_time(net, x, chunk=True), ValueError, "A chunk is a whole number of moments"),
        (lambda net, x: checkpoint_through_time(net, [x]), TypeError, r"x was a list; accepted is a tensor \[T, ..., N\], time first"),
        (lambda net, x: checkpoint_through_time(net, x, post=x[:2]), ValueError, "post has 2 moments and x has 4"),
        (lambda net, x: checkpoint_through_time(Chain(nn.BatchNorm1d(3)), x), ValueError, "'0' is batch normalisation in training"),
        (lambda net, x: checkpoint_through_time(Counts(), x), ValueError, "'runs' of Counts is changed by a run"),
        (lambda net, x: checkpoint_through_time(Counts(anew=True), x), ValueError, "'runs' of Counts is changed by a run"),
        (lambda net, x: checkpoint_through_time(nn.Linear(3, 3), x), TypeError, "forward"),
        (lambda net, x: torch.vmap(lambda x: checkpoint_through_time(net, x)[0])(x), RuntimeError, r"Chain cannot be run in chunks inside torch.vmap"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(Chain(nn.Linear(3, 3), LIF(3, dt=1e-3)), torch.rand(4, 2, 3))


def test_a_model_without_an_output_a_moment_and_one_that_is_hooked():
    class Mean(nn.Module):
        def forward(self, x, s=None):
            return x.mean(0), s

    with pytest.raises(ValueError, match=r"Mean did not give outputs \[T, ..., N\], one a moment, and a state"):
        checkpoint_through_time(Mean(), torch.rand(9, 2, 3))
    net = Chain(nn.Linear(3, 3), hidden=LIF(3, dt=1e-3))
    with pytest.raises(ValueError, match="Chain itself has hooks"), observe(net, "hidden.v"):
        checkpoint_through_time(net, torch.rand(4, 2, 3))


def test_batch_normalisation_at_rest_is_the_same_in_chunks():
    model = Chain(nn.Linear(3, 4), nn.BatchNorm1d(4), LIF(4, dt=1e-3)).double().eval()
    assert_alike(model, drawn(12, 2, 3))
