"""Summaries of an accuracy matrix, by hand."""

import math

import pytest
import torch

from neuropil.continual import continual_metrics

#           task 0  task 1  task 2
MATRIX = [
    [0.90, 0.15, 0.10],
    [0.95, 0.80, 0.30],
    [0.60, 0.70, 0.85],
]


def test_by_hand():
    found = continual_metrics(MATRIX, untrained=[0.10, 0.10, 0.20])
    assert found.average_accuracy == pytest.approx((0.60 + 0.70 + 0.85) / 3)
    assert found.learning_accuracy == pytest.approx((0.90 + 0.80 + 0.85) / 3)
    assert found.backward_transfer == pytest.approx(((0.60 - 0.90) + (0.70 - 0.80)) / 2)
    assert found.forgetting == pytest.approx(((0.95 - 0.60) + (0.80 - 0.70)) / 2)  # the best, not the first, and not the last row itself
    assert found.forward_transfer == pytest.approx(((0.15 - 0.10) + (0.30 - 0.20)) / 2)


def test_gain_is_negative_forgetting():
    found = continual_metrics([[0.5, 0.0], [0.7, 0.9]])
    assert found.forgetting == pytest.approx(-0.2)
    assert found.backward_transfer == pytest.approx(0.2)


def test_above_the_diagonal_nothing_is_read_without_untrained_accuracies():
    gaps = torch.tensor(MATRIX)
    gaps[0, 1] = gaps[0, 2] = gaps[1, 2] = math.nan
    found = continual_metrics(gaps)
    assert found[:4] == pytest.approx(continual_metrics(MATRIX)[:4], abs=1e-6)
    assert math.isnan(found.forward_transfer)
    with pytest.raises(ValueError, match="holds NaN"):
        continual_metrics(gaps, untrained=[0.1, 0.1, 0.1])


def test_what_it_refuses():
    for wrong in ([[0.5, 0.5]], [[0.5]], [0.5, 0.5]):
        with pytest.raises(ValueError, match="square"):
            continual_metrics(wrong)
    with pytest.raises(ValueError, match="one untrained accuracy a task"):
        continual_metrics(MATRIX, untrained=[0.1])
    with pytest.raises(ValueError, match="holds NaN"):
        continual_metrics([[0.5, 0.0], [math.nan, 0.9]])
