import math

import pytest
import torch
from torch.testing import assert_close

from neuropil.agents.cart_pole import CartPoleState
from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.studies.memory import dt_mem as dt
from neuropil.studies.memory.dt_mem import study

SMOKE = Settings("smoke", study.budgets["smoke"])
DESK = Settings("desk", study.budgets["desk"])
SEED = Seed(1000)
KEPT = ("slots", "reset")
DOSE = {"between_slots", "selective", "varied"}


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def carts(dynamics=(0, 1, 3), episodes=4, moments=50, seed=0):
    return dt.Carts(dynamics, episodes, moments, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics) - (set() if name in KEPT else DOSE)
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_the_cache_and_slots_are_not(outcomes):
    for name, value in numbers(outcomes["off"]).items():
        assert value == pytest.approx(outcomes["cache"][name], abs=1e-5)
    assert outcomes["slots"]["learning"].y[0] != outcomes["cache"]["learning"].y[0]


def test_sizes_and_what_is_in_reach_are_equal_where_they_are_said_to_be():
    size = {name: sum(part.numel() for part in dt.network(arm(name), DESK, SEED).parameters()) for name in study.arms}
    assert size["slots"] == size["reset"]
    assert size["slots"] == pytest.approx(size["cache"], rel=0.02)
    assert study.arms["slots"]["window"] + study.arms["slots"]["slots"] == study.arms["cache"]["window"]


def test_the_lesion_is_the_same_learning_and_another_test(outcomes):
    assert outcomes["slots"]["learning"].y == outcomes["reset"]["learning"].y
    net = dt.network(arm("slots"), DESK, SEED)
    x = torch.randn(3, 40, dt.SEEN, generator=torch.Generator().manual_seed(1))
    whole, cut = net(x), net(x, False)
    assert_close(whole[:, :16], cut[:, :16])
    assert not torch.allclose(whole[:, 16:], cut[:, 16:])


def test_gains_are_where_value_iteration_ends():
    """The Riccati recursion on a linearisation by differences."""
    for k, world in enumerate(dt.WORLDS):
        step = 1e-6

        def moved(s, a, world=world):
            state = CartPoleState(*torch.tensor(s, dtype=torch.float64))
            return torch.stack(world.step(state, torch.tensor(a, dtype=torch.float64))[0])

        unit = torch.eye(4, dtype=torch.float64) * step
        a = torch.stack([(moved(e.tolist(), 0.0) - moved((-e).tolist(), 0.0)) / (2 * step) for e in unit], 1)
        b = ((moved([0.0] * 4, step) - moved([0.0] * 4, -step)) / (2 * step)).unsqueeze(1)
        cost = torch.diag(torch.tensor([1.0, 0.1, 10.0, 0.1], dtype=torch.float64))
        p = cost
        for _ in range(3000):
            gain = (b.T @ p @ a) / (3.0 + b.T @ p @ b)
            p = cost + a.T @ p @ (a - b @ gain)
        assert_close(dt.gains()[k], gain[0].float(), rtol=1e-3, atol=1e-4)


def test_the_expert_holds_all_poles_up_and_the_wrong_sign_none():
    for sign, share in ((1, 1.0), (-1, 0.0)):
        some = carts(tuple(range(8)), 5, 60)
        low = torch.ones(some.shape)
        for _ in range(dt.TRIAL - 1):
            some.step(sign * some.expert())
            low = torch.minimum(low, some.up.float())
        assert float(low.mean()) == pytest.approx(share, abs=0.15)


def test_a_fallen_pole_lies_for_its_pause_and_is_set_up_again():
    some = carts()
    some.state = some.state._replace(theta=torch.full(some.shape, dt.FALLEN + 0.1))
    ups = []
    for _ in range(dt.PAUSE + 2):
        some.step(torch.ones(some.shape))
        ups.append(bool(some.up.all()))
        if not ups[-1]:
            assert not some.up.any()
            assert (some.state.theta == 0).all()
            assert (some.see()[..., 8] == 1).all()
    assert ups.index(True) == dt.PAUSE
    assert some.state.theta.abs().max() < dt.FALLEN


def test_all_poles_are_laid_down_between_trials_and_what_counts_lies_within():
    some = carts(tuple(range(8)), 5, 80)
    ups = []
    for _ in range(80):
        some.step(some.expert())
        ups.append(float(some.up.float().mean()))
    counts = dt.in_trials(80)
    assert [k for k, up in enumerate(ups) if up == 0] == [k for k in range(80) if not counts[k]]
    assert min(up for up, one in zip(ups, counts, strict=True) if one) > 0.9
    assert int((~counts).sum()) == dt.PAUSE + 1  # the last moment begins the next


def test_kicks_and_noise_do_not_depend_on_what_is_done():
    one, other = carts(), carts()
    for _ in range(6):
        one.see(), other.see()
        one.step(torch.ones(one.shape))
        other.step(torch.zeros(one.shape))
    assert torch.equal(one.generator.get_state(), other.generator.get_state())


def test_what_is_seen_is_place_and_tilt_with_noise_and_their_change():
    some = carts((0,), 2000)
    first = some.see()[0]
    assert float((first[:, 1] - some.state.x[0]).std()) == pytest.approx(dt.NOISE[0], rel=0.1)
    assert float((first[:, 2] / 5 - some.state.theta[0]).std()) == pytest.approx(dt.NOISE[1], rel=0.1)
    assert (first[:, 3:7] == 0).all()
    some.step(torch.full(some.shape, 0.5))
    second = some.see()[0]
    assert_close(second[:, 4], 0.7 * (second[:, 2] - first[:, 2]) / 5 / 0.02, rtol=1e-3, atol=1e-3)
    assert (second[:, 5:7] == 0).all()
    assert (second[:, 7] == 0.5).all()
    some.step(torch.full(some.shape, 0.5))
    third = some.see()[0]
    assert_close(third[:, 6], (third[:, 4] - second[:, 4]) / 0.7, rtol=1e-3, atol=1e-3)


def test_logs_hold_the_learned_dynamics_and_what_their_expert_would_do():
    seen, wanted = dt.log(SMOKE, SEED.torch("data"))
    assert seen.shape == (len(dt.LEARNED) * SMOKE.episodes, SMOKE.moments, dt.SEEN)
    assert set(dt.LEARNED) | set(dt.HELD_OUT) == set(range(8))
    assert wanted[..., 0].abs().max() <= 1
    assert torch.equal(1 - wanted[..., 1], seen[..., 8])
    assert torch.equal(seen[0, :, 9:], dt.telling(dt.LEARNED)[0] * (torch.arange(SMOKE.moments) < dt.SHOWN).unsqueeze(1))


def test_error_counts_standing_moments_alone():
    y, target = torch.tensor([[[1.0], [5.0]]]), torch.tensor([[[0.5, 1.0], [0.0, 0.0]]])
    assert float(dt.error(y, target)) == pytest.approx(0.25)


def test_seeds_side_by_side_are_what_they_are_alone(outcomes):
    both = study.compute(arm("slots"), SMOKE, [Seed(1003), SEED])[1]
    for name, value in numbers(both).items():
        assert value == pytest.approx(outcomes["slots"][name], abs=1e-3), name


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("slots", "cache")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
