import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.continual import NearestMean
from neuropil.data import SplitStream
from neuropil.studies.continual import nearest_mean_continual as nm
from neuropil.studies.continual.nearest_mean_continual import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def features(seed=1000, random=False):
    return nm._features(tuple(SMOKE.items()), seed, random)


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def test_features_have_unit_length_classes_are_balanced_and_parts_disjoint():
    given = features()
    assert given.train[1].bincount().tolist() == [30] * 10
    assert given.validation[1].bincount().tolist() == [10] * 10
    assert len(given.test[1]) == 300
    rows = [{tuple(np.round(row, 5)) for row in part[0].numpy()} for part in given]
    assert len(set.union(*rows)) == sum(map(len, rows))
    for f, _ in given:
        torch.testing.assert_close(f.norm(dim=1), torch.ones(len(f)))
    assert not torch.equal(features(1001).train[0], given.train[0])


def test_the_arm_is_scikit_learns_nearest_centroid_whatever_the_order(outcomes):
    (f, y), _, (test, labels) = features()
    f, test = (x[:, f.std(0) > 0.05] for x in (f, test))  # scikit-learn warns of pixels that never change; the others decide here
    peer = NearestCentroid().fit(f.double().numpy(), y.numpy())
    right = peer.predict(test.double().numpy()) == labels.numpy()
    by_task = [right[np.isin(labels.numpy(), pair)].mean() for pair in SEED.numpy("order").permutation(10).reshape(5, 2)]
    assert outcomes["means"]["accuracy"] == pytest.approx(np.mean(by_task))


def test_the_last_answer_does_not_depend_on_the_order_of_tasks():
    (f, y), _, (test, labels) = features()
    found = []
    for order in (range(10), [3, 8, 0, 5, 9, 1, 2, 7, 4, 6]):
        stream = SplitStream(f, y, setting="class", classes=np.reshape(order, (5, 2)).tolist())
        model, table, _ = nm.classify(arm("means"), stream, lambda k, s=stream: s.at(k, test, labels), torch.Generator())
        found.append(torch.tensor(list(order))[model(test).argmax(1)])
        assert table.shape == (5, 5)
    assert torch.equal(*found)


def test_swapped_means_are_the_same_under_other_names():
    (f, y), _, _ = features()
    model = NearestMean(f.shape[1], 10)
    model.add(f[y < 6], y[y < 6])
    shown = nm.swapped(model, torch.Generator().manual_seed(0))
    assert torch.equal(shown.means[6:], model.means[6:])
    assert not any(torch.equal(shown.means[c], model.means[c]) for c in range(6))
    assert {tuple(row.tolist()) for row in shown.means[:6]} == {tuple(row.tolist()) for row in model.means[:6]}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())


def test_arms_see_the_stream_once_unless_they_say_so(outcomes):
    for name in ("means", "replay_head", "lda", "sequential_head", "slow_head"):
        assert outcomes[name]["samples"] == 300
        assert outcomes[name]["parameters"] == 650
    assert outcomes["sequential_head"]["shown"] == 300
    rehearsed = [min(10 * k, 40) for k in range(30)]  # 30 batches; the reservoir holds all of the first ones, then 40 are drawn
    assert outcomes["replay_head"]["shown"] == 300 + sum(rehearsed)
    assert outcomes["joint_head"]["shown"] == 5 * 60 * 15


def test_what_is_kept_is_counted(outcomes):
    assert outcomes["means"]["kept"] == 10 * 64 + 10
    assert outcomes["lda"]["kept"] == 10 * 64 + 10 + 64 * 64 + 1
    assert outcomes["replay_head"]["kept"] == 650 + 200 * 65 + 1


def test_off_is_the_head_and_means_are_not(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["replay_head"])
    assert outcomes["means"]["accuracy"] != outcomes["replay_head"]["accuracy"]
    assert outcomes["swapped"]["accuracy"] < 0.3 < outcomes["means"]["accuracy"]


def test_the_share_between_means_is_the_analysis_of_variance():
    """Ten pairs on a line, a half to either side of 0, 1, ..., 9."""
    y = torch.arange(10).repeat_interleave(2)
    x = y.double()[:, None] + torch.tensor([-0.5, 0.5], dtype=torch.float64).repeat(10)[:, None]
    between, within = 2 * sum((c - 4.5) ** 2 for c in range(10)), 20 * 0.25
    assert nm.between_share(x, y) == pytest.approx(between / (between + within))


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("means", "replay_head")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
