import numpy as np
import pytest
import torch
from torch import nn

from neuropil.continual import EWC, FastSlowWeights
from neuropil.networks import MLP
from neuropil.testing import check_part

DRAWS = torch.Generator().manual_seed(0)
TASKS = [(torch.randn(30, 4, generator=DRAWS), torch.randint(3, (30,), generator=DRAWS)) for _ in range(3)]


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1)


def linear():
    model = nn.Linear(4, 3).double()
    with torch.no_grad():
        model.weight.copy_(torch.arange(12).reshape(3, 4) / 20 - 0.3)
        model.bias.copy_(torch.tensor([0.1, -0.2, 0.0]))
    return model


def taught(strategy, model, steps=8):
    state = strategy.init(model)
    for x, y in TASKS:
        batch = x.to(next(model.parameters()).dtype), y
        state = strategy.begin(model, batch, state)
        for _ in range(steps):
            state, _ = strategy.step(model, batch, state)
        state = strategy.end(model, batch, state)
    return state


def by_hand(strength, pull, slow_rate, steps=8):
    """Softmax regression by fast and slow weights, in NumPy, the bias as a fifth column."""
    fast = np.concatenate([np.arange(12).reshape(3, 4) / 20 - 0.3, [[0.1], [-0.2], [0.0]]], 1)
    slow, anchor, importance = fast.copy(), fast.copy(), np.zeros((3, 5))
    for x, y in TASKS:
        f, wanted = np.concatenate([x.double().numpy(), np.ones((30, 1))], 1), np.eye(3)[y.numpy()]

        def errors(f=f, wanted=wanted, w=None):
            z = np.exp(f @ w.T)
            return z / z.sum(1, keepdims=True) - wanted

        mobility = np.ones((3, 5)) if not importance.any() else importance.mean() / (importance.mean() + importance)
        fast = (1 - pull * mobility) * fast + pull * mobility * slow
        for _ in range(steps):
            fast = fast - 0.1 * (errors(w=fast).T @ f / 30 + strength * importance * (fast - anchor))
        importance = importance + (errors(w=fast)[:, :, None] * f[:, None]).__pow__(2).mean(0)
        anchor = fast.copy()
        mobility = importance.mean() / (importance.mean() + importance)
        slow = (1 - slow_rate * mobility) * slow + slow_rate * mobility * fast
    return fast, slow


@pytest.mark.parametrize(("strength", "pull", "slow_rate"), [(2.0, 0.4, 0.3), (0.0, 1.0, 0.2), (5.0, 0.0, 1.0)])
def test_softmax_regression_moves_as_written_out_in_numpy(strength, pull, slow_rate):
    model = linear()
    state = taught(FastSlowWeights(sgd, strength=strength, pull=pull, slow_rate=slow_rate), model)
    fast, slow = by_hand(strength, pull, slow_rate)
    np.testing.assert_allclose(model.weight.detach().numpy(), fast[:, :4], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.bias.detach().numpy(), fast[:, 4], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(state["slow"]["weight"].numpy(), slow[:, :4], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(state["slow"]["bias"].numpy(), slow[:, 4], rtol=1e-6, atol=1e-9)


def test_without_pull_fast_weights_are_those_of_ewc_to_the_last_bit():
    pairs = []
    for make in (
        lambda: FastSlowWeights(sgd, strength=3.0, pull=0.0, slow_rate=0.5),
        lambda: EWC(sgd, strength=3.0, decay=1.0),
    ):
        model = MLP([4, 6, 3], generator=torch.Generator().manual_seed(1))
        taught(make(), model)
        pairs.append(list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*pairs, strict=True))


def test_a_full_pull_where_nothing_mattered_starts_at_the_slow_weights_and_without_step_two_they_stay():
    model = linear()
    strategy = FastSlowWeights(sgd, strength=0.0, pull=1.0, slow_rate=0.0)
    state = strategy.init(model)
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    strategy.begin(model, TASKS[0], state)
    torch.testing.assert_close(model.weight.detach(), start)
    assert torch.equal(taught(strategy, model)["slow"]["weight"], start)


def test_weights_that_matter_move_less():
    model = linear()
    strategy = FastSlowWeights(sgd, strength=1.0, pull=0.5, slow_rate=0.5)
    state = taught(strategy, model)
    importance = torch.cat([state["importance"][name].reshape(-1) for name in ("weight", "bias")])
    plasticity = torch.cat([strategy.plasticity(state)[name].reshape(-1) for name in ("weight", "bias")])
    assert torch.equal(importance.argsort(), plasticity.argsort(descending=True))
    assert float(plasticity[(importance - importance.mean()).abs().argmin()]) == pytest.approx(0.5, abs=0.1)


def test_it_passes_what_every_strategy_is_asked():
    from neuropil.continual.fine_tuning import plain

    example = {"strength": 10.0, "pull": 0.5, "slow_rate": 0.3}
    assert check_part(FastSlowWeights, example=example, off={"strength": 0.0, "pull": 0.0, "slow_rate": 0.3}, like=plain)


@pytest.mark.parametrize("wrong", [{"pull": -0.1}, {"pull": 1.1}, {"slow_rate": 2.0}, {"slow_rate": float("nan")}])
def test_shares_beyond_one_are_refused(wrong):
    with pytest.raises(ValueError, match="a pull and a slow_rate from 0 to 1"):
        FastSlowWeights(sgd, **{"strength": 1.0, "pull": 0.5, "slow_rate": 0.5, **wrong})
    with pytest.raises(ValueError, match="strength from 0"):
        FastSlowWeights(sgd, strength=-1.0, pull=0.5, slow_rate=0.5)
