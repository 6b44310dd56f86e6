"""Fast and slow learning: are controllers of a memory that learn within an episode from predicted gradients better than from the true ones of the moment?"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize, one_hot

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, lines, panels
from neuropil.data import FewShotEpisodes, load, pool, quarter_turns
from neuropil.data.few_shot_episodes import Episodes
from neuropil.learning import Replicas, learn_from_draws
from neuropil.networks import FastSlowMemoryNetwork
from neuropil.networks.fast_slow_memory_network import Change, Passed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS, SHOTS, BATCH = 5, 5, 16
CLASSES, KNOWN, CHECKED = 40, 24, 6
"""Digits in four orientations; so many are learned from, so many validated on, and the others tested on."""
RATE = 0.01
PREDICTED = {"gradients": "predicted", "step": 3.0}
TRUE = {"gradients": "true", "step": 3.0, "wide": True}
ALIKE = ("parameters", "data", "compute")

study = Study(
    slug="fast-slow-synthetic-grad-memory",
    cites="fast-slow-synthetic-grad-memory2020",
    claim="In a memory network whose two controllers learn within an episode, gradients that small networks predict from a controller's state and the error, and that were taught the gradient of the whole episode's loss, let it name 0.03 more of the pictures "
    "at the second presentation of a new class than the true gradient of each moment's own loss does in a network of equal size.",
    fidelity="reconstructed",
    scale="proxy",
    arms={
        "predicted": PREDICTED,
        "true": TRUE,
        "none": {"gradients": "none"},
        "silent": {**PREDICTED, "change": "silent"},
        "read_only": {**PREDICTED, "change": "read_only"},
        "random": {**PREDICTED, "change": "random"},
        "true_silent": {**TRUE, "change": "silent"},
        "nearest": {"gradients": "nearest"},
        "off": {**PREDICTED, "strength": 0.0},
    },
    metrics={
        "second": Metric(
            "share of pictures", floor=0.2, ceiling=1.0, label="right at the second presentation of a new class", house="accuracy"
        ),
        "first": Metric("share of pictures", floor=0.2, ceiling=1.0, label="right at the first presentation", house="accuracy"),
        "fifth": Metric("share of pictures", floor=0.2, ceiling=1.0, label="right at the fifth presentation", house="accuracy"),
        "known_second": Metric(
            "share of pictures",
            floor=0.2,
            ceiling=1.0,
            label="right at the second presentation of a class learned from, other images",
            house="accuracy",
        ),
        "validation": Metric(
            "share of pictures", floor=0.2, ceiling=1.0, label="right at the second presentation, validation classes", house="accuracy"
        ),
        "cosine": Metric(
            "cosine", label="of the gradient used and the true one of the whole episode, both controllers together", ceiling=1.0
        ),
        "cosine_read": Metric("cosine", label="the same, read controller", ceiling=1.0),
        "cosine_write": Metric("cosine", label="the same, write controller", ceiling=1.0),
        "change": Metric(
            "share of their size", floor=0.0, label="by which weights of the controllers move in an episode, mean over controllers"
        ),
        "parameters": Metric("numbers", better="lower", label="learned numbers that act"),
        "samples": Metric("episodes", kind="exact", better="lower", label="learned from"),
        "steps": Metric("updates", kind="exact", better="lower", label="of slow weights"),
    },
    primary=Contrast("predicted", "true", on="second", delta=0.03, match=ALIKE),
    secondary=(
        Contrast("predicted", "none", on="second", delta=0.03, match=("data", "compute")),
        Contrast("true", "none", on="second", delta=0.03, match=("data", "compute")),
        Contrast("predicted", "read_only", on="second", delta=0.03, match=ALIKE),
        Contrast("true", "true_silent", on="second", delta=0.03, match=ALIKE),
        Contrast("predicted", "true", on="fifth", delta=0.03, match=ALIKE),
    ),
    dose=(Dose("cosine", at_least=0.2), Dose("change", at_least=0.001)),
    gate=Gate(
        "a net that does not learn within an episode is neither at chance nor perfect, the nearest picture tells more than half, and the control's own gradients move its weights",
        "0.35 <= none.second <= 0.85",
        "nearest.second >= 0.6",
        "true.change >= 0.001",
    ),
    lesion=Lesion("silent"),
    off=Off("off", equals="none"),
    tune=Tune(
        space={"step": Grid((0.3, 1.0, 3.0, 10.0, 30.0))},
        on="validation",
        arms=("predicted", "true"),
        follow={"silent": "predicted", "read_only": "predicted", "random": "predicted", "off": "predicted", "true_silent": "true"},
        seeds=(1000, 1001),
        spread=tuple(range(1100, 1108)),
    ),
    budgets={
        "smoke": {
            "data": "digits",
            "side": 8,
            "each": (40, 20, 20),
            "updates": 4,
            "test": 30,
            "checked": 20,
            "watched": 10,
            "test_items": 150,
        }
        | {"embedded": 8, "units": 8, "wide": 10, "slots": 8, "width": 6, "hidden": 8},
        "glance": {
            "data": "mnist",
            "side": 14,
            "each": (600, 100, 500),
            "updates": 120,
            "test": 300,
            "checked": 300,
            "watched": 100,
            "test_items": 1500,
        }
        | {"embedded": 32, "units": 32, "wide": 37, "slots": 32, "width": 24, "hidden": 32},
        "desk": {
            "data": "mnist",
            "side": 14,
            "each": (600, 100, 500),
            "updates": 200,
            "test": 600,
            "checked": 300,
            "watched": 100,
            "test_items": 3000,
        }
        | {"embedded": 32, "units": 32, "wide": 37, "slots": 32, "width": 24, "hidden": 32},
    },
    data={"smoke": ("digits",), "glance": ("mnist",), "desk": ("mnist",)},
    distance="Digits in four orientations as 40 classes, 14 x 14 pixels, episodes of 5 classes and 25 moments, 32 slots of 24 numbers, controllers of 32 units and thousands of episodes, where the paper has Omniglot and mini-ImageNet with larger networks; no regression, no rare classes, and no feedback path shared between networks.",
    notes="Of the paper the abstract was at hand, neither equations nor code: conditioning, schedule and what is done at test are ours. Two controllers, reading and writing, stand for the three of our first reading. "
    "A gradient for a controller's hidden state moves that controller's weights, in a copy of each episode's own, through the one moment (exact, kept as rank-one changes); answers, queries and slots' start do not move. Predictors hear the controller's state, the label and the error softmax(y) - label, after the answer. "
    "They are taught by the gradient of the whole episode's loss (of the moments whose class has been told before) in the same backward pass as everything else (no bootstrapping, since the whole episode is at hand); the slow weights take no gradient through fast changes, in any arm, so that no arm learns how to learn. "
    "true: the exact gradient of each moment's own loss; for the write controller that is 0, because what is written is read later, so that only the predicted gradient reaches it; the control has 37 units instead of 32, for as many numbers as the predictors add (0.4 % fewer). "
    "none does not move; read_only moves the trained predicted net's read controller alone; random has directions at random, of the predicted lengths; silent (lesion) and true_silent put 0 in the place of gradients at test. nearest names a picture as the one of its episode it correlates with most. "
    "cosine is that of both controllers' gradients as one vector, episodes of new classes, last moment left out; each controller's is beside it. Before a first pilot it was the mean of the two, which was 0.12 there and below the dose, and nearest went by Euclidean distance; both were changed when that was known (0.607 on seeds 1200 to 1211, 0.641 by correlation). "
    "24 classes are learned from, 6 validated on (images of the training set), 10 tested on (images of the test set), drawn by the seed. Some orientations look alike (0, 1, 8, and 6 and 9), for all arms. Rate 0.01 for all, no clipping. "
    "Changed in pilots, seed 1200, nets that do not move, accuracy at the second presentation: with plain softmax(M q) and q, w from the controllers alone 0.32 after 500 updates of 16 episodes (0.31 to 0.33 after 200 to 300 with pixels standardised, scores times 4, q added to w, slots of 0.3, queries of length 1 with b 20 or 10); "
    "with ways past the controllers and forgetful controllers too, 0.474 (0.721 of known classes) after 200, which is the design here. "
    "Pilots of this design, accuracy at the second presentation (known classes). Seed 1201, 300 updates, step 0.3: none 0.402 (0.778), predicted 0.407 (0.786), silent 0.403, read_only 0.407, random 0.407, true 0.423 (0.789), true_silent 0.422; cosine of predicted 0.26 (read) and -0.01 (write), of true 0.49 (read); change 0.019 and 0.036, so that the grid was moved up. "
    "Seed 1200, 200 updates, step 3: predicted 0.577 (0.699), silent 0.445, read_only 0.579, true 0.590 (0.746), true_silent 0.538; cosine of predicted 0.62 (read), 0.02 (write), 0.47 (both), of true 0.68 (read); change 0.37 and 0.35. 200 updates were then kept, for time. "
    "Up to there the slow loss counted every moment, first presentations too, where the answer can only be guessed, and better so by naming a label not told yet: of seeds 1202 to 1205 with none, 200 updates, 0.314, 0.309, 0.325 and 0.469 (first presentation 0.45, 0.45, 0.46 and 0.10), after 500 0.319, 0.314, 0.547, 0.516 and at rate 0.005 much the same: where a net had learned to exclude, it did not learn to bind. "
    "So the slow loss leaves first presentations out, in every arm: 0.451, 0.405, 0.499, 0.463 after 200 updates (first 0.11). The true gradient that moves the control is of every moment's own loss, first presentations included, as its labels are told. "
    "In none of these pilots was the write controller's gradient predicted, and read_only was as good as predicted: a likely reason is that the slow weights hear the label before they write, and have learned away what of that gradient follows from it. The read controller's answer comes before its label, so that there the error is news. No pilot ran at steps of 1, 10 or 30.",
)


class Tasks(NamedTuple):
    """Episodes of images to learn from, to validate on and to test on, and the classes that are known, checked and new."""

    train: FewShotEpisodes
    validation: FewShotEpisodes
    test: FewShotEpisodes
    known: list[int]
    checked: list[int]
    new: list[int]


@lru_cache(maxsize=2)
def pictures(name: str, side: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Images u8 [N, side, side], labels [N], and how many of the first are to learn from; the others are to test on."""
    data = load(name)
    if name == "digits":
        return (data.images * 15.9).astype(np.uint8), data.labels.astype(np.int64), 1200
    images = np.concatenate([pool(part, side) for part in (data.train_images, data.test_images)])
    return images, np.concatenate((data.train_labels, data.test_labels)).astype(np.int64), len(data.train_images)


def tasks(budget: Settings, seed: Seed) -> Tasks:
    """Draw the seed's images, scaled by mean and deviation of those to learn from, and which classes are known, checked and new."""
    images, labels, learned = pictures(budget.data, budget.side)
    draws, (train, validation, test) = seed.numpy("data"), budget.each
    to_learn, to_test = (
        [draws.permutation(rows[labels[rows] == digit]) for digit in range(10)] for rows in np.split(np.arange(len(labels)), [learned])
    )
    rows = [
        np.concatenate([own[a:b] for own in part])
        for part, a, b in ((to_learn, 0, train), (to_learn, train, train + validation), (to_test, 0, test))
    ]
    numbers = images[rows[0]] / 255
    mean, deviation = float(numbers.mean()), float(numbers.std())
    made = [quarter_turns(images[some], labels[some]) for some in rows]
    learning, checking, testing = (FewShotEpisodes((x - mean) / deviation, y, ways=WAYS, shots=SHOTS) for x, y in made)
    order = seed.numpy("classes").permutation(CLASSES).tolist()
    return Tasks(learning, checking, testing, order[:KNOWN], order[KNOWN : KNOWN + CHECKED], order[KNOWN + CHECKED :])


def network(arm: Settings, budget: Settings, seed: Seed) -> FastSlowMemoryNetwork:
    """Make the network of an arm."""
    return FastSlowMemoryNetwork(
        budget.side**2,
        WAYS,
        gradients=arm.gradients,
        step=arm.get("step", 0.0) * arm.get("strength", 1.0),
        embedded=budget.embedded,
        units=budget.wide if arm.get("wide") else budget.units,
        slots=budget.slots,
        width=budget.width,
        hidden=budget.hidden,
        generator=seed.torch("init"),
    )


UNTOLD = -100
"""In the place of a label that could only be guessed: torch's cross-entropy leaves it out."""


def targets(episodes: Episodes) -> Tensor:
    """The labels of an episode, but for the first presentation of a class, [T, B]."""
    return episodes.label.masked_fill(episodes.time == 1, UNTOLD)


def loss(y: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the moments whose class has been told before, as a share of all moments of all episodes."""
    return cross_entropy(y.flatten(0, -2), target.flatten(), reduction="sum", ignore_index=UNTOLD) / target.numel()


@lru_cache(maxsize=2)
def learnt(
    arm: tuple[tuple[str, Any], ...], budget: tuple[tuple[str, Any], ...], seeds: tuple[Seed, ...]
) -> tuple[list[dict[str, Tensor]], list[float]]:
    """Train a net a seed, side by side; give their tensors and the mean loss of every update. What is changed at test needs no training of its own."""
    of, size = Settings("arm", dict(arm)), Settings("budget", dict(budget))
    given, streams = [tasks(size, seed) for seed in seeds], [seed.torch("episodes") for seed in seeds]
    nets = Replicas([network(of, size, seed) for seed in seeds])

    def draw(_: int) -> tuple[Tensor, Tensor, Tensor]:
        drawn = [own.train.draw(BATCH, stream, among=own.known) for own, stream in zip(given, streams, strict=True)]
        label = torch.stack([one.label for one in drawn])
        return torch.stack([one.seen for one in drawn]), one_hot(label, WAYS).float(), torch.stack([targets(one) for one in drawn])

    losses = learn_from_draws(nets, draw, loss, steps=size.updates, rate=RATE, max_norm=None)
    return [net.state_dict() for net in nets.unstack()], losses


def changed(arm: Settings, draws: torch.Generator) -> Change | None:
    """What an arm puts in the place of the gradients that its trained net would learn from."""
    if "change" not in arm:
        return None

    def put(controller: str, gradient: Tensor) -> Tensor:
        if arm.change == "random":
            size: Tensor = gradient.norm(dim=-1, keepdim=True)
            return size * normalize(torch.randn(gradient.shape, generator=draws), dim=-1)
        return gradient if arm.change == "read_only" and controller == "read" else torch.zeros_like(gradient)

    return put


def nearest(episodes: Episodes) -> Tensor:
    """Name every picture as the earlier one of its episode that it correlates with most, label 0 at the first moment: [T, B]."""
    x = episodes.seen.transpose(0, 1)
    x = normalize(x - x.mean(-1, keepdim=True), dim=-1)
    moments = torch.arange(len(episodes.seen))
    near = (x @ x.mT).masked_fill(moments >= moments[:, None], -torch.inf)
    found: Tensor = episodes.label.T.gather(1, near.argmax(2)).T.clone()
    found[0] = 0
    return found


def by_time(answers: Tensor, episodes: Episodes) -> list[float]:
    """Share of right answers [T, B] at the first presentation of a class, the second, and so on."""
    right = (answers == episodes.label).double()
    return [float(right[episodes.time == k].mean()) for k in range(1, SHOTS + 1)]


def agreement(y: Tensor, episodes: Episodes, passed: Passed) -> dict[str, list[float]]:
    """Cosine, by moment, of the gradients used and the true ones of the whole episode's loss: of both controllers' together, and of each; the last moment, whose write nothing reads, is left out."""
    read, write = passed.said["read"][:-1], passed.said["write"][:-1]
    true = torch.autograd.grad(loss(y, targets(episodes)) * episodes.label.numel(), read + write)
    pairs = {
        "read": (torch.stack(true[: len(read)]), torch.stack(passed.used["read"][:-1])),
        "write": (torch.stack(true[len(read) :]), torch.stack(passed.used["write"][:-1])),
    }
    pairs["both"] = (torch.cat([pair[0] for pair in pairs.values()], -1), torch.cat([pair[1] for pair in pairs.values()], -1))
    return {name: cosine_similarity(g, used, dim=-1).mean(1).tolist() for name, (g, used) in pairs.items()}


@study.trials(batch=10)
def trials(arm: Settings, budget: Settings, seeds: list[Seed]) -> list[Outcome]:
    """Train a net a seed, all side by side, and test each on episodes of new classes."""
    if arm.gradients == "nearest":
        return [by_nearest(budget, seed) for seed in seeds]
    own = tuple((name, value) for name, value in arm.items() if name != "change")
    nets, losses = learnt(own, tuple(budget.items()), tuple(seeds))
    course = Curve.coarse(losses, "update", "loss in nats, mean over seeds side by side")
    made: list[Outcome] = []
    for seed, tensors in zip(seeds, nets, strict=True):
        net = network(arm, budget, seed)
        net.load_state_dict(tensors)
        acts = arm.gradients == "predicted" and arm.get("strength", 1.0) > 0
        made.append(
            {
                **tested(arm, budget, seed, net),
                "parameters": float(sum(one.numel() for name, one in net.named_parameters() if acts or not name.startswith("predict"))),
                "samples": float(BATCH * budget.updates),
                "steps": float(budget.updates),
                "course": course,
            }
        )
    return made


def tested(arm: Settings, budget: Settings, seed: Seed, net: FastSlowMemoryNetwork) -> dict[str, float | Curve]:
    """Answer in episodes of new, checked and known classes; of the new ones, tell what the controllers learned from."""
    given, change = tasks(budget, seed), changed(arm, seed.torch("random"))
    found: dict[str, float | Curve] = {}
    parts = {
        "known_second": (given.test, given.known, budget.checked),
        "validation": (given.validation, given.checked, budget.checked),
        "test": (given.test, given.new, budget.test),
    }
    for name, (task, among, items) in parts.items():
        episodes = task.draw(items, seed.torch(name), among=among)
        with torch.no_grad():
            y = net.trace(episodes.seen, one_hot(episodes.label, WAYS).float(), change)[0]
        shares = by_time(y.argmax(-1), episodes)
        found |= presentations(shares) if name == "test" else {name: shares[1]}
    if arm.gradients != "none" and arm.get("strength", 1.0):
        episodes = given.test.draw(budget.watched, seed.torch("watched"), among=given.new)
        y, passed = net.trace(episodes.seen, one_hot(episodes.label, WAYS).float(), change)
        found["change"] = float(torch.stack(list(passed.moved.values())).mean())
        for name, values in agreement(y, episodes, passed).items():
            found["cosine" if name == "both" else f"cosine_{name}"] = float(np.mean(values))
            found[f"agreement_{name}"] = Curve(range(1, len(values) + 1), values, "moment of the episode", "cosine with the true gradient")
    return found


def by_nearest(budget: Settings, seed: Seed) -> Outcome:
    """What the nearest earlier picture tells, in the same episodes."""
    given = tasks(budget, seed)
    episodes = given.test.draw(budget.test, seed.torch("test"), among=given.new)
    return dict(presentations(by_time(nearest(episodes), episodes)))


def presentations(shares: list[float]) -> dict[str, float | Curve]:
    """The shares right at the first presentation, the second and so on, as metrics and as a curve."""
    curve = Curve(range(1, len(shares) + 1), shares, "presentation of the class", "share right")
    return {"first": shares[0], "second": shares[1], "fifth": shares[-1], "by_time": curve}


COLOURS = {
    "predicted": "#d1495b",
    "true": "#4f7cac",
    "none": "#333333",
    "silent": "#e58a96",
    "read_only": "#e09f3e",
    "random": "#7a6fb0",
    "true_silent": "#8fb0d0",
    "nearest": "#999999",
}


@study.figure(
    "presentations",
    "Left: pictures of new classes named rightly at the second presentation of their class, a dot a seed. Right: by presentation, means over seeds, in the same colours.",
)
def presentations_figure(table: Table) -> Figure:
    """Who names what, and when."""
    figure, (left, right) = panels(1.1, 1, height=3.8)
    shown = [arm for arm in COLOURS if arm in table.arms]
    dots(left, {arm: table.values(arm, "second") for arm in shown}, COLOURS)
    left.set_xlabel("right at the second presentation")
    lines(right, {arm: table.curves(arm, "by_time") for arm in shown}, COLOURS, marker="o")
    right.set(xticks=range(1, SHOTS + 1), ylim=(0, 1))
    right.axhline(1 / WAYS, color=GREY, lw=0.8, ls=":")
    return figure


@study.figure(
    "gradients",
    "Left: cosine of the gradients that controllers learn from with the true ones of the whole episode, by moment, means over seeds; lines: read controller, dots: write controller (the control's own gradient for it is 0). Right: loss on the way, means over seeds side by side.",
)
def gradients_figure(table: Table) -> Figure:
    """How true the gradients are, and how the arms learn."""
    figure, (left, right) = panels(1.1, 1, height=3.6)
    shown = [arm for arm in ("predicted", "true", "none") if arm in table.arms]
    for name, style in (("read", "-"), ("write", ":")):
        lines(left, {arm: table.curves(arm, f"agreement_{name}") for arm in shown if arm != "none"}, COLOURS, ls=style)
    lines(right, {arm: table.curves(arm, "course") for arm in shown}, COLOURS)
    right.set_ylabel("loss")
    right.legend(fontsize=8, frameon=False, labelcolor=GREY)
    return figure
