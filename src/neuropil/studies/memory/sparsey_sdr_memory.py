"""Sparse codes chosen with noise that familiarity scales: do similar inputs share more of their codes than under one constant noise?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, mean_curve, panels
from neuropil.data import move_active, sparse_patterns
from neuropil.memory.sparsey import SparseyField, drawn_winners, winners

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SWAPS = (0, 2, 5, 9, 14)
"""How many of the 20 active inputs of a prototype its items have elsewhere."""
RECALL = 0.85
"""The recall that a setting must reach in tuning."""
SETTINGS = {"sharpness": 1.0, "slope": 10.0, "least": 0.0}
ALIKE = ("data", "parameters")


def _better(a: str, b: str, on: str = "similarity", delta: float = 0.05) -> Contrast:
    return Contrast(a, b, on=on, delta=delta, match=ALIKE)


study = Study(
    slug="sparsey-sdr-memory",
    cites="rinkus2017",
    claim="Drawing sparse codes with noise that falls with the familiarity of an input keeps the similarity of 100 inputs in their codes better, by 0.05 of rank correlation, than drawing them with one constant softmax noise, both as good at recall.",
    fidelity="reconstructed",
    scale="proxy",
    arms={
        "familiarity": {"choice": "familiarity", **SETTINGS},
        "constant": {"choice": "softmax", **SETTINGS},
        "constant_gain": {"choice": "familiarity", "strength": 0.0, **SETTINGS},
        "shuffled": {"choice": "familiarity", **SETTINGS, "shuffled": True},
        "off": {"choice": "gain", **SETTINGS},
        "random": {"choice": "random"},
        "hashing": {"choice": "hashing"},
    },
    metrics={
        "similarity": Metric(
            "rank correlation",
            floor=0.0,
            ceiling=1.0,
            label="Spearman correlation of input with code overlap, all pairs",
            house="correlation",
        ),
        "recall": Metric(
            "share of items",
            floor=0.0,
            ceiling=1.0,
            label="items whose code is the nearest to the one found, 3 of 20 inputs moved",
            house="accuracy",
        ),
        "tuned": Metric("rank correlation", label="similarity where recall is 0.85 or more, else recall - 1"),
        "similarity_within": Metric(
            "rank correlation", floor=0.0, ceiling=1.0, label="the same over pairs of one prototype", house="correlation"
        ),
        "familiarity_mean": Metric("share of inputs", label="mean familiarity G while storing"),
        "familiarity_spread": Metric("share of inputs", label="standard deviation of G over items"),
        "familiarity_half": Metric("share of inputs", label="mean G of items 41 to 60"),
        "calming": Metric("rank correlation", label="Spearman correlation of G with the entropy of the choice, sign turned"),
        "samples": Metric("items", kind="exact", label="items stored once"),
        "parameters": Metric("synapses", kind="exact", better="lower"),
    },
    primary=Contrast(
        "familiarity",
        "constant",
        on="similarity",
        delta=0.05,
        match=ALIKE,
        gate=("familiarity.recall - constant.recall <= 0.03", "constant.recall - familiarity.recall <= 0.03"),
    ),
    secondary=(
        _better("familiarity", "constant_gain"),
        _better("familiarity", "random"),
        _better("hashing", "familiarity"),
        _better("familiarity", "constant", "similarity_within"),
        Contrast("familiarity", "constant", on="recall", delta=0.05, match=ALIKE, relation="equal"),
    ),
    dose=(Dose("familiarity_spread", at_least=0.1), Dose("calming", at_least=0.5)),
    gate=Gate(
        "similarity can be kept, familiarity is neither nothing nor everything, and codes drawn at random are recalled",
        "hashing.similarity >= 0.3",
        "0.3 <= familiarity.familiarity_mean <= 0.8",
        "familiarity.familiarity_half <= 0.9",
        "random.recall >= 0.8",
        "constant.recall >= 0.8",
        "familiarity.recall >= 0.8",
    ),
    lesion=Lesion("shuffled"),
    off=Off("off", equals="constant_gain"),
    tune=Tune(
        space={
            "sharpness": Grid((0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 3.5, 4.0)),
            "slope": Grid((5.0, 10.0, 20.0, 40.0), closed="both"),
            "least": Grid((0.0, 0.2, 0.4, 0.6), closed="low"),
        },
        on="tuned",
        arms=("familiarity", "constant", "constant_gain"),
        follow={"shuffled": "familiarity", "off": "constant_gain"},
        seeds=tuple(range(1000, 1006)),
        spread=tuple(range(1100, 1110)),
    ),
    budgets={
        "smoke": {"inputs": 60, "active": 20, "modules": 8, "cells": 4, "prototypes": 4},
        "glance": {"inputs": 196, "active": 20, "modules": 32, "cells": 16, "prototypes": 20},
        "desk": {"inputs": 196, "active": 20, "modules": 32, "cells": 16, "prototypes": 20},
    },
    data={"smoke": (), "glance": (), "desk": ()},
    distance="100 items around 20 random prototypes in 196 inputs and one field of 32 x 16 cells instead of MNIST and videos in a hierarchy; no sequences, no classes.",
    notes="The equations are those of the briefing, the abstract was at hand, not the full text: our reading. An input excites cells by the share U of its active inputs that reach them; familiarity G is the mean over modules of the largest U; gain, slope and the least familiarity that counts are tuned, centre is 1/2, power 1. "
    "The control draws winners from softmax(sharpness U) with one sharpness for all items; the grid's slope and least do nothing in it, so that it has eight settings on as many trials, and the mechanism the finer search. constant_gain: the same sigmoid with G taken as 1 (off: the same by another way, so equal by construction). "
    "Tuning is on the similarity kept, under a recall of 0.85 (3 of 20 active inputs moved; a tie counts its share); below that a seed scores recall - 1, so that settings are chosen whose mean recall is above 0.85 by as much as it scatters. Similarity trades against recall, so the primary contrast is undecided where the recalls of the two arms differ by more than 0.03. Slope is bounded: 5 is nearly a line over U from 0 to 1, 40 nearly a step at its grain of 1 / 20. "
    "Items: 20 prototypes and, of each, items with 2, 5, 9 and 14 of 20 active inputs moved, in random order, each stored once. Most of the 4,950 pairs are of different prototypes and share 2 inputs by chance, which bounds the rank correlation; similarity_within is of pairs that share 6 or more. "
    "shuffled (lesion): the familiarities that the intact field met are dealt out among items before the noise is set. hashing: winners of a fixed random projection, whose codes need no memory. random: all cells as likely. Digits fill a field of this size after 50 items (the briefing), so they are not used. Time per item is the same for all by arithmetic. "
    "Pilots, seeds 1000 to 1002: familiarity at gain 0.5 to 2: similarity 0.11 to 0.19, recall 0.96 to 0.77; softmax at 2, 4, 6: 0.13, 0.19, 0.17, recall 0.96, 0.86, 0.28; hashing 0.37; random 0.00. The grid was set after them, and moved down once (from 0.5 to 8), since constant_gain had its optimum at the lower edge in a first tuning (familiarity 1, softmax 3).",
)


class Stored(NamedTuple):
    """A batch of S fields after I items each: the last state, codes [S, I, Q, K], familiarity [S, I] and entropy of the choice [S, I]."""

    state: SparseyField.State
    codes: Tensor
    familiarity: Tensor
    entropy: Tensor


def items(budget: Settings, seed: Seed) -> Tensor:
    """Items [I, N] in random order: for each prototype five that share 20, 18, 15, 11 and 6 of its active inputs."""
    draws = seed.torch("data")
    prototypes = sparse_patterns(budget.prototypes, budget.inputs, budget.active, draws)
    made = torch.cat([move_active(prototypes, swaps, draws) for swaps in SWAPS])
    return made[torch.randperm(len(made), generator=draws)]


def chances(arm: Settings, field: SparseyField, u: Tensor, g: Tensor) -> Tensor:
    """How likely each cell is to win, by the arm's rule."""
    if arm.choice == "random":
        return torch.full_like(u, 1 / u.shape[-1])
    if arm.choice == "softmax":
        chance: Tensor = (arm.sharpness * u).softmax(-1)
        return chance
    return field.chances(u, torch.ones_like(g) if arm.choice == "gain" else g)


def field_of(arm: Settings, budget: Settings) -> SparseyField:
    """Make the field of an arm."""
    given = {"gain": arm.sharpness, "slope": arm.slope, "least": arm.least, "power": arm.get("strength", 1.0)} if "sharpness" in arm else {}
    return SparseyField(budget.inputs, budget.modules, budget.cells, **given)


def store_all(arm: Settings, budget: Settings, x: Tensor, seeds: list[Seed], familiarity: Tensor | None = None) -> Stored:
    """Store items x [S, I, N] one after the other; ``familiarity`` [S, I] in place of the one that is met sets the noise."""
    field, codes, met, entropies = field_of(arm, budget), [], [], []
    draws = [seed.torch("noise") for seed in seeds]
    states = field.initial(len(seeds))
    hashed = torch.stack([torch.randn(budget.inputs, budget.modules, budget.cells, generator=seed.torch("init")) for seed in seeds])
    for t in range(x.shape[1]):
        u = field.support(states, x[:, t])
        g = field.familiarity(u)
        p = chances(arm, field, u, g if familiarity is None else familiarity[:, t])
        if arm.choice == "hashing":
            code = winners(torch.einsum("sn,snqk->sqk", x[:, t], hashed))
        else:
            code = torch.stack([drawn_winners(row, generator) for row, generator in zip(p, draws, strict=True)])
        states = field.store(states, x[:, t], code)
        codes.append(code)
        met.append(g)
        entropies.append(-torch.xlogy(p, p).sum(-1).mean(-1))
    return Stored(states, torch.stack(codes, 1), torch.stack(met, 1), torch.stack(entropies, 1))


def spearman(a: Tensor, b: Tensor) -> float:
    """The rank correlation of two rows of numbers; 0 where one of them never changes."""
    from scipy.stats import rankdata

    a, b = (torch.from_numpy(rankdata(x.double().numpy())) for x in (a, b))
    a, b = a - a.mean(), b - b.mean()
    size = float((a.square().sum() * b.square().sum()).sqrt())
    return float((a * b).sum()) / size if size else 0.0


def judged(arm: Settings, budget: Settings, x: Tensor, stored: Stored, which: int, seed: Seed) -> dict[str, float | Curve]:
    """Similarity kept, recall from disturbed items, and what familiarity did, of one field."""
    field, codes, inputs = field_of(arm, budget), stored.codes[which].flatten(1), x[which]
    upper = torch.triu_indices(len(inputs), len(inputs), 1)
    shared = {"input": inputs @ inputs.mT, "code": codes @ codes.mT}
    pairs = {name: overlap[upper[0], upper[1]] for name, overlap in shared.items()}
    near = pairs["input"] >= budget.active * 0.3
    disturbed = move_active(inputs, 3, seed.torch("test"))
    if arm.choice == "hashing":
        hashed = torch.randn(budget.inputs, budget.modules, budget.cells, generator=seed.torch("init"))
        found = winners(torch.einsum("in,nqk->iqk", disturbed, hashed)).flatten(1)
    else:
        state = SparseyField.State(stored.state.w[which])
        found = torch.stack([field.retrieve(state, one) for one in disturbed]).flatten(1)
    likeness = found @ codes.mT
    own = likeness.diagonal()
    best = likeness.amax(1)
    ties = (likeness == best[:, None]).sum(1)
    recall = float(torch.where(own == best, 1 / ties.double(), 0.0).mean())
    similarity = spearman(pairs["input"], pairs["code"])
    g = stored.familiarity[which]
    levels = sorted({int(v) for v in pairs["input"].tolist()})
    return {
        "similarity": similarity,
        "recall": recall,
        "tuned": similarity if recall >= RECALL else recall - 1,
        "similarity_within": spearman(pairs["input"][near], pairs["code"][near]),
        "familiarity_mean": float(g.mean()),
        "familiarity_spread": float(g.std()),
        "familiarity_half": float(g[int(0.4 * len(g)) : int(0.6 * len(g))].mean()),
        "calming": -spearman(g, stored.entropy[which]),
        "samples": float(len(inputs)),
        "parameters": float(budget.inputs * budget.modules * budget.cells),
        "overlap": Curve(
            levels, [float(pairs["code"][pairs["input"] == v].mean()) / budget.modules for v in levels], "inputs shared", "winners shared"
        ),
        "course": Curve(range(len(g)), g.tolist(), "item", "familiarity G"),
    }


@study.trials(batch=10)
def trials(arm: Settings, budget: Settings, seeds: list[Seed]) -> list[Outcome]:
    """Store all items once in as many fields as there are seeds, and judge each."""
    x = torch.stack([items(budget, seed) for seed in seeds])
    stored = store_all(arm, budget, x, seeds)
    if arm.get("shuffled"):
        dealt = torch.stack(
            [g[torch.randperm(len(g), generator=seed.torch("shuffle"))] for g, seed in zip(stored.familiarity, seeds, strict=True)]
        )
        stored = store_all(arm, budget, x, seeds, dealt)
    return [judged(arm, budget, x, stored, which, seed) for which, seed in enumerate(seeds)]


COLOURS = {
    "familiarity": "#d1495b",
    "constant": "#4f7cac",
    "constant_gain": "#7a6fb0",
    "shuffled": "#b9770e",
    "random": "#999999",
    "hashing": "#6b8e23",
}


@study.figure(
    "codes",
    "Left: rank correlation of input with code overlap, a dot a seed. Middle: winners shared by the inputs shared, means over seeds. Right: familiarity of each item when it is stored, means over seeds.",
)
def codes_figure(table: Table) -> Figure:
    """How much of the similarity of inputs is in their codes."""
    figure, (left, middle, right) = panels(1, 1.1, 1, height=3.6)
    dots(left, {arm: table.values(arm, "similarity") for arm in COLOURS if arm in table.arms}, COLOURS)
    left.set(xlabel="rank correlation of overlaps")
    for arm, colour in COLOURS.items():
        if arm in table.arms:
            met: dict[float, list[float]] = {}
            for curve in table.curves(arm, "overlap"):
                for x, y in zip(curve.x, curve.y, strict=True):
                    met.setdefault(x, []).append(y)
            places = sorted(met)
            middle.plot(places, [np.mean(met[x]) for x in places], color=colour, lw=1.4)
            if arm in ("familiarity", "constant", "random"):
                mean = mean_curve(table.curves(arm, "course"))
                right.plot(mean.x, mean.y, color=colour, lw=1.2, label=arm)
    middle.set(xlabel="inputs shared, of 20", ylabel="share of winners shared")
    right.set(xlabel="item", ylabel="familiarity G", ylim=(0, 1))
    right.legend(fontsize=8, frameon=False, labelcolor=GREY)
    return figure
