"""The swimmer without its wrapper, against dm_control's own environment."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neuropil.agents import DMControlBody, SwimmerBodies, swim_reward

pytest.importorskip("mujoco", reason='MuJoCo is not installed: pip install "neuropil[agents]"')
pytest.importorskip("dm_control", reason='dm_control is not installed: pip install "neuropil[agents]"')


@pytest.mark.parametrize("links", [6, 12])
def test_it_agrees_with_dm_control_step_by_step(links):
    wrapped = DMControlBody("swimmer", "swimmer6") if links == 6 else DMControlBody("swimmer", "swimmer", n_links=links)
    lean = SwimmerBodies(links, 2)
    wrapped.reset(3)
    physics = wrapped.environment.physics
    start = physics.data.qpos.copy()
    other = np.zeros(links - 1)
    lean.reset(np.stack([start[3:], other]), [start[2], 0.4])
    assert lean.dt == wrapped.dt
    assert lean.limit == pytest.approx(physics.named.model.jnt_range["joint_0", 1])
    rng = np.random.default_rng(1)
    for moment in range(150):
        torques = rng.uniform(-1, 1, (2, links - 1)) if moment > 60 else np.sign(rng.uniform(-1, 1, (2, links - 1)))
        seen = wrapped.step(torques[0]).observation
        lean.step(torques)
        assert_allclose(lean.angles[0], seen[wrapped.parts["joints"]], atol=1e-10)
        assert_allclose(lean.forward_velocity[0], -physics.named.data.sensordata["head_vel"][1], atol=1e-10)
    for place, body, end in ((0, "head", -0.05), (1, "head", 0.05), (-1, f"segment_{links - 2}", 0.05)):
        world = physics.named.data.xpos[body] + physics.named.data.xmat[body].reshape(3, 3) @ [0, end, 0]
        assert_allclose(lean.outline[0, place], world[:2], atol=1e-10)
    assert np.abs(lean.angles[0] - lean.angles[1]).max() > 0.1  # bodies do not touch


def test_a_body_is_the_same_alone_and_in_company_and_again():
    postures, torques = np.random.default_rng(2).uniform(-1, 1, (2, 3, 5))
    together, alone = SwimmerBodies(6, 3), SwimmerBodies(6)
    for _ in range(2):
        together.reset(postures, 0.3)
        alone.reset(postures[1], 0.3)
        for _ in range(20):
            together.step(torques)
            alone.step(torques[1])
        assert np.array_equal(together.angles[1], alone.angles[0])
        assert np.array_equal(together.outline[1], alone.outline[0])
        # which way it heads does not matter
    turned = SwimmerBodies(6, 3)
    turned.reset(postures, -1.2)
    for _ in range(20):
        turned.step(torques)
    assert_allclose(turned.forward_velocity, together.forward_velocity, atol=1e-8)


def test_the_reward_is_the_authors():
    rewards = pytest.importorskip("dm_control.utils.rewards")
    speeds = np.linspace(-0.2, 0.3, 101)
    for desired in (0.1, 0.05):
        expected = rewards.tolerance(speeds, bounds=(desired, np.inf), margin=desired, value_at_margin=0.0, sigmoid="linear")
        assert_allclose(swim_reward(speeds, desired), expected, atol=1e-12)
    with pytest.raises(ValueError, match=r"above 0 m/s, 0 was given"):
        swim_reward(0.1, 0)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="2 links and 1 bodies"):
        SwimmerBodies(2)
    with pytest.raises(ValueError, match="6 links and 0 bodies"):
        SwimmerBodies(6, 0)
    body = SwimmerBodies(4)
    with pytest.raises(ValueError, match="broadcast"):
        body.reset(np.zeros(4))
    with pytest.raises(ValueError, match="NaN"):
        body.step(np.full(3, np.nan))
