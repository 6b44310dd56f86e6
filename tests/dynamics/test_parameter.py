"""Parameters and decays against closed forms, and their sentences."""

import math

import pytest
import torch
from torch import nn

from neuropil.dynamics import Decay, check_dt, parameter


def test_parameter_is_registered_shared_or_per_neuron():
    owner = nn.Module()
    owner.shared = parameter(0.5)
    owner.each = parameter([1.0, 2.0], size=2, learnable=True)
    owner.same = parameter(3.0, size=2, per_neuron=True)
    assert set(dict(owner.named_buffers())) == {"shared", "same"}
    assert set(dict(owner.named_parameters())) == {"each"}
    assert owner.shared.shape == ()
    assert owner.each.tolist() == [1.0, 2.0]
    assert owner.same.tolist() == [3.0, 3.0]
    assert owner.double().each.dtype == torch.float64


def test_parameter_copies_what_it_is_given():
    given = torch.ones(2)
    made = parameter(given, size=2)
    given.zero_()
    assert made.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("value", "kwargs", "sentence"),
    [
        ([1.0, 2.0], {"size": 3}, r"gain of shape \[2\] was given; accepted is one number or 3, one a neuron"),
        ([1.0, 2.0], {}, r"gain of shape \[2\] was given; accepted is one number \(give the cell its size"),
        (torch.ones(2, 2), {"size": 2}, r"gain of shape \[2, 2\] was given"),
        (math.nan, {}, "gain is finite, nan was given"),
        (0.0, {"positive": True}, "gain is above 0, 0.0 was given"),
        (1.0, {"per_neuron": True}, "gain was asked for per neuron but the cell has no size"),
    ],
)
def test_parameter_sentences(value, kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        parameter(value, name="gain", **kwargs)


@pytest.mark.parametrize("tau", [0.001, 0.02, 5.0])
def test_decay_is_the_exponential(tau):
    decay = Decay(torch.tensor(tau, dtype=torch.float64), dt=1e-3)
    assert float(decay()) == pytest.approx(math.exp(-1e-3 / tau), rel=1e-12)
    assert float(decay.tau) == pytest.approx(tau, rel=1e-12)


def test_learnable_decay_stays_a_decay_and_has_the_gradient_of_the_exponential():
    decay = Decay(torch.tensor([0.01, 0.04], dtype=torch.float64), dt=1e-3, size=2, learnable=True)
    decay().sum().backward()
    tau = decay.tau.detach()
    # d exp(-dt / tau) / d log tau = exp(-dt / tau) dt / tau
    assert torch.allclose(decay.log_tau.grad, torch.exp(-1e-3 / tau) * 1e-3 / tau, rtol=1e-12)
    with torch.no_grad():
        decay.log_tau -= 50.0
    assert ((decay() >= 0) & (decay() < 1)).all()
    assert (decay.tau > 0).all()


@pytest.mark.parametrize(
    ("tau", "dt", "sentence"),
    [
        (0.02, None, "dt is missing: the time constant tau needs the length of one step in seconds; give for example dt=1e-3"),
        (0.02, -1e-3, "dt is the length of one step in seconds, above 0, -0.001 was given"),
        (0.02, 0.0, "above 0, 0.0 was given"),
        (0.02, math.nan, "above 0, nan was given"),
        (0.02, 0.03, "dt is at most tau, 0.03 s was given for tau = 0.02 s; take shorter steps"),
        (0.0, 1e-3, "tau is above 0, 0.0 was given"),
        (-0.02, 1e-3, "tau is above 0, -0.02 was given"),
    ],
)
def test_time_constant_sentences(tau, dt, sentence):
    with pytest.raises(ValueError, match=sentence):
        Decay(tau, dt=dt)


def test_dt_may_equal_tau():
    assert float(Decay(0.02, dt=0.02)()) == pytest.approx(math.exp(-1), rel=1e-6)
    assert check_dt(1e-3) == 1e-3
