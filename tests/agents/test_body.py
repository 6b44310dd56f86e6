"""The contract of a body, kept by a body written here in ten lines."""

import numpy as np
import pytest

from neuropil.agents.body import Step, World, extra


class Slider(World):
    """A bead pushed along a wire for three steps."""

    dt, observation_size, parts, action_size = 0.1, 1, {"place": slice(0, 1)}, 2
    action_low, action_high = np.array([-1.0, 0.0]), np.array([1.0, 2.0])

    def render(self, height=2, width=2):
        return np.zeros((height, width, 3), np.uint8)

    def _reset(self, seed):
        self.place, self.count = float(seed), 0
        return np.array([self.place])

    def _step(self, action):
        self.place, self.count = self.place + self.dt * float(action.sum()), self.count + 1
        return Step(np.array([self.place]), -self.place, self.place > 8, self.count == 3)


def test_an_episode_runs_from_reset_to_its_end_and_again():
    body = Slider()
    assert body.reset(np.int64(5)).tolist() == body.reset(5).tolist() == [5.0]
    observation, reward, terminated, truncated = body.step([1, 2])
    assert (observation.tolist(), reward, terminated, truncated) == ([pytest.approx(5.3)], pytest.approx(-5.3), False, False)
    assert [body.step([0.0, 0.0])[2:] for _ in range(2)] == [(False, False), (False, True)]
    with pytest.raises(RuntimeError, match=r"No episode is running: it has not begun or it is over; call reset\(seed\)"):
        body.step([0.0, 0.0])
    body.reset(1)
    assert not body.step([0.0, 0.0]).truncated


def test_an_episode_that_terminates_is_over_too():
    body = Slider()
    body.reset(8)
    assert body.step([0.0, 1.0])[2:] == (True, False)
    with pytest.raises(RuntimeError, match="it is over"):
        body.step([0.0, 0.0])


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(RuntimeError, match="has not begun"):
        Slider().step([0.0, 0.0])


@pytest.mark.parametrize(
    ("action", "error", "said"),
    [
        ([0.0], ValueError, r"shape \(2,\), \(1,\) was given"),
        ([[0.0, 0.0]], ValueError, "shape"),
        ([1.1, 0.0], ValueError, r"\[1.1, 0.0\] was given; clip it first"),
        ([0.0, -0.1], ValueError, "action_low"),
        ([float("nan"), 0.0], ValueError, "NaN"),
        (["left", "up"], TypeError, "An action holds numbers"),
        (None, TypeError, "An action holds numbers"),
    ],
)
def test_actions_that_cannot_be_are_refused_and_change_nothing(action, error, said):
    body = Slider()
    body.reset(0)
    with pytest.raises(error, match=said):
        body.step(action)
    assert body.step([0.0, 1.0]).observation.tolist() == [0.1]


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (2**32, ValueError), (1.5, TypeError), (None, TypeError), (True, TypeError)])
def test_seeds_that_cannot_be_are_refused(seed, error):
    with pytest.raises(error, match="seed"):
        Slider().reset(seed)


def test_a_missing_extra_is_one_sentence():
    with pytest.raises(ImportError, match=r'This body needs walking .*; run pip install "neuropil\[agents\]"'):
        extra("no_such_module_at_all", "walking")
