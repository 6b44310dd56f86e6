"""A spiking CA3 memory against a Willshaw matrix: does it answer as well after many noisy writes, overwrites and recalls?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, mean_curve, panels
from neuropil.data import load
from neuropil.memory import SpikingCAM, WillshawMemory
from neuropil.memory.spiking_cam import HOLD_MS, POPULATIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRITE, BY_CUE, BY_FRAGMENT = 0, 1, 2
ONSET = 1
"""An operation begins at the second millisecond of its slot, so that a spike may come a millisecond early."""
SLOT = 12
"""The 10 ms of the authors' examples of asking by content, and one for jitter at either end."""
FIRST_ANSWER = 4
"""The earliest millisecond of a slot at which a recall can answer: ``ONSET``, 4 ms of latency, a millisecond early."""
NOISY, ON_TIME, QUIET = 0, 1, 2
"""Conditions of every run: jitter and loss; loss only; neither. The operations are the same."""

SPIKING = {"memory": "spiking", "contents": "random", "readout": 3}
WILLSHAW = {"memory": "willshaw", "contents": "random", "readout": 1, "clear": True}
ALIKE = ("parameters", "compute", "data")


def _as_good(a: str, b: str, on: str = "f1") -> Contrast:
    return Contrast(a, b, on=on, delta=0.05, match=ALIKE, relation="equal")


def _better(a: str, b: str, on: str = "f1") -> Contrast:
    return Contrast(a, b, on=on, delta=0.05, match=ALIKE)


def _above_blind(on: str) -> Contrast:
    return Contrast("spiking", "blind", on=on, delta=0.05, match=("compute", "data"))


def _f1(label: str, kind: Literal["mean", "exact"] = "mean") -> Metric:
    return Metric("F1", kind=kind, floor=0.0, ceiling=1.0, label=label)


def _share(units: str, label: str, better: Literal["higher", "lower"] = "higher") -> Metric:
    floor, ceiling = (0.0, 1.0) if better == "higher" else (1.0, 0.0)
    return Metric(units, floor=floor, ceiling=ceiling, label=label, better=better)


study = Study(
    slug="hippocampal-spiking-cam",
    cites="hippocampal-spiking-cam2023",
    claim="After 200 writes, overwrites and recalls under 1 ms of jitter and 5 % spike loss, with plasticity on throughout, the spiking CA3 memory "
    "answers as well, to within 0.05 F1, as a Willshaw matrix that is told when each operation begins and whether it is a write, and clears the row it writes.",
    fidelity="code",
    scale="proxy",
    arms={
        "spiking": {**SPIKING, "sweep": True},
        "willshaw": {**WILLSHAW, "sweep": True},
        "frozen_recall": {**SPIKING, "frozen": True},
        "no_gate": {**SPIKING, "gating": False},
        "no_lateral": {**SPIKING, "lateral": False},
        "no_depression": {**SPIKING, "depression": 0.0},
        "willshaw_kept": {**WILLSHAW, "clear": False},
        "spiking_digits": {**SPIKING, "contents": "digits"},
        "willshaw_digits": {**WILLSHAW, "contents": "digits"},
        "cut": {**SPIKING, "cut": True},
        "off": {**SPIKING, "potentiation": 0.0, "depression": 0.0},
        "unwritten": {**WILLSHAW, "written": False},
        "blind": {"memory": "blind", "contents": "random"},
    },
    metrics={
        "f1": _f1("F1 of the recalled set, mean of both ways of asking"),
        "f1_on_time": _f1("the same, spikes lost but none moved"),
        "f1_quiet": _f1("the same, no noise"),
        "f1_cue": _f1("F1 of the content recalled from its cue"),
        "f1_fragment": _f1("F1 of the cues recalled from a fragment"),
        "f1_all_cues": _f1("F1 of answering a fragment with every cue, whatever it is"),
        "f1_fragment_quiet": _f1("F1 of the cues recalled from a fragment, no noise"),
        "f1_during": _f1("F1 of recalls among the 200 operations"),
        "f1_heavy": _f1("F1 with jitter and the largest loss"),
        "f1_disjoint": _f1("F1 without noise, contents disjoint, nothing overwritten", "exact"),
        "precision_fragment": _share("share of recalled cues", "recalled cues that are right"),
        "recall_fragment": _share("share of right cues", "right cues that are recalled"),
        "stored": _share("share of links", "links that reach after a write"),
        "stored_quiet": _share("share of links", "links that reach after a write, no noise"),
        "overwritten": Metric("overwrites", label="overwrites after which most old contents no longer answer their cue"),
        "overwritten_quiet": Metric("overwrites", label="the same, no noise"),
        "false_links": _share("share of pairs", "pairs not held whose link reaches, before the test", "lower"),
        "false_links_quiet": _share("share of pairs", "the same, no noise", "lower"),
        "lost_links": _share("share of pairs", "pairs held whose link does not reach, before the test", "lower"),
        "lost_links_quiet": _share("share of pairs", "the same, no noise", "lower"),
        "damage": Metric("links a recall", better="lower", label="links put wrong by a recall, net"),
        "damage_quiet": Metric("links a recall", better="lower", label="the same, no noise"),
        "parameters": Metric("changeable synapses", better="lower"),
        "steps": Metric("operations", kind="exact", better="lower"),
        "samples": Metric("input spikes", better="lower"),
    },
    primary=_as_good("spiking", "willshaw"),
    secondary=(
        _as_good("spiking", "willshaw", "f1_on_time"),
        _as_good("spiking", "willshaw", "f1_quiet"),
        _as_good("spiking", "willshaw", "f1_cue"),
        _as_good("spiking", "willshaw", "f1_fragment"),
        _as_good("frozen_recall", "willshaw", "f1_quiet"),
        _as_good("spiking_digits", "willshaw_digits"),
        _above_blind("f1"),
        _above_blind("f1_fragment"),
        _above_blind("f1_fragment_quiet"),
        _better("frozen_recall", "spiking"),
        _better("frozen_recall", "spiking", "f1_quiet"),
        _better("spiking", "no_gate", "f1_quiet"),
        _better("spiking", "no_lateral", "f1_quiet"),
        _better("spiking", "no_depression", "f1_quiet"),
        _better("spiking", "willshaw_kept"),
    ),
    dose=(Dose("stored_quiet", at_least=0.9), Dose("overwritten_quiet", at_least=50), Dose("stored", at_least=0.25)),
    gate=Gate(
        "without noise and overlap both memories are perfect; the score feels noise, old contents that are kept, and, "
        "where there is no noise, what the spiking memory holds",
        "spiking.f1_disjoint >= 1",
        "willshaw.f1_disjoint >= 1",
        "willshaw.f1_heavy <= 0.8",
        "willshaw.f1 - willshaw_kept.f1 >= 0.2",
        "spiking.f1_quiet - blind.f1_quiet >= 0.1",
    ),
    lesion=Lesion("cut", at_least=0.1),
    off=Off("off", equals="unwritten"),
    tune=Tune(
        space={"readout": Grid((1, 2, 3, 4, 5), closed="low")},
        on="f1_during",
        arms=("spiking", "willshaw"),
        follow={
            "frozen_recall": "spiking",
            "no_gate": "spiking",
            "no_lateral": "spiking",
            "no_depression": "spiking",
            "spiking_digits": "spiking",
            "cut": "spiking",
            "off": "spiking",
            "willshaw_kept": "willshaw",
            "willshaw_digits": "willshaw",
            "unwritten": "willshaw",
        },
        seeds=tuple(range(1000, 1008)),
        spread=tuple(range(1110, 1130)),
    ),
    budgets={
        "smoke": {"cues": 3, "cells": 6, "active": 2, "operations": 12, "probes": 3, "bins": 2, "losses": (0.05, 0.3)},
        "glance": {"cues": 10, "cells": 20, "active": 3, "operations": 200, "probes": 30, "bins": 5, "losses": (0.05, 0.1, 0.2, 0.3)},
        "desk": {"cues": 10, "cells": 20, "active": 3, "operations": 200, "probes": 60, "bins": 5, "losses": (0.05, 0.1, 0.2, 0.3)},
    },
    data={"smoke": ("digits",), "glance": ("digits",), "desk": ("digits",)},
    distance="Simulated in floating point instead of on SpiNNaker; the test sequences in the authors' repository have 5 cues, 10 content cells and up to 11 "
    "operations without noise (the paper's own stress and application tests were not at hand), here it is 10 cues, 20 cells (3 active, drawn anew at each write) and 200 operations, then a test. Noise is ours: each input spike is moved by -1, 0 or 1 ms, "
    "each equally likely, and lost with 5 %. Operations start 12 ms apart: the 10 of the authors' examples of asking by content, and 2 so that jitter never brings them closer.",
    notes="What is right: asked by cue, the cells written last under that cue; asked by a fragment (1 to 3 cells of a content that is held), every cue whose content has at least "
    "one of them, as the authors' documentation defines it. Lost spikes do not change what is right. An empty answer scores 0, so F1 is kind to "
    "answering too much: the arm blind answers every question with all cells or all cues, and says what a score is worth (f1_all_cues, on fragments). "
    "The claim is one of equality. It first read 'better by 0.05', which could not have come out: the matrix is exact, and all that it misses are questions that "
    "did not arrive, which leaves less than 0.05 above it (0.96 in tuning). This was changed in review before registration, after the pilots; arms, metric, delta and data stayed. "
    "So did the word that the pilots point to. The matrix is the rival with most knowledge, not the nearest in kind: it knows when operations begin, which are writes, "
    "and takes 12 ms as one moment. The reader of either memory knows when it has asked. frozen_recall is told which operations are writes as well. "
    "The pair rule was read in sPyNNaker's source: the postsynaptic spike counts one moment late (the synapse's delay is dendritic), and lag 0 depresses by all of A_minus. "
    "Both matter: with them all five of the authors' test sequences come out as documented (answers after 5, 6 and 7 ms); with lag 0 left out, as in "
    "older releases, nothing is forgotten, and with the delay left out, nothing is learned. The paper's full text was not at hand, only its abstract, code and documentation. One pairing at lag 1 reaches 4.3 of 6 nA; a write reaches the bound because it pairs twice. "
    "Both memories get the same spikes. The matrix takes a cell as active if any spike of it came in the 12 ms slot, so jitter cannot hurt it; it needs no clock finer than the operation, "
    "and the matrix is told when to write, as the spiking memory need not be. Free choices, same grid and trials: the matrix's threshold in active cells (1 is what the set asks for, and a cue is one cell), the spiking memory's window of reading in ms. "
    "The matrix holds one number a pair for synapses in both directions, and is counted as having both. "
    "Jitter alone halves what a write stores (links that reach: 0.47 on six tuning seeds, 1.0 without): a dose of 0.9 is asked of the same operations without noise, "
    "and shows that the program works as its authors say; in the noise of the primary contrast 0.25 is asked, and shows that it is not switched off there. "
    "What use does to memories is in the contrasts on f1_on_time (loss only) and f1_quiet (no noise). "
    "Overwrites are counted on the cue -> content pathway; on the other, an overwritten cell keeps a synapse of 3.1 to 3.3 nA, short of the 3.36 that fire a cue alone, but two of them do. "
    "spiking > no_depression and willshaw > willshaw_kept hold by construction (nothing is forgotten) and are shown for scale. The lesion takes the content -> cue synapses away just before the test; "
    "it costs because no answer scores 0, and alone would not show that the answers lost were good ones (see blind). "
    "off and unwritten are equal by construction too: amplitude 0 in the network, and a matrix that is never written. "
    "Looks before registration: pilots of the desk on seeds 1200 to 1209, twice with operations 9 ms apart (7 and 2) and once as now, and one without jitter on 1200 to 1205. "
    "Spiking: about 0.49, 0.67 and 0.75 with jitter and loss, loss, neither; matrix 0.97, 0.97 and 1; nothing changed by 0.02 when operations were spread from 9 to 12 ms. "
    "They were spread because, at the shortest pace that the authors allow, one write ties its cue to the next content. The gate's loss went from 20 % (matrix 0.84) to 30 % (0.72), "
    "the dose to the condition without noise, overwrites to one pathway. In review came the arm blind and its contrasts, the dose in noise, the last two conditions of the gate, "
    "and frozen_recall against the matrix, all with the pilots known; seeds 1200 to 1205 were then looked at once more (fragments without noise 0.49, and 0.49 by answering all cues). "
    "Nothing was searched for in the spiking memory but its window of reading, and neither memory was adapted to noise. "
    "No Hopfield arm.",
)


class Session(NamedTuple):
    """What is asked of a memory, one operation a row: its kind, its cue, the content written or the fragment, and what should be held after it."""

    kind: NDArray[np.int64]
    cue: NDArray[np.int64]
    cells: NDArray[np.bool_]
    held: NDArray[np.bool_]

    @property
    def answer(self) -> NDArray[np.bool_]:
        """The right answers [O, K + N]: all cues whose content meets the fragment, or the content of the cue."""
        by_fragment = (self.held & self.cells[:, None]).any(axis=2) & (self.kind == BY_FRAGMENT)[:, None]
        by_cue = self.held[np.arange(len(self.cue)), self.cue] & (self.kind == BY_CUE)[:, None]
        return np.concatenate((by_fragment, by_cue), axis=1)


def session(
    kinds: Sequence[int], cues: Sequence[int], contents: NDArray[np.bool_], sizes: Sequence[int], rng: np.random.Generator
) -> Session:
    """Follow what is held through operations: ``contents`` [O, N] are written; a fragment is ``sizes`` cells of what the cue then holds."""
    held = np.zeros((max(cues) + 1, contents.shape[1]), dtype=bool)
    cells, after = np.zeros_like(contents), []
    for o, (kind, cue) in enumerate(zip(kinds, cues, strict=True)):
        if kind == WRITE:
            cells[o] = contents[o]
            held[cue] = contents[o]
        elif kind == BY_FRAGMENT:
            on = np.flatnonzero(held[cue])
            cells[o, rng.permutation(on)[: sizes[o]]] = True
        after.append(held.copy())
    return Session(np.array(kinds), np.array(cues), cells, np.array(after))


def mixed(arm: Settings, budget: Settings, seed: Seed) -> Session:
    """Write every cue once, then overwrite and ask in thirds, in random order; then as many test probes of either kind, cues in turn."""
    rng, k = seed.numpy("data"), budget.cues
    rest = budget.operations - k
    middle = np.resize([WRITE, BY_CUE, BY_FRAGMENT], rest)
    probes = np.repeat([BY_CUE, BY_FRAGMENT], budget.probes)
    turn = np.tile(np.resize(np.arange(k), budget.probes), 2)
    order = rng.permutation(len(probes))
    kinds = np.concatenate((np.full(k, WRITE), rng.permutation(middle), probes[order]))
    cues = np.concatenate((rng.permutation(k), rng.integers(k, size=rest), turn[order]))
    if arm.contents == "digits":
        images = load("digits").images.reshape(-1, 64) >= 8
        contents = images[rng.integers(len(images), size=len(kinds))]
    else:
        contents = rng.random((len(kinds), budget.cells)).argsort(axis=1) < budget.active
    return session(kinds.tolist(), cues.tolist(), contents, rng.integers(1, budget.active + 1, size=len(kinds)).tolist(), rng)


def orthogonal(budget: Settings, seed: Seed) -> Session:
    """Disjoint contents, each written once, asked by cue, by one cell and by all its cells."""
    rng, k = seed.numpy("orthogonal"), budget.cues
    share = budget.cells // k
    owner = np.zeros((k, budget.cells), dtype=bool)
    for cue, block in enumerate(rng.permutation(budget.cells)[: share * k].reshape(k, share)):
        owner[cue, block] = True
    cues = np.concatenate([rng.permutation(k) for _ in range(4)])
    kinds = np.repeat([WRITE, BY_CUE, BY_FRAGMENT, BY_FRAGMENT], k)
    sizes = np.repeat([0, 0, 1, share], k)
    return session(kinds.tolist(), cues.tolist(), owner[cues], sizes.tolist(), rng)


def conditions(arm: Settings, budget: Settings) -> list[tuple[float, bool]]:
    """List (loss, jitter): the three of every run, and all others for the arms that are swept."""
    first = [(budget.losses[0], True), (budget.losses[0], False), (0.0, False)]
    every = [(loss, jitter) for jitter in (True, False) for loss in (0.0, *budget.losses)]
    return first + [c for c in every if c not in first] if "sweep" in arm else first


def trains(what: Session, noise: Sequence[tuple[float, bool]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return input spikes [O, SLOT, C, K + N]: 3 of each active cell for a write, one for a recall, each moved by -1, 0 or 1 ms, or lost.

    Conditions share their draws: what is lost at 5 % is lost at 10 % too. Two spikes of a cell in one millisecond are one.
    """
    o, k, n = len(what.kind), what.held.shape[1], what.held.shape[2]
    active = np.zeros((o, k + n), dtype=bool)
    active[:, k:] = what.cells
    active[np.arange(o), what.cue] = what.kind != BY_FRAGMENT
    shift = rng.integers(-1, 2, size=(o, HOLD_MS, k + n))
    luck = rng.random((o, HOLD_MS, k + n))
    x = np.zeros((o, SLOT, len(noise), k + n), dtype=np.float32)
    for spike in range(HOLD_MS):
        present = active & ((what.kind == WRITE) | (spike == 0))[:, None]
        for c, (loss, jitter) in enumerate(noise):
            rows, cells = np.nonzero(present & (luck[:, spike] >= loss))
            x[rows, ONSET + spike + jitter * shift[rows, spike, cells], c, cells] = 1
    return x


class Record(NamedTuple):
    """What a memory answered [O, S, C, K + N], and the links that reach after each operation [O, S, C', 2, K, N]: cue -> content and
    content -> cue, in the three conditions of every run."""

    answers: NDArray[np.bool_]
    links: NDArray[np.bool_]


@torch.no_grad()
def drive_spiking(arm: Settings, x: Tensor, kinds: Tensor, k: int, test: int) -> Record:
    """Run the spiking memory slot by slot; ``cut`` takes the content -> cue pathway away before operation ``test``."""
    options = {name: arm[name] for name in ("potentiation", "depression", "gating", "lateral") if name in arm}
    memory = SpikingCAM(k, x.shape[-1] - k, **options)
    reach = memory.least_weight("content"), memory.least_weight("cue_copy")
    s = memory.initial(*x.shape[2:4])
    answers, links = [], []
    for o, slot in enumerate(x):
        if "cut" in arm and o >= test:
            s = s._replace(cue_w=torch.zeros_like(s.cue_w))
        learns = (kinds[o] == WRITE).to(x.dtype)[None, :, None, None].expand(*slot.shape[:-1], 1) if "frozen" in arm else None
        y, s = memory(slot, s, plasticity=learns)
        answers.append(y[FIRST_ANSWER : FIRST_ANSWER + arm.readout].amax(dim=0) > 0)
        links.append(torch.stack((s.content_w[:, :3].mT >= reach[0], s.cue_w[:, :3] >= reach[1]), dim=2))
    return Record(torch.stack(answers).numpy(), torch.stack(links).numpy())


@torch.no_grad()
def drive_willshaw(arm: Settings, x: Tensor, kinds: Tensor, k: int) -> Record:
    """Run the matrix on the same spikes: a cell is active if any spike of it came in the slot."""
    memory = WillshawMemory(k, x.shape[-1] - k, threshold=arm.readout, clear=arm.clear)
    s = memory.initial(*x.shape[2:4])
    answers, links = [], []
    for o, seen in enumerate(x.amax(dim=1)):
        cue, content = seen[..., :k], seen[..., k:]
        if arm.get("written", True):
            written = memory.write(s, cue, content)
            s = s._replace(w=torch.where((kinds[o] == WRITE)[:, None, None, None], written.w, s.w))
        answers.append(torch.cat((memory.recall_cues(s, content)[0], memory.recall(s, cue)[0]), dim=-1) > 0)
        links.append((s.w[:, :3].mT > 0).unsqueeze(2).expand(-1, -1, 2, -1, -1))
    return Record(torch.stack(answers).numpy(), torch.stack(links).numpy())


def drive(arm: Settings, sessions: Sequence[Session], x: Sequence[NDArray[np.float32]], test: int) -> Record:
    """Run the arm's memory on one session a seed, all seeds and losses at once; ``blind`` holds nothing and answers everything."""
    spikes = torch.from_numpy(np.stack(x, axis=2))
    kinds = torch.from_numpy(np.stack([what.kind for what in sessions], axis=1))
    k = sessions[0].held.shape[1]
    if arm.memory == "blind":
        o, _, b, c, cells = spikes.shape
        return Record(np.ones((o, b, c, cells), dtype=bool), np.ones((o, b, c, 2, k, cells - k), dtype=bool))
    return drive_spiking(arm, spikes, kinds, k, test) if arm.memory == "spiking" else drive_willshaw(arm, spikes, kinds, k)


def scores(what: Session, answers: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Return F1, precision and recall of every answer [O]: cells if asked by cue, cues if asked by fragment; no answer scores 0."""
    k = what.held.shape[1]
    asked = np.zeros(answers.shape, dtype=bool)
    asked[:, :k] = (what.kind == BY_FRAGMENT)[:, None]
    asked[:, k:] = (what.kind == BY_CUE)[:, None]
    given, right = answers & asked, what.answer
    hits = (given & right).sum(axis=1)
    g, r = given.sum(axis=1), right.sum(axis=1)
    return 2 * hits / np.maximum(g + r, 1), hits / np.maximum(g, 1), hits / np.maximum(r, 1)


def both_ways(f1: NDArray[np.float64], kind: NDArray[np.int64]) -> float:
    """Average over the two ways of asking, each of them a mean over its recalls."""
    return float((f1[kind == BY_CUE].mean() + f1[kind == BY_FRAGMENT].mean()) / 2)


def of_links(what: Session, links: NDArray[np.bool_], operations: int) -> dict[str, float]:
    """Measure what writes and recalls did to the links [O, 2, K, N] up to the test."""
    held = what.held[:, None]
    wrong = (links != held).sum(axis=(1, 2, 3))
    stored, overwritten = [], 0
    for o in np.flatnonzero(what.kind[:operations] == WRITE):
        cue = what.cue[o]
        stored.append(links[o, :, cue][:, what.cells[o]].mean())
        if o:
            old = links[o - 1, 0, cue] & ~what.cells[o]
            overwritten += int((links[o, 0, cue] & old).sum() < 0.5 * old.sum())
    asked = np.flatnonzero(what.kind[1:operations] != WRITE) + 1
    before, now = held[operations - 1], links[operations - 1]
    return {
        "stored": float(np.mean(stored)),
        "overwritten": float(overwritten),
        "false_links": float((now & ~before).sum() / (2 * (~before).sum())),
        "lost_links": float((~now & before).sum() / (2 * before.sum())),
        "damage": float((wrong[asked] - wrong[asked - 1]).sum() / max(len(asked), 1)),
    }


@study.trials(batch=10)
def trials(arm: Settings, budget: Settings, seeds: list[Seed]) -> list[Outcome]:
    """Put a batch of seeds through the mixed operations and the test, in every condition, and through the disjoint case."""
    noise, t = conditions(arm, budget), budget.operations
    sessions = [mixed(arm, budget, seed) for seed in seeds]
    x = [trains(what, noise, seed.numpy("noise")) for what, seed in zip(sessions, seeds, strict=True)]
    record = drive(arm, sessions, x, t)
    disjoint = [orthogonal(budget, seed) for seed in seeds]
    silent = [trains(what, [(0.0, False)], seed.numpy("noise")) for what, seed in zip(disjoint, seeds, strict=True)]
    plain = drive(arm, disjoint, silent, budget.cues)
    outcomes: list[Outcome] = []
    for b, what in enumerate(sessions):
        outcome = measure(what, record.answers[:, b], noise, budget)
        quiet = of_links(what, record.links[:, b, QUIET], t)
        outcome |= of_links(what, record.links[:, b, NOISY], t) | {f"{name}_quiet": value for name, value in quiet.items()}
        outcome["f1_disjoint"] = both_ways(scores(disjoint[b], plain.answers[:, b, 0])[0], disjoint[b].kind)
        outcome["parameters"] = float(2 * what.held.shape[1] * what.held.shape[2])
        outcome["steps"] = float(len(what.kind))
        outcome["samples"] = float(x[b][:, :, NOISY].sum())
        outcome["links"] = Matrix((what.held[t - 1] + 2.0 * record.links[t - 1, b, QUIET, 1]).tolist(), "cue", "cell")
        if arm.contents == "digits":
            outcome |= pictures(what, record.answers[:, b], t)
        if arm.name == "spiking":
            outcome["raster"] = raster()
        outcomes.append(outcome)
    return outcomes


def measure(
    what: Session, answers: NDArray[np.bool_], noise: Sequence[tuple[float, bool]], budget: Settings
) -> dict[str, float | Curve | Matrix]:
    """Score the answers [O, C, K + N] of one seed: among the operations and at the test, by noise, time and size of the fragment."""
    t, kind, sizes = budget.operations, what.kind, what.cells.sum(axis=1)
    found = [scores(what, answers[:, c]) for c in range(len(noise))]
    f1, precision, recall = found[NOISY]
    cue, fragment = (np.flatnonzero(kind == way)[(kind == way)[:t].sum() :] for way in (BY_CUE, BY_FRAGMENT))
    at_test = [both_ways(of[0][t:], kind[t:]) for of in found]
    outcome: dict[str, float | Curve | Matrix] = {
        "f1": at_test[NOISY],
        "f1_on_time": at_test[ON_TIME],
        "f1_quiet": at_test[QUIET],
        "f1_cue": float(f1[cue].mean()),
        "f1_fragment": float(f1[fragment].mean()),
        "f1_all_cues": float(scores(what, np.ones_like(answers[:, 0]))[0][fragment].mean()),
        "f1_fragment_quiet": float(found[QUIET][0][fragment].mean()),
        "precision_fragment": float(precision[fragment].mean()),
        "recall_fragment": float(recall[fragment].mean()),
        "f1_during": both_ways(f1[:t], kind[:t]),
    }
    for name, of in (("noisy", found[NOISY][0]), ("quiet", found[QUIET][0])):
        seen = [n for n in range(1, budget.active + 1) if (sizes[fragment] == n).any()]
        outcome[f"by_size_{name}"] = Curve(seen, [of[fragment][sizes[fragment] == n].mean() for n in seen], "cells in the fragment", "F1")
        ends = np.linspace(budget.cues, t, budget.bins + 1).astype(int)
        spans = [(b, np.flatnonzero(kind[a:b] == BY_FRAGMENT) + a) for a, b in pairwise(ends)]
        there = [(float(b), of[asked].mean()) for b, asked in spans if len(asked)]
        outcome[f"by_time_{name}"] = Curve([b for b, _ in there], [f for _, f in there], "operations", "F1")
    for jitter, name in ((True, "jitter"), (False, "on_time")) if len(noise) > 3 else ():
        by_loss = sorted((loss, f) for (loss, moved), f in zip(noise, at_test, strict=True) if moved == jitter)
        outcome[f"by_loss_{name}"] = Curve([loss for loss, _ in by_loss], [f for _, f in by_loss], "share of input spikes lost", "F1")
        if jitter:
            outcome["f1_heavy"] = by_loss[-1][1]
    return outcome


def pictures(what: Session, answers: NDArray[np.bool_], test: int) -> dict[str, Matrix]:
    """Keep the images held at the test, and what their cues last recalled with noise and without."""
    k = what.held.shape[1]
    kept = {"held": what.held[-1].astype(float)}
    for name, condition in (("recalled", NOISY), ("recalled_quiet", QUIET)):
        kept[name] = np.zeros(what.held.shape[1:])
        for o in test + np.flatnonzero(what.kind[test:] == BY_CUE):
            kept[name][what.cue[o]] = answers[o, condition, k:]
    return {name: Matrix(image.tolist(), "cue", "cell") for name, image in kept.items()}


STORY = (
    (0, (0,), (0, 1, 2)),
    (9, (1,), (2, 3, 4)),
    (18, (0,), ()),
    (27, (), (2,)),
    (36, (0,), (4, 5, 6)),
    (45, (0,), ()),
    (54, (), (1,)),
)
TITLES = ("learn 0", "learn 1", "cue 0?", "cell 2?", "relearn 0", "cue 0?", "cell 1?")


@torch.no_grad()
def raster(cues: int = 3, cells: int = 8) -> Matrix:
    """Record every cell of a small memory through the story without noise; the input's rows come first."""
    memory, x = SpikingCAM(cues, cells), torch.zeros(63, cues + cells)
    for onset, cue, content in STORY:
        for cell in (*cue, *(cues + c for c in content)):
            x[onset : onset + (HOLD_MS if cue and content else 1), cell] = 1
    s, seen = memory.initial(), []
    for moment in x:
        _, s = memory.step(moment, s)
        seen.append(s.recent[0])
    return Matrix(torch.cat((x, torch.stack(seen)), dim=1).T.tolist(), "cell", "time (ms)")


COLOURS = {"spiking": "#d1495b", "willshaw": "#4f7cac", "frozen_recall": "#e09f3e", "no_lateral": "#7a6fb0"}


@study.figure(
    "raster",
    "A memory of 3 cues and 8 contents without noise, every cell: two memories learned, one recalled by its cue, both cues recalled by a cell that "
    "they share (2), the first relearned with other cells (its old cells fire once more, and are erased), recalled, and asked by a forgotten cell.",
)
def raster_figure(table: Table) -> Figure:
    """Learn, recall from cue and from a fragment, overwrite, recall: the paper's central picture."""
    figure, (ax,) = panels(1, height=5.6)
    rows = np.asarray(table.matrix("spiking", "raster").values)
    cues = 3
    cells = (rows.shape[0] - 4 * cues - 1) // 5
    names = ("input cue", "input content", *(name.replace("_", " ") for name in POPULATIONS))
    sizes = (cues, cells, *(1 if name == "interneuron" else cues if name.startswith("cue") else cells for name in POPULATIONS))
    colours = (
        GREY,
        GREY,
        *("#d1495b" if name.startswith("cue") else "#4f7cac" if name.startswith("content") else "#e09f3e" for name in POPULATIONS),
    )
    top, ticks = 0, []
    for size, colour in zip(sizes, colours, strict=True):
        cell, time = np.nonzero(rows[top : top + size])
        ax.scatter(time, cell + top, s=9, marker="s", color=colour, lw=0)
        ax.axhline(top - 0.5, color=GREY, lw=0.4, alpha=0.5)
        ticks.append(top + (size - 1) / 2)
        top += size
    for (onset, _, _), title in zip(STORY, TITLES, strict=True):
        ax.axvline(onset - 0.5, color=GREY, lw=0.6, ls=":")
        ax.text(onset, -1.2, title, color=GREY, fontsize=8)
    ax.set_yticks(ticks, names, fontsize=8)
    ax.set(ylim=(top - 0.5, -3), xlim=(-1, rows.shape[1]), xlabel="time (ms)")
    return figure


@study.figure(
    "noise",
    "F1 of recalled sets, means over seeds. Left: at the test, against the share of input spikes lost; filled: with 1 ms of jitter, open: without. "
    "Middle: cues recalled from a fragment, against its size. Right: the same over the operations. Middle and right filled: jitter and 5 % loss, open: no noise.",
)
def noise_figure(table: Table) -> Figure:
    """What noise costs, what a longer fragment gives, and what time and use do."""
    figure, axes = panels(1, 1, 1)
    families = (("by_loss_jitter", "by_loss_on_time"), ("by_size_noisy", "by_size_quiet"), ("by_time_noisy", "by_time_quiet"))
    for ax, names in zip(axes, families, strict=True):
        for arm in ("spiking", "willshaw", "frozen_recall"):
            for name, face, line in zip(names, (COLOURS[arm], "none"), ("-", "--"), strict=True):
                if arm in table.arms and name in table.outcomes[arm][0]:
                    curve = mean_curve(table.curves(arm, name))
                    label = arm.replace("_", " ") if line == "-" else None
                    ax.plot(curve.x, curve.y, marker="o", color=COLOURS[arm], mfc=face, ms=5, lw=1.4, ls=line, label=label)
                    ax.set(xlabel=curve.x_label, ylim=(0, 1.03))
    for ax in axes[1:]:
        ax.axhline(table.mean("spiking", "f1_all_cues"), color=GREY, lw=1, ls=":", label="answering all cues")
    axes[0].set(ylabel="F1", title="both ways of asking")
    axes[1].set(title="asked by a fragment")
    axes[1].set_xticks(mean_curve(table.curves("spiking", "by_size_noisy")).x)
    axes[2].set(title="asked by a fragment")
    axes[1].legend(fontsize=7, frameon=False, labelcolor=GREY, loc="lower right")
    return figure


@study.figure(
    "links",
    "The content -> cue links before the test, one seed, no noise. Blue: held and reaching; red: reaching though not held; hollow: held and lost.",
)
def links_figure(table: Table) -> Figure:
    """Where answers to fragments go wrong: links that were never written or should have been erased."""
    shown = [arm for arm in ("willshaw", "frozen_recall", "spiking", "no_lateral") if arm in table.arms]
    figure, axes = panels(*[1] * len(shown), height=2.8)
    for ax, arm in zip(axes, shown, strict=True):
        code = np.asarray(table.matrix(arm, "links").values)
        for value, colour, face in ((3, "#4f7cac", "#4f7cac"), (2, "#d1495b", "#d1495b"), (1, "#4f7cac", "none")):
            cue, cell = np.nonzero(code == value)
            ax.scatter(cell, cue, s=22, marker="s", edgecolors=colour, facecolors=face, lw=1)
        ax.set(title=arm.replace("_", " "), xlabel="content cell", ylim=(code.shape[0] - 0.5, -0.5))
    axes[0].set_ylabel("cue")
    return figure


@study.figure(
    "digits",
    "Ten handwritten digits, 64 cells each, after 200 operations, one seed: what was written last, and what each cue recalls.",
)
def digits_figure(table: Table) -> Figure:
    """What overwriting and noise leave of real contents."""
    rows = [
        ("willshaw_digits", "held", "written"),
        ("willshaw_digits", "recalled", "Willshaw, noise"),
        ("spiking_digits", "recalled_quiet", "spiking, no noise"),
        ("spiking_digits", "recalled", "spiking, noise"),
    ]
    rows = [row for row in rows if row[0] in table.arms]
    figure, axes = panels(*[1] * 10, height=0.95 * max(len(rows), 1), rows=max(len(rows), 1))
    for place, ax in enumerate(axes):
        ax.spines[:].set_visible(False)
        ax.set_xticks([])
        ax.set_yticks([])
        row, cue = divmod(place, 10)
        if row < len(rows):
            arm, name, title = rows[row]
            images = np.asarray(table.matrix(arm, name).values)
            if cue < len(images):
                shade = np.zeros((8, 8, 4))
                shade[..., :3] = [int(COLOURS[arm.split("_")[0]][i : i + 2], 16) / 255 for i in (1, 3, 5)] if name != "held" else 0.5
                shade[..., 3] = 0.08 + 0.92 * images[cue].reshape(8, 8)
                ax.imshow(shade, interpolation="nearest")
            if cue == 0:
                ax.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    return figure
