"""BiRT: does noise on replayed tokens, and consistency with a copy that is renewed at random moments, help a vision transformer remember?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, pairwise_distance

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Match, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, mean_curve, panels
from neuropil.continual import ClassBalancedStore, StochasticCopy, attention_noise, continual_metrics, feature_mixup
from neuropil.data import SplitStream, corrupt, load, pool
from neuropil.learning import Replicas
from neuropil.networks import TokenClassifier, VisionTransformer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES, TASKS = 10, 5
HEADS, LAYERS, FROZEN = 4, 3, 1
"""Of the net; the first block is frozen, with the embedding, when the first task has been learned."""
ALPHA, MIXED = 0.1, 0.5
"""Of mixup's shares, and the share of replayed items that are blended."""
LOGIT_NOISE, LOGIT_SHARE = 0.01, 0.4
"""Deviation of what is added to the copy's answers, and to which share of the items."""
ALIKE = ("parameters", "data", "compute", Match("bytes", ratio=0.0), Match("kept", ratio=0.0))
LEARNER = {"keeps": "tokens", "mixup": ALPHA, "near": 0.05, "near_replayed": 0.01, "rate": 0.003, "decay": 0.0}
CONTROL = {**LEARNER, "renewal": 0.0, "deviation": 0.0, "keep": 0.0}
BIRT = {**LEARNER, "renewal": 0.1, "deviation": 1.0, "keep": 0.001}

ARMS = {
        "birt": BIRT,
        "control": CONTROL,
        "noise": {**CONTROL, "deviation": 1.0},
        "snapshots": {**BIRT, "deviation": 0.0},
        "slow": {**BIRT, "keep": 0.9},
        "plain": {**CONTROL, "mixup": 0.0, "near": 0.0, "near_replayed": 0.0},
        "images": {**CONTROL, "keeps": "images", "mixup": 0.0, "near": 0.0, "near_replayed": 0.5},
        "sequential": {**CONTROL, "keeps": "nothing", "near": 0.0},
        "joint": {**CONTROL, "keeps": "everything", "near": 0.0},
        "cut": {**BIRT, "until": 3},
        "off": {**BIRT, "strength": 0.0},
}


class Part(NamedTuple):
    """R seeds' images f32 [R, N, side, side], what the frozen part makes of them [R, N, T, width], and labels i64 [R, N] by the order in which classes come."""

    images: Tensor
    tokens: Tensor
    labels: Tensor


class Lesson(NamedTuple):
    """R seeds' examples, class by class, 8-bit copies of the training tokens, and the upper nets after the first task."""

    train: Part
    validation: Part
    test: Part
    corrupted: list[Tensor]
    stored: Tensor
    uppers: list[TokenClassifier]


@lru_cache(maxsize=1)
def _pictures(name: str, side: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Pictures f32 [N, side, side] from 0 to 1 and labels, to learn from and to test on (none: the first are to be divided)."""
    data = load(name)
    if name == "digits":
        return torch.from_numpy(data.images.reshape(-1, 8, 8)).float() / 16, torch.from_numpy(data.labels).long(), None, None
    found = []
    for images in (data.train_images, data.test_images):
        small, edge = pool(images, 14), (14 - side) // 2
        found.append(torch.from_numpy(small[:, edge : edge + side, edge : edge + side].copy()).float() / 255)
    return found[0], torch.from_numpy(data.train_labels).long(), found[1], torch.from_numpy(data.test_labels).long()


def as_input(x: Tensor) -> Tensor:
    """Grey values about zero."""
    return (x - 0.2) / 0.4


def drawn(size: Settings, seed: Seed) -> list[tuple[Tensor, Tensor]]:
    """A seed's training, validation and test images and labels; the first two class by class, as many of each."""
    x, y, tests, answers = _pictures(size.data, size.side)
    rows = torch.from_numpy(seed.numpy("data").permutation(len(y)))
    stream = SplitStream(x, y, setting="class", per_task=CLASSES // TASKS, generator=seed.numpy("classes"))
    order = torch.tensor([c for group in stream.classes for c in group])
    if tests is None or answers is None:
        tests, answers, rows = x[rows[: size.test]], y[rows[: size.test]], rows[size.test :]
    else:
        chosen = torch.from_numpy(seed.numpy("test").permutation(len(answers))[: size.test])
        tests, answers = tests[chosen], answers[chosen]
    own = [rows[y[rows] == c] for c in order]
    train = torch.cat([mine[size.validation :][: size.each] for mine in own])
    checked = torch.cat([mine[: size.validation] for mine in own])
    place = order.argsort()
    return [(x[train], place[y[train]]), (x[checked], place[y[checked]]), (tests, place[answers])]


@lru_cache(maxsize=2)
def _lesson(budget: tuple[tuple[str, Any], ...], values: tuple[int, ...]) -> Lesson:
    size, seeds = Settings("budget", dict(budget)), [Seed(value) for value in values]
    parts = [tuple(torch.stack(one) for one in zip(*part, strict=True)) for part in zip(*(drawn(size, seed) for seed in seeds), strict=True)]
    nets = Replicas([
        VisionTransformer(size.side, CLASSES, patch=size.patch, width=size.width, heads=HEADS, layers=LAYERS, generator=seed.torch("init"))
        for seed in seeds
    ])
    count, draws = size.each * CLASSES // TASKS, [seed.torch("first") for seed in seeds]
    x, y = (one[:, :count] for one in parts[0])
    steps = size.base_epochs * math.ceil(count / size.batch)
    optimizer = torch.optim.AdamW(nets.parameters(), size.base_rate)
    for step, rows in zip(range(steps), batches(count, size.batch, draws), strict=False):
        descend(optimizer, size.base_rate, step / steps, class_loss(nets(as_input(taken(x, rows))), taken(y, rows), CLASSES // TASKS))
    cuts = [net.cut(FROZEN) for net in nets.unstack()]
    with torch.no_grad():
        def seen(images: Tensor) -> Tensor:
            return torch.stack([lower(as_input(some)) for (lower, _), some in zip(cuts, images, strict=True)])
        found = [Part(images, seen(images), labels) for images, labels in parts]
        corrupted = []
        for kind in ("gaussian_noise", "defocus_blur"):
            changed = [corrupt(some[: size.course], kind, severity=5, generator=seed.torch(kind)) for some, seed in zip(found[2].images, seeds, strict=True)]
            corrupted.append(seen(torch.stack(changed)))
        return Lesson(found[0], found[1], found[2], corrupted, eight_bits(found[0].tokens, count), [upper for _, upper in cuts])


def eight_bits(tokens: Tensor, first: int) -> Tensor:
    """Tokens [R, N, T, width] as 8-bit numbers give them back, the range of each channel that of the first task's examples."""
    own = tokens[:, :first].flatten(1, 2)
    low, high = (one[:, None, None] for one in (own.amin(1), own.amax(1)))
    step = (high - low) / 255
    return low + step * ((tokens - low) / step).round().clamp(0, 255)


def batches(count: int, size: int, draws: Sequence[torch.Generator]):
    """Rows [R, size] of each epoch in a random order, over and over."""
    while True:
        order = torch.stack([torch.randperm(count, generator=one) for one in draws])
        yield from order.split(size, 1)


def taken(x: Tensor, rows: Tensor) -> Tensor:
    """Rows [R, B] of x [R, N, ...]."""
    return x[torch.arange(len(x))[:, None], rows]


def class_loss(y: Tensor, target: Tensor, known: int) -> Tensor:
    """Binary cross-entropy of the known classes' answers, the sum over seeds of the mean; targets are labels [R, B] or shares [R, B, classes]."""
    shares = one_hot(target, CLASSES).to(y) if target.ndim == 2 else target
    return len(y) * binary_cross_entropy_with_logits(y[..., :known], shares[..., :known])


def descend(optimizer: torch.optim.Optimizer, rate: float, progress: float, loss: Tensor) -> None:
    """One step, at a rate that falls by a cosine."""
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * progress))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Learner:
    """R upper nets that take one task after the other, with what they keep of old ones and the copies they stay near to."""

    def __init__(self, arm: Settings, budget: Settings, seeds: list[Seed], lesson: Lesson) -> None:
        self.arm, self.size, self.lesson = arm, budget, lesson
        strength = arm.get("strength", 1.0)
        self.deviation, self.logit_noise = strength * arm.deviation, strength * LOGIT_NOISE * bool(arm.renewal)
        self.nets = Replicas(lesson.uppers)
        self.copy = StochasticCopy(self.nets, keep=strength * arm.keep, probability=strength * arm.renewal, generators=[seed.torch("copy") for seed in seeds])
        self.draws = {name: [seed.torch(name) for seed in seeds] for name in ("batches", "replay", "mixup", "attention", "logits")}
        self.kept_tokens = lesson.train.tokens if arm.keeps == "images" else lesson.stored
        count, tokens, width = lesson.stored.shape[1:]
        self.bytes_each = tokens * width + 1
        room = budget.kept * self.bytes_each
        if arm.keeps == "images":
            self.bytes_each = budget.side**2 + 1 + 2 * CLASSES
        self.stores = [ClassBalancedStore(room if arm.keeps in ("tokens", "images") else 0, generator=seed.torch("store")) for seed in seeds]
        self.told = torch.zeros(len(seeds), count, CLASSES)
        self.said = torch.zeros(len(seeds), count, CLASSES)
        self.shifts: list[Tensor] = []
        self.distances: list[Tensor] = []
        self.renewed = torch.zeros(len(seeds))
        self.losses: list[float] = []
        self.steps = 0

    def noise(self, items: int) -> Tensor:
        """Noise for the attention of replayed items."""
        tokens = self.lesson.stored.shape[2]
        return torch.stack([
            attention_noise(items, LAYERS - FROZEN, HEADS, tokens, deviation=self.deviation, generator=one) for one in self.draws["attention"]
        ])

    def blended(self, h: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mixup of replayed items: half of them with another each."""
        made = []
        for x, y, draws in zip(h, labels, self.draws["mixup"], strict=True):
            other = torch.randperm(len(y), generator=draws)
            partner = torch.where(torch.rand(len(y), generator=draws) < MIXED, other, torch.arange(len(y)))
            made.append(feature_mixup((x, y), (x[partner], y[partner]), CLASSES, alpha=self.arm.mixup, generator=draws))
        return torch.stack([x for x, _ in made]), torch.stack([y for _, y in made])

    def apart(self, y: Tensor, h: Tensor, old: int) -> Tensor:
        """How far answers lie from the copies', the sum over seeds of the mean."""
        with torch.no_grad():
            said = self.copy.model(h)[..., :old]
            if self.logit_noise:
                noise = torch.stack([
                    torch.randn(said.shape[1:], generator=one) * (torch.rand(said.shape[1], 1, generator=one) < LOGIT_SHARE) for one in self.draws["logits"]
                ])
                said = said + self.logit_noise * noise
        return pairwise_distance(y[..., :old], said).mean(1).sum()

    def task(self, k: int) -> None:
        """Learn one task, then keep examples of it and balance the read-out on what is kept."""
        arm, size, train = self.arm, self.size, self.lesson.train
        per = CLASSES // TASKS
        known, old, count = (k + 1) * per, k * per, size.each * per
        x, labels = (one[:, k * count : (k + 1) * count] for one in (train.tokens, train.labels))
        if arm.keeps == "everything":
            x, labels, known = train.tokens, train.labels, CLASSES
        acts = k < arm.get("until", TASKS)
        steps = size.epochs * math.ceil(count / size.batch)
        optimizer = torch.optim.AdamW(self.nets.parameters(), arm.rate, weight_decay=arm.decay)
        share = old / known if arm.near or arm.near_replayed else 0.0
        both = size.batch + size.replayed if arm.keeps == "everything" else size.batch
        for step, rows in zip(range(steps), batches(x.shape[1], both, self.draws["batches"]), strict=False):
            h = taken(x, rows)
            y = self.nets(h)
            loss = (1 - share) * class_loss(y, taken(labels, rows), known)
            if arm.near and acts:
                loss = loss + share * arm.near * self.apart(y, h, old)
            if len(self.stores[0]):
                loss = loss + self.replay(known, old, share, acts)
            descend(optimizer, arm.rate, step / steps, loss)
            self.losses.append(float(loss.detach()) / len(y))
            self.steps += 1
            if arm.near:
                if step % 5 == 0:
                    self.distances.append(self.copy.distance(self.nets))
                self.renewed += self.copy.update(self.nets)
        self.end(k, known)

    def replay(self, known: int, old: int, share: float, acts: bool) -> Tensor:
        """The loss on a batch of what is kept."""
        arm, train = self.arm, self.lesson.train
        rows = torch.tensor([store.draw(self.size.replayed) for store in self.stores])
        h, target = taken(self.kept_tokens, rows), taken(train.labels, rows)
        if arm.mixup:
            h, target = self.blended(h, target)
        y = self.nets(h, self.noise(rows.shape[1])) if self.deviation and acts else self.nets(h)
        loss = (1 - share) * class_loss(y, target, known)
        if arm.near_replayed and acts:
            if arm.keeps == "images":
                told = taken(self.told, rows)
                far = pairwise_distance(y * told, taken(self.said, rows)).mean(1).sum()
            else:
                far = self.apart(y, h, old)
            loss = loss + share * arm.near_replayed * far
        return loss

    @torch.no_grad()
    def end(self, k: int, known: int) -> None:
        """What comes when a task has been learned."""
        train, size = self.lesson.train, self.size
        count = size.each * CLASSES // TASKS
        if self.arm.keeps in ("tokens", "images"):
            for store, labels in zip(self.stores, train.labels, strict=True):
                for row in range(k * count, (k + 1) * count):
                    store.add(row, int(labels[row]), self.bytes_each)
            if k:
                self.balance(known)
            if self.arm.keeps == "images":
                new = slice(k * count, (k + 1) * count)
                self.told[:, new, :known] = 1.0
                self.said[:, new, :known] = self.nets(train.tokens[:, new])[..., :known]
            elif k and self.deviation:
                rows = torch.tensor([store.names for store in self.stores])
                h = taken(self.kept_tokens, rows)
                still, moved = (one[..., :known] for one in (self.nets(h), self.nets(h, self.noise(rows.shape[1]))))
                self.shifts.append(((moved - still).norm(dim=-1) / still.norm(dim=-1)).mean(1))
        self.copy.take_over(self.nets)

    def balance(self, known: int) -> None:
        """Learn the read-out alone on all that is kept, which is as much of each class."""
        rows = torch.tensor([store.names for store in self.stores])
        h, target = taken(self.kept_tokens, rows), taken(self.lesson.train.labels, rows)
        seen = torch.stack([net.features(some) for net, some in zip(self.nets, h, strict=True)])
        readout = self.nets.model.readout
        weight, bias = (one.detach().clone().requires_grad_() for one in (readout.weight, readout.bias))
        optimizer = torch.optim.AdamW([weight, bias], self.arm.rate, weight_decay=0.0)
        with torch.enable_grad():
            for step in range(self.size.balancing):
                descend(optimizer, self.arm.rate, step / self.size.balancing, class_loss(seen @ weight.mT + bias[:, None], target, known))
        readout.weight.copy_(weight)
        readout.bias.copy_(bias)

    @torch.no_grad()
    def accuracies(self, tokens: Tensor, labels: Tensor, known: int) -> Tensor:
        """Accuracy on each task so far, choice among the known classes, [R, tasks]."""
        per = CLASSES // TASKS
        right = (torch.cat([self.nets(some)[..., :known].argmax(-1) for some in tokens.split(250, 1)], 1) == labels).double()
        asked = [labels // per == j for j in range(known // per)]
        return torch.stack([(right * mine).sum(1) / mine.sum(1) for mine in asked], 1)


def trials(arm: Settings, budget: Settings, seeds: list[Seed]) -> list[Outcome]:
    """Learn the tasks one after the other, all seeds side by side."""
    lesson = _lesson(tuple(budget.items()), tuple(seed.value for seed in seeds))
    learner, per, some = Learner(arm, budget, seeds, lesson), CLASSES // TASKS, budget.course
    course = torch.zeros(len(seeds), TASKS, TASKS, dtype=torch.float64)
    for k in range(TASKS):
        if k:
            learner.task(k)
        else:
            learner.end(0, per)
        course[:, k, : k + 1] = learner.accuracies(lesson.test.tokens[:, :some], lesson.test.labels[:, :some], (k + 1) * per)
    final, checked = (learner.accuracies(part.tokens, part.labels, CLASSES) for part in (lesson.test, lesson.validation))
    hurt = torch.stack([learner.accuracies(one, lesson.test.labels[:, :some], CLASSES) for one in lesson.corrupted]).mean(0)
    made: list[Outcome] = []
    for r in range(len(seeds)):
        summary = continual_metrics(course[r])
        found: dict[str, float | Curve | Matrix] = {
            "accuracy": float(final[r].mean()),
            "validation_accuracy": float(checked[r].mean()),
            "corrupted_accuracy": float(hurt[r].mean()),
            "learning_accuracy": summary.learning_accuracy,
            "forgetting": summary.forgetting,
            "kept": float(len(learner.stores[r])),
            "bytes": float(learner.stores[r].used),
            "parameters": float(sum(one[0].numel() for one in learner.nets.parameters())),
            "steps": float(learner.steps),
            "samples": float(lesson.train.labels.shape[1]),
            "noise_shift": float(torch.stack(learner.shifts).mean(0)[r]) if learner.shifts else 0.0,
            "renewals": float(learner.renewed[r]) / (TASKS - 1),
            "copy_distance": float(torch.stack(learner.distances).mean(0)[r]) if learner.distances else 0.0,
            "course": Curve(range(1, TASKS + 1), [float(course[r, k, : k + 1].mean()) for k in range(TASKS)], "tasks learned", "accuracy on tasks so far"),
            "matrix": Matrix(course[r].tolist(), "task asked", "after task"),
        }
        made.append(found)
    return made
