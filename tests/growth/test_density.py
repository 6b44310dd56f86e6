"""The cubic curve and ERK against closed forms and against numbers that others published."""

import math

import numpy as np
import pytest

from neuropil.growth import cubic_density, erk_densities


def test_cubic_density_is_the_published_curve():
    # zhu2017, equation 1, in sparsities: s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3
    t0, n, dt, s_i, s_f = 100, 9, 50, 0.2, 0.95
    t = t0 + dt * np.arange(n + 1)
    sparsity = s_f + (s_i - s_f) * (1 - (t - t0) / (n * dt)) ** 3
    ours = [cubic_density(int(step), start=t0, end=t0 + n * dt, initial=1 - s_i, final=1 - s_f) for step in t]
    np.testing.assert_allclose(ours, 1 - sparsity, rtol=0, atol=1e-12)


def test_cubic_density_holds_before_and_after():
    curve = {"start": 10, "end": 20, "initial": 0.8, "final": 0.1}
    assert cubic_density(0, **curve) == cubic_density(10, **curve) == 0.8
    assert cubic_density(20, **curve) == cubic_density(99, **curve) == 0.1
    assert cubic_density(15, **curve) == pytest.approx(0.1 + 0.7 / 8)
    assert cubic_density(5, start=5, end=5, final=0.3) == 0.3


@pytest.mark.parametrize(
    ("curve", "message"),
    [({"final": 0.0}, "0 < final"), ({"initial": 0.2, "final": 0.3}, "0 < final"), ({"start": 9, "final": 0.3}, "swap")],
)
def test_cubic_density_refuses(curve, message):
    with pytest.raises(ValueError, match=message):
        cubic_density(1, **{"start": 0, "end": 5, **curve})


def test_erdos_renyi_for_matrices():
    # mocanu2018: the weights kept in a layer are e (n_in + n_out), the same e in every layer.
    shapes = {"a": (300, 784), "b": (100, 300), "c": (10, 100)}
    found = erk_densities(shapes, 0.01)
    kept = {name: found[name] * math.prod(shapes[name]) for name in shapes}
    e = 0.01 * 266_200 / (1084 + 400 + 110)
    assert kept == pytest.approx({"a": e * 1084, "b": e * 400, "c": e * 110})


def test_layers_that_would_exceed_one_are_dense_and_the_rest_pays():
    shapes = {"a": (300, 784), "b": (100, 300), "c": (10, 100)}
    found = erk_densities(shapes, 0.1)
    assert found["c"] == 1.0
    e = (26_620 - 1000) / (1084 + 400)
    assert found["a"] == pytest.approx(e * 1084 / 235_200)
    assert found["b"] == pytest.approx(e * 400 / 30_000)
    assert set(erk_densities(shapes, 1.0).values()) == {1.0}


def resnet50():
    """Yield shape and output side of the weights of ResNet-50 at 224 x 224 (stride in the 3 x 3 convolutions, 1,000 classes)."""
    yield (64, 3, 7, 7), 112
    width, side = 64, 56
    for stage, (planes, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            before, side = side, side // 2 if block == 0 and stage > 0 else side
            yield (planes, width, 1, 1), before
            yield (planes, planes, 3, 3), side
            yield (4 * planes, planes, 1, 1), side
            if block == 0:
                yield (4 * planes, width, 1, 1), side
            width = 4 * planes
    yield (1000, 2048), 1


@pytest.mark.parametrize(("sparsity", "published"), [(0.8, 0.42), (0.9, 0.24), (0.95, 0.12)])
def test_erk_gives_the_flops_published_for_resnet50(sparsity, published):
    """The README of google-research/rigl lists inference FLOPs of ERK networks as a share of the dense one's 8.2e9."""
    layers = {str(k): layer for k, layer in enumerate(resnet50())}
    shapes = {name: shape for name, (shape, _) in layers.items()}
    work = {name: 2 * math.prod(shape) * side**2 for name, (shape, side) in layers.items()}
    assert sum(work.values()) == pytest.approx(8.2e9, rel=0.01)
    found = erk_densities(shapes, 1 - sparsity)
    size = sum(math.prod(shape) for shape in shapes.values())
    assert sum(found[name] * math.prod(shapes[name]) for name in shapes) == pytest.approx((1 - sparsity) * size)
    assert sum(found[name] * work[name] for name in shapes) / sum(work.values()) == pytest.approx(published, abs=0.0075)


@pytest.mark.parametrize(("shapes", "density"), [({}, 0.1), ({"a": (0, 3)}, 0.1), ({"a": (3, 3)}, 0.0), ({"a": (3, 3)}, 1.5)])
def test_erk_refuses(shapes, density):
    with pytest.raises(ValueError, match=r"was given"):
        erk_densities(shapes, density)
