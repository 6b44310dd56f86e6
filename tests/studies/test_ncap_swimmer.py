import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("mujoco", reason='MuJoCo is not installed: pip install "neuropil[agents]"')
pytest.importorskip("dm_control", reason='dm_control is not installed: pip install "neuropil[agents]"')

from neuropil.agents import DMControlBody, SwimmerBodies, scale_angles
from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.learning import Evolution
from neuropil.studies.agents import ncap_swimmer as swimmer
from neuropil.studies.agents.ncap_swimmer import FAR, HAND_SET, NEAR, SOURCE, begin, circuit, linear, mlp, postures, ride, search, study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(Settings(name, arm), SMOKE, [SEED])[0] for name, arm in study.arms.items()}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def arm_of(name, **settings):
    return Settings(name, {**study.arms[name], **settings})


@pytest.mark.parametrize("arm", list(study.arms))
def test_every_arm_returns_the_declared_metrics(outcomes, arm):
    found = numbers(outcomes[arm])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for name, value in found.items() if name != "samples_to_level")


def test_off_is_the_network_exactly_and_the_circuit_is_not(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["mlp_shared"])
    assert outcomes["mlp_shared"]["torque_change"] > 0
    assert numbers(outcomes["mlp_on_circuit"]) != numbers(outcomes["mlp_shared"])


def test_searches_are_allowed_the_same_and_use_what_they_say(outcomes):
    for budget in (Settings(name, values) for name, values in study.budgets.items()):
        episodes = budget.generations * 2 * budget.pairs + (budget.generations + 1 + swimmer.HALVINGS) * budget.validation
        assert budget.samples_allowed == episodes * budget.steps
        assert {SOURCE, NEAR, FAR} <= set(budget.lengths)
    for name in ("ncap", "linear_shared", "mlp_shared", "unsigned"):
        assert (
            outcomes[name]["samples"] == SMOKE.samples_allowed - swimmer.HALVINGS * SMOKE.validation * SMOKE.steps
        )  # the level is out of reach
        assert outcomes[name]["samples_to_level"] == math.inf
    assert outcomes["hand_set"]["samples"] == SMOKE.validation * SMOKE.steps
    assert outcomes["ncap"]["parameters"] == outcomes["linear_shared"]["parameters"] == 4
    assert outcomes["mlp_shared"]["parameters"] == 3 * 16 + 16 + 16 + 1


def test_a_ride_is_the_suites_own_swimmer_with_the_authors_reward():
    """The hand-set circuit on dm_control's environment, one body, step by step, against the ride."""
    body = DMControlBody("swimmer", "swimmer6")
    body.reset(5)
    physics = body.environment.physics
    first = physics.data.qpos[3:].copy()
    rewards = []
    for step in range(70):
        q = np.clip(physics.data.qpos[3:] / (2 * np.pi / 6), -1, 1)
        wave = 1.0 if step % 60 < 30 else -1.0
        body.step(np.concatenate([[wave], q[:-1]]))  # the unit circuit: every joint gets the angle before it
        rewards.append(np.clip(-physics.named.data.sensordata["head_vel"][1] / 0.1, 0, 1))
    found = ride(SwimmerBodies(SOURCE, 1), circuit, HAND_SET[None], first[None], 70, watched=True)
    assert_allclose(found.returns, np.mean(rewards), atol=1e-9)
    assert found.angles.shape == (70, 1, 5)
    assert found.outline.shape == (70, 1, 7, 2)


def test_controls_are_one_controller_at_every_joint_and_read_the_same():
    rng = RNG(0)
    q, network = rng.uniform(-1, 1, (3, 2, 7)), rng.normal(size=(3, 81))
    weights = rng.normal(size=(3, 4))
    for step in (10, 40):
        wave = 1.0 if step < 30 else -1.0
        by_net, by_line = mlp(network, q, step), linear(weights, q, step)
        for m in range(3):
            for e in range(2):
                for joint in range(7):
                    read = np.array([q[m, e, joint - 1] if joint else 0.0, float(joint == 0), wave])
                    hidden = np.tanh(network[m, :48].reshape(3, 16).T @ read + network[m, 48:64])
                    assert_allclose(by_net[m, e, joint], np.clip(hidden @ network[m, 64:80] + network[m, 80], -1, 1))
                    a, b, c, d = weights[m]
                    expected = b * wave + d if joint == 0 else a * read[0] + c * wave
                    assert_allclose(by_line[m, e, joint], np.clip(expected, -1, 1))


def test_the_circuit_is_a_point_of_the_linear_controllers_space():
    q = RNG(1).uniform(-1, 1, (1, 50, 5))
    for step in (0, 30):
        for w, o in ((1.0, 1.0), (2.5, 0.4), (0.3, 3.0)):
            worm = circuit(np.array([[w, o, 1.0, -1.0]]), q, step)
            assert_allclose(worm, linear(np.array([[w, min(o, 1.0), 0.0, 0.0]]), q, step), atol=1e-15)


def test_the_contralateral_weight_is_inert_unless_signs_are_free():
    """Only one side of a joint is ever driven, so there is nothing to inhibit: the signed circuit has two effective numbers while it is unsaturated."""
    q = RNG(3).uniform(-1, 1, (1, 40, 5))
    for step in (0, 30):
        for contra in (0.0, -0.4, -3.0):
            worm = circuit(np.array([[0.7, 0.9, 1.1, contra]]), q, step)
            assert_allclose(worm, linear(np.array([[0.77, 0.99, 0.0, 0.0]]), q, step), atol=1e-15)
        assert np.abs(circuit(np.array([[0.7, 0.9, 1.1, 0.8]]), q, step, signed=False) - worm).max() > 0.1


def test_a_change_counts_as_far_as_torques_change():
    angles = RNG(4).uniform(-0.5, 0.5, (20, 2, 5))
    _, control = begin(arm_of("ncap"), SEED)
    change = swimmer.torque_change
    assert change(control, HAND_SET, HAND_SET * [1, 1, 1, 5], angles) == 0
    rest = np.sqrt(np.mean((0.2 * angles[..., :-1]) ** 2) * 4 / 5)  # the head's torque is 1 with both
    assert change(control, HAND_SET, HAND_SET * [1.2, 1, 1, 1], angles) == pytest.approx(rest)


def test_what_a_search_used_until_it_crossed_the_level():
    budget = Settings(
        "tiny", {**SMOKE, "steps": 60, "generations": 4, "above_hand_set": 0.02, "pairs": 4, "validation": 2, "samples_allowed": 9999}
    )
    arm = arm_of("ncap", step_size=0.6)
    found = study.compute(arm, budget, [SEED])[0]
    generations = len(search(*begin(arm, SEED), arm, budget, SEED)[1]) - 1
    assert found["reached"] == 1
    assert generations >= 1
    assert found["samples_to_level"] == 60 * (generations * 8 + (generations + 1) * 2)
    assert found["samples"] == found["samples_to_level"] + 60 * swimmer.HALVINGS * 2


def test_first_weights_are_the_authors():
    assert begin(arm_of("ncap"), SEED)[0].tolist() == [1, 1, 1, -1]
    coins = np.array([begin(arm_of("unsigned"), Seed(s))[0] for s in range(1000, 1200)])
    assert set(coins.ravel()) == {-1.0, 1.0}
    assert np.abs(coins.mean(axis=0)).max() < 0.25
    signed = np.array([begin(arm_of("random_start"), Seed(s))[0] for s in range(1000, 1050)])
    assert ((signed * HAND_SET >= 0) & (np.abs(signed) <= 1)).all()
    assert begin(arm_of("mlp_shared"), SEED)[0].tolist() == begin(arm_of("mlp_on_circuit"), SEED)[0].tolist()
    assert begin(arm_of("linear_shared"), SEED)[0].tolist() == [0, 0, 0, 0]


def test_unsigned_weights_may_cross_zero_and_signed_ones_count_as_zero():
    q = RNG(2).uniform(-1, 1, (1, 9, 5))
    crossed, stopped = np.array([[-0.5, 1.0, 1.0, -1.0]]), np.array([[0.0, 1.0, 1.0, -1.0]])
    free, held = (begin(arm_of(name), SEED)[1] for name in ("unsigned", "ncap"))
    assert_allclose(held(crossed, q, 0), held(stopped, q, 0))
    assert np.abs(free(np.array([[1.0, 1.0, 1.0, 1.0]]), q, 0) - held(np.array([[1.0, 1.0, 1.0, 1.0]]), q, 0)).max() > 0.1


def test_a_search_stops_at_the_level_and_keeps_the_best_where_it_never_gets_there():
    budget = Settings("tiny", {**SMOKE, "steps": 12, "generations": 4})
    reachable = Settings("tiny", {**budget, "above_hand_set": -1.0})
    first, control = begin(arm_of("linear_shared"), SEED)
    stopped, returns, level = search(first, control, arm_of("linear_shared"), reachable, SEED)
    assert len(returns) == 1
    assert returns[0] >= level
    assert stopped is first
    best, returns, level = search(first, control, arm_of("linear_shared"), budget, SEED)
    assert len(returns) == 5
    assert max(returns) < level
    held_out = postures(SEED.numpy("validation"), budget.validation, SOURCE)
    again = ride(SwimmerBodies(SOURCE, budget.validation), control, best[None], held_out, budget.steps).returns.mean()
    assert again == max(returns)
    still, returns, _ = search(first, control, arm_of("linear_shared", step_size=0.0), budget, SEED)
    assert still.tolist() == first.tolist()
    assert len(set(returns)) == 1


def test_the_step_that_crosses_the_level_is_walked_back_to_it():
    """The circuit with a large step: what is kept lies on the way of the last update, at the level and not far above it."""
    budget = Settings("tiny", {**SMOKE, "steps": 60, "generations": 4, "above_hand_set": 0.02, "pairs": 4, "validation": 2})
    arm = arm_of("ncap", step_size=0.6)
    first, control = begin(arm, SEED)
    kept, returns, level = search(first, control, arm, budget, SEED)
    strategy = Evolution(arm.sigma, 0.6, 4, adam=True)
    states, noise, starts = [strategy.init(first)], SEED.numpy("noise"), SEED.numpy("training")
    bodies, held_out = SwimmerBodies(SOURCE, 8), postures(SEED.numpy("validation"), 2, SOURCE)
    for _ in returns[1:]:
        directions, members = strategy.ask(states[-1], noise)
        found = ride(bodies, control, members, postures(starts, 1, SOURCE), 60).returns[:, 0]
        states.append(strategy.tell(states[-1], directions, found))

    def value(parameters):
        return ride(SwimmerBodies(SOURCE, 2), control, parameters[None], held_out, 60).returns.mean()

    below, above = states[-2].parameters, states[-1].parameters
    assert level == value(HAND_SET) + 0.02
    assert level <= value(kept) == returns[-1] < value(above)
    assert max(returns[:-1]) < level
    share = (kept - below) / (above - below)
    assert_allclose(share, share[0])
    assert share[0] * 16 == pytest.approx(round(share[0] * 16))
    assert value(below + (share[0] - 1 / 16) * (above - below)) < level


def test_the_lesion_is_the_same_controller_without_proprioception_on_longer_bodies_only(outcomes):
    whole, lesioned = outcomes["ncap"], outcomes["no_proprioception"]
    for name in ("source_return", "search_return", "torque_change", "samples", "wave_lag"):
        assert whole[name] == lesioned[name]
    assert lesioned["transfer_return"] != whole["transfer_return"]
    cut = circuit(HAND_SET[None] * [0, 1, 1, 1], RNG(0).uniform(-1, 1, (1, 3, 11)), 0)
    assert_allclose(cut[..., 1:], 0)
    assert_allclose(cut[..., 0], 1)


def test_unscaled_angles_change_longer_bodies_only(outcomes):
    assert outcomes["hand_set"]["source_return"] == outcomes["hand_set_unscaled"]["source_return"]
    assert outcomes["hand_set"]["transfer_return"] != outcomes["hand_set_unscaled"]["transfer_return"]
    limit = 2 * np.pi / 12
    assert_allclose(scale_angles(np.full(11, limit), SOURCE - 1), 0.5)


def test_arms_share_postures_and_each_split_is_its_own():
    splits = [postures(SEED.numpy(name), 50, SOURCE) for name in ("validation", "training", "test 6")]
    assert np.array_equal(splits[0], postures(SEED.numpy("validation"), 50, SOURCE))
    rows = [tuple(row) for part in splits for row in part]
    assert len(set(rows)) == 150
    assert np.abs(splits[0]).max() <= 2 * np.pi / 6
    assert np.abs(splits[0]).max() > 0.95 * 2 * np.pi / 6


def test_the_lag_of_a_made_wave_is_read_to_rounding():
    t, joint = np.arange(200)[:, None, None], np.arange(5)
    for lag in (7.0, -4.0):
        made = np.sin(2 * np.pi * (t - joint * lag) / 60) + 0.3
        assert swimmer.wave_lag(np.broadcast_to(made, (200, 3, 5))) == pytest.approx(lag)


def test_zero_torque_earns_next_to_nothing(outcomes):
    assert outcomes["zero_torque"]["source_return"] < 0.05
    assert outcomes["zero_torque"]["torque_change"] == 0


def test_figures_draw_whatever_arms_were_run(outcomes):
    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("ncap", "linear_shared")})
    for _, draw in study.figures.values():
        for shown in (table, few):
            draw(shown).canvas.draw()
