"""Resets against hand-worked algebra."""

import math

import pytest
import torch

from neuropil.dynamics import Reset

V = torch.tensor([1.7, 0.4], dtype=torch.float64)
SPIKE = torch.tensor([1.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("reset", "expected"), [(Reset("soft"), 0.5), (Reset("hard"), 0.0), (Reset("hard", value=-0.3), -0.3), (Reset("none"), 1.7)]
)
def test_values(reset, expected):
    assert reset(V, SPIKE, 1.2).tolist() == pytest.approx([expected, 0.4])


@pytest.mark.parametrize(
    ("mode", "by_v", "by_spike", "by_threshold"),
    # soft: v - s t -> 1, -t, -s; hard to r: v - s (v - r) -> 1 - s, -(v - r), 0; none: 1, 0, 0
    [("soft", 1.0, -1.2, -1.0), ("hard", 0.0, -(1.7 - 0.1), 0.0), ("none", 1.0, 0.0, 0.0)],
)
@pytest.mark.parametrize("detach", [False, True])
def test_gradients(mode, by_v, by_spike, by_threshold, detach):
    v, spike, threshold = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.7, 1.0, 1.2))
    Reset(mode, detach, value=0.1)(v, spike, threshold).backward()
    grads = [0.0 if tensor.grad is None else float(tensor.grad) for tensor in (v, spike, threshold)]
    assert grads == pytest.approx([by_v, 0.0 if detach else by_spike, by_threshold])


def test_nan_stays_nan():
    for mode in ("soft", "hard", "none"):
        assert Reset(mode)(torch.tensor(math.nan), torch.tensor(math.nan), 1.0).isnan()


def test_of_and_bad_input():
    assert Reset.of("hard") == Reset("hard")
    assert Reset.of(mine := Reset("soft", detach=True)) is mine
    with pytest.raises(ValueError, match="A reset is 'soft', 'hard' or 'none', 'zero' was given"):
        Reset.of("zero")
    with pytest.raises(ValueError, match="The value of a hard reset is finite, nan was given"):
        Reset("hard", value=math.nan)
