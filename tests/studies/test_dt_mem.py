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
KEPT = ("slots", "reset", "one")
DOSE = {"explained", "decoded", "between_slots", "selective", "varied"}
TESTS = ("swapped", "traded", "reset", "merged")


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
    assert set(found) == set(study.metrics) - (set() if name in KEPT else DOSE) - ({"selective"} if name == "one" else set())
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_the_short_window_alone_and_slots_are_not(outcomes):
    for name, value in numbers(outcomes["off"]).items():
        assert value == pytest.approx(outcomes["short"][name], abs=1e-6)
    assert outcomes["slots"]["learning"].y[0] != outcomes["short"]["learning"].y[0]


def test_sizes_and_what_is_in_reach_are_equal_where_they_are_said_to_be():
    nets = {name: dt.network(arm(name), DESK, SEED) for name in study.arms}
    size = {name: sum(part.numel() for part in net.parameters()) for name, net in nets.items()}
    assert len({size[name] for name in ("slots", "one", *TESTS)}) == 1
    assert size["pinned"] == size["cache"] == pytest.approx(size["slots"], rel=0.02)
    assert {net.window + net.pinned + net.slots for net in (nets["slots"], nets["pinned"], nets["cache"])} == {16}


def test_lesions_are_other_tests_of_the_same_networks(outcomes):
    before = dt.learnt.cache_info().misses
    found = [study.compute(arm(name), SMOKE, [SEED])[0] for name in ("slots", *TESTS)]
    assert dt.learnt.cache_info().misses - before <= 1
    for one, name in zip(found, ("slots", *TESTS), strict=True):
        assert one["learning"].y == outcomes["slots"]["learning"].y
        assert numbers(one) == pytest.approx(numbers(outcomes[name]), abs=1e-6)


def test_swapped_and_traded_slots_go_elsewhere_once(monkeypatch):
    """From a net that says what its first slot holds, with slots that say whose they are."""

    class Whose(dt.DecisionTransformer):
        def step(self, x, s, carried=True, merged=False):
            if s.time == 0:
                s = s._replace(slots=torch.arange(len(x) * x.shape[1]).reshape(*x.shape[:2], 1, 1).expand_as(s.slots).float())
            heard.append(s.slots[..., 0, 0])
            y, new = super().step(x, s, carried, merged)
            return y, new._replace(slots=s.slots)

    monkeypatch.setattr(dt, "HELD_OUT", (3, 7))
    budget = Settings("smoke", {**SMOKE, "tested": 4})
    for test, rows in (("swapped", lambda whose: whose.flip(0)), ("traded", lambda whose: whose.roll(1, 1))):
        heard = []
        net = Whose(dt.SEEN, 1, width=8, hidden=4, slots=2, generator=torch.Generator().manual_seed(0))
        dt.measure(arm("slots", test=test), budget, net, SEED)
        first = torch.arange(8.0).reshape(2, 4)
        assert all(torch.equal(whose, first) for whose in heard[: dt.SWAP])
        assert all(torch.equal(whose, rows(first)) for whose in heard[dt.SWAP : SMOKE.moments])


def test_what_is_written_after_the_swap_has_nothing_in_sight_of_what_was_shown():
    net = dt.network(arm("slots"), SMOKE, SEED)
    x = torch.randn(40, dt.SEEN, generator=torch.Generator().manual_seed(1)).requires_grad_()
    h = net.embed(x)
    h = h + net.blocks[0]["attn"](net.blocks[0]["norm1"](h))
    h = h + net.blocks[0]["down"](net.blocks[0]["up"](net.blocks[0]["norm2"](h)).relu())
    (reach,) = torch.autograd.grad(net.blocks[1]["norm1"](h)[dt.SWAP :].square().sum(), x)
    assert (reach[: dt.SHOWN] == 0).all()
    assert (reach[dt.SWAP - 7 :] != 0).any()


def test_either_sign_is_shown_and_nothing_else_changes():
    seen = torch.stack([carts().see() for _ in range(3)], 2)
    plus, minus = dt.either_shown(seen)
    assert (plus[..., 9] >= 0).all()
    assert torch.equal(plus[..., 9], -minus[..., 9])
    for one in (plus, minus):
        assert torch.equal(one[..., 9].abs(), seen[..., 9].abs())
        assert torch.equal(one[..., :9], seen[..., :9])
        assert torch.equal(one[..., 10], seen[..., 10])


@pytest.mark.parametrize(("apart", "share"), [(0.0, 0.0), (1.0, 0.5), (3.0, 0.9)])
def test_explained_is_the_variance_between_means(apart, share):
    """Two groups 2 ``apart``, each of variance 1."""
    held = torch.tensor([1.0, -1.0]).repeat(50).reshape(1, 100, 1) + apart * torch.tensor([1.0, -1.0]).reshape(2, 1, 1)
    assert float(dt.explained(held)) == pytest.approx(share)


def test_the_sign_is_decoded_where_it_is_held_and_is_chance_where_it_is_not():
    generator = torch.Generator().manual_seed(0)
    known, held = torch.randn(40, 12, generator=generator), torch.randn(30, 12, generator=generator)
    assert dt.decoded(known.expand(2, 40, 12), held.expand(2, 30, 12)) == 0.5
    sign = 3 * torch.tensor([1.0, -1.0]).reshape(2, 1, 1) * torch.eye(12)[4]
    assert dt.decoded(known + sign, held + sign) > 0.95
    assert dt.decoded(known + sign, held - sign) < 0.05


def test_slots_that_begin_anew_hold_nothing_of_what_was_shown():
    longer = Settings("smoke", {**SMOKE, "moments": 40})
    slots, reset = (study.compute(arm(name), longer, [SEED])[0] for name in ("slots", "reset"))
    assert reset["explained"] == 0
    assert reset["decoded"] == 0.5
    assert slots["explained"] > 0


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
    few = Table([1000], {name: [outcomes[name]] for name in ("slots", "pinned")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
