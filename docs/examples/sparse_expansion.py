"""A sparse random expansion (mushroom body, cerebellar granule layer) before a linear readout, on scikit-learn's digits."""

import numpy as np

from neuropil.atlas import Contrast, Dose, Gate, Lesion, Metric, Off, Study
from neuropil.data import load

study = Study(
    slug="sparse-expansion",
    claim="A sparse random expansion makes digits easier for a linear readout than a linear one of the same width.",
    fidelity="paper",
    scale="proxy",
    arms={"sparse": {"active": 0.2}, "linear": {}, "off": {"active": 1.0}, "shuffled": {"active": 0.2}},
    metrics={"accuracy": Metric("share correct", floor=0, ceiling=1), "silenced_share": Metric("share of units")},
    primary=Contrast("sparse", "linear", on="accuracy", delta=0.02, match="parameters"),
    dose=Dose("silenced_share", at_least=0.5),
    gate=Gate("a readout of shuffled units is worse", "sparse.accuracy - shuffled.accuracy >= 0.1", "linear.accuracy >= 0.5"),
    lesion=Lesion("shuffled"),
    off=Off("off", equals="linear"),
    budgets={"smoke": {"width": 100}, "glance": {"width": 500}, "desk": {"width": 500, "resplit": (1297, 500)}},
    data={"smoke": ("digits",), "glance": ("digits",), "desk": ("digits",)},
    distance="Digits instead of odours; a ridge readout instead of a learned one.",
)


@study.trial
def trial(arm, budget, seed):
    digits, order = load("digits"), seed.numpy("data").permutation(1797)
    x, y = digits.images.reshape(1797, -1)[order] / 16.0, np.eye(10)[digits.labels[order]]
    h = x @ seed.numpy("init").normal(size=(64, budget.width)) / 8
    if "active" in arm:
        h = h * (h >= np.quantile(h, 1 - arm.active, axis=1, keepdims=True))
    test = h[1297:]
    if arm.name == "shuffled":
        test = seed.numpy("noise").permuted(test, axis=1)
    weights = np.linalg.solve(h[:1297].T @ h[:1297] + np.eye(budget.width), h[:1297].T @ y[:1297])
    accuracy = ((test @ weights).argmax(1) == y[1297:].argmax(1)).mean()
    return {"accuracy": accuracy, "silenced_share": (h == 0).mean(), "parameters": weights.size}
