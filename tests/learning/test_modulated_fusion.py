"""Modulated fusion: torch's own SGD with another rate for the fusion layer, the size of the noise, replicas as each alone, and what it reports."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from neuropil.learning import ModulatedFusion, Replicas, fit
from neuropil.networks import MLP, FusionNet
from neuropil.plasticity import InverseEffectiveness


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(seed=0):
    draws = generator(seed)
    return FusionNet([MLP([6, 5, 4], generator=draws), MLP([3, 4], generator=draws)], [4, 4], 3, draws).double()


def batch(n=20, seed=3):
    draws = generator(seed)
    return (
        torch.randn(n, 6, generator=draws, dtype=torch.float64),
        torch.randn(n, 3, generator=draws, dtype=torch.float64),
        torch.randint(0, 3, (n,), generator=draws),
    )


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def test_a_constant_factor_is_torchs_sgd_with_another_rate_for_the_fusion_layer():
    model, twin = network(), network()
    rule = ModulatedFusion(sgd, lambda update, alone, together: 2.5)
    state = rule.init(model)
    groups = [{"params": twin.fusion.parameters(), "lr": 0.25}, {"params": [*twin.encoders.parameters(), *twin.heads.parameters()]}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    for k in range(5):
        a, b, target = batch(seed=k)
        state, _ = rule.step(model, (a, b, target), state)
        optimizer.zero_grad()
        sum(cross_entropy(scores, target) for scores in twin(a, b)).backward()
        optimizer.step()
    assert state.update == 5
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_it_reports_the_factor_and_the_weakness_of_its_batch():
    model, (a, b, target) = network(), batch()
    rows = torch.arange(20)
    one, two, both = (scores.softmax(-1)[rows, target].mean() for scores in copy.deepcopy(model)(a, b))
    rule = ModulatedFusion(sgd, lambda update, alone, together: InverseEffectiveness()(alone, together))
    _, metrics = rule.step(model, (a, b, target), rule.init(model))
    assert metrics["weakness"].item() == pytest.approx(1 - (one + two).item() / 2)
    assert metrics["coefficient"].item() == pytest.approx(1 + torch.tanh(1 - (one + two) / 2 / both).item())


def test_noise_has_the_size_of_the_gradient_and_falls_on_the_fusion_layer_alone():
    plain, noisy = network(), network()
    for model, noise in ((plain, 0.0), (noisy, 1.0)):
        rule = ModulatedFusion(lambda p: torch.optim.SGD(p, lr=1.0), lambda *_: 1.0, noise=noise, generator=generator(5))
        rule.step(model, batch(), rule.init(model))
    start = network()
    gradient = start.fusion.weight - plain.fusion.weight
    drawn = torch.randn(24, generator=generator(5), dtype=torch.float64).view(3, 8)
    torch.testing.assert_close(plain.fusion.weight - noisy.fusion.weight, gradient.std() * drawn)
    assert torch.equal(plain.encoders[0].layers.linear1.weight, noisy.encoders[0].layers.linear1.weight)
    assert torch.equal(plain.heads[0].weight, noisy.heads[0].weight)


def test_replicas_learn_as_each_alone():
    data = batch(60)
    rule = ModulatedFusion(sgd, lambda update, alone, together: InverseEffectiveness()(alone, together))
    together, alone = Replicas([network(0), network(1)]), [network(0), network(1)]
    fit(together, data, rule, epochs=3, batch_size=20, seeds=[7, 8], together=True, progress=False)
    for k, model in enumerate(alone):
        fit(model, data, rule, epochs=3, batch_size=20, seed=7 + k, progress=False)
        for own, other in zip(together[k].parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(own, other)


def test_without_heads_it_is_the_gradient_of_the_fusion_alone():
    model, twin, (a, b, target) = network(), network(), batch()
    rule = ModulatedFusion(lambda p: torch.optim.SGD(p, lr=1.0), lambda *_: 1.0, heads=0.0)
    rule.step(model, (a, b, target), rule.init(model))
    cross_entropy(twin(a, b)[-1], target).backward()
    torch.testing.assert_close(
        model.encoders[0].layers.linear1.weight, network().encoders[0].layers.linear1.weight - twin.encoders[0].layers.linear1.weight.grad
    )
    assert torch.equal(model.heads[0].weight, network().heads[0].weight)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="weight of their losses"):
        ModulatedFusion(sgd, lambda *_: 1.0, heads=-1.0)
    with pytest.raises(ValueError, match="drawn from a generator"):
        ModulatedFusion(sgd, lambda *_: 1.0, noise=1.0)
