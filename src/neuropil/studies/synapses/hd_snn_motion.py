"""Heterogeneous delays for motion detection: are a few synapses spread over many delays worth more than as many at the shortest delays?"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, lines, mean_curve, panels
from neuropil.data import MotionMovies, load, space_time_patches, whiten
from neuropil.data.content import Array
from neuropil.growth import SparseMask, prune_global
from neuropil.learning import Backprop, fit
from neuropil.networks import HDSNN, most_evident

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIRECTIONS, DELAYS, WINDOW, SHORT = 8, 12, 7, 4
KEPT = DIRECTIONS * 2 * DELAYS * WINDOW**2 // 16
STEPS, TILE = DELAYS + 3, 32  # three decisions a movie; pictures of 32 x 32 pixels
SPEED, CONE = 0.4, 1.125  # pixels a step: the middle one of the authors' speeds, and their prior
PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "clock_motion", "coffee", "coins", "grass", "gravel", "moon", "motorcycle_left")
FULL = {"delays": DELAYS, "window": WINDOW, "reach": DELAYS, "kept": None, "prior": 1, "lr": 0.01}
PRUNED = {**FULL, "kept": KEPT}
ALIKE = ("parameters", "compute", "data")


def _share(label: str, **more: str) -> Metric:
    return Metric("share of moments", label=label, floor=1 / DIRECTIONS, ceiling=1.0, house="accuracy", **more)  # type: ignore[arg-type]


study = Study(
    slug="hd-snn-motion",
    cites="grimaldi2023",
    claim="Of a layer that tells eight directions of motion from events, a sixteenth of the synapses, chosen by magnitude over 12 delays and trained on, is right on new "
    "pictures more often by 0.03 than as many synapses at the four shortest delays, chosen alike from these or packed densely into the smallest window.",
    fidelity="code",
    scale="proxy",
    arms={
        "pruned": {**PRUNED},
        "short": {**PRUNED, "delays": SHORT, "reach": SHORT},
        "compact": {**FULL, "delays": SHORT, "reach": SHORT, "window": 3},
        "full": {**FULL},
        "random": {**PRUNED, "random": True},
        "two_delays": {**PRUNED, "delays": 2, "reach": 2},
        "eight_delays": {**PRUNED, "delays": 8, "reach": 8},
        "collapsed": {**FULL, "delays": 1, "reach": 1, "summed": True},
        "reversed": {**PRUNED, "lesion": "reversed"},
        "cut": {**PRUNED, "lesion": "cut"},
        "off": {**PRUNED, "reach": SHORT},
    },
    metrics={
        "accuracy": _share("decisions for the right direction, pictures not trained on"),
        "validation_accuracy": _share("the same on pictures for choosing"),
        "opposite": Metric("share of moments", better="lower", label="decisions for the opposite direction"),
        "mean_delay": Metric("steps", label="mean delay of the synapses, weighted by how their weights differ between directions"),
        "raw_delay": Metric("steps", label="mean delay of the synapses, weighted by their weights"),
        "far_share": Metric("share of synapses", floor=0.0, ceiling=1.0, label="synapses at delays that the control has not"),
        "operations": Metric("sums a place and moment", better="lower", label="events times synapses, all directions"),
        "parameters": Metric("synapses and biases", better="lower", label="parameters that are not 0"),
        "steps": Metric("updates", kind="exact", better="lower"),
        "samples": Metric("places presented", kind="exact"),
    },
    primary=(
        Contrast("pruned", "short", on="accuracy", delta=0.03, match=ALIKE),
        Contrast("pruned", "compact", on="accuracy", delta=0.03, match=ALIKE),
    ),
    secondary=(
        Contrast("pruned", "random", on="accuracy", delta=0.03, match=ALIKE),
        Contrast(
            "pruned", "cut", on="accuracy", delta=0.03, match=None, why="the cut kernel is the pruned one less its longer delays, at test"
        ),
        Contrast("full", "pruned", on="accuracy", delta=0.03, match=("compute", "data")),
        Contrast("eight_delays", "short", on="accuracy", delta=0.03, match=ALIKE),
        Contrast("short", "two_delays", on="accuracy", delta=0.03, match=ALIKE),
    ),
    dose=Dose("mean_delay", at_least=3.0),
    gate=Gate(
        "the whole kernel tells directions, the sum of events does not, and the controls are neither at chance nor at ceiling",
        "full.accuracy >= 0.6",
        "collapsed.accuracy <= 0.25",
        "0.25 <= short.accuracy <= 0.85",
        "0.25 <= compact.accuracy <= 0.85",
    ),
    lesion=Lesion("reversed"),
    off=Off("off", equals="short"),
    tune=Tune(
        space={"lr": (0.003, 0.01, 0.03, 0.1, 0.3), "prior": Grid((0, 1), closed="both")},
        on="validation_accuracy",
        arms=("pruned", "short", "compact"),
        follow={"full": "pruned", "random": "pruned", "eight_delays": "pruned", "reversed": "pruned", "cut": "pruned"}
        | {"two_delays": "short", "collapsed": "short", "off": "short"},
        seeds=(1000, 1001),
        spread=tuple(range(1100, 1108)),
        budget={"validation": 500, "test": 50},
    ),
    budgets={
        "smoke": {"pictures": "photographs", "movies": 40, "places": 10, "test": 20, "test_items": 20, "epochs": 1, "batch": 100},
        "glance": {"pictures": "photographs", "movies": 800, "places": 40, "test": 400, "test_items": 400, "epochs": 5, "batch": 500},
        "desk": {"pictures": "cifar10_jpeg", "movies": 1500, "places": 40, "test": 1100, "test_items": 1100, "epochs": 4, "batch": 500},
    },
    data={"smoke": ("photographs",), "glance": ("photographs",), "desk": ("cifar10_jpeg",)},
    paper={"value": 91.0, "units": "% of 36 motions (chance 3 %), whole kernel; half of it left at 1.5 synapses in a thousand"},
    distance="Views of 13 x 13 pixels of CIFAR-10's photographs (32 x 32) instead of 128 x 128 of large ones, 15 frames instead of 200; 8 directions at the middle one of the authors' speeds "
    "instead of 12 at three; 12 delays and 7 x 7 places instead of 21 and 17 x 17, without the delays the window could not use; 60,000 single places, each seen 8 times, instead of 40,000 whole movies; the "
    "rate falls twice; decisions for single moments of movies with one motion, where the authors' code decides once a movie.",
    notes="Events, loss (cross-entropy over directions at every place), exchange of ON and OFF with a maximum, start of the weights, the prior of a cone and the decision (mean evidence over the 15 % of "
    "places where it is largest) follow the authors' code. Where their text differs it is not followed: it has a binary loss for each class and a mean over all places; their events forget what stays below the threshold. "
    "Without the maximum, or another nonlinearity before the mean, evidence summed over places would count events and hold no motion. "
    "Learning: movies whose direction changes every 24 frames on the mean, as there; judging: movies of one direction on pictures of CIFAR-10's test set, drawn anew a seed, decided at three moments whose past of 12 "
    "frames is all within the movie; these three count as one item. "
    "As many synapses: 588, a sixteenth of 8 x 2 x 12 x 7 x 7, chosen over all directions by magnitude after half of the training. The briefing's control, a dense kernel over short delays with the same window, has no "
    "such size (one delay has 784), so there are two: short, chosen alike and trained on alike from the four shortest delays, a third, where the paper's cut kernel has lost half; compact, all of four delays and 3 x 3 places (576). "
    "The paper cuts a trained kernel without training on, which a kernel trained so short does better than: cut and the curves show that. "
    "Speed of 0.4 pixels a step: what is in the middle has moved 1.2 pixels over the control's delays and 4.4 over all. All arms decide at the same 49 places. "
    "The prior (weights only in a cone of space and delay, 1.125 pixels a step) is tuned with the rate, for each arm. "
    "Where compact takes it, its synapses at delay 0 beside the middle are held near 0 and still counted. "
    "mean_delay weighs a synapse by how far its weight lies from the mean over directions, as what all directions share decides nothing (at the start the weights in the middle, 4 and -4, are shared); this weighing "
    "is ours, raw_delay has the plain one. "
    "Pilots, all on seeds 1000 and 1001 with test accuracies displayed: at a speed of 0.5 and without the prior, views of 17, 13 and 15 pixels, 1,000 to 2,000 movies, rates 0.001 to 0.03: pruned 0.76 to 0.93, short 0.62 to 0.81, "
    "compact 0.65 to 0.81, whole 0.96 to 0.99, pruned at random 0.58, mean_delay of pruned 2.6 to 3.3 (dose asks for 3, the briefing's number). Then the speed was set to the authors' middle one (0.397 in their code), the "
    "rate made to fall before pruning too, and the prior taken in: pruned 0.78 to 0.85, short 0.68 to 0.72, compact 0.73 to 0.77, mean_delay 3.2 to 4.4 at rates 0.003 to 0.03, with and without the prior. "
    "The view of 13 was taken as it leaves the controls room (the gate's 0.85 is the briefing's). Glance uses tiles of eleven photographs, split by photograph.",
)


Frozen = tuple[tuple[str, Any], ...]


def frozen(settings: Settings, *without: str) -> Frozen:
    """Turn settings into something that a cache can look up."""
    return tuple(sorted((name, value) for name, value in settings.items() if name not in without))


def thawed(settings: Frozen) -> Settings:
    """Turn it back into settings."""
    return Settings("", dict(settings))


class Examples(NamedTuple):
    """What neurons hear at single places, u8 [P, 2, delays, window, window], with the directions; and whole movies to decide on."""

    patches: Tensor
    labels: Tensor
    test: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor] | None


@lru_cache(maxsize=1)
def grey(name: str) -> dict[str, Array]:
    """All pictures as grey tiles of 32 x 32, those to learn from and those to judge by: of photographs, by photograph."""
    data = load(name)
    if name == "photographs":
        return {photograph: _tiles(getattr(data, photograph)) for photograph in PHOTOGRAPHS}
    return {"train": _mean(data.train_images), "test": _mean(data.test_images)}


def _mean(pictures: Array) -> Array:
    plane: Array = pictures.mean(-1).astype(np.uint8)
    return plane


def _tiles(picture: Array) -> Array:
    plane = _mean(picture) if picture.ndim == 3 else picture
    rows, columns = (size // TILE for size in plane.shape)
    return plane[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE).swapaxes(1, 2).reshape(-1, TILE, TILE)


def pictures(budget: Settings, seed: Seed) -> list[Tensor]:
    """Draw whitened pictures to learn from, to choose and to judge by, none in two of these; photographs are kept apart whole."""
    held, draws, sizes = grey(budget.pictures), seed.numpy("pictures"), (budget.movies, budget.get("validation", 0), budget.test)
    if "train" in held:
        order = draws.permutation(len(held["train"]))
        pools = [held["train"][order[: sizes[0]]], held["train"][order[sizes[0] : sizes[0] + sizes[1]]], held["test"]]
    else:
        names = draws.permutation(PHOTOGRAPHS)
        pools = [np.concatenate([held[name] for name in part]) for part in (names[:6], names[6:8], names[8:])]
    drawn = [pool[draws.permutation(len(pool))[np.arange(n) % len(pool)]] for pool, n in zip(pools, sizes, strict=True)]
    return [whiten(torch.from_numpy(part).float()) if len(part) else torch.zeros(0, TILE, TILE) for part in drawn]


@lru_cache(maxsize=2)
def examples(settings: Frozen, seed: Seed) -> Examples:
    """Make the movies of a seed: directions change while learning, and stay within a movie that is judged."""
    budget = thawed(settings)
    train, validation, test = pictures(budget, seed)
    draws, view = seed.torch("movies"), WINDOW + 6
    learning, judging = (MotionMovies(directions=DIRECTIONS, speed=SPEED, steps=STEPS, view=view, block=block) for block in (24.0, None))
    events, labels = learning.sample(train, draws)
    n = torch.arange(len(train)).repeat_interleave(budget.places)
    t = torch.randint(DELAYS, STEPS, n.shape, generator=draws)
    place = torch.randint(view - WINDOW + 1, (len(n), 2), generator=draws)
    patches = space_time_patches(events.to(torch.uint8), torch.column_stack((t, n, place)), delays=DELAYS, window=WINDOW)
    return Examples(
        patches,
        labels[t, n],
        judging.sample(test, draws),
        judging.sample(validation, seed.torch("validation")) if len(validation) else None,
    )


class OfPatches(nn.Module):
    """The layer as a classifier of single places, to be taught by ``fit``."""

    def __init__(self, net: HDSNN, arm: Settings) -> None:
        super().__init__()
        self.net, self.arm = net, arm

    def forward(self, patches: Tensor) -> Tensor:
        """Evidence for each direction."""
        return self.net.of_patches(hears(self.arm, patches))


def hears(arm: Settings, patches: Tensor) -> Tensor:
    """Leave the delays and places that the arm has."""
    edge = (WINDOW - arm.window) // 2
    heard = patches.sum(2, keepdim=True) if arm.get("summed") else patches[:, :, : arm.delays]
    return heard[..., edge : WINDOW - edge, edge : WINDOW - edge]


def begin(arm: Settings, seed: Seed) -> HDSNN:
    """Make the arm's layer: the part that it has of one kernel that all arms share."""
    cone = CONE if arm.prior and not arm.get("summed") else None  # of a single delay the cone would leave the middle alone
    whole = HDSNN(DIRECTIONS, delays=DELAYS, window=WINDOW, cone=cone, generator=seed.torch("init"))
    net, edge = HDSNN(DIRECTIONS, delays=arm.delays, window=arm.window, cone=cone), (WINDOW - arm.window) // 2
    with torch.no_grad():
        net.synapse.weight.copy_(whole.synapse.weight[:, :, : arm.delays, edge : WINDOW - edge, edge : WINDOW - edge])
    return net


@lru_cache(maxsize=16)  # the lesioned arms take the kernel that was trained for theirs
def learned(settings: Frozen, budget_settings: Frozen, seed: Seed) -> tuple[HDSNN, tuple[float, ...]]:
    """Train, prune where the arm prunes, and train on as long; the rate falls to 0 in either half. Returns the layer and its losses."""
    arm, budget = thawed(settings), thawed(budget_settings)
    task, net, losses = examples(budget_settings, seed), begin(arm, seed), list[float]()
    mask = SparseMask(net, ["synapse.weight"])
    exists = mask["synapse.weight"].clone()
    exists[:, :, arm.reach :] = False
    mask["synapse.weight"] = exists
    made: list[torch.optim.Optimizer] = []

    def optimizer(own: object) -> torch.optim.Optimizer:
        made.append(torch.optim.Adam(own, lr=arm.lr))  # type: ignore[arg-type]
        mask.attach(made[-1])
        return made[-1]

    def slower(epoch: int, model: nn.Module, record: dict[str, float]) -> None:
        for group in made[-1].param_groups:
            group["lr"] = arm.lr * (1 - (epoch + 1) / budget.epochs)

    for half in ("before", "after"):
        if half == "after" and arm.get("random"):
            possible = (net.synapse.weight.detach() != 0).flatten().nonzero().squeeze(1)  # the prior leaves no synapse in the corners
            left = torch.zeros(mask.size, dtype=torch.bool)
            left[possible[torch.randperm(len(possible), generator=seed.torch("pruned at random"))[: arm.kept]]] = True
            mask["synapse.weight"] = left.view(exists.shape)
        elif half == "after" and arm.kept:
            prune_global(mask, arm.kept)
        history = fit(
            OfPatches(net, arm),
            (task.patches, task.labels),
            Backprop(optimizer, cross_entropy),
            seed=seed.axis(f"order {half}"),
            epochs=budget.epochs,
            batch_size=budget.batch,
            after_step=lambda step, model, metrics: net.clamp_(),
            after_epoch=slower,
            progress=False,
        )
        losses += history.series("loss")
    return net, tuple(losses)


@torch.no_grad()
def decisions(net: HDSNN, arm: Settings, events: Tensor) -> Tensor:
    """Decide on the last moments of movies, at the places where the largest window fits, [3, N]."""
    edge = (WINDOW - arm.window) // 2
    if arm.get("summed"):
        events = torch.stack([events[t - DELAYS + 1 : t + 1].sum(0) for t in range(DELAYS, STEPS)])
    else:
        events = events[DELAYS - arm.delays + 1 :]
    inner = events[..., edge : events.shape[-2] - edge, edge : events.shape[-1] - edge]
    return torch.cat([most_evident(net(part)) for part in inner.split(250, dim=1)], 1)


def specific(weight: Tensor) -> Tensor:
    """How far existing weights lie from the mean over directions: what all share decides nothing."""
    return (weight - weight.mean(0)).abs() * (weight != 0)


@torch.no_grad()
def lesioned(net: HDSNN, how: str) -> HDSNN:
    """Copy a layer with its delays reversed, or without those that the control has not."""
    net = copy.deepcopy(net)
    weight = net.synapse.weight
    if how == "reversed":
        weight.copy_(weight.flip(2))
    else:
        weight[:, :, SHORT:] = 0.0
    return net


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Train a layer and let it decide on movies of new pictures."""
    task, how = examples(frozen(budget), seed), arm.get("lesion")
    net, losses = learned(frozen(arm, "lesion"), frozen(budget), seed)
    net = lesioned(net, how) if how else net
    weight = net.synapse.weight.detach()
    existing, by_delay, delay = weight != 0, specific(weight).sum((0, 1, 3, 4)), torch.arange(weight.shape[2])
    decided, truth = decisions(net, arm, task.test[0]), task.test[1][-3:]
    turns = torch.bincount(((decided - truth) % DIRECTIONS).flatten(), minlength=DIRECTIONS) / truth.numel()
    heard = hears(arm, task.patches[:: max(1, len(task.patches) // 2000)]).flatten(1).double()
    outcome: dict[str, float | Curve | Matrix] = {
        "accuracy": float(turns[0]),
        "opposite": float(turns[DIRECTIONS // 2]),
        "mean_delay": float((by_delay * delay).sum() / by_delay.sum()),
        "raw_delay": float((weight.abs().sum((0, 1, 3, 4)) * delay).sum() / weight.abs().sum()),
        "far_share": float(existing[:, :, SHORT:].sum() / existing.sum()),
        "operations": float((heard @ existing.sum(0).flatten().double()).mean()),
        "parameters": float(existing.sum() + DIRECTIONS),
        "steps": float(2 * budget.epochs * -(-len(task.patches) // budget.batch)),
        "samples": float(2 * budget.epochs * len(task.patches)),
        "loss": Curve(range(1, len(losses) + 1), losses, "epoch", "loss"),
        "by_delay": Curve(delay.tolist(), (existing.sum((0, 1, 3, 4)) / existing.sum()).tolist(), "delay, steps", "share of synapses"),
        "turns": Curve(
            [45 * turn for turn in range(DIRECTIONS)], turns.tolist(), "decided less true direction, degrees", "share of moments"
        ),
        "right": Matrix(slice_of(weight, 2), "delay, steps", "column"),
        "left": Matrix(slice_of(weight, 6), "delay, steps", "column"),
    }
    if task.validation is not None:
        outcome["validation_accuracy"] = float((decisions(net, arm, task.validation[0]) == task.validation[1][-3:]).double().mean())
    if arm.name == "full":
        outcome |= {name: thinned(net, arm, task.test, how=name) for name in ("weakest", "longest")}
    return outcome


def slice_of(weight: Tensor, direction: int) -> list[list[float]]:
    """Cut a direction's kernel along delay and column: ON weights less the mean over directions, summed over rows."""
    own = torch.where(weight != 0, weight - weight.mean(0), 0.0)[direction, 1].sum(1)
    return [[round(v, 4) for v in row] for row in own.tolist()]


@torch.no_grad()
def thinned(net: HDSNN, arm: Settings, test: tuple[Tensor, Tensor], *, how: str) -> Curve:
    """Measure accuracy as more and more synapses are taken from a trained kernel, without training on: the weakest, or those of the longest delays."""
    shares = [1 / 12, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1.0] if how == "longest" else [2.0**-k for k in range(7, -1, -1)]
    found = []
    for share in shares:
        less = copy.deepcopy(net)
        weight = less.synapse.weight
        if how == "longest":
            weight[:, :, round(share * DELAYS) :] = 0.0
        else:
            mask = SparseMask(less, ["synapse.weight"])
            prune_global(mask, round(share * mask.size))
            mask.apply()
        found.append(float((decisions(less, arm, test[0][:, :250]) == test[1][-3:, :250]).double().mean()))
    return Curve(shares, found, "share of synapses left", "accuracy")


COLOURS = {
    "full": "#444e86",
    "pruned": "#d1495b",
    "eight_delays": "#e09f3e",
    "short": "#2a9d8f",
    "compact": "#4f7cac",
    "two_delays": "#8cc7bf",
    "random": "#8d6b4f",
    "cut": "#e58a96",
    "collapsed": "#9db4d0",
    "reversed": "#6b8e23",
}


@study.figure(
    "accuracy",
    "Left: accuracy on movies of new pictures, a dot a seed, a bar the mean; dotted: chance. From eight delays to cut all have as many synapses or fewer. "
    "Right: how far decisions are from the truth, means over seeds. With its delays reversed the same kernel decides for the opposite direction.",
)
def accuracy_figure(table: Table) -> Figure:
    """Who tells directions, and what the errors are."""
    figure, (left, right) = panels(1.3, 1, height=4.2)
    shown = [arm for arm in COLOURS if arm in table.arms]
    dots(left, {arm: table.values(arm, "accuracy") for arm in shown}, COLOURS)
    left.axvline(1 / DIRECTIONS, color=GREY, lw=0.8, ls=":")
    left.set(xlabel="accuracy", xlim=(0, 1))
    for arm in ("pruned", "short", "compact", "reversed"):
        if arm in table.arms:
            curve = mean_curve(table.curves(arm, "turns"))
            at = np.asarray([(x + 180) % 360 - 180 for x in curve.x])
            order = np.argsort(at)
            right.plot(at[order], np.asarray(curve.y)[order], "o-", ms=3, color=COLOURS[arm], label=arm)
    right.set(xlabel="decided less true direction, degrees", ylabel="share of moments", xticks=[-180, -90, 0, 90])
    right.legend(fontsize=8, frameon=False, labelcolor=GREY)
    return figure


@study.figure(
    "synapses",
    "Left: the delays at which synapses are, means over seeds. Right: accuracy of the whole kernel as synapses are taken from it after training, the weakest of all or those of the "
    "longest delays, as in the paper (250 movies, means over seeds); crosses: kernels trained on with so few, by how many delays these were chosen from.",
)
def synapses_figure(table: Table) -> Figure:
    """Where the synapses are, and what fewer of them are worth."""
    figure, (left, right) = panels(1, 1.2, height=3.8)
    lines(
        left, {arm: table.curves(arm, "by_delay") for arm in ("pruned", "eight_delays", "short") if arm in table.arms}, COLOURS, marker="o"
    )
    left.set(xlabel="delay, steps", ylabel="share of synapses", ylim=(0, None))
    left.legend(fontsize=8, frameon=False, labelcolor=GREY)
    for name, label, colour in (
        ("weakest", "the weakest taken away", COLOURS["pruned"]),
        ("longest", "the longest delays", COLOURS["short"]),
    ):
        if "full" in table.arms:
            curve = mean_curve(table.curves("full", name))
            right.plot(curve.x, curve.y, "o-", ms=3, color=colour, label=label)
    for arm in ("pruned", "eight_delays", "short", "two_delays"):
        if arm in table.arms:
            right.plot(1 / 16, table.mean(arm, "accuracy"), "x", color=COLOURS[arm], label=f"{arm.replace('_', ' ')}, trained on")
    right.axhline(1 / DIRECTIONS, color=GREY, lw=0.8, ls=":")
    right.set(xscale="log", xlabel="share of synapses left", ylabel="accuracy", ylim=(0, 1))
    right.legend(fontsize=7, frameon=False, labelcolor=GREY, loc="upper left")
    return figure


@study.figure(
    "kernels",
    "Kernels of one seed for motion to the right and to the left, ON events, summed over rows: weights less their mean over directions, red positive, blue negative. "
    "What moves right at 0.4 pixels a step is found further left the longer ago: weights lie along that line.",
)
def kernels_figure(table: Table) -> Figure:
    """Weights along lines of space and delay."""
    shown = [arm for arm in ("full", "pruned", "short") if arm in table.arms]
    figure, axes = panels(*[1] * (2 * len(shown)), height=3.4)
    for (arm, side), ax in zip([(arm, side) for arm in shown for side in ("right", "left")], axes, strict=True):
        values = np.asarray(table.matrix(arm, side).values)
        largest = max(np.abs(values).max(), 1e-9)
        ax.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto", extent=(-3.5, 3.5, len(values) - 0.5, -0.5))
        ax.set_title(f"{arm}, {side}", fontsize=9)
        ax.set_yticks(range(0, len(values), max(1, len(values) // 6)))
        ax.set(xlabel="column", ylabel="delay, steps" if ax is axes[0] else "")
    return figure
