import math

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.svm import LinearSVC

from neuropil.atlas import Curve, Seed, Settings, Table
from neuropil.studies.continual import fetril
from neuropil.studies.continual.fetril import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve)}


def test_extractor_and_pictures_are_the_same_for_all_arms_and_know_only_the_first_classes():
    one, again, other = (
        fetril.extracted(arm(name), SMOKE, seed) for name, seed in (("translated", SEED), ("lda", SEED), ("lda", Seed(1001)))
    )
    assert one is again
    assert not torch.equal(one.train[0], other.train[0])
    assert one.train[1].bincount().tolist() == [20] * 10
    assert len(one.test[1]) == 300
    assert one.train[0].shape == (200, 12)
    assert (one.train[0] >= 0).all()


def test_the_last_steps_machine_is_scikit_learns_on_translated_features(outcomes):
    """The whole arm again, written out: two new digits, eight stored means, one machine a class."""
    given = fetril.extracted(arm("translated"), SMOKE, SEED)
    (f, y), (test, labels) = given.train, given.test
    new = {c: f[y == c] for c in (8, 9)}
    x, targets = [new[8], new[9]], [8] * 20 + [9] * 20
    for c in range(8):
        mean = f[y == c].mean(0)
        source = min(new, key=lambda n: float((new[n].mean(0) - mean).norm()))
        x.append(new[source] - new[source].mean(0) + mean)
        targets += [c] * 20
    learned = torch.cat(x)
    machine = LinearSVC(C=1.0, dual=False, max_iter=5000).fit((learned / learned.norm(dim=1, keepdim=True)).numpy(), targets)
    right = machine.predict((test / test.norm(dim=1, keepdim=True).clamp(min=1e-12)).numpy()) == labels.numpy()
    assert outcomes["translated"]["accuracy"] == pytest.approx(
        right.mean(), abs=0.007
    )  # two pictures of 300: machines are fitted to a tolerance


def test_the_control_is_a_discriminant_analysis_with_the_last_classes_covariance(outcomes):
    given = fetril.extracted(arm("lda"), SMOKE, SEED)
    (f, y), (test, labels) = given.train, given.test
    f, test = (x / x.norm(dim=1, keepdim=True).clamp(min=1e-12) for x in (f, test))
    last = y >= 8
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(f[last].numpy(), y[last].numpy())
    means = torch.stack([f[y == c].mean(0) for c in range(10)])
    inverse = torch.linalg.inv(torch.from_numpy(0.5 * unshrunk(f[last], y[last]) + 0.5 * trace_part(f[last], y[last])))
    scores = test @ inverse @ means.mT - ((means @ inverse) * means).sum(1) / 2
    assert outcomes["lda"]["accuracy"] == pytest.approx(float((scores.argmax(1) == labels).double().mean()))
    torch.testing.assert_close(torch.from_numpy(peer.covariance_).inverse(), inverse, rtol=1e-5, atol=1e-5)


def unshrunk(f, y):
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.0).fit(f.numpy(), y.numpy()).covariance_


def trace_part(f, y):
    covariance = unshrunk(f, y)
    return torch.eye(len(covariance), dtype=torch.float64).numpy() * covariance.trace() / len(covariance)


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    translating = {"shift", "mean_error", "covariance_error"}
    assert set(study.metrics) - set(found) == (
        set()
        if study.arms[name].get("pseudo") in ("nearest", "second", "farthest", "gaussian", "random") and name != "off"
        else translating
    )
    assert all(math.isfinite(value) for value in found.values())


def test_off_has_no_pseudo_features(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["new_only"])
    assert outcomes["new_only"]["old_accuracy"] == 0
    assert outcomes["off"]["pseudo_share"] == 0
    assert outcomes["translated"]["pseudo_share"] == pytest.approx(0.8)
    assert outcomes["near_of_six"]["pseudo_share"] == pytest.approx(0.4)


def test_means_are_kept_where_they_should_be_and_nowhere_else(outcomes):
    for name in ("translated", "second", "near_of_six", "far_of_six"):
        assert outcomes[name]["mean_error"] < 1e-12
    for name in ("random", "gaussian"):
        assert outcomes[name]["mean_error"] > 1e-3
    assert outcomes["random"]["shift"] == outcomes["translated"]["shift"]
    assert outcomes["second"]["shift"] > outcomes["translated"]["shift"]


def test_all_but_the_ceiling_see_each_picture_once(outcomes):
    assert {outcomes[name]["samples"] for name in study.arms if name != "stored"} == {200}
    assert outcomes["stored"]["samples"] == 20 * (4 + 6 + 8 + 10)
    assert outcomes["translated"]["course"].x == [4, 6, 8, 10]
    first = {outcomes[name]["course"].y[0] for name in ("translated", "gaussian", "stored", "new_only", "random")}
    assert len(first) == 1  # before anything is old, they are one machine


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("translated", "lda")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
