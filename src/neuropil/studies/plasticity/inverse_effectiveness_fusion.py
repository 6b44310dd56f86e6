"""Does fusion of sound and image learn better if its layer learns the more, the less either sense says alone?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.atlas import Contrast, Curve, Dose, Gate, Lesion, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, mean_curve, panels
from neuropil.data import load
from neuropil.data.paired_digits import Views, pair_by_class, spoken_views, written_views
from neuropil.learning import ModulatedFusion, Replicas, fit
from neuropil.networks import MLP, FusionNet
from neuropil.plasticity import InverseEffectiveness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE = {"lr": 0.1, "gain": 1.0, "scale": 1.0, "factor": "constant", "strength": 0.0}
OWN = {**BASE, "factor": "own", "strength": 1.0}
SIZES = {"width": 64, "features": 32, "batch": 50, "noise": 1.0, "sound_noise": 1.5, "image_noise": 1.0}

_MATCH = ("parameters", "compute", "data")


def _accuracy(label: str) -> Metric:
    return Metric("share of pairs", floor=0.1, ceiling=1.0, label=label, house="accuracy")


study = Study(
    slug="inverse-effectiveness-fusion",
    cites="inverse-effectiveness-fusion2025",
    claim="A fusion layer whose learning is scaled in every batch by inverse effectiveness classifies degraded pairs of sound and image better by 0.02 than one that gets the factors of another network, and than one with its best constant rate.",
    fidelity="code",
    scale="proxy",
    arms={
        "inverse": {**OWN},
        "yoked": {**OWN, "factor": "other"},
        "constant": {**BASE},
        "none": {**BASE, "plain": True},
        "own_mean": {**OWN, "factor": "mean"},
        "flipped": {**OWN, "strength": -1.0},
        "slow": {**BASE, "scale": 0.3},
        "fast": {**BASE, "scale": 3.0},
        "off": {**OWN, "plain": True, "strength": 0.0},
    },
    metrics={
        "accuracy": _accuracy("degraded pairs, both senses"),
        "clean_accuracy": _accuracy("pairs without noise, both senses"),
        "validation_accuracy": _accuracy("degraded validation pairs, both senses"),
        "best_alone": _accuracy("degraded pairs, the better of the two heads for one sense"),
        "factor_range": Metric("factor", floor=0.0, label="largest less smallest factor of a run"),
        "factor_mean": Metric("factor", label="mean factor of a run"),
        "follows_weakness": Metric(
            "correlation", floor=-1.0, ceiling=1.0, label="factor with weakness of the senses alone, batches within an epoch"
        ),
        "parameters": Metric("weights and biases", better="lower"),
        "steps": Metric("updates a network", kind="exact", better="lower"),
        "samples": Metric("pairs a network", kind="exact"),
    },
    primary=(
        Contrast("inverse", "yoked", on="accuracy", delta=0.02, match=_MATCH),
        Contrast("inverse", "constant", on="accuracy", delta=0.02, match=_MATCH),
    ),
    secondary=(
        Contrast("inverse", "none", on="accuracy", delta=0.02, match=_MATCH),
        Contrast("inverse", "own_mean", on="accuracy", delta=0.02, match=_MATCH),
        Contrast("inverse", "flipped", on="accuracy", delta=0.02, match=_MATCH),
        Contrast("inverse", "constant", on="clean_accuracy", delta=0.02, match=_MATCH),
    ),
    dose=(Dose("factor_range", at_least=0.2), Dose("follows_weakness", at_least=0.2)),
    gate=Gate(
        "fusing helps, the rate of the fusion layer matters in either direction, and the control is neither at chance nor at ceiling",
        "constant.accuracy - constant.best_alone >= 0.05",
        "abs(slow.accuracy - constant.accuracy) >= 0.02",
        "abs(fast.accuracy - constant.accuracy) >= 0.02",
        "0.5 <= constant.accuracy <= 0.9",
    ),
    lesion=Lesion("flipped", on="follows_weakness", at_least=0.4),
    off=Off("off", equals="none"),
    tune=Tune(
        space={"lr": (0.003, 0.01, 0.03, 0.1, 0.3), "gain": (0.1, 0.3, 1.0, 3.0, 10.0)},
        on="validation_accuracy",
        arms=("inverse", "constant"),
        follow={
            "yoked": "inverse",
            "own_mean": "inverse",
            "flipped": "inverse",
            "none": "constant",
            "slow": "constant",
            "fast": "constant",
            "off": "constant",
        },
        why="yoked replays the factors of inverse, update by update, which are those of its gain and rate.",
        seeds=(1000, 1001),
        spread=tuple(range(1100, 1110)),
    ),
    budgets={
        "smoke": {"data": "digits", "networks": 2, "train": 300, "repeats": (1, 1), "epochs": 2, **SIZES, "width": 8, "features": 4},
        "glance": {"data": "pairs", "networks": 4, "train": 2000, "repeats": (5, 6), "epochs": 10, **SIZES},
        "desk": {"data": "pairs", "networks": 4, "train": 2000, "repeats": (5, 17), "epochs": 10, **SIZES, "test_items": 5100},
    },
    data={"smoke": ("digits",), "glance": ("fsdd", "mnist"), "desk": ("fsdd", "mnist")},
    distance="Spoken digits paired with MNIST images of the same digit, both under noise, and perceptrons of two layers, instead of faces and voices (CREMA-D, Kinetics-Sounds) and ResNet-18; fusion by concatenation in rate networks alone, not in spiking ones.",
)


class Pairs(NamedTuple):
    """Sounds [N, A], images [N, I] and their digit i64 [N]."""

    sound: Tensor
    image: Tensor
    digit: Tensor

    def degraded(self, budget: Settings, draws: torch.Generator) -> Pairs:
        """Add noise to both senses."""
        sound = self.sound + budget.sound_noise * torch.randn(self.sound.shape, generator=draws)
        return Pairs(sound, self.image + budget.image_noise * torch.randn(self.image.shape, generator=draws), self.digit)


def views(budget: Settings, draws: np.random.Generator) -> list[tuple[Views, Views]]:
    """Sounds and images to learn from, to choose by and to be judged by."""
    if budget.data == "pairs":
        images, judged = written_views()
        order = torch.from_numpy(draws.permutation(len(images.label)))
        seen = [Views(images.x[i], images.label[i]) for i in (order[:10_000], order[10_000:20_000])]
        return list(zip(spoken_views(), (*seen, judged), strict=True))
    data = load("digits")
    x, y = torch.from_numpy(data.images).float(), torch.from_numpy(data.labels).long()
    halves = [(half.flatten(1) - half.mean()) / half.std() for half in (x[:, :, :4], x[:, :, 4:])]
    parts = torch.from_numpy(draws.permutation(len(y))).split([600, 400, len(y) - 1000])
    return [(Views(halves[0][i], y[i]), Views(halves[1][i], y[i])) for i in parts]


def pairs(sounds: Views, images: Views, draws: torch.Generator, *, repeats: int = 1) -> Pairs:
    """Pair every sound with images of its digit."""
    i, j = pair_by_class(sounds.label, images.label, draws, repeats=repeats)
    return Pairs(sounds.x[i], images.x[j], sounds.label[i])


class Task(NamedTuple):
    """Degraded pairs for each network of a litter; validation, test, and the test without noise, shared."""

    train: list[Pairs]
    validation: Pairs
    test: Pairs
    clean: Pairs


def task(budget: Settings, seed: Seed) -> Task:
    """Draw pairs and noise."""
    learned, chosen, judged = views(budget, seed.numpy("data"))
    train = []
    for k in range(budget.networks):
        draws = seed.torch(f"pairs {k}")
        every = pairs(*learned, draws)
        few = torch.randperm(len(every.digit), generator=draws)[: budget.train]
        train.append(Pairs(*(one[few] for one in every)).degraded(budget, draws))
    draws = seed.torch("judged")
    validation = pairs(*chosen, draws, repeats=budget.repeats[0]).degraded(budget, draws)
    clean = pairs(*judged, draws, repeats=budget.repeats[1])
    return Task(train, validation, clean.degraded(budget, draws), clean)


class Learned(NamedTuple):
    """A litter at the end, and the factor and the weakness of the senses alone at every update, [U, R]."""

    networks: Replicas
    factor: Tensor
    weakness: Tensor


Factor = Callable[[int, Sequence[Tensor], Tensor], Tensor]


def networks(given: Task, budget: Settings, seed: Seed) -> Replicas:
    """Make a litter; networks of the same number begin alike in all arms."""

    def one(draws: torch.Generator) -> FusionNet:
        sizes = [[x.shape[1], budget.width, budget.features] for x in given.train[0][:2]]
        return FusionNet([MLP(size, generator=draws) for size in sizes], [budget.features] * 2, 10, draws)

    return Replicas(one(seed.torch(f"network {k}")) for k in range(budget.networks))


def learn(arm: Settings, given: Task, budget: Settings, seed: Seed, factor: Factor) -> Learned:
    """Train a litter by gradient descent with momentum, the rate falling by a half cosine from epoch to epoch."""
    litter, made, factors, weak = networks(given, budget, seed), list[torch.optim.Optimizer](), list[Tensor](), list[Tensor]()

    def optimizer(own: object) -> torch.optim.Optimizer:
        made.append(torch.optim.SGD(own, lr=arm.lr, momentum=0.9))  # type: ignore[arg-type]
        return made[-1]

    def slower(epoch: int, model: nn.Module, record: dict[str, float]) -> None:
        for group in made[-1].param_groups:
            group["lr"] = arm.lr * 0.5 * (1 + math.cos(math.pi * (epoch + 1) / budget.epochs))

    def seen(update: int, alone: Sequence[Tensor], together: Tensor) -> Tensor:
        factors.append(factor(update, alone, together))
        weak.append(1 - torch.stack(list(alone)).mean(0))
        return factors[-1]

    rule = ModulatedFusion(optimizer, seen, noise=budget.noise, generator=seed.torch("noise"))
    seeds = [seed.axis(f"order {k}") for k in range(budget.networks)]
    fit(
        litter,
        given.train,
        rule,
        seeds=seeds,
        epochs=budget.epochs,
        batch_size=budget.batch,
        together=True,
        after_epoch=slower,
        progress=False,
    )
    return Learned(litter, torch.stack(factors), torch.stack(weak))


def gain_of(arm: Settings) -> float:
    """Give what the factor of an arm is multiplied by, 1 where it is plain."""
    gain: float = arm.scale * (1.0 if arm.get("plain") else arm.gain)
    return gain


def train(arm: Settings, given: Task, budget: Settings, seed: Seed) -> Learned:
    """Train a litter as its arm says; yoked networks get the factors of the next network of a litter that had its own."""
    gain = gain_of(arm)
    if arm.factor == "constant":
        return learn(arm, given, budget, seed, lambda update, alone, together: torch.full_like(together, gain))
    inverse = InverseEffectiveness(arm.strength)
    own = learn(arm, given, budget, seed, lambda update, alone, together: gain * inverse(alone, together))
    if arm.factor == "own":
        return own
    trace = own.factor.roll(1, 1) if arm.factor == "other" else own.factor.mean(0).expand_as(own.factor)
    return learn(arm, given, budget, seed, lambda update, alone, together: trace[update])


@torch.no_grad()
def accuracies(litter: Replicas, judged: Pairs) -> list[float]:
    """Share correct by each sense alone and by both, means over a litter."""
    senses = [one.expand(len(litter), *one.shape) for one in judged[:2]]
    return [float((scores.argmax(-1) == judged.digit).float().mean()) for scores in litter(*senses)]


def within_epochs(one: Tensor, other: Tensor, epochs: int) -> float:
    """Mean over networks of the correlation of [U, R] with [U, R], each less its mean of the epoch; 0 where one of them is constant."""
    a, b = (
        (x.double().unflatten(0, (epochs, -1)) - x.double().unflatten(0, (epochs, -1)).mean(1, keepdim=True)).flatten(0, 1)
        for x in (one, other)
    )
    size = (a.norm(dim=0) * b.norm(dim=0)).clamp(min=1e-12)
    return float(((a * b).sum(0) / size).mean())


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Train a litter and judge it."""
    given = task(budget, seed)
    litter, factor, weakness = train(arm, given, budget, seed)
    sound, image, both = accuracies(litter, given.test)
    return {
        "accuracy": both,
        "clean_accuracy": accuracies(litter, given.clean)[2],
        "validation_accuracy": accuracies(litter, given.validation)[2],
        "best_alone": max(sound, image),
        "factor_range": float((factor.amax(0) - factor.amin(0)).mean()) / gain_of(arm),
        "factor_mean": float(factor.mean()),
        "follows_weakness": within_epochs(factor, weakness, budget.epochs),
        "parameters": float(sum(one[0].numel() for one in litter.parameters())),
        "steps": float(len(factor)),
        "samples": float(budget.epochs * budget.train),
        "factors": Curve(range(1, len(factor) + 1), factor.mean(1).tolist(), "update", "factor on the fusion layer's gradient"),
        "weakness": Curve(range(1, len(factor) + 1), weakness.mean(1).tolist(), "update", "weakness of the senses alone"),
    }


COLOURS = {
    "inverse": "#d1495b",
    "yoked": "#e58a96",
    "constant": "#4f7cac",
    "none": "#9db4d0",
    "own_mean": "#7a6fb0",
    "flipped": "#999999",
    "slow": "#b5c77d",
    "fast": "#6b8e23",
}


@study.figure(
    "arms",
    "Left: accuracy on degraded pairs, a dot a seed (a litter of networks), a bar the mean. Middle: the factor on the gradient of the fusion layer over learning. "
    "Right: how weak the senses alone still are (1 less the mean probability that their heads give to the true digit). Means over seeds.",
)
def arms_figure(table: Table) -> Figure:
    """What the factor is worth, and what it does."""
    figure, (left, middle, right) = panels(1.3, 1, 1, height=3.9)
    dots(left, {arm: table.values(arm, "accuracy") for arm in COLOURS if arm in table.arms}, COLOURS)
    left.set_xlabel("accuracy, degraded pairs")
    for arm in ("inverse", "constant", "flipped"):
        if arm in table.arms:
            for ax, name in ((middle, "factors"), (right, "weakness")):
                curve = mean_curve(table.curves(arm, name))
                ax.plot(curve.x, curve.y, color=COLOURS[arm], lw=1.1, label=arm)
                ax.set(xlabel=curve.x_label, ylabel=curve.y_label)
    middle.legend(fontsize=8, frameon=False, labelcolor=GREY)
    return figure
