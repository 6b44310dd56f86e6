"""The house table: the smallest difference a contrast may call one that matters, per kind of metric, unless the contrast says ``why``."""

from __future__ import annotations

import math

from neuropil.atlas.contrast import Contrast, Metric
from neuropil.atlas.errors import AtlasError

SMALLEST = {
    "accuracy": 0.02,
    "auc": 0.02,
    "r2": 0.02,
    "correlation": 0.05,
    "success": 0.10,
    "sparsity": 0.05,
    "nats": 0.02,
    "return": 0.05,
    "steps": 1.25,
    "time": 1.25,
}


def check_delta(contrast: Contrast, metric: Metric, control_mean: float, test_items: int | None) -> str:
    """Say what delta was checked against; raise ``AtlasError`` where it is below the house table or two binomial standard errors.

    ``control_mean`` is the control's mean on tuning seeds; ``test_items`` the number of items in the pooled test (None: not a share of items).
    """
    key = metric.house or contrast.on
    said = []
    if key in SMALLEST:
        if contrast.delta < SMALLEST[key] * (1 - 1e-9) and (contrast.match is None or not contrast.why):
            raise AtlasError(
                f"'{contrast}' calls {contrast.delta:g} a difference that matters, below the house's {SMALLEST[key]:g} for {key}; raise delta or say why=."
            )
        said.append(f"house table: {key} {SMALLEST[key]:g}")
    if key == "accuracy" and test_items:
        coarse = 2 * math.sqrt(max(0.0, control_mean * (1 - control_mean)) / test_items)
        if contrast.delta < coarse:
            raise AtlasError(
                f"'{contrast}' is finer than its test: two binomial standard errors of {test_items} items are {coarse:.3g}; raise delta or test on more."
            )
        said.append(f"two binomial standard errors of {test_items} pooled test items: {coarse:.2g}")
    return "; ".join(said) or "no row in the house table for this metric"
