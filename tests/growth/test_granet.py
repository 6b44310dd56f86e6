"""Pruning and regrowth stepped by hand, beside torch's own global pruning, and switched off."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.utils import prune
from torch.testing import assert_close

from neuropil.growth import GraNet, SparseMask, drop_weakest, grow, prune_global
from neuropil.networks import MLP


def mlp(seed=0, sizes=(12, 10, 4)):
    return MLP(sizes, generator=torch.Generator().manual_seed(seed))


def one_layer(weight, gradient=None):
    model = nn.Linear(len(weight[0]), len(weight), bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(weight))
    if gradient is not None:
        model.weight.grad = torch.tensor(gradient)
    return model, SparseMask(model)


@pytest.mark.parametrize("amount", [1, 37, 120, 159])
def test_prune_global_equals_torch_global_unstructured(amount):
    model = mlp()
    peer = copy.deepcopy(model)
    linears = [part for part in peer.modules() if isinstance(part, nn.Linear)]
    prune.global_unstructured([(part, "weight") for part in linears], pruning_method=prune.L1Unstructured, amount=amount)
    mask = SparseMask(model)
    assert prune_global(mask, mask.size - amount) == amount
    mask.apply()
    for name, part in zip(mask, linears, strict=True):
        assert torch.equal(mask[name], part.weight_mask.bool())
        assert torch.equal(mask.weight(name), part.weight)


def test_pruning_again_is_pruning_once_and_never_revives():
    model, again = mlp(), mlp()
    once, twice = SparseMask(model), SparseMask(again)
    prune_global(once, 30)
    prune_global(twice, 90)
    twice.apply()
    prune_global(twice, 30)
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert prune_global(once, 31) == 0
    assert once.active == 30


def test_equal_magnitudes_stay_in_order():
    _, mask = one_layer([[0.0, 1.0, -1.0], [1.0, 0.0, 2.0]])
    prune_global(mask, 2)
    assert mask["weight"].tolist() == [[False, True, False], [False, False, True]]
    with pytest.raises(ValueError, match="one weight at least"):
        prune_global(mask, 0)


def test_one_update_by_hand():
    """Eight weights, density 1/2, half of the rest swapped: every number below was worked out on paper."""
    weight = [[0.9, -0.1, 0.2, -0.8], [0.05, 0.7, -0.3, 0.6]]
    gradient = [[9.0, -1.0, 0.5, 8.0], [-4.0, 0.1, 3.0, 0.2]]
    model, mask = one_layer(weight, gradient)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    optimizer.step()  # at rate 0 only the momentum takes the gradient
    rule = GraNet(mask, steps=10, every=1, end=1, final_density=0.5, share=0.5, final_share=0.5)
    update = rule.step(optimizer)
    # The four largest are .9, -.8, .7, .6. Of these .6 and .7 are dropped; absent gradients rank -4, 3, -1, ... and take their places.
    assert update == (1, 0.5, 4, 2)
    assert mask["weight"].tolist() == [[True, False, False, True], [True, False, True, False]]
    assert_close(model.weight.detach(), torch.tensor([[0.9, 0.0, 0.0, -0.8], [0.0, 0.0, 0.0, 0.0]]))
    momentum = optimizer.state[model.weight]["momentum_buffer"]
    assert momentum.tolist() == [[9.0, 0.0, 0.0, 8.0], [0.0, 0.0, 0.0, 0.0]]
    assert rule.births["weight"].tolist() == [[-1, -1, -1, -1], [1, -1, 1, -1]]
    assert rule.regrown("weight").tolist() == [[False] * 4, [True, False, True, False]]


def test_a_weight_dropped_and_grown_at_once_was_not_swapped():
    """As in the authors' code: its gradient is the largest among the absent, so it keeps its value and has no birth."""
    model, mask = one_layer([[3.0, 2.0, 1.0, 0.5]], [[0.0, 9.0, 1.0, 2.0]])
    mask["weight"] = torch.tensor([[True, True, False, False]])
    rule = GraNet(mask, steps=10, every=1, end=0, final_density=0.5, share=0.5, final_share=0.5)
    assert rule.step() == (1, 0.5, 0, 0)
    assert model.weight.tolist() == [[3.0, 2.0, 0.0, 0.0]]
    assert rule.births["weight"].max() == -1


def test_drop_rounds_up_layer_by_layer():
    _, mask = one_layer([[5.0, -1.0, 2.0, 3.0, 4.0]])
    assert drop_weakest(mask, "weight", 0.21) == math.ceil(0.21 * 5) == 2
    assert mask["weight"].tolist() == [[True, False, False, True, True]]
    assert drop_weakest(mask, "weight", 0.0) == 0
    with pytest.raises(ValueError, match="from 0 to 1"):
        drop_weakest(mask, "weight", 1.1)


def test_growth_reads_the_gradient_of_the_batch_just_seen():
    model = mlp()
    mask = SparseMask(model)
    mask.draw(dict.fromkeys(mask, 0.2), torch.Generator().manual_seed(1))
    mask.apply()
    x, y = torch.randn(7, 12), torch.randn(7, 4)
    mse_loss(model(x), y).backward()
    name = "layers.linear1.weight"
    # By the chain rule, without autograd, at every place of the first layer, absent ones included.
    first, second = (mask.weight(n).detach() for n in mask)
    hidden = torch.relu(x @ first.T)
    error = 2 * (hidden @ second.T - y) / y.numel()
    dense = ((error @ second) * (hidden > 0)).T @ x
    wanted = dense.abs().masked_fill(mask[name], -1).flatten().topk(9).indices
    grown = grow(mask, name, 9, "gradient")
    assert set(grown.flatten().nonzero().squeeze(1).tolist()) == set(wanted.tolist())
    assert mask[name][grown].all()


def test_random_growth_is_uniform_over_absent_places():
    _, mask = one_layer([[1.0] * 10])
    counts = torch.zeros(10)
    for seed in range(900):
        mask["weight"] = torch.tensor([[True] + [False] * 9])
        counts += grow(mask, "weight", 3, "random", torch.Generator().manual_seed(seed))[0]
    assert counts[0] == 0
    assert_close(counts[1:], torch.full((9,), 300.0), atol=60, rtol=0)  # four standard deviations and more


def test_growth_refuses():
    _, mask = one_layer([[1.0, 2.0]])
    with pytest.raises(ValueError, match="0 absent weights and 1"):
        grow(mask, "weight", 1, "random")
    mask["weight"] = torch.tensor([[True, False]])
    with pytest.raises(ValueError, match="before zero_grad"):
        grow(mask, "weight", 1, "gradient")
    with pytest.raises(ValueError, match="choose one"):
        grow(mask, "weight", 1, "momentum")


SETTINGS = {"steps": 40, "every": 4, "end": 28, "final_density": 0.1}


def course(seed=0, optimizer=None, steps=40, **settings):
    model = mlp(seed)
    rule = GraNet(SparseMask(model), **{**SETTINGS, **settings}, generator=torch.Generator().manual_seed(seed))
    optimizer = (optimizer or (lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)))(model.parameters())
    return model, rule, train(model, rule, optimizer, range(steps))


def train(model, rule, optimizer, steps):
    updates = []
    for step in steps:
        x = torch.randn(16, 12, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        mse_loss(model(x), x[:, :4].abs()).backward()
        optimizer.step()
        updates.append(rule.step(optimizer))
    return updates


@pytest.mark.parametrize("how", ["gradient", "random", None])
def test_the_density_follows_the_curve_whatever_is_regrown(how):
    model, rule, updates = course(regrow=how)
    done = [update for update in updates if update is not None]
    assert [update.step for update in done] == list(range(4, 40, 4))  # the last step changes nothing
    size = rule.mask.size
    for update in done:
        assert update.density == round((0.1 + 0.9 * max(0.0, 1 - update.step / 28) ** 3) * size) / size
    assert sum(update.pruned for update in done) == size - round(0.1 * size)
    assert (sum(update.regrown for update in done) > 0) == (how is not None)
    for name in rule.mask:
        assert not model.get_parameter(name)[~rule.mask[name]].any()


@pytest.mark.parametrize("how", ["gradient", "random"])
def test_share_zero_is_gradual_magnitude_pruning_exactly(how):
    off, gradual, on = course(regrow=how, share=0.0)[0], course(regrow=None)[0], course(regrow=how)[0]
    assert all(torch.equal(a, b) for a, b in zip(off.parameters(), gradual.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(on.parameters(), gradual.parameters(), strict=True))


def test_the_share_falls_as_torch_anneals_a_rate():
    """The authors anneal it with torch's CosineAnnealingLR over all of training."""
    _, rule, _ = course(steps=0)
    stepper = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    anneal = torch.optim.lr_scheduler.CosineAnnealingLR(stepper, 40, 0.005)
    for step in range(1, 40):
        stepper.step()
        anneal.step()
        assert rule.share_at(step) == pytest.approx(anneal.get_last_lr()[0], rel=1e-6)


def test_constant_density_rewires_without_pruning():
    model = mlp()
    mask = SparseMask(model)
    mask.draw(dict.fromkeys(mask, 0.25), torch.Generator().manual_seed(2))
    before = mask.state_dict()
    rule = GraNet(mask, steps=9, every=2, end=0, final_density=0.25, regrow="random", generator=torch.Generator().manual_seed(3))
    updates = [rule.step() for _ in range(9)]
    assert all(update.pruned == 0 and update.density == 0.25 for update in updates if update)
    assert any((mask[name] != before[name]).any() for name in mask)
    assert [int(mask[name].sum()) for name in mask] == [int(kept.sum()) for kept in before.values()]


@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_any_optimiser_forgets_what_went_and_what_came(make):
    """After an update an absent weight and one just grown are 0, and nothing of them is remembered; what stayed is."""
    model = mlp()
    rule = GraNet(SparseMask(model), **SETTINGS)
    optimizer = make(model.parameters(), lr=0.01)
    train(model, rule, optimizer, range(8))
    for name in rule.mask:
        weight = rule.mask.weight(name)
        new = rule.births[name] == 8
        assert new.any()
        held = [value for value in optimizer.state[weight].values() if torch.is_tensor(value) and value.shape == weight.shape]
        assert held
        for value in (weight.detach(), *held):
            assert not value[~rule.mask[name] | new].any()
            assert value[rule.mask[name] & ~new].any()


def test_state_resumes_to_the_same_bits():
    # Plain gradient descent remembers nothing, so that model, masks and count are the whole state.
    plain = [course(optimizer=lambda p: torch.optim.SGD(p, lr=0.05), steps=steps) for steps in (40, 22)]
    resumed = mlp(seed=5)
    again = GraNet(SparseMask(resumed), **SETTINGS)
    resumed.load_state_dict(plain[1][0].state_dict())
    again.load_state_dict(plain[1][1].state_dict())
    train(resumed, again, torch.optim.SGD(resumed.parameters(), lr=0.05), range(22, 40))
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), plain[0][0].parameters(), strict=True))
    assert all(torch.equal(again.births[name], plain[0][1].births[name]) for name in again.mask)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every >= 1"),
        ({"end": 41}, "start <= end <= steps"),
        ({"share": 0.2, "final_share": 0.3}, "final_share <= share"),
        ({"regrow": "momentum"}, "prunes only"),
        ({"final_density": 0.0}, "0 < final"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        GraNet(SparseMask(mlp()), **{**SETTINGS, **settings})
