import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.testing import assert_close

from neuropil.growth import SparseMask


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def pattern(mask, seed=1, density=0.4):
    generator = torch.Generator().manual_seed(seed)
    for name in mask:
        mask[name] = torch.rand(mask[name].shape, generator=generator) < density


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgd fused": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
}


def test_weights_with_two_dimensions_or_more_are_masked_unless_named():
    model = net()
    assert list(SparseMask(model)) == ["0.weight", "3.weight", "5.weight"]
    chosen = SparseMask(model, ["5.weight"])
    assert list(chosen) == ["5.weight"]
    assert chosen.weight("5.weight") is model[5].weight
    assert (chosen.size, chosen.active, chosen.density, chosen.densities()) == (8, 8, 1.0, {"5.weight": 1.0})


def test_forward_and_gradients_equal_the_dense_net_with_zeros():
    model, mask = net(), None
    dense = copy.deepcopy(model)
    mask = SparseMask(model)
    pattern(mask)
    mask.apply()
    with torch.no_grad():
        for name, weight in dense.named_parameters():
            if name in list(mask):
                weight.mul_(mask[name])
    x = torch.randn(5, 1, 4, 4)
    assert torch.equal(model(x), dense(x))
    for one in (model, dense):
        one(x).square().sum().backward()
    for a, b in zip(model.parameters(), dense.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    assert (model[3].weight.grad[~mask["3.weight"]] != 0).any()  # absent weights still have the gradient that growth reads


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_masked_training_is_training_of_the_masked_function(make):
    """Under any optimiser: the same course as a net whose forward pass multiplies its weights by the mask."""
    model = net()
    peer = copy.deepcopy(model)
    mask = SparseMask(model)
    pattern(mask)
    optimizer = make(model.parameters())
    mask.attach(optimizer)
    with torch.no_grad():
        for name, weight in peer.named_parameters():
            if name in list(mask):
                weight.mul_(mask[name])
    follow = make(peer.parameters())
    for step in range(6):
        x, y = torch.randn(8, 1, 4, 4), torch.randn(8, 2)
        for one, stepper in ((model, optimizer), (peer, follow)):
            stepper.zero_grad()
            weights = {n: w * mask[n] if n in list(mask) else w for n, w in one.named_parameters()} if one is peer else {}
            mse_loss(torch.func.functional_call(one, weights, x), y).backward()
            stepper.step()
        for name in mask:
            assert_close(mask.weight(name), dict(peer.named_parameters())[name], msg=lambda text, s=step: f"step {s}: {text}")
            assert not mask.weight(name)[~mask[name]].any()
            held = [v for v in optimizer.state[mask.weight(name)].values() if torch.is_tensor(v) and v.shape == mask[name].shape]
            assert held or not optimizer.state[mask.weight(name)]
            assert not any(v[~mask[name]].any() for v in held)
            assert all(v[mask[name]].any() for v in held)


def test_the_hook_can_be_removed():
    model = nn.Linear(3, 2)
    mask = SparseMask(model)
    mask["weight"] = torch.tensor([[True, False, True], [False, True, True]])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    handle = mask.attach(optimizer)
    assert model.weight[0, 1] == 0
    handle.remove()
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    assert model.weight[0, 1] == -1


def test_the_model_may_be_cast_after_it_was_masked():
    model = nn.Linear(3, 2)
    mask = SparseMask(model)
    pattern(mask)
    model.double()
    mask.apply()
    assert model.weight.dtype == torch.float64
    assert torch.equal(model.weight != 0, mask["weight"])


def test_drawn_masks_have_the_asked_number_of_weights():
    mask = SparseMask(net())
    mask.draw({"0.weight": 0.5, "3.weight": 0.25}, torch.Generator().manual_seed(3))
    assert [int(mask[name].sum()) for name in mask] == [round(0.5 * 27), 12, 8]
    first = mask["3.weight"].clone()
    mask.draw({"3.weight": 0.25}, torch.Generator().manual_seed(4))
    assert not torch.equal(first, mask["3.weight"])
    counts = torch.zeros(4, 12)
    for seed in range(400):
        mask.draw({"3.weight": 0.25}, torch.Generator().manual_seed(seed))
        counts += mask["3.weight"]
    assert counts.min() > 60  # of 100 expected: no place is left out
    assert counts.max() < 140


def test_state_goes_round_and_instances_do_not_touch():
    model = net()
    mask, other = SparseMask(model), SparseMask(net(1))
    pattern(mask)
    assert other.density == 1.0
    other.load_state_dict(mask.state_dict())
    assert all(torch.equal(mask[name], other[name]) for name in mask)
    other["5.weight"] = ~other["5.weight"]
    assert not torch.equal(mask["5.weight"], other["5.weight"])


def test_refusals():
    model = net()
    mask = SparseMask(model)
    with pytest.raises(ValueError, match=r"no parameter 'w'; it has 0.weight"):
        SparseMask(model, ["w"])
    with pytest.raises(ValueError, match="one weight or more"):
        SparseMask(nn.LayerNorm(3))
    with pytest.raises(ValueError, match="each once"):
        SparseMask(model, ["0.weight", "0.weight"])
    with pytest.raises(ValueError, match=r"bool \[2, 4\]"):
        mask["5.weight"] = torch.ones(2, 4)
    with pytest.raises(ValueError, match="masked are"):
        mask["w"]
    with pytest.raises(ValueError, match="share from 0 to 1"):
        mask.draw({"5.weight": 1.2})
    with pytest.raises(ValueError, match="give these"):
        mask.load_state_dict({"w": torch.ones(1)})
