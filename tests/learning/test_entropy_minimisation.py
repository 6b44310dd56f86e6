"""Entropy minimisation and adaptation: scipy's entropy, one step against autograd by hand, order, statistics, and a shift that is undone."""

import copy

import pytest
import torch
from scipy.stats import entropy as scipys
from torch import nn

from neuropil.learning import EntropyMinimisation, adapt, affine_parameters, entropy


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()


def sgd(lr):
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


def test_entropy_is_scipys():
    scores = torch.randn(5, 4, generator=generator(), dtype=torch.float64)
    assert entropy(scores).tolist() == pytest.approx(scipys(scores.softmax(-1).numpy(), axis=-1).tolist())
    assert entropy(torch.tensor([1e4, 0.0])).item() == 0


def test_a_step_moves_gains_and_biases_down_the_gradient_and_nothing_else():
    model, x = network(), torch.randn(20, 6, generator=generator(), dtype=torch.float64)
    before, twin = copy.deepcopy(model.state_dict()), copy.deepcopy(model)
    rule = EntropyMinimisation(sgd(0.1))
    _, metrics = rule.step(model.train(), (x,), rule.init(model))
    p = twin.train()(x).softmax(-1)
    loss = -(p * p.log()).sum(1).mean()
    loss.backward()
    assert metrics["entropy"].item() == pytest.approx(loss.item())
    for name, value in model.named_parameters():
        expected = before[name] - 0.1 * twin.get_parameter(name).grad if name.startswith("1.") else before[name]
        torch.testing.assert_close(value, expected)


def test_batches_are_predicted_after_their_own_step_with_statistics_of_the_batch():
    model, x = network(), torch.randn(25, 6, generator=generator(), dtype=torch.float64)
    twin = copy.deepcopy(model)
    scores = adapt(model, (x,), EntropyMinimisation(sgd(0.5)), batch_size=10)
    rule = EntropyMinimisation(sgd(0.5))
    state, expected = rule.init(twin), []
    for batch in x.split(10):
        rule.step(twin.train(), (batch,), state)
        expected.append(twin(batch))
    torch.testing.assert_close(scores, torch.cat(expected).detach())
    assert not model.training


def test_without_statistics_and_rule_it_is_the_model_as_trained():
    model, x = network(), torch.randn(25, 6, generator=generator(), dtype=torch.float64)
    model.train()(torch.randn(50, 6, generator=generator(3), dtype=torch.float64))
    before = copy.deepcopy(model.state_dict())
    scores = adapt(model, (x,), None, batch_size=7, statistics=False)
    torch.testing.assert_close(scores, model.eval()(x).detach())
    for name, value in model.state_dict().items():
        assert (value == before[name]).all()


def test_statistics_of_the_batch_undo_a_scale_and_a_shift_of_the_inputs():
    """Normalisation over the batch is invariant to both where it reads each input by itself: the closed form of why it helps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(6, eps=1e-12), nn.Linear(6, 3)).double()
    x = torch.randn(40, 6, generator=generator(), dtype=torch.float64)
    shifted = adapt(model, (3 * x - 7,), None, batch_size=20)
    torch.testing.assert_close(shifted, adapt(model, (x,), None, batch_size=20))


def test_entropy_falls_on_a_stream():
    model, x = network(), torch.randn(400, 6, generator=generator(), dtype=torch.float64)
    still = entropy(adapt(copy.deepcopy(model), (x,), None, batch_size=20)).mean()
    moved = entropy(adapt(model, (x,), EntropyMinimisation(sgd(0.5)), batch_size=20)).mean()
    assert moved < still


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="no parameter to move"):
        EntropyMinimisation(sgd(0.1)).init(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="tensors of one length"):
        adapt(network(), (torch.zeros(4, 6), torch.zeros(3)), None, batch_size=2)
    assert len(list(affine_parameters(network()))) == 2
