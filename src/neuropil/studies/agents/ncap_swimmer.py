"""NCAP swimmer: at equal skill on the body it was searched on, does a worm's wiring swim longer bodies better than generic shared controllers?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuropil.agents import SwimmerBodies, ncap_torques, scale_angles, square_wave, swim_reward
from neuropil.agents.body import Floats
from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Match, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, mean_curve, panels
from neuropil.learning import Evolution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCE, NEAR, FAR = 6, 8, 12
PERIOD, UNITS = 60, 16
WEIGHTS = ("proprioception", "oscillator", "ipsilateral", "contralateral")
HAND_SET = np.array([1.0, 1.0, 1.0, -1.0])
SEARCH = {"sigma": 0.3, "step_size": 0.3}
CIRCUIT = {"controller": "circuit", "signed": True, "start": "unit", **SEARCH}
ALLOWED = Match("samples_allowed", ratio=0.0)
ALIKE = (Match("source_return", within=0.05), ALLOWED)
EPISODES = {"lengths": (4, SOURCE, NEAR, FAR, 16), "steps": 200, "pairs": 8, "above_hand_set": 0.04}

study = Study(
    slug="ncap-swimmer",
    cites="bhattasali2022",
    claim="At the same return on the 6-link body on which they were searched, the worm's circuit (four shared weights of fixed sign) swims 8- and "
    "12-link bodies better, by 0.05 of the maximal return, than a shared linear controller with as many weights and the same inputs does.",
    fidelity="code",
    scale="reduced",
    arms={
        "ncap": CIRCUIT,
        "mlp_shared": {"controller": "mlp", **SEARCH},
        "linear_shared": {"controller": "linear", **SEARCH},
        "mlp_on_circuit": {"controller": "mlp", "circuit": 1.0, **SEARCH},
        "random_start": {**CIRCUIT, "start": "random"},
        "unsigned": {**CIRCUIT, "signed": False},
        "unsigned_random_start": {**CIRCUIT, "signed": False, "start": "random"},
        "no_proprioception": {**CIRCUIT, "lesion": "proprioception"},
        "hand_set": {"controller": "circuit", "signed": True, "start": "unit"},
        "hand_set_unscaled": {"controller": "circuit", "signed": True, "start": "unit", "unscaled": True},
        "sine_wave": {"controller": "sine"},
        "zero_torque": {"controller": "none"},
        "off": {"controller": "mlp", "circuit": 0.0, **SEARCH},
    },
    metrics={
        "transfer_return": Metric("mean reward a step", floor=0.0, ceiling=1.0, label="return on 8 and 12 links, mean", house="return"),
        "transfer_near": Metric("mean reward a step", floor=0.0, ceiling=1.0, label="return on 8 links", house="return"),
        "transfer_far": Metric("mean reward a step", floor=0.0, ceiling=1.0, label="return on 12 links", house="return"),
        "transfer_speed": Metric("desired speed", label="forward speed on 8 and 12 links, not cut off at the desired one"),
        "source_return": Metric("mean reward a step", floor=0.0, ceiling=1.0, label="return on 6 links, where matched", house="return"),
        "start_return": Metric("mean reward a step", floor=0.0, ceiling=1.0, label="return on 6 links before the search", house="return"),
        "search_return": Metric(
            "mean reward a step", floor=0.0, ceiling=1.0, label="return during the search, validation postures", house="return"
        ),
        "reached": Metric("0 or 1", kind="success", label="search reached the level"),
        "samples": Metric("control steps", better="lower", label="control steps that the search used, to the level or in all"),
        "moved": Metric("weight", label="root mean square change of a parameter (the circuit's weights start at 1)"),
        "wave_lag": Metric("control steps", label="lag from a joint to the next, 6 links"),
        "samples_allowed": Metric("control steps", kind="exact", label="control steps a search may use"),
        "parameters": Metric("numbers searched", better="lower"),
    },
    primary=Contrast("ncap", "linear_shared", on="transfer_return", delta=0.05, match=(*ALIKE, "parameters")),
    secondary=(
        Contrast("ncap", "mlp_shared", on="transfer_return", delta=0.05, match=ALIKE),
        Contrast("ncap", "linear_shared", on="transfer_far", delta=0.05, match=(*ALIKE, "parameters")),
        Contrast("ncap", "linear_shared", on="transfer_speed", delta=0.05, match=(*ALIKE, "parameters")),
        Contrast("ncap", "no_proprioception", on="transfer_return", delta=0.05, match=ALIKE),
        Contrast("hand_set", "hand_set_unscaled", on="transfer_return", delta=0.05, match=(Match("source_return", within=0.0),)),
        Contrast("ncap", "mlp_shared", on="search_return", delta=0.05, match=ALLOWED),
        Contrast("ncap", "linear_shared", on="search_return", delta=0.05, match=(ALLOWED, "parameters")),
        Contrast("mlp_on_circuit", "mlp_shared", on="search_return", delta=0.05, match=(ALLOWED, "parameters")),
        Contrast("ncap", "random_start", on="search_return", delta=0.05, match=(ALLOWED, "parameters")),
        Contrast("ncap", "unsigned", on="search_return", delta=0.05, match=(ALLOWED, "parameters")),
        Contrast("random_start", "unsigned_random_start", on="search_return", delta=0.05, match=(ALLOWED, "parameters")),
    ),
    dose=(Dose("moved", at_least=0.1), Dose("wave_lag", at_least=1.0)),
    gate=Gate(
        "the controls swim the source body, resting does not pay, a torque wave moves the longer bodies below the best possible return, and a "
        "circuit that transfers badly at the same source return (its angles not rescaled) is told apart by delta",
        "mlp_shared.source_return / ncap.source_return >= 0.5",
        "linear_shared.source_return / ncap.source_return >= 0.5",
        "zero_torque.source_return <= 0.05",
        "zero_torque.transfer_return <= 0.05",
        "0.5 <= sine_wave.transfer_return <= 0.95",
        "hand_set.transfer_return - hand_set_unscaled.transfer_return >= 0.05",
        "mlp_shared.transfer_return <= 0.95",
        "linear_shared.transfer_return <= 0.95",
    ),
    lesion=Lesion("no_proprioception", at_least=0.05),
    off=Off("off", "mlp_shared"),
    tune=Tune(
        space={"step_size": Grid((0.05, 0.15, 0.5, 1.5))},
        on="search_return",
        arms=("ncap", "linear_shared", "mlp_shared"),
        follow={
            "mlp_on_circuit": "mlp_shared",
            "random_start": "ncap",
            "unsigned": "ncap",
            "unsigned_random_start": "ncap",
            "no_proprioception": "ncap",
        },
        seeds=(1000, 1001),
        spread=tuple(range(1110, 1120)),
        budget={"lengths": (SOURCE, NEAR, FAR), "postures": 2},
    ),
    budgets={
        "smoke": {**EPISODES, "lengths": (SOURCE, NEAR, FAR), "steps": 10, "pairs": 2, "above_hand_set": 1.0}
        | {"generations": 2, "validation": 1, "postures": 1, "samples_allowed": 110},
        "glance": {**EPISODES, "lengths": (SOURCE, NEAR, FAR), "generations": 20, "validation": 4, "postures": 2, "samples_allowed": 80_800},
        "desk": {**EPISODES, "generations": 40, "validation": 6, "postures": 8, "samples_allowed": 177_200},
        "full": {**EPISODES, "steps": 1000, "generations": 300, "validation": 10, "postures": 20, "samples_allowed": 7_810_000},
    },
    data={"smoke": (), "glance": (), "desk": (), "full": ()},
    distance="PLACEHOLDER",
    notes="PLACEHOLDER",
)

Control = Callable[[Floats, Floats, int], Floats]


class Ride(NamedTuple):
    """What ``members`` controllers did from ``postures`` each: means over steps [M, E], and every angle [T, M E, J] and outline [T, M E, L + 1, 2]."""

    returns: Floats
    speed: Floats
    angles: Floats
    outline: Floats


def circuit(parameters: Floats, angles: Floats, step: int, signed: bool = True) -> Floats:
    """Torques of the worm's circuit, each member with its own four weights: [M, 4], [M, E, J] -> [M, E, J]."""
    weights = dict(zip(WEIGHTS, np.moveaxis(parameters, -1, 0)[..., None, None], strict=True))
    return ncap_torques(angles, square_wave(step, PERIOD), weights, signed=signed)


def inputs(angles: Floats, step: int) -> tuple[Floats, Floats, float]:
    """What every controller reads at a joint: the previous joint's angle (0 at the head), whether it is the head, and the oscillator's wave."""
    before, head = np.roll(angles, 1, axis=-1), np.zeros(angles.shape[-1])
    before[..., 0], head[0] = 0.0, 1.0
    return before, head, float(square_wave(step, PERIOD))


def linear(parameters: Floats, angles: Floats, step: int) -> Floats:
    """Torques linear in what is read, cut off at 1: four weights, for the angle, for the wave at the head, for the wave elsewhere, for being the head."""
    before, head, wave = inputs(angles, step)
    a, b, c, d = np.moveaxis(parameters, -1, 0)[..., None, None]
    return np.clip(a * before + b * head * wave + c * (1 - head) * wave + d * head, -1.0, 1.0)


def mlp(parameters: Floats, angles: Floats, step: int, strength: float | None = None) -> Floats:
    """Torques of one small network (tanh, linear output cut off at 1) used at every joint, with the hand-set circuit at a ``strength`` added to it."""
    before, head, wave = inputs(angles, step)
    members = len(parameters)
    first = parameters[:, : 3 * UNITS].reshape(members, 3, 1, 1, UNITS)
    bias, second, last = parameters[:, 3 * UNITS : 4 * UNITS], parameters[:, 4 * UNITS : 5 * UNITS], parameters[:, -1]
    read = before[..., None] * first[:, 0] + head[:, None] * first[:, 1] + wave * first[:, 2]
    out = (np.tanh(read + bias[:, None, None]) * second[:, None, None]).sum(axis=-1) + last[:, None, None]
    if strength is not None:
        out = out + strength * circuit(HAND_SET[None], angles, step)
    return np.clip(out, -1.0, 1.0)


def sine(parameters: Floats, angles: Floats, step: int) -> Floats:
    """An open-loop wave of torque, twice as high as torques may be before it is cut off, a fifth of a period later at each joint."""
    return np.broadcast_to(np.clip(2 * np.sin(2 * np.pi * (step / PERIOD - np.arange(angles.shape[-1]) / 5)), -1.0, 1.0), angles.shape)


def begin(arm: Settings, seed: Seed) -> tuple[Floats, Control]:
    """Return the first parameters and the controller of an arm."""
    rng = seed.numpy("init")
    if arm.controller == "mlp":
        weights = [rng.standard_normal(3 * UNITS) / math.sqrt(3), np.zeros(UNITS), 0.1 * rng.standard_normal(UNITS) / math.sqrt(UNITS), [0.0]]
        return np.concatenate(weights), lambda p, q, t: mlp(p, q, t, arm.get("circuit"))
    if arm.controller == "linear":
        return np.zeros(4), linear
    if arm.controller in ("sine", "none"):
        return np.zeros(0), sine if arm.controller == "sine" else (lambda p, q, t: np.zeros_like(q))
    drawn = rng.uniform(size=4)
    if arm.start == "random":
        first = drawn * HAND_SET if arm.signed else 2 * drawn - 1
    else:
        first = HAND_SET if arm.signed else np.where(drawn < 0.5, 1.0, -1.0)
    return first, lambda p, q, t: circuit(p, q, t, arm.signed)


def postures(rng: np.random.Generator, count: int, links: int) -> Floats:
    """Draw postures as the suite does, every joint uniformly within its range: [count, links - 1], radians."""
    return rng.uniform(-1, 1, (count, links - 1)) * 2 * np.pi / links


def ride(
    bodies: SwimmerBodies, control: Control, members: Floats, first: Floats, steps: int, *, joints: int | None = None, watched: bool = False
) -> Ride:
    """Let ``members`` [M, P] swim from the postures ``first`` [E, J]; angles are scaled as for a body of ``joints`` joints, its own unless given.

    Angles and outlines are kept where ``watched``.
    """
    shape = (len(members), *first.shape)
    bodies.reset(np.tile(first, (len(members), 1)))
    speed, angles, outline = [], [], []
    for step in range(steps):
        seen = scale_angles(bodies.angles, joints)
        bodies.step(control(members, seen.reshape(shape), step).reshape(-1, shape[-1]))
        speed.append(bodies.forward_velocity)
        if watched:
            angles.append(seen)
            outline.append(bodies.outline)
    velocity = np.reshape(speed, (steps, *shape[:2]))
    return Ride(swim_reward(velocity).mean(axis=0), velocity.mean(axis=0) / 0.1, np.array(angles), np.array(outline))


def search(first: Floats, control: Control, arm: Settings, budget: Settings, seed: Seed) -> tuple[Floats, list[float], float]:
    """Evolve the parameters until validation postures give the level, or to the last generation: the parameters there (the best, if the level was never
    reached), the return at every generation, and the level. An arm without a step size stays as it is."""
    judged, tried = SwimmerBodies(SOURCE, budget.validation), SwimmerBodies(SOURCE, 2 * budget.pairs)
    held_out = postures(seed.numpy("validation"), budget.validation, SOURCE)

    def validate(parameters: Floats, by: Control) -> float:
        return float(ride(judged, by, parameters[None], held_out, budget.steps).returns.mean())

    level = validate(HAND_SET, circuit) + budget.above_hand_set
    returns = [validate(first, control)]
    if "step_size" not in arm:
        return first, returns, level
    strategy = Evolution(arm.sigma, arm.step_size, budget.pairs, adam=True)
    noise, starts = seed.numpy("noise"), seed.numpy("training")
    state, best = strategy.init(first), first
    while returns[-1] < level and len(returns) <= budget.generations:
        directions, members = strategy.ask(state, noise)
        found = ride(tried, control, members, postures(starts, 1, SOURCE), budget.steps).returns[:, 0]
        state = strategy.tell(state, directions, found)
        returns.append(validate(state.parameters, control))
        if returns[-1] == max(returns):
            best = state.parameters
    return best, returns, level


def wave_lag(angles: Floats) -> float:
    """Mean lag of a joint behind the one before it, in control steps, from the phases at the oscillator's period: angles [T, B, J], whole periods last."""
    steps = len(angles) // PERIOD * PERIOD or len(angles)
    turns = np.exp(-2j * np.pi * np.arange(steps) / PERIOD)
    phase = np.tensordot(turns, angles[-steps:], axes=1)
    return float(np.angle(phase[:, :-1] * phase[:, 1:].conj()).mean() * PERIOD / (2 * np.pi))


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Search one controller on the 6-link body and let it swim bodies of every length from postures that the search never saw."""
    first, control = begin(arm, seed)
    last, returns, level = search(first, control, arm, budget, seed)
    moved = last.copy()
    if arm.get("lesion") == "proprioception":
        moved[WEIGHTS.index("proprioception")] = 0.0
    rides: dict[int, Ride] = {}
    for links in budget.lengths:
        bodies = SwimmerBodies(links, budget.postures)
        first_angles = postures(seed.numpy(f"test {links}"), budget.postures, links)
        used, joints = (last, None) if links == SOURCE else (moved, SOURCE - 1 if arm.get("unscaled") else None)
        rides[links] = ride(bodies, control, used[None], first_angles, budget.steps, joints=joints, watched=True)
    bodies = SwimmerBodies(SOURCE, budget.postures)
    before = ride(bodies, control, first[None], postures(seed.numpy(f"test {SOURCE}"), budget.postures, SOURCE), budget.steps)
    mean = {links: float(found.returns.mean()) for links, found in rides.items()}
    episodes = len(returns) * budget.validation + (len(returns) - 1) * 2 * budget.pairs
    reached = returns[-1] >= level
    capped = np.minimum(returns, level)
    outcome: dict[str, float | Curve | Matrix] = {
        "transfer_return": (mean[NEAR] + mean[FAR]) / 2,
        "transfer_near": mean[NEAR],
        "transfer_far": mean[FAR],
        "transfer_speed": float(rides[NEAR].speed.mean() + rides[FAR].speed.mean()) / 2,
        "source_return": mean[SOURCE],
        "start_return": float(before.returns.mean()),
        "search_return": float((capped.sum() + capped[-1] * (budget.generations + 1 - len(returns))) / (budget.generations + 1)),
        "reached": float(reached),
        "samples": float(episodes * budget.steps),
        "moved": float(np.sqrt(np.mean((last - first) ** 2))) if len(first) else 0.0,
        "wave_lag": wave_lag(rides[SOURCE].angles),
        "samples_allowed": float(budget.samples_allowed),
        "parameters": float(len(first)),
        "by_length": Curve(budget.lengths, [mean[links] for links in budget.lengths], "links", "return"),
        "learning": Curve(range(len(returns)), returns, "generation", "return on validation postures"),
    }
    if len(first) == len(WEIGHTS):
        outcome["first_weights"] = Curve(range(4), first, "weight", "before the search")
        outcome["last_weights"] = Curve(range(4), last, "weight", "after the search")
    for links in (SOURCE, FAR):
        angles, outline = rides[links].angles[-2 * PERIOD :, 0], rides[links].outline[-PERIOD :: max(PERIOD // 8, 1), 0]
        outcome[f"wave_{links}"] = Matrix(np.round(angles.T, 2), "joint, from the head", "control step")
        outcome[f"gait_{links}"] = Matrix(np.round(outline.reshape(len(outline), -1), 4), "moment", "x and y of the links' ends, m")
    return outcome
