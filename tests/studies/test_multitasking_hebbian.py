import math

import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.memory import MultitaskingHebbian, diluted_patterns, noisy_examples
from neuropil.studies.memory import multitasking_hebbian as multitasking
from neuropil.studies.memory.multitasking_hebbian import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def drawn(seed=0):
    draws = torch.Generator().manual_seed(seed)
    return noisy_examples(diluted_patterns(3, 50, 0.2, draws), 6, 0.4, draws)


def couplings(name, examples):
    f = multitasking.factors(arm(name), torch.zeros(3, 50), examples, torch.Generator().manual_seed(1))
    return f.mT @ f


def test_couplings_are_the_sums_over_means_and_over_examples():
    examples = drawn()
    means = examples.mean(1)
    taught, untaught = couplings("supervised", examples), couplings("unsupervised", examples)
    torch.testing.assert_close(taught, sum(torch.outer(m, m) for m in means))
    torch.testing.assert_close(untaught, sum(torch.outer(e, e) for e in examples.flatten(0, 1)) / 6)
    torch.testing.assert_close(couplings("half", examples), (taught + untaught) / 2)
    torch.testing.assert_close(couplings("off", examples), untaught)
    assert (couplings("mislabelled", examples) - taught).abs().max() > 0.1


def test_distance_is_that_of_the_couplings_without_their_diagonals():
    examples = drawn(2)
    a, b = (multitasking.factors(arm(name), torch.zeros(3, 50), examples, torch.Generator()) for name in ("supervised", "unsupervised"))
    first, second = ((f.mT @ f).fill_diagonal_(0) for f in (a, b))
    expected = (first / first.norm() - second / second.norm()).norm()
    assert multitasking.relative_distance(a, b) == pytest.approx(float(expected), rel=1e-4)
    assert multitasking.relative_distance(a, 2 * a) == pytest.approx(0, abs=1e-2)


def test_the_crossing_is_interpolated_in_logarithms():
    assert multitasking.crossing([10, 40], [0.8, 1.0]) == pytest.approx(20)
    assert multitasking.crossing([10, 20, 40], [0.95, 0.5, 1.0]) == 10
    assert multitasking.crossing([10, 40], [0.1, 0.2]) == math.inf


def test_caps_are_the_most_examples_of_the_grid():
    for name, quality in multitasking.QUALITIES.items():
        for budget in study.budgets.values():
            assert max(multitasking.numbers_of_examples(quality, budget["grid"])) == study.metrics[f"examples{name}"].cap


def test_starts_are_patterns_with_filled_zeros():
    patterns = diluted_patterns(3, 5000, 0.3, torch.Generator().manual_seed(3))
    first = multitasking.starts(patterns, 0.0, torch.Generator().manual_seed(4))
    assert ((first == patterns) | (patterns == 0)).all()
    assert (first.abs() == 1).all()
    cued = multitasking.starts(patterns, 0.2, torch.Generator().manual_seed(4))
    assert ((cued == -patterns) & (patterns != 0)).sum() / (patterns != 0).sum() == pytest.approx(0.2, abs=0.02)


def test_off_is_the_control_and_wrong_labels_teach_nothing():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1000)])[0] for name in study.arms}
    for name, value in found["off"].items():
        if isinstance(value, float):
            assert value == found["unsupervised"][name]
    assert found["supervised"]["examples"] < math.inf
    assert found["mislabelled"]["examples"] == math.inf
    assert found["scrambled"]["share"] < 0.5
    assert found["patterns"]["share"] > 0.95
    assert found["supervised"]["apart"] == pytest.approx(found["unsupervised"]["apart"], abs=1e-3)
    table = Table([1000], {name: [outcome] for name, outcome in found.items()})
    for _, draw in study.figures.values():
        draw(table)


def test_the_networks_of_a_study_hold_their_patterns():
    patterns = diluted_patterns(3, 2000, 0.2, torch.Generator().manual_seed(5))
    first = multitasking.starts(patterns, 0.0, torch.Generator().manual_seed(6))
    s = MultitaskingHebbian(patterns).settle(first, sweeps=20)
    assert (s * first * (patterns != 0)).sum() / (patterns != 0).sum() > 0.97
