from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from neuropil.learning import Backprop


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(bias)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def test_one_step_of_gradient_descent_by_hand() -> None:
    # y = 2*1 - 1*3 + 0.5 = -0.5, target 1: L = (y - t)^2 = 2.25, dL/dy = -3, dL/dw = -3 x = (-3, -9), dL/db = -3
    model = linear([[2.0, -1.0]], [0.5])
    rule = Backprop(lambda p: torch.optim.SGD(p, lr=0.1), F.mse_loss)
    state = rule.init(model)
    _, metrics = rule.step(model, (torch.tensor([[1.0, 3.0]]).double(), torch.tensor([[1.0]]).double()), state)
    assert metrics["loss"].item() == pytest.approx(2.25)
    torch.testing.assert_close(model.weight.data, torch.tensor([[2.3, -0.1]]).double())
    torch.testing.assert_close(model.bias.data, torch.tensor([0.8]).double())


def test_first_step_of_adam_has_the_size_of_its_rate() -> None:
    # kingma2015: with bias correction the first step is lr * g / (|g| + eps), whatever the gradient's size
    model = linear([[2.0, -1.0]], [0.5])
    rule = Backprop(lambda p: torch.optim.Adam(p, lr=0.01), F.mse_loss)
    rule.step(model, (torch.tensor([[1.0, 3.0]]).double(), torch.tensor([[1.0]]).double()), rule.init(model))
    torch.testing.assert_close(model.weight.data, torch.tensor([[2.01, -0.99]]).double(), atol=1e-8, rtol=0)


def test_many_steps_equal_torchs_own_loop() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    rule = Backprop(lambda p: torch.optim.Adam(p, lr=0.1), F.cross_entropy)
    state, optimizer = rule.init(ours), torch.optim.Adam(theirs.parameters(), lr=0.1)
    for _ in range(20):
        x, y = torch.randn(8, 4), torch.randint(3, (8,))
        state, metrics = rule.step(ours, (x, y), state)
        optimizer.zero_grad()
        loss = F.cross_entropy(theirs(x), y)
        loss.backward()
        optimizer.step()
        assert metrics["loss"] == loss
    assert torch.equal(ours.weight, theirs.weight)
    assert not metrics["loss"].requires_grad


def test_several_inputs_and_frozen_parameters() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.moving, self.frozen = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0), requires_grad=False)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.moving * self.frozen * a * b

    model = Product()
    rule = Backprop(lambda p: torch.optim.SGD(p, lr=1.0), F.l1_loss)
    rule.step(model, (torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([0.0])), rule.init(model))
    assert model.moving.item() == -5.0
    assert model.frozen.item() == 1.0


def test_unusable_input_gets_one_sentence() -> None:
    rule = Backprop(lambda p: torch.optim.SGD(p, lr=0.1), lambda y, t: (y - t) ** 2)
    with pytest.raises(ValueError, match="ReLU has none"):
        rule.init(nn.ReLU())
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="give the target"):
        rule.step(model, (torch.ones(1, 2),), rule.init(model))
    with pytest.raises(ValueError, match="take its mean"):
        rule.step(model, (torch.ones(1, 2), torch.ones(1, 1)), rule.init(model))
