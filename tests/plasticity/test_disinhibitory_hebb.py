"""DisinhibitoryHebb: the threshold against the inverse it approximates, one step by hand, and the sign that feedback gives."""

import math

import pytest
import torch
from torch.nn.functional import softplus

from neuropil.cells import DisinhibitoryUnit
from neuropil.plasticity import DisinhibitoryHebb, inhibition_threshold


def test_the_threshold_is_the_tangent_of_the_inverse_softplus():
    mean = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
    exact = torch.log(torch.expm1(mean))
    torch.testing.assert_close(inhibition_threshold(mean, mean), exact)
    for h in (1e-2, 1e-3):
        off = inhibition_threshold(mean + h, mean) - torch.log(torch.expm1(mean + h))
        assert ((off > 0) & (off < 10 * h**2)).all()
    torch.testing.assert_close(inhibition_threshold(mean + 1, mean, slope=0), exact)


def test_one_step_by_hand():
    synapse = DisinhibitoryHebb(2, 1, rate=0.1, mean=1.0, weight=torch.tensor([[0.5, -1.0]])).double()
    x, post, inhibition = (torch.tensor(v, dtype=torch.float64) for v in ([2.0, 3.0], [1.5], [1.2]))
    y, s = synapse.step(x, post=post, inhibition=inhibition)
    theta = math.log(math.e - 1) + 0.2 / (1 - 1 / math.e)
    change = 0.1 * (1.5 - theta) * (1 - math.exp(-1.5))
    assert y.item() == -2.0
    assert s.w.flatten().tolist() == pytest.approx([0.5 + 2 * change, -1 + 3 * change])


def test_without_a_postsynaptic_rate_nothing_is_learned():
    synapse = DisinhibitoryHebb(3, 2, generator=torch.Generator().manual_seed(0))
    _, s = synapse.step(torch.ones(3))
    assert torch.equal(s.w, synapse.weight)


def test_feedback_through_the_interneuron_sets_the_sign():
    cell = DisinhibitoryUnit(1, dt=1e-3)
    x = torch.full((500, 1), 2.0)
    _, opened = cell(x)
    mean = softplus(opened.u_i)
    changes = []
    for feedback in (-0.2, 0.0, 0.2):
        y, s = cell(x, cell.initial()._replace(feedback=torch.tensor([feedback])))
        synapse = DisinhibitoryHebb(1, 1, rate=1.0, mean=mean, weight=torch.zeros(1, 1))
        _, learned = synapse.step(torch.ones(1), post=y[-1], inhibition=softplus(s.u_i))
        changes.append(learned.w.item())
    assert changes[0] < -0.05
    assert changes[1] == pytest.approx(0, abs=1e-5)
    assert changes[2] > 0.05


def test_a_mean_that_no_interneuron_can_have_is_refused():
    with pytest.raises(ValueError, match="mean is above 0"):
        DisinhibitoryHebb(2, 1, mean=0.0)
