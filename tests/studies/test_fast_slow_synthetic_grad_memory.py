import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data.few_shot_episodes import Episodes
from neuropil.studies.memory import fast_slow_synthetic_grad_memory as fast
from neuropil.studies.memory.fast_slow_synthetic_grad_memory import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
STILL = ("none", "off", "nearest")


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found, dose = numbers(outcomes[name]), {"cosine", "cosine_read", "cosine_write", "change"}
    expected = {"first", "second", "fifth"} if name == "nearest" else set(study.metrics) - (dose if name in STILL else set())
    assert set(found) == expected
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_the_net_that_does_not_learn_and_the_mechanism_is_not(outcomes):
    for name, value in numbers(outcomes["off"]).items():
        assert value == pytest.approx(outcomes["none"][name], abs=1e-6)
    assert outcomes["predicted"]["course"] != outcomes["none"]["course"]
    assert outcomes["predicted"]["change"] > 0.001


def test_changes_at_test_are_what_they_say(outcomes):
    for name in ("silent", "true_silent"):
        assert outcomes[name]["change"] == outcomes[name]["cosine"] == 0
    assert outcomes["read_only"]["cosine_write"] == 0 < outcomes["read_only"]["cosine_read"]
    assert outcomes["true"]["cosine_write"] == 0 < outcomes["true"]["cosine_read"]
    assert abs(outcomes["random"]["cosine_read"]) < 0.1
    given = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    put = fast.changed(arm("random"), torch.Generator().manual_seed(1))
    assert_close(put("read", given).norm(dim=1), given.norm(dim=1))
    assert not torch.allclose(put("read", given), given)
    assert fast.changed(arm("predicted"), torch.Generator()) is None


def test_mechanism_and_control_are_of_equal_size_at_the_desk():
    desk = Settings("desk", study.budgets["desk"])
    size = {name: sum(one.numel() for one in fast.network(arm(name), desk, SEED).parameters()) for name in ("predicted", "true", "none")}
    assert size["true"] == pytest.approx(size["predicted"], rel=0.01)
    assert size["none"] < 0.9 * size["predicted"]


def test_classes_and_images_lie_apart():
    given = fast.tasks(SMOKE, SEED)
    assert sorted(given.known + given.checked + given.new) == list(range(fast.CLASSES))
    assert given.known != fast.tasks(SMOKE, Seed(1001)).known
    rows = [{tuple(row.tolist()) for row in (part.images * 100).round()} for part in (given.train, given.validation, given.test)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert given.train.images.mean() == pytest.approx(0, abs=0.02)
    assert given.train.images.std() == pytest.approx(1, abs=0.02)


def test_the_nearest_earlier_picture_is_found():
    seen = torch.tensor([[0.0, 0.0, 1.0], [3.0, 0.0, 0.0], [9.0, 2.0, 2.0], [1.0, 1.0, 9.0]])[:, None]
    label = torch.tensor([[1], [0], [0], [1]])
    e = Episodes(seen, label, torch.tensor([[1], [1], [2], [2]]), label)
    assert fast.nearest(e)[:, 0].tolist() == [0, 1, 0, 1]


def test_shares_by_presentation_are_counted_as_loops_count():
    e = fast.tasks(SMOKE, SEED).test.draw(20, torch.Generator().manual_seed(0), among=range(8))
    answers = torch.randint(fast.WAYS, e.label.shape, generator=torch.Generator().manual_seed(1))
    right = [[] for _ in range(fast.SHOTS)]
    for t, b in np.ndindex(*e.label.shape):
        right[int((e.label[: t + 1, b] == e.label[t, b]).sum()) - 1].append(bool(answers[t, b] == e.label[t, b]))
    assert fast.by_time(answers, e) == pytest.approx([np.mean(some) for some in right])


def test_seeds_side_by_side_are_what_they_are_alone(outcomes):
    both = study.compute(arm("predicted"), SMOKE, [Seed(1003), SEED])[1]
    for name, value in numbers(both).items():
        assert value == pytest.approx(outcomes["predicted"][name], abs=0.02 if name in ("first", "second", "fifth") else 0.01)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("predicted", "true")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
