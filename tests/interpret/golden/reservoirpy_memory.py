"""Write reservoirpy_memory.json: the memory capacity that reservoirpy measures of small networks, by its own reservoir, readout and measure.

pip install reservoirpy==0.4.2 && python tests/interpret/golden/reservoirpy_memory.py
"""

import json
from pathlib import Path

import numpy as np
import reservoirpy
from reservoirpy.nodes import Reservoir, Ridge
from reservoirpy.observables import memory_capacity

CASES = (
    {"units": 25, "radius": 0.9, "scale": 0.5, "leak": 1.0, "bias": 0.0, "penalty": 1e-6, "seed": 1},
    {"units": 25, "radius": 0.9, "scale": 0.5, "leak": 0.3, "bias": 0.2, "penalty": 1e-6, "seed": 2},
    {"units": 40, "radius": 1.2, "scale": 0.1, "leak": 1.0, "bias": 0.0, "penalty": 1e-2, "seed": 3},
)
LAGS, TEST, STEPS = 40, 300, 1500


def numbers(case):
    """Weights, input weights and input of a case, from numpy's frozen generator."""
    rng = np.random.RandomState(case["seed"])
    w = rng.normal(size=(case["units"], case["units"]))
    w *= case["radius"] / np.abs(np.linalg.eigvals(w)).max()
    return w, rng.uniform(-case["scale"], case["scale"], size=(case["units"], 1)), rng.uniform(-0.8, 0.8, size=(STEPS, 1))


def measured(case):
    """What reservoirpy measures, for each lag."""
    w, w_in, series = numbers(case)
    bias = np.full(case["units"], case["bias"])
    nodes = Reservoir(W=w, Win=w_in, bias=bias, lr=case["leak"]), Ridge(ridge=case["penalty"])
    return memory_capacity(nodes[0] >> nodes[1], LAGS, as_list=True, series=series, test_size=TEST).tolist()


if __name__ == "__main__":
    found = {
        "reservoirpy": reservoirpy.__version__,
        "lags": LAGS,
        "test": TEST,
        "cases": [{**case, "curve": measured(case)} for case in CASES],
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
