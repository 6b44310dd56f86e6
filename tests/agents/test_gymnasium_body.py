import numpy as np
import pytest

from neuropil.agents import GymnasiumBody

gymnasium = pytest.importorskip("gymnasium", reason='Gymnasium is not installed: pip install "neuropil[agents]"')


def test_a_pendulum_moves_by_its_equation():
    # theta'' = 3 g / (2 l) sin theta + 3 u / (m l^2), g = 10, m = l = 1, semi-implicit Euler; reward -(theta^2 + 0.1 theta'^2 + 0.001 u^2).
    body = GymnasiumBody("Pendulum-v1")
    assert (body.dt, body.observation_size, body.action_size) == (0.05, 3, 1)
    assert (body.action_low.tolist(), body.action_high.tolist()) == ([-2.0], [2.0])
    cos, sin, speed = body.reset(3)
    angle = np.arctan2(sin, cos)
    for torque in np.random.default_rng(0).uniform(-2, 2, 40):
        wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
        expected = -(wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2)
        speed = np.clip(speed + body.dt * (15 * np.sin(angle) + 3 * torque), -8, 8)
        angle = angle + body.dt * speed
        observation, reward, terminated, truncated = body.step([torque])
        np.testing.assert_allclose(observation, [np.cos(angle), np.sin(angle), speed], atol=1e-3)
        assert reward == pytest.approx(expected, abs=1e-2)
        assert not terminated
        assert not truncated


def test_equal_seeds_and_actions_give_equal_trajectories():
    def run(seed):
        body = GymnasiumBody("Pendulum-v1")
        return [body.reset(seed), *(body.step([torque]).observation for torque in np.linspace(-2, 2, 30))]

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


def test_an_episode_ends_when_it_is_truncated():
    body = GymnasiumBody("Pendulum-v1", max_episode_steps=4)
    body.reset(0)
    assert [body.step([0.0])[2:] for _ in range(4)] == [(False, False)] * 3 + [(False, True)]
    with pytest.raises(RuntimeError, match="it is over"):
        body.step([0.0])


def test_an_episode_terminates_where_its_goal_is_reached():
    body = GymnasiumBody("MountainCarContinuous-v0")
    body.reset(0)
    assert body.step([0.0])[2:] == (False, False)
    body.environment.unwrapped.state = np.array([0.449, 0.05], np.float32)  # one step before the flag at 0.45
    assert body.step([0.0])[2:] == (True, False)
    with pytest.raises(RuntimeError, match="it is over"):
        body.step([0.0])


def test_what_is_discrete_unknown_or_timeless_is_refused():
    with pytest.raises(ValueError, match=r"the actions of CartPole-v1 are Discrete\(2\); choose another"):
        GymnasiumBody("CartPole-v1")
    with pytest.raises(ValueError, match="no environment 'NoSuchThing-v0'"):
        GymnasiumBody("NoSuchThing-v0")
    for dt in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="dt of a body is in seconds and above 0"):
            GymnasiumBody("Pendulum-v1", dt=dt)


def test_pictures_are_of_the_asked_size():
    body = GymnasiumBody("Pendulum-v1")
    body.reset(0)
    try:
        picture = body.render(48, 64)
    except RuntimeError as error:
        pytest.skip(f"This machine cannot draw: {error}")
    assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)
