"""Fast and slow weights: does a second, slowly following copy of the weights help a network to learn classes from five pictures each, two at a time?"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, lines, panels
from neuropil.continual import EWC, FastSlowWeights, FineTuning, Joint, NearestMean, Strategy, continual_metrics
from neuropil.continual.strategy import Batch, Loss, Optimizer, trainable
from neuropil.data import load, pool
from neuropil.learning import Backprop, fit
from neuropil.networks import ConvNet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE, TASKS, PER_TASK = 4, 3, 2
NEW = TASKS * PER_TASK
SHOTS = 5
WIDTHS, HIDDEN = (16, 16, 16), 64
STEPS = 30
"""Steps a task, each on all of its pictures."""
CLIP = 1.0
"""Largest norm of a gradient, so that a stiff penalty does not diverge."""

SINGLE = {"how": "ewc", "rate": 0.003, "strength": 100.0, "heads": 1.0}
PAIR = {"how": "pair", "rate": 0.003, "strength": 100.0, "heads": 1.0, "pull": 1.0, "slow_rate": 0.3}
ALIKE = ("parameters", "compute", "data")

study = Study(
    slug="few-shot-continual-fast-slow",
    cites="wang2021",
    claim="A network trained on four classes that learns six others two at a time, from five pictures each, ends 0.03 more accurate on the six with a pair of fast and slow weights "
    "than with elastic weight consolidation of a single copy, and than nearest class means of its frozen features.",
    fidelity="unverifiable",
    scale="proxy",
    arms={
        "fast_slow": PAIR,
        "ewc": SINGLE,
        "prototypes": {"how": "prototypes", "rate": 0.0, "strength": 0.0, "heads": 1.0},
        "sequential": {**SINGLE, "how": "sequential"},
        "joint": {**SINGLE, "how": "joint", "rate": 0.01},
        "no_penalty": {**PAIR, "penalised": False},
        "reset": {**PAIR, "slow_rate": 0.0},
        "off": {**PAIR, "active": 0.0},
    },
    metrics={
        "accuracy": Metric("share of test pictures", floor=1 / NEW, ceiling=1.0, label="accuracy on all tasks after the last, six answers"),
        "masked_accuracy": Metric(
            "share of test pictures", floor=1 / PER_TASK, ceiling=1.0, label="the same, the task told: two answers", house="accuracy"
        ),
        "validation_accuracy": Metric(
            "share of pictures", floor=1 / NEW, ceiling=1.0, label="as accuracy, on validation pictures", house="accuracy"
        ),
        "learning_accuracy": Metric(
            "share of test pictures", floor=0.0, ceiling=1.0, label="each task as soon as learned", house="accuracy"
        ),
        "forgetting": Metric("difference of accuracies", better="lower", label="forgetting, six answers", house="accuracy"),
        "masked_forgetting": Metric("difference of accuracies", better="lower", label="forgetting, two answers", house="accuracy"),
        "few_shot": Metric(
            "share of test pictures",
            floor=1 / PER_TASK,
            ceiling=1.0,
            label="last task, learned by plain descent from the slow (or only) weights after two tasks",
            house="accuracy",
        ),
        "base_accuracy": Metric(
            "share of pictures", floor=1 / BASE, ceiling=1.0, label="of the network on its first classes", house="accuracy"
        ),
        "fast_slow_distance": Metric("share", label="|theta_f - theta_s| / |theta_s| after the last task"),
        "slow_start_distance": Metric("share", label="|theta_s - start| / |start| after the last task"),
        "kept": Metric("numbers", better="lower", label="kept beside the network at the end"),
        "parameters": Metric("numbers", better="lower", label="weights that learn"),
        "steps": Metric("updates", kind="exact", better="lower"),
        "samples": Metric("pictures", kind="exact", better="lower", label="pictures at hand, summed over tasks"),
    },
    primary=(
        Contrast("fast_slow", "ewc", on="accuracy", delta=0.03, match=ALIKE),
        Contrast("fast_slow", "prototypes", on="accuracy", delta=0.03, match="data"),
    ),
    secondary=(
        Contrast("fast_slow", "ewc", on="masked_accuracy", delta=0.03, match=ALIKE),
        Contrast("fast_slow", "joint", on="accuracy", delta=0.03, match=("parameters", "compute")),
        Contrast("fast_slow", "reset", on="accuracy", delta=0.03, match=ALIKE),
        Contrast("fast_slow", "no_penalty", on="accuracy", delta=0.03, match=ALIKE),
        Contrast("fast_slow", "reset", on="few_shot", delta=0.03, match=ALIKE),
        Contrast("ewc", "sequential", on="accuracy", delta=0.03, match=ALIKE),
    ),
    dose=(Dose("fast_slow_distance", at_least=0.01), Dose("slow_start_distance", at_least=0.005)),
    gate=Gate(
        "learning in turn forgets, all pictures at once would do better than consolidation, and frozen features leave room",
        "sequential.forgetting >= 0.1",
        "joint.accuracy - ewc.accuracy >= 0.05",
        "prototypes.accuracy <= 0.95",
    ),
    lesion=Lesion("reset", at_least=0.01),
    off=Off("off", equals="ewc"),
    tune=Tune(
        space={
            "rate": Grid((0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)),
            "strength": Grid((0.0, 10.0, 30.0, 100.0, 300.0, 1000.0), closed="low"),
            "heads": Grid((0.0, 1.0), closed="both"),
        },
        on="validation_accuracy",
        arms=("fast_slow", "ewc", "joint"),
        follow={"prototypes": "ewc", "sequential": "ewc", "no_penalty": "fast_slow", "reset": "fast_slow", "off": "ewc"},
        why="Class means have nothing to tune.",
        seeds=(1000, 1001, 1002),
        spread=tuple(range(1100, 1110)),
        budget={"test": 50},
    ),
    budgets={
        "smoke": {"data": "digits", "side": 8, "each": 60, "validation": 10, "test": 40, "epochs": 20, "episodes": 2}
        | {"resplit": (300, 240), "test_items": 240},
        "glance": {"data": "cifar10_jpeg", "side": 16, "each": 1000, "validation": 50, "test": 200, "epochs": 4, "episodes": 60}
        | {"test_items": 1200},
        "desk": {"data": "cifar10_jpeg", "side": 16, "each": 4000, "validation": 100, "test": 1000, "epochs": 4, "episodes": 60}
        | {"test_items": 6000},
    },
    data={"smoke": ("digits",), "glance": ("cifar10_jpeg",), "desk": ("cifar10_jpeg",)},
    distance="CIFAR-10 (JPEG-encoded once more) pooled to 16 x 16 in colour, a net of three convolutions of 16 channels that is trained and meta-trained on four classes, then three tasks of two classes with five pictures each, where the paper has several benchmarks; "
    "its equations could not be read, so that pull, plasticity and the second step are our reading, without the episodes on splits of the new pictures that the second step may have.",
    notes="Of the paper the abstract and others' accounts were read; no equation and no code could be had. Our reading: the model's weights are the fast ones; when a task begins they are pulled to the slow ones (pull 1, less where Fisher information is above its mean), then descend the loss of elastic weight consolidation, "
    "and at the task's end the slow ones go 0.3 of the way to them, again less where it matters. So it is elastic weight consolidation with a slow average of its own solutions, and with pull 0 it is consolidation alone to the last bit (off, whose slow copy is idle and not counted). "
    "Pull 0.3 or 1 and slow rates 0.1, 0.3 and 1 made no difference in pilots; they are not searched, as the control has no such choices. Rate, strength and the loss are searched for the pair, the control and joint training alike. "
    "The base stage is plain training on four classes and then 60 first-order episodes of two classes from five pictures each; its network is the start of every arm of the seed, with an empty read-out for six classes. "
    "heads 0: cross-entropy over all six classes; heads 1: over those of the tasks in the batch, so that a learner in turn does not push down older classes' scores. Answers are among all six classes (accuracy) and, the task told, among two (masked_accuracy). "
    "Gradients are clipped to norm 1 for all arms: without, a stiff penalty diverged, which weakened the control (pilots with the base classes counted: 0.211 without, 0.243 with). "
    "joint: all pictures so far at every step, as many of each class, from the same start, its rate searched like the others'; it takes as many steps. prototypes: class means of the hidden layer (64 units), nearest in Euclidean distance. "
    "reset (lesion): slow weights stay at the trained start, which for the fast ones is the same as leaving out the second step, so that one arm stands for both; asked is what it costs in accuracy. no_penalty: strength 0. "
    "few_shot: the last task learned by plain descent from the slow weights after two tasks, and for single weights from those; there are no other unseen classes. "
    "delta, gate and controls are a desk review's from before this study. "
    "What pilots say of the gate (seeds 1200 to 1203, four each unless said, accuracy on 200 test pictures a class): it is not expected to pass, since consolidation, once its rate and strength are searched and its gradients clipped, does what joint training does. "
    "With six answers and clipped gradients, rate/heads/strength: ewc 0.0003/0/10 0.328, 0.001/0/10 0.314, 0.001/0/100 0.324, 0.003/0/10 0.307, 0.003/0/100 0.326, 0.003/0/1000 0.227, 0.01/0/10 0.279, 0.01/0/100 0.338, 0.01/0/1000 0.230, 0.03/0/10 0.259, 0.03/0/100 0.262, 0.03/0/1000 0.268; with heads 1 0.269 to 0.278 at all of these; "
    "fast_slow (strength 100) 0.0003/0 0.319, 0.001/0 0.328, 0.003/0 0.335, 0.01/0 0.312, 0.03/0 0.259; with heads 1 0.268 to 0.278; joint 0.327, 0.332, 0.336 and 0.317 at 0.003, 0.01, 0.03 and 0.1; prototypes 0.348; sequential 0.268 (0.01/0) and 0.272 (0.003/1), forgetting 0.66 and 0.32. "
    "Two answers: 0.68 to 0.74 for all, with nothing forgotten. The slow weights had then gone less than 0.1 % from the start at 0.003, 0.3 % at 0.01 and 0.8 % at 0.03, and the fast ones were 0.7, 2.6 and 5.1 % away from them, so that the dose fails at the best rate as well. few_shot 0.72 to 0.78, the same from slow weights as from those of ewc (reset was not piloted). "
    "Without clipping (500 steps of training, 80 episodes, six seeds from 1200): ewc at best 0.303 (heads 1, 0.001) and 0.299 (heads 0, 0.001), fast_slow 0.305 and 0.297, joint 0.351, prototypes 0.344; so the gate would have stood at its line with a control that diverged. Without episodes (four seeds): joint 0.336, ewc at best 0.305, prototypes 0.333. Adam in place of plain descent was worse for joint (0.325). "
    "The design was changed once: with the four base classes as the first task, their Fisher information from 200 pictures and ten answers, ewc had 0.243 at best, fast_slow 0.245, joint 0.275, prototypes 0.260 (clipped; 0.211, 0.218 and 0.274 not clipped), where the gate fails as well; joint with fresh pictures of the base classes had 0.246. It was changed back.",
)

Part = tuple[Tensor, Tensor]


class Lesson(NamedTuple):
    """A seed's network, taught its first classes and with an empty read-out for the new ones; what it learns new, task by task; and who the new classes are."""

    net: ConvNet
    base_accuracy: float
    shots: list[Part]
    validation: list[Part]
    classes: tuple[int, ...]
    held_out: tuple[Tensor, ...]


@lru_cache(maxsize=2)
def _photographs(name: str, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    data = load(name)
    if name == "digits":
        images = np.rint(data.images[..., None] * (255 / data.images.max())).astype(np.uint8)
        return images, data.labels, images, data.labels
    return pool(data.train_images, side), data.train_labels, pool(data.test_images, side), data.test_labels


def pictures(images: np.ndarray, chosen: Tensor) -> Tensor:
    """Chosen pictures u8 [N, side, side, C] as f32 [M, C, side, side], 128 at 0 and 64 at 1."""
    return (torch.from_numpy(images[chosen.numpy()]).movedim(3, 1).float() - 128) / 64


def tasks(images: np.ndarray, chosen: Sequence[Tensor]) -> list[Part]:
    """Pictures of the new classes, in their order, and labels counted over all of them, two classes a task."""
    found = []
    for k in range(0, NEW, PER_TASK):
        own = chosen[k : k + PER_TASK]
        labels = torch.cat([torch.full((len(part),), k + c) for c, part in enumerate(own)])
        found.append((pictures(images, torch.cat(list(own))), labels))
    return found


@lru_cache(maxsize=64)
def _lesson(budget: tuple[tuple[str, Any], ...], value: int) -> Lesson:
    size, seed = Settings("budget", dict(budget)), Seed(value)
    images, labels, _, tested = _photographs(size.data, size.side)
    draws = seed.numpy("data")
    classes = seed.numpy("classes").permutation(BASE + NEW)
    own = [torch.from_numpy(draws.permutation(np.flatnonzero(labels == c))) for c in classes]
    old, new = own[:BASE], own[BASE:]
    x = pictures(images, torch.cat([part[: size.each] for part in old]))
    y = torch.arange(BASE).repeat_interleave(size.each)
    checked = pictures(images, torch.cat([part[size.each : size.each + size.validation] for part in old]))
    net = ConvNet(images.shape[3], size.side, BASE, WIDTHS, HIDDEN, seed.torch("init"))
    rule = Backprop(lambda parameters: torch.optim.Adam(parameters, 2e-3), cross_entropy)
    fit(net, (x, y), rule, epochs=size.epochs, batch_size=64, seed=seed.noise, progress=False)
    net.eval()
    with torch.no_grad():
        right = (net(checked).argmax(1) == torch.arange(BASE).repeat_interleave(size.validation)).double().mean()
    net.readout = nn.Linear(HIDDEN, NEW)
    nn.init.zeros_(net.readout.weight)
    nn.init.zeros_(net.readout.bias)
    meta_train(net, x, y, size.episodes, seed.torch("episodes"))
    seen = SHOTS + size.validation
    if size.data == "digits":
        held_out = tuple(part[seen : seen + size.test] for part in new)
    else:
        held_out = tuple(torch.from_numpy(np.flatnonzero(tested == c)[: size.test]) for c in classes[BASE:])
    return Lesson(
        net,
        float(right),
        tasks(images, [part[:SHOTS] for part in new]),
        tasks(images, [part[SHOTS:seen] for part in new]),
        tuple(classes[BASE:].tolist()),
        held_out,
    )


def meta_train(net: ConvNet, x: Tensor, y: Tensor, episodes: int, draws: torch.Generator) -> None:
    """First-order meta-training of all but the read-out, in place: two of the first classes are learned from five pictures each in eight steps, and the start moves 0.3 of the way."""
    answers = torch.arange(PER_TASK).repeat_interleave(SHOTS)
    for _ in range(episodes):
        old = {name: one.detach().clone() for name, one in net.named_parameters()}
        chosen = torch.randperm(BASE, generator=draws)[:PER_TASK]
        own = [torch.nonzero(y == c).flatten() for c in chosen]
        few = x[torch.cat([part[torch.randperm(len(part), generator=draws)[:SHOTS]] for part in own])]
        optimizer = torch.optim.SGD(net.parameters(), 0.03)
        for _ in range(8):
            optimizer.zero_grad()
            cross_entropy(net(few)[:, :PER_TASK], answers).backward()
            optimizer.step()
        with torch.no_grad():
            for name, one in net.named_parameters():
                one.copy_(old[name] + (0.0 if name.startswith("readout") else 0.3) * (one - old[name]))
    net.zero_grad(set_to_none=True)


def descent(rate: float) -> Optimizer:
    """Plain gradient descent on gradients of norm ``CLIP`` at most."""

    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        held = list(parameters)
        optimizer = torch.optim.SGD(held, rate)

        def clip(*_: Any) -> None:
            torch.nn.utils.clip_grad_norm_(held, CLIP)

        optimizer.register_step_pre_hook(clip)
        return optimizer

    return make


def within_tasks(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over the classes of those tasks that the batch holds; scores f32 [B, classes], target i64 [B]."""
    asked = (target[:, None] // PER_TASK == torch.arange(NEW) // PER_TASK).any(0)
    return cross_entropy(scores.masked_fill(~asked, -1e9), target)


def strategy(arm: Settings) -> Strategy:
    """The arm's way to learn a task after the other."""
    loss: Loss = within_tasks if arm.heads else cross_entropy
    optimizer, strength = descent(arm.rate), arm.strength if arm.get("penalised", True) else 0.0
    if arm.how == "pair":
        pull = arm.pull * arm.get("active", 1.0)
        return FastSlowWeights(optimizer, loss, strength=strength, pull=pull, slow_rate=arm.slow_rate)
    if arm.how == "ewc":
        return EWC(optimizer, loss, strength=strength, decay=1.0)
    return {"sequential": FineTuning, "joint": Joint}[arm.how](optimizer, loss)


@torch.no_grad()
def accuracies(model: nn.Module, tested: Sequence[Part]) -> list[tuple[float, float]]:
    """Shares of right answers a task: among all six classes, and among the task's two."""
    found = []
    for k, (x, y) in enumerate(tested):
        scores, first = model(x), k * PER_TASK
        among = scores[:, first : first + PER_TASK].argmax(1) + first
        found.append((float((scores.argmax(1) == y).double().mean()), float((among == y).double().mean())))
    return found


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """``|a - b| / |b|`` of two copies of the weights."""
    return float((sum((a[name] - b[name]).square().sum() for name in b) / sum(one.square().sum() for one in b.values())) ** 0.5)


def weights(net: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights that learn."""
    return {name: one.detach().clone() for name, one in trainable(net).items()}


def few_shot(net: nn.Module, start: dict[str, Tensor], shots: Part, tested: Part, rate: float) -> float:
    """How well the last task is told apart, two answers, once learned by plain descent from ``start``."""
    learner = copy.deepcopy(net)
    learner.load_state_dict(start)
    rule = FineTuning(descent(rate), within_tasks)
    state = rule.init(learner)
    for _ in range(STEPS):
        state, _ = rule.step(learner, shots, state)
    with torch.no_grad():
        among = learner(tested[0])[:, -PER_TASK:].argmax(1) + NEW - PER_TASK
    return float((among == tested[1]).double().mean())


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Learn three tasks of two classes, five pictures a class, from the seed's trained network."""
    lesson = _lesson(tuple((name, value) for name, value in budget.items() if name != "resplit"), seed.value)
    tested = tasks(_photographs(budget.data, budget.side)[2], lesson.held_out)
    if arm.how == "prototypes":
        return by_prototypes(lesson, tested)
    net = copy.deepcopy(lesson.net)
    rule, start = strategy(arm), weights(net)
    paired = arm.how == "pair" and arm.get("active", 1.0) > 0
    state = rule.init(net)
    table = np.full((TASKS, TASKS, 2), np.nan)
    before, moved, apart, seen = start, [0.0], [0.0], 0
    for k, task in enumerate(lesson.shots):
        batch: Batch = task
        if rule.sees_all:
            batch = tuple(torch.cat(parts) for parts in zip(*lesson.shots[: k + 1], strict=True))
        state = rule.begin(net, batch, state)
        for _ in range(STEPS):
            state, _ = rule.step(net, batch, state)
        state = rule.end(net, batch, state)
        seen += len(batch[0])
        table[k, : k + 1] = accuracies(net, tested[: k + 1])
        slow = state["slow"] if paired else weights(net)
        moved.append(distance(slow, start))
        apart.append(distance(weights(net), slow))
        if k == TASKS - 2:
            before = {name: one.clone() for name, one in slow.items()}
    outcome = dict(summary(lesson, table)) | {
        "validation_accuracy": float(np.mean([single for single, _ in accuracies(net, lesson.validation)])),
        "few_shot": few_shot(net, before, lesson.shots[-1], tested[-1], arm.rate),
        "parameters": float(sum(one.numel() for one in start.values())),
        "steps": float(STEPS * TASKS),
        "samples": float(seen),
    }
    if arm.how != "pair" or paired:
        outcome["kept"] = float(rule.stored(state))
    if paired:
        outcome |= {
            "fast_slow_distance": apart[-1],
            "slow_start_distance": moved[-1],
            "moved": Curve(range(TASKS + 1), moved, "tasks learned", "distance, share of the weights' norm"),
            "apart": Curve(range(TASKS + 1), apart, "tasks learned", "distance, share of the weights' norm"),
        }
    return outcome


def by_prototypes(lesson: Lesson, tested: Sequence[Part]) -> Outcome:
    """Answer by the nearest class mean of the frozen network's hidden layer."""
    net, means = lesson.net, NearestMean(HIDDEN, NEW)

    @torch.no_grad()
    def features(x: Tensor) -> Tensor:
        return torch.relu(net.hidden(net.blocks(x).flatten(1)))

    class Answers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = means(features(x))
            return found

    table = np.full((TASKS, TASKS, 2), np.nan)
    for k, (x, y) in enumerate(lesson.shots):
        means.add(features(x), y)
        table[k, : k + 1] = accuracies(Answers(), tested[: k + 1])
    return dict(summary(lesson, table)) | {
        "validation_accuracy": float(np.mean([single for single, _ in accuracies(Answers(), lesson.validation)])),
        "kept": float(sum(one.numel() for one in means.buffers())),
        "parameters": float(NEW * HIDDEN),
        "steps": 0.0,
        "samples": float(NEW * SHOTS),
    }


def summary(lesson: Lesson, table: np.ndarray) -> Outcome:
    """What the accuracies [task learned, task tested, six or two answers] say."""
    single, masked = (continual_metrics(torch.from_numpy(table[:, :, k])) for k in range(2))
    return {
        "accuracy": single.average_accuracy,
        "masked_accuracy": masked.average_accuracy,
        "learning_accuracy": single.learning_accuracy,
        "forgetting": single.forgetting,
        "masked_forgetting": masked.forgetting,
        "base_accuracy": lesson.base_accuracy,
        "course": Curve(
            range(PER_TASK, NEW + 1, PER_TASK),
            [float(table[k, : k + 1, 0].mean()) for k in range(TASKS)],
            "new classes so far",
            "accuracy on them, six answers",
        ),
    }


COLOURS = {
    "fast_slow": "#d1495b",
    "reset": "#8f2f3c",
    "no_penalty": "#e58f9a",
    "ewc": "#4f7cac",
    "sequential": "#999999",
    "prototypes": "#5b8c5a",
    "joint": "#333333",
}


@study.figure(
    "accuracy",
    "Left: accuracy on the new classes so far, means over seeds, in the colours of the others. Middle: on all six after the last task, six answers, a dot a seed. Right: the same with the task told, two answers.",
)
def accuracy_figure(table: Table) -> Figure:
    """How accurate each arm is as classes come and at the end."""
    figure, (left, middle, right) = panels(1, 1.1, 1.1, height=3.8)
    shown = [arm for arm in COLOURS if arm in table.arms]
    lines(left, {arm: table.curves(arm, "course") for arm in shown}, COLOURS, marker="o")
    for ax, metric in ((middle, "accuracy"), (right, "masked_accuracy")):
        dots(ax, {arm: table.values(arm, metric) for arm in shown}, COLOURS)
    middle.set_xlabel("final accuracy, six answers")
    right.set_xlabel("final accuracy, two answers")
    return figure


@study.figure(
    "weights",
    "Left: how far the slow weights have gone from the trained start, and how far the fast ones are from them, after each task, means over seeds. "
    "Right: accuracy on the last task, learned by plain descent from the slow weights, or the only ones, after two tasks; reset starts where all started.",
)
def weights_figure(table: Table) -> Figure:
    """How the pair moves, and what its slow half is good for."""
    figure, (left, right) = panels(1, 1, height=3.6)
    colours, names = {"moved": "#8f2f3c", "apart": "#d1495b"}, {"moved": "slow from start", "apart": "fast from slow"}
    lines(left, {name: table.curves("fast_slow", name) for name in colours}, colours, names, marker="o")
    left.legend(fontsize=8, frameon=False, labelcolor=GREY)
    shown = [arm for arm in ("fast_slow", "reset", "no_penalty", "ewc", "sequential") if arm in table.arms]
    dots(right, {arm: table.values(arm, "few_shot") for arm in shown}, COLOURS)
    right.set_xlabel("few-shot accuracy, two answers")
    return figure
