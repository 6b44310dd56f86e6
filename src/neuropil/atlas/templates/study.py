"""My part: replace this line by the mechanism, and what it should do for whom.

A whole, small study that runs as it is: does hearing two inputs at different delays
(as in the brainstem's map of sound) let a linear readout tell how far apart two pulses
came? Put your own mechanism, control and task in the place of these, one at a time.
"""

import numpy as np
from neuropil.atlas import (
    Contrast,
    Dose,
    Gate,
    Lesion,
    Metric,
    Off,
    Seed,
    Settings,
    Study,
)

LAGS = np.array([-4, -2, 2, 4])
"""How many steps the second pulse comes after the first; below 0 it comes before."""
STEPS, WIDTH = 32, 3

study = Study(
    slug="my-part",
    claim="Units that hear two inputs at delays of their own tell the inputs' lag.",
    fidelity="paper",  # what you read: code, paper, or reconstructed (your own reading)
    scale="own",
    distance="none",
    arms={
        "delayed": {"reach": 6},  # the mechanism
        "prompt": {},  # its strongest fair control: the same units without delays
        "off": {"reach": 0},  # the mechanism at strength 0
        "redrawn": {"reach": 6},  # the lesion: other delays at test than in training
    },
    metrics={
        "accuracy": Metric("share correct", floor=0.25, ceiling=1.0),
        "apart": Metric("steps"),
    },
    # what decides: one metric, the smallest difference that matters, what is held equal
    primary=Contrast(
        "delayed",
        "prompt",
        on="accuracy",
        delta=0.05,
        match="parameters",
    ),
    # the proof that it acts: it did something, it can be switched off, its loss costs
    dose=Dose("apart", at_least=1.0),
    off=Off("off", equals="prompt"),
    lesion=Lesion("redrawn", at_least=0.05),
    gate=Gate(
        "the control is above chance, and not at the ceiling",
        "prompt.accuracy >= 0.3",
        "prompt.accuracy <= 0.9",
    ),
    budgets={
        "smoke": {"units": 20, "train": 100, "test_items": 100},
        "glance": {"units": 60, "train": 600, "test_items": 1000},
        "desk": {"units": 60, "train": 600, "test_items": 1000},
    },
    data={},  # names of data sets by budget, for example {"desk": ("digits",)}
)


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> dict[str, float]:
    """Run one arm once; all that is random comes from the seed, one stream an axis."""
    data, init = seed.numpy("data"), seed.numpy("init")
    x, labels = pulses(budget.train, data)
    x_test, labels_test = pulses(budget.test_items, data)
    weights = init.uniform(0.5, 1.5, (2, budget.units))
    delays = draw_delays(arm, budget.units, init)
    at_test = draw_delays(arm, budget.units, init) if arm.name == "redrawn" else delays
    h, h_test = respond(x, weights, delays), respond(x_test, weights, at_test)
    readout = np.linalg.solve(h.T @ h + np.eye(h.shape[1]), h.T @ np.eye(4)[labels])
    return {
        "accuracy": float(np.mean((h_test @ readout).argmax(1) == labels_test)),
        "apart": float(np.abs(delays[0] - delays[1]).mean()),
        "parameters": float(weights.size + readout.size),
    }


def pulses(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs [n, 2, STEPS], one pulse in each of two channels, and their lags."""
    labels = rng.integers(len(LAGS), size=n)
    first = rng.integers(8, STEPS - 8 - WIDTH, size=n)
    time = np.arange(STEPS)
    starts = np.stack([first, first + LAGS[labels]], axis=1)[:, :, None]
    pulse = (time >= starts) & (time < starts + WIDTH)
    return pulse + 0.25 * rng.normal(size=pulse.shape), labels


def draw_delays(arm: Settings, units: int, rng: np.random.Generator) -> np.ndarray:
    """Draw delays [2, units] in steps; none without a reach."""
    reach = arm.get("reach", 0)
    return rng.integers(0, reach, size=(2, units), endpoint=True)


def respond(x: np.ndarray, weights: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Give each unit's response [n, units + 1]: how often both its inputs coincide."""
    heard = [
        weights[k] * np.stack([np.roll(x[:, k], d, axis=1) for d in delays[k]], axis=2)
        for k in range(2)
    ]
    response = np.maximum(heard[0] + heard[1] - 1.2, 0).mean(axis=1)
    return np.hstack([response, np.ones((len(x), 1))])
