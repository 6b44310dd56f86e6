import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import kstest

from neuropil.agents import DMControlBody

pytest.importorskip("mujoco", reason='MuJoCo is not installed: pip install "neuropil[agents]"')
pytest.importorskip("dm_control", reason='dm_control is not installed: pip install "neuropil[agents]"')


@pytest.fixture(scope="module")
def swimmer():
    return DMControlBody("swimmer", "swimmer6")


def run(body, seed, steps=60):
    actions = np.random.default_rng(8).uniform(-1, 1, (steps, body.action_size))
    seen = [body.reset(seed)]
    rewards = []
    for action in actions:
        observation, reward, *_ = body.step(action)
        seen.append(observation)
        rewards.append(reward)
    return np.stack(seen), rewards


def test_it_is_the_published_swimmer(swimmer):
    # tunyasuvunakool2020: k links, k - 1 joints, torques of at most 1; joint angles, target, and three velocities a link.
    assert (swimmer.action_size, swimmer.observation_size) == (5, 5 + 2 + 18)
    assert swimmer.parts == {"joints": slice(0, 5), "to_target": slice(5, 7), "body_velocities": slice(7, 25)}
    assert swimmer.action_low.tolist() == [-1] * 5
    assert swimmer.action_high.tolist() == [1] * 5
    assert swimmer.dt == 0.03
    longer = DMControlBody("swimmer", "swimmer", n_links=12)
    assert (longer.action_size, longer.observation_size) == (11, 11 + 2 + 36)


def test_equal_seeds_and_actions_give_equal_trajectories(swimmer):
    one, rewards = run(swimmer, 3)
    two, again = run(DMControlBody("swimmer", "swimmer6"), 3)
    after, _ = run(swimmer, 3)
    other, _ = run(swimmer, 4)
    assert np.array_equal(one, two)
    assert np.array_equal(one, after)
    assert rewards == again
    assert not np.array_equal(one, other)


def test_the_first_posture_is_drawn_uniformly_within_the_joints_range(swimmer):
    angles = np.concatenate([swimmer.reset(seed)[swimmer.parts["joints"]] for seed in range(100)])
    limit = 2 * np.pi / 6
    assert kstest(angles, "uniform", (-limit, 2 * limit)).pvalue > 0.001


def test_a_straight_swimmer_glides_to_rest_by_quadratic_drag(swimmer):
    # dv/dt = -k v^2, so 1/v grows by the same amount every second, whatever the speed.
    swimmer.reset(0)
    physics = swimmer.environment.physics
    with physics.reset_context():
        physics.data.qpos[:] = 0
        physics.data.qvel[:] = 0
        physics.data.qvel[1] = 0.5
    speed = []
    for _ in range(200):
        swimmer.step(np.zeros(5))
        speed.append(abs(physics.data.qvel[1]))
    growth = np.diff(1 / np.array(speed)) / swimmer.dt
    assert growth.min() > 0
    np.testing.assert_allclose(growth, growth.mean(), rtol=0.02)
    assert abs(physics.data.qpos[3:]).max() < 1e-6


def test_without_torque_a_swimmer_loses_its_energy(swimmer):
    run(swimmer, 1)
    model, data = swimmer.environment.physics.model, swimmer.environment.physics.data
    assert model.opt.density > 0
    energy = []
    for _ in range(400):
        energy.append(float((data.qvel**2).sum()))
        swimmer.step(np.zeros(5))
    assert energy[0] > 1e-3
    assert energy[-1] < 0.01 * energy[0]


def test_an_episode_is_truncated_at_its_time_limit():
    body = DMControlBody("swimmer", "swimmer6", time_limit=0.3)
    body.reset(0)
    assert [body.step(np.zeros(5))[2:] for _ in range(10)] == [(False, False)] * 9 + [(False, True)]
    with pytest.raises(RuntimeError, match="it is over"):
        body.step(np.zeros(5))


def test_other_domains_fit_the_same_interface():
    body = DMControlBody("cartpole", "swingup")
    assert body.reset(0).shape == (body.observation_size,)
    observation, reward, terminated, truncated = body.step([0.5])
    assert observation.shape == (5,)
    assert 0 <= reward <= 1
    assert not terminated
    assert not truncated


def test_an_episode_terminates_where_its_task_ends():
    # tunyasuvunakool2020: the linear-quadratic regulator is over once position and velocity are 0.
    body = DMControlBody("lqr", "lqr_2_1")
    body.reset(0)
    assert body.step([0.0])[2:] == (False, False)
    physics = body.environment.physics
    with physics.reset_context():
        physics.data.qpos[:] = 0
        physics.data.qvel[:] = 0
    assert body.step([0.0])[2:] == (True, False)
    with pytest.raises(RuntimeError, match="it is over"):
        body.step([0.0])


@pytest.mark.parametrize(
    ("domain", "task", "said"),
    [
        ("swimer", "swimmer6", "no domain 'swimer'; it has acrobot"),
        ("swimmer", "fly", "no task 'fly'; it has swimmer6"),
        ("swimmer", "_make_model", "no task"),
    ],
)
def test_unknown_bodies_are_refused(domain, task, said):
    with pytest.raises(ValueError, match=said):
        DMControlBody(domain, task)


def test_a_mujoco_that_does_not_fit_is_one_sentence(monkeypatch):
    def build(**_):
        raise AttributeError("'MjModel' object has no attribute 'flex_vertedge'")

    monkeypatch.setattr("dm_control.suite.cartpole.unfit", build, raising=False)
    with pytest.raises(ImportError, match=r"dm-control [\d.]+ and mujoco [\d.]+ do not fit each other .*flex_vertedge"):
        DMControlBody("cartpole", "unfit")


def test_pictures_are_of_the_asked_size(swimmer):
    swimmer.reset(0)
    try:
        picture = swimmer.render(48, 64)
    except RuntimeError as error:
        pytest.skip(f"This machine cannot draw: {error}")
    assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)
    assert picture.std() > 5


def test_where_nothing_can_draw_it_says_so_and_still_moves():
    code = (
        "import numpy as np\nfrom neuropil.agents import DMControlBody\n"
        "body = DMControlBody('swimmer', 'swimmer6'); body.reset(0); body.step(np.zeros(5))\n"
        "try: body.render()\nexcept RuntimeError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env={"MUJOCO_GL": "disabled"}, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("MuJoCo cannot draw here"), done.stderr


def test_the_package_loads_without_any_simulator():
    block = "import sys\nfor name in ('mujoco', 'dm_control', 'gymnasium'): sys.modules[name] = None\n"
    code = block + "from neuropil.agents import DMControlBody\ntry: DMControlBody('swimmer', 'swimmer6')\nexcept ImportError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("This body needs dm-control"), done.stderr
    assert 'pip install "neuropil[agents]"' in done.stdout
