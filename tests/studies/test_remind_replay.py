import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch.nn.functional import cross_entropy, one_hot

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.studies.continual import remind_replay as rr
from neuropil.studies.continual.remind_replay import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
REPLAYING = ("remind", "jpeg", "jpeg_files", "plain", "unquantised", "scrambled", "off")


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def lesson(value=1000):
    return rr._lesson(tuple(SMOKE.items()), value)


def memory(name, **changed):
    return rr.Memory(arm(name, **changed), SMOKE, SEED, lesson())


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def test_examples_come_base_first_class_by_class_and_parts_are_disjoint():
    given = lesson()
    assert given.train.labels.tolist() == [c for c in range(10) for _ in range(60 if c < 4 else 20)]
    assert given.validation.labels.bincount().tolist() == [10] * 10
    assert len(given.test.labels) == 300
    rows = [{image.numpy().tobytes() for image in part.images} for part in (given.train, given.validation, given.test)]
    assert len(set.union(*rows)) == sum(map(len, rows))
    assert not torch.equal(lesson(1001).train.images, given.train.images)
    assert lesson() is given


def test_the_base_net_is_cut_in_two_and_frozen_maps_are_its_own(outcomes):
    given = lesson()
    maps = given.lower(rr.as_input(given.test.images))
    assert maps.shape == (300, 12, 4, 4)
    torch.testing.assert_close(maps.half(), given.test.maps, atol=2e-3, rtol=2e-3)
    assert rr.accuracy(given.upper, maps, given.test.labels, 4) > 0.8
    assert outcomes["jpeg"]["course"].y[0] == pytest.approx(rr.accuracy(given.upper, given.test.maps.float(), given.test.labels, 4))


def test_jpegs_are_pillows_and_without_tables_they_can_still_be_read():
    """What is counted of an image is what differs between files; the shared tables in front of it make it a file again."""
    images, given = lesson().train.images, rr._jpegs(tuple(SMOKE.items()), 1000, 10)
    files = []
    for k in (0, 100, 250):
        file = io.BytesIO()
        Image.fromarray(images[k].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=10)
        files.append(file.getvalue())
        assert len(files[-1]) == given.sizes[k] + given.tables
        joined = files[0][: given.tables] + files[-1][given.tables :]
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(joined))), given.images[k].permute(1, 2, 0).numpy())
    assert len({file[: given.tables] for file in files}) == 1
    assert len({file[given.tables :] for file in files}) == 3


def test_codes_are_counted_in_bits_and_codebooks_in_two_bytes_a_number():
    held = memory("remind")
    assert set(held.sizes) == {4 * 4 * 2 * 4 // 8}
    assert held.shared == 2 * 16 * 6 * 2
    torch.testing.assert_close(held.quantizer.centroids, held.quantizer.centroids.half().float(), rtol=0, atol=0)
    coarse, fine = memory("remind", detail=1), memory("remind", detail=3)
    assert (coarse.sizes[0], fine.sizes[0]) == (8, 24)
    errors = [float((held.shown(lesson().test) - lesson().test.maps.float()).square().sum()) for held in (coarse, held, fine)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("name", REPLAYING)
def test_stores_are_full_to_their_bytes_and_never_beyond(outcomes, name):
    found = outcomes[name]
    assert 2000 - max(memory(name).sizes) - 1 <= found["bytes"] <= 2000 or found["kept"] == 200
    assert found["replayed"] == 3


def test_room_is_counted_four_times(outcomes):
    assert outcomes["roomy"]["kept"] > 3 * outcomes["jpeg"]["kept"]
    assert outcomes["jpeg"]["bytes"] < outcomes["roomy"]["bytes"] <= 8000
    assert outcomes["jpeg_files"]["kept"] < outcomes["jpeg"]["kept"]


def test_what_is_recalled_is_what_was_seen():
    given = lesson()
    names = [3, 70, 299]
    torch.testing.assert_close(memory("unquantised").recall(names), given.train.maps[names].float(), rtol=0, atol=0)
    codes = memory("remind")
    torch.testing.assert_close(codes.recall(names), torch.cat([codes.fresh(k) for k in names]), rtol=0, atol=0)
    torch.testing.assert_close(codes.recall(names), codes.shown(given.train)[names], rtol=0, atol=0)
    images = memory("jpeg")
    assert torch.equal(images.fresh(3), rr.as_input(given.train.images[3:4]))
    assert 0 < float((images.recall([3]) - images.fresh(3)).abs().mean()) < 0.5


def test_scrambling_moves_codes_and_keeps_them():
    codes = torch.randint(0, 16, (5, 4, 4, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    moved = rr.scramble(codes, torch.Generator().manual_seed(1))
    assert not torch.equal(moved, codes)
    for before, after in zip(codes.flatten(1, 2).tolist(), moved.flatten(1, 2).tolist(), strict=True):
        assert sorted(before) == sorted(after)


def test_fine_tuning_is_gradient_descent_written_out(outcomes):
    """One example at a time: momentum 0.9, weight decay, the rate falling to a hundredth within each class."""
    given = lesson()
    weights = [one.detach().clone().requires_grad_() for one in given.upper.parameters()]
    names = [name for name, _ in given.upper.named_parameters()]
    velocity = [torch.zeros_like(one) for one in weights]
    for k in range(240, 360):
        scores = torch.func.functional_call(given.upper, dict(zip(names, weights, strict=True)), (given.train.maps[k : k + 1].float(),))
        slopes = torch.autograd.grad(cross_entropy(scores, one_hot(given.train.labels[k : k + 1], 10).float()), weights)
        rate = 0.01 * 0.01 ** ((k - 240) % 20 / 20)
        with torch.no_grad():
            for one, v, slope in zip(weights, velocity, slopes, strict=True):
                v.mul_(0.9).add_(slope + 1e-5 * one)
                one.sub_(rate * v)
    scores = torch.func.functional_call(given.upper, dict(zip(names, weights, strict=True)), (given.test.maps.float(),))
    assert outcomes["fine_tune"]["accuracy"] == pytest.approx(float((scores.argmax(1) == given.test.labels).double().mean()), abs=0.004)


def test_the_discriminant_analysis_is_scikit_learns(outcomes):
    given = lesson()
    train, test = (rr.pooled(part).double() for part in (given.train, given.test))
    labels = given.train.labels
    within = sum(
        ((train[labels == c] - train[labels == c].mean(0)).mT @ (train[labels == c] - train[labels == c].mean(0))) for c in range(10)
    )
    covariance = within / len(train)
    shrunk = 0.9 * covariance + 0.1 * covariance.trace() / len(covariance) * torch.eye(len(covariance))

    class Shrunk:
        def fit(self, x):
            self.covariance_ = shrunk.numpy()

    peer = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Shrunk(), priors=np.full(10, 0.1))
    peer.fit(train.numpy(), labels.numpy())
    assert outcomes["lda"]["accuracy"] == pytest.approx((peer.predict(test.numpy()) == given.test.labels.numpy()).mean(), abs=0.004)


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    own = {"kept_size", "kept_variance", "files_ratio"}
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics) - (set() if study.arms[name]["keeps"] == "codes" and name != "off" else own)
    assert all(math.isfinite(value) for value in found.values())
    assert found["samples"] == 360
    if name not in ("lda", "joint"):
        assert found["steps"] == 120
        assert found["parameters"] == outcomes["remind"]["parameters"]
        assert len(outcomes[name]["course"].y) == 7


def test_off_is_the_control_and_arms_differ(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["jpeg"])
    others = [name for name in study.arms if name != "off"]
    assert len({tuple(numbers(outcomes[name]).items()) for name in others}) == len(others)
    assert study.compute(arm("remind"), SMOKE, [SEED])[0] == outcomes["remind"]


def test_replay_holds_what_a_stream_alone_forgets(outcomes):
    assert outcomes["fine_tune"]["base_accuracy"] < 0.1
    assert outcomes["joint"]["accuracy"] > 2 * outcomes["fine_tune"]["accuracy"]
    assert outcomes["unquantised"]["accuracy"] > outcomes["fine_tune"]["accuracy"]


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("remind", "jpeg")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
