"""REMIND: within one budget of bytes, does replaying quantised feature maps serve a streaming learner better than replaying JPEG images?"""

from __future__ import annotations

import copy
import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Match, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, dots, lines, panels
from neuropil.continual import ClassBalancedStore, ProductQuantizer, StreamingLDA, feature_mixup
from neuropil.data import load, random_resized_crop
from neuropil.learning import Backprop, fit
from neuropil.networks import ConvNet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = 10
ALPHA = 0.1
"""Of mixup's shares."""
FALL = 0.01
"""The share to which the rate falls within the examples of each class."""
QUALITY = {1: 5, 2: 10, 3: 30}
"""The JPEG quality of each detail; for codes the detail is the number of codebooks."""
POOLED = 4
"""Side of the maps for the discriminant analysis."""
LEARNER = {"rate": 0.01, "detail": 2, "augmented": True, "least": 0.6}
REMIND = {"keeps": "codes", **LEARNER}
JPEG = {"keeps": "images", **LEARNER}
ALIKE = ("parameters", "data", "compute", Match("bytes", ratio=0.02), Match("replayed", ratio=0.0))

study = Study(
    slug="remind-replay",
    cites="hayes2020",
    claim="On a net whose lower layers are frozen after four classes, a streaming learner of six more classes that replays quantised feature maps ends more accurate on "
    "all ten, by 0.02, than one that replays JPEG images from a store of the same bytes.",
    fidelity="code",
    scale="proxy",
    arms={
        "remind": REMIND,
        "jpeg": JPEG,
        "jpeg_files": {**JPEG, "files": True},
        "plain": {**REMIND, "augmented": False},
        "unquantised": {**LEARNER, "keeps": "maps"},
        "fine_tune": {**LEARNER, "keeps": "nothing", "augmented": False},
        "lda": {**LEARNER, "keeps": "means", "shrinkage": 0.1},
        "joint": {**LEARNER, "keeps": "everything", "rate": 0.02, "least": 0.3},
        "roomy": {**JPEG, "room": 4},
        "scrambled": {**REMIND, "scrambled": True},
        "off": {**REMIND, "strength": 0.0},
    },
    metrics={
        "accuracy": Metric("share of test images", floor=0.1, ceiling=1.0, label="accuracy on all ten classes at the end"),
        "mean_accuracy": Metric(
            "share of test images",
            floor=0.1,
            ceiling=1.0,
            label="mean of that on classes so far, after the base and each class",
            house="accuracy",
        ),
        "validation_accuracy": Metric(
            "share of images", floor=0.1, ceiling=1.0, label="final accuracy on validation images", house="accuracy"
        ),
        "base_accuracy": Metric(
            "share of test images", floor=0.0, ceiling=1.0, label="final accuracy on the four base classes, choice of ten", house="accuracy"
        ),
        "kept_size": Metric("share", ceiling=1.0, label="1 - squared error of quantised test maps over their squared size"),
        "kept_variance": Metric("share", ceiling=1.0, label="1 - squared error of quantised test maps over their variance"),
        "files_ratio": Metric("ratio", floor=0.0, label="examples kept, over whole JPEG files that the same bytes hold"),
        "kept": Metric("examples", label="kept at the end"),
        "bytes": Metric("bytes", better="lower", label="of what is kept, with codebooks or tables"),
        "replayed": Metric("examples", better="lower", label="replayed a new one, blends counted once"),
        "parameters": Metric("weights and biases", better="lower", label="that the stream changes"),
        "steps": Metric("updates", kind="exact", better="lower"),
        "samples": Metric("images", kind="exact", better="lower", label="different images learned from"),
    },
    primary=Contrast("remind", "jpeg", on="accuracy", delta=0.02, match=ALIKE),
    secondary=(
        Contrast("remind", "jpeg_files", on="accuracy", delta=0.02, match=ALIKE),
        Contrast("remind", "jpeg", on="mean_accuracy", delta=0.02, match=ALIKE),
        Contrast("remind", "unquantised", on="accuracy", delta=0.02, match=("parameters", "data", "compute", Match("replayed", ratio=0.0))),
        Contrast("remind", "plain", on="accuracy", delta=0.02, match=ALIKE),
        Contrast("lda", "remind", on="accuracy", delta=0.02, match="data"),
    ),
    dose=(Dose("kept_size", at_least=0.7), Dose("files_ratio", at_least=3.0)),
    gate=Gate(
        "learning all at once is better than the control by far, a stream without replay forgets, and the control gains by more room",
        "joint.accuracy - jpeg.accuracy >= 0.1",
        "fine_tune.accuracy - 0.5 * joint.accuracy <= 0",
        "roomy.accuracy - jpeg.accuracy >= 0.01",
    ),
    lesion=Lesion("scrambled", at_least=0.02),
    off=Off("off", equals="jpeg"),
    tune=Tune(
        space={"rate": Grid((0.001, 0.003, 0.01, 0.03)), "detail": Grid((1, 2, 3), closed="low")},
        on="validation_accuracy",
        arms=("remind", "jpeg"),
        follow={"plain": "remind", "scrambled": "remind", "off": "jpeg", "roomy": "jpeg", "jpeg_files": "jpeg"}
        | {"unquantised": "jpeg", "fine_tune": "jpeg"},
        seeds=(1000, 1001),
        spread=tuple(range(1100, 1108)),
    ),
    budgets={
        "smoke": {"data": "digits", "base": 4, "base_each": 60, "each": 20, "validation": 10, "test": 300}
        | {"widths": (6, 12, 8), "hidden": 16, "epochs": 15, "entries": 16, "vectors": 1000}
        | {"bytes": 2000, "replayed": 3, "joint_steps": 400, "resplit": (360, 300), "test_items": 300},
        "glance": {"data": "digits", "base": 4, "base_each": 80, "each": 60, "validation": 20, "test": 600}
        | {"widths": (6, 12, 12), "hidden": 32, "epochs": 20, "entries": 64, "vectors": 4000}
        | {"bytes": 4000, "replayed": 5, "joint_steps": 600, "resplit": (680, 600), "test_items": 600},
        "desk": {"data": "cifar10_jpeg", "base": 4, "base_each": 1000, "each": 300, "validation": 100, "test": 3000}
        | {"widths": (16, 24, 48), "hidden": 128, "epochs": 8, "entries": 64, "vectors": 20_000}
        | {"bytes": 24_000, "replayed": 10, "joint_steps": 3000, "test_items": 3000},
    },
    data={"smoke": ("digits",), "glance": ("digits",), "desk": ("cifar10_jpeg",)},
    distance="CIFAR-10 (JPEG-encoded once before it came to us), a small net of three convolutions learned from four classes of 1,000 images, its first two convolutions frozen (maps of 8 x 8 x 24), then six classes of 300 images in one pass, one at a time with 10 replayed, and 24,000 bytes, "
    "where the paper has ImageNet and a ResNet-18 learned from 100 classes, maps of 7 x 7 x 512, 50 replayed and 1.5 gigabytes; Omega, which asks for joint training after every class, is left out, and so are orders other than class by class.",
    notes="The authors' code was read. As there: the base classes' maps train the codebooks; the new example and all test maps pass through them as well; two batches are drawn from the store, cropped and blended (Beta(0.1, 0.1)), the new example is only cropped; one step of gradient descent with momentum 0.9 and weight decay 1e-5 an example, the rate falling geometrically to a hundredth within each class; where the store is full a random example of the most numerous class leaves. "
    "Differs: crops take at least 0.6 of the area, not 2/7, since these maps and this stream are small (pilots below); the two batches are drawn independently; blends apply to images before the frozen layers where images are kept; of a base class as many examples are offered to the store as of a new one, for with 1,000 against 200 a larger store was filled with old classes and the control lost by more room (0.33 with 600 kB, 0.37 with 150 kB). "
    "Bytes count everything that is kept: codes packed to 6 bits, codebooks at two bytes a number (they are rounded so), JPEG data, and a byte of label each. All JPEG files of one size and quality begin with the same 623 bytes of tables. The control keeps these once, as codes keep their codebooks once, and may choose a coarse quality, as codes may choose few codebooks: detail 1, 2, 3 is 1, 2, 3 codebooks (48, 96, 144 bytes an image) and quality 5, 10, 30 (about 48, 75 and 154 bytes). "
    "That is a stronger control than the one asked for before this study, whole files of about 900 bytes, which is jpeg_files here (at the control's quality, about 700 bytes) and is what files_ratio, the dose, counts against; against the control itself the ratio of examples kept is near 1. "
    "The dose's error is that of the maps in squared size; kept_variance has the stricter share, of the variance about each channel's mean. unquantised keeps maps at two bytes a number. plain neither crops nor blends. fine_tune replays nothing. lda: streaming discriminant analysis on the frozen maps averaged to 4 x 4, shrinkage 0.1, its covariance far beyond the others' bytes. "
    "joint: the plastic layers on all 5,800 maps at once, batches of 32 balanced over classes, 3,000 steps, crops from 0.3 of the area, rate 0.02, not tuned. roomy: the control with four times the bytes. scrambled (lesion): at replay each example's codes are dealt out over its places anew. off: codes are switched off and images kept in their place, which is the control. "
    "unquantised and fine_tune take the control's rate. Pilots, displayed final test accuracy on 2,000 images. Seed 1200, widths 24, 32, 64, 200 images a class, 15 replayed, 150 kB, codebooks of 256 entries in four bytes, two of them (24 % of the variance lost; 32 % with one, 13 % with four), 1,000 of a base class offered: codes 0.371 at rate 0.03 and 0.389 at 0.01 with crops from 2/7, 0.400 from 0.6, 0.396 plain; JPEG at 75 0.368, at 30 0.365, 0.409 at rate 0.01, 0.426 plain; maps 0.226; no replay 0.100; joint 0.492 and 0.497 with crops; lda 0.499 to 0.509 on 4 x 4, 0.43 to 0.46 on 2 x 2, 0.42 on the hidden layer. "
    "The same seed, widths as now, 60 kB, 200 of each class offered, rate 0.03 unless said: codes of two codebooks 0.342, 0.373 with crops from 0.6, 0.357 at 0.01; of one 0.367, 0.407 at 0.01; JPEG at 75 0.307, at 30 0.374 (0.397 at 0.01, 0.379 with crops), at 20 0.385, at 10 0.402, at 30 with four times the bytes 0.431, whole files at 75 0.217; joint 0.476, 0.436 at 0.1. 40 kB: one codebook 0.358, JPEG at 10 0.370, at 20 0.363; joint with crops from 0.3 0.488, 0.357 at 0.1. "
    "Seed 1201, 300 of each class, 10 replayed, 40 kB, rate 0.01, crops from 0.6: JPEG at 10 0.405, at 5 0.384, with four times the bytes 0.417, one codebook 0.370, joint 0.480. Joint training was too near the control there, so that the bytes were lowered to 24,000 and codebooks to 64 entries, which is the design here."
    " Seed 1200, this design, 3,000 test images, rate 0.01: one codebook 0.384 (427 examples kept, 0.838 of the squared size and 0.660 of the variance), two 0.375 (215; 0.872 and 0.731), the control at quality 10 0.375 (289), joint 0.494, the control with four times the bytes 0.423 (1,216), no replay 0.100, lda 0.514, one codebook scrambled 0.244. "
    "Seed 1201 with 200 images of each class and 1,500 joint steps, for time: the control 0.369, joint 0.463, one codebook 0.352; joint was too near the control, so that 300 were kept. "
    "Seeds 1202 and 1203, this design, rate 0.01: the control at quality 10 0.368 and 0.342; joint 0.506 and 0.483 in 2,000 steps, 0.516 and 0.487 in 4,000 (0.460 and 0.454 at rate 0.04), 0.528 and 0.492 in 6,000, so that its steps became 3,000: the upper bound had not learned to its end.",
)


class Part(NamedTuple):
    """Images u8 [N, 3, side, side], the frozen layers' maps of them f16 [N, C, H, W], and labels i64 [N] by the order in which classes come."""

    images: Tensor
    maps: Tensor
    labels: Tensor


class Lesson(NamedTuple):
    """A seed's examples, base classes first and class by class, and the net that has learned the base classes, in a frozen and a plastic part."""

    train: Part
    validation: Part
    test: Part
    lower: nn.Sequential
    upper: nn.Sequential


@lru_cache(maxsize=2)
def _photographs(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Pictures u8 [N, side, side, 3] to learn from and to test on (none: the first are to be divided), with their labels."""
    data = load(name)
    if name == "digits":
        large = np.round(data.images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8).repeat(2, 1).repeat(2, 2)
        return large[..., None].repeat(3, -1), data.labels.astype(np.int64), None, None
    return data.train_images, data.train_labels.astype(np.int64), data.test_images, data.test_labels.astype(np.int64)


def as_input(images: Tensor) -> Tensor:
    """Bytes as numbers about zero."""
    return (images.float() - 127.5) / 64


@lru_cache(maxsize=12)
def _lesson(budget: tuple[tuple[str, Any], ...], value: int) -> Lesson:
    size, seed = Settings("budget", dict(budget)), Seed(value)
    images, labels, tested, answers = _photographs(size.data)
    order = seed.numpy("classes").permutation(CLASSES)
    rows = seed.numpy("data").permutation(len(labels))
    test = slice(size.test)
    if tested is None or answers is None:
        tested, answers, rows = images[rows[test]], labels[rows[test]], rows[size.test :]
    own = [rows[labels[rows] == c] for c in order]
    numbers = [size.base_each if k < size.base else size.each for k in range(CLASSES)]
    train = np.concatenate([mine[size.validation :][:number] for mine, number in zip(own, numbers, strict=True)])
    checked = np.concatenate([mine[: size.validation] for mine in own])
    place = torch.from_numpy(order.argsort())
    parts = [
        (torch.from_numpy(pictures[chosen]).permute(0, 3, 1, 2).contiguous(), place[torch.from_numpy(names[chosen])])
        for pictures, names, chosen in ((images, labels, train), (images, labels, checked), (tested, answers, test))
    ]
    net = ConvNet(3, images.shape[1], CLASSES, size.widths, size.hidden, seed.torch("init"))
    x, y = (part[: size.base * size.base_each] for part in parts[0])
    rule = Backprop(lambda parameters: torch.optim.Adam(parameters, 1e-3), cross_entropy)
    fit(net, (as_input(x), y), rule, epochs=size.epochs, batch_size=64, seed=seed.noise, progress=False)
    blocks = list(net.blocks)
    lower = nn.Sequential(*blocks[:6])
    upper = nn.Sequential(*blocks[6:], nn.Flatten(), net.hidden, nn.ReLU(), net.readout)
    with torch.no_grad():
        found = [
            Part(pictures, torch.cat([lower(as_input(some)).half() for some in pictures.split(250)]), names) for pictures, names in parts
        ]
    return Lesson(found[0], found[1], found[2], lower, upper)


@lru_cache(maxsize=36)
def _quantizer(budget: tuple[tuple[str, Any], ...], value: int, codebooks: int) -> ProductQuantizer:
    """The quantiser of the base classes' maps, its codebooks rounded to two bytes a number."""
    size, draws = Settings("budget", dict(budget)), Seed(value).torch("codebooks")
    vectors = as_vectors(_lesson(budget, value).train.maps[: size.base * size.base_each]).flatten(0, 2)
    found = ProductQuantizer(vectors.shape[1], codebooks, size.entries)
    found.fit(vectors[torch.randperm(len(vectors), generator=draws)[: size.vectors]], generator=draws)
    found.centroids.copy_(found.centroids.half())
    return found


class Jpegs(NamedTuple):
    """The training images after JPEG, u8 [N, 3, side, side], the bytes of each without its tables, and those of the tables, which all files share."""

    images: Tensor
    sizes: list[int]
    tables: int


@lru_cache(maxsize=36)
def _jpegs(budget: tuple[tuple[str, Any], ...], value: int, quality: int) -> Jpegs:
    from PIL import Image

    images = _lesson(budget, value).train.images
    decoded, sizes, tables = torch.empty_like(images), [], 0
    for k, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        content = file.getvalue()
        scan = content.index(b"\xff\xda") + 2  # the last header, after which only this image's own bytes come
        tables = scan + int.from_bytes(content[scan : scan + 2], "big")
        sizes.append(len(content) - tables)
        decoded[k] = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    return Jpegs(decoded, sizes, tables)


def as_vectors(maps: Tensor) -> Tensor:
    """Maps [N, C, H, W] as vectors [N, H, W, C] of f32."""
    return maps.movedim(1, -1).float()


class Memory:
    """What an arm keeps, in which form, and within how many bytes; ``recall`` gives kept examples back, ``fresh`` a new one, and ``shown`` a part's maps as the plastic layers see them.

    Images come back as inputs of the frozen layers, everything else as their maps. A byte an example is counted for its label.
    """

    def __init__(self, arm: Settings, budget: Settings, seed: Seed, lesson: Lesson) -> None:
        self.keeps = arm.keeps if arm.get("strength", 1.0) else "images"
        self.lesson, settings = lesson, tuple(budget.items())
        self.scrambling = seed.torch("scramble") if arm.get("scrambled") else None
        train, self.shared = lesson.train, 0
        if self.keeps == "images":
            self.jpegs = _jpegs(settings, seed.value, QUALITY[arm.detail])
            own = self.jpegs.tables if arm.get("files") else 0
            self.shared = self.jpegs.tables - own
            self.sizes = [size + own for size in self.jpegs.sizes]
        elif self.keeps == "codes":
            self.quantizer = _quantizer(settings, seed.value, arm.detail)
            self.shared = self.quantizer.codebook_bytes // 2
            self.codes = self.quantizer.encode(as_vectors(train.maps))
            bits = self.codes[0].numel() * math.log2(budget.entries)
            self.sizes = [math.ceil(bits / 8)] * len(train.labels)
        else:
            self.sizes = [2 * train.maps[0].numel()] * len(train.labels)
        room = 0 if self.keeps == "nothing" else int(budget.bytes * arm.get("room", 1)) - self.shared
        self.store = ClassBalancedStore(room, generator=seed.torch("store"))

    @property
    def used(self) -> int:
        """Bytes of all that is kept."""
        return self.store.used + self.shared

    def add(self, k: int) -> None:
        """Offer training example ``k`` to the store."""
        self.store.add(k, int(self.lesson.train.labels[k]), self.sizes[k] + 1)

    def recall(self, names: list[int]) -> Tensor:
        """Give back what is kept of these examples."""
        if self.keeps == "images":
            return as_input(self.jpegs.images[names])
        if self.keeps == "codes":
            codes = self.codes[names]
            return self.rebuilt(codes if self.scrambling is None else scramble(codes, self.scrambling))
        return self.lesson.train.maps[names].float()

    def fresh(self, k: int) -> Tensor:
        """Give a new example, before anything is kept of it: the image itself, or what its code says."""
        if self.keeps == "images":
            return as_input(self.lesson.train.images[k : k + 1])
        return self.rebuilt(self.codes[k : k + 1]) if self.keeps == "codes" else self.lesson.train.maps[k : k + 1].float()

    def shown(self, part: Part) -> Tensor:
        """The maps of a part; where codes are learned from they are quantised, as in the authors' code."""
        return self.rebuilt(self.quantizer.encode(as_vectors(part.maps))) if self.keeps == "codes" else part.maps.float()

    def rebuilt(self, codes: Tensor) -> Tensor:
        """Codes u8 [N, H, W, codebooks] as maps [N, C, H, W]."""
        return self.quantizer.decode(codes).movedim(-1, 1)


def scramble(codes: Tensor, draws: torch.Generator) -> Tensor:
    """Deal each example's codes [N, H, W, codebooks] out anew over its places."""
    flat = codes.flatten(1, 2)
    order = torch.rand(flat.shape[:2], generator=draws).argsort(1)
    return flat.gather(1, order[..., None].expand_as(flat)).view_as(codes)


@torch.no_grad()
def accuracy(model: nn.Module, f: Tensor, labels: Tensor, classes: int = CLASSES, among: int = CLASSES) -> float:
    """Share of examples of the first ``among`` classes that are told right among the first ``classes``."""
    asked = labels < min(classes, among)
    answers = torch.cat([model(some)[:, :classes].argmax(1) for some in f[asked].split(500)])
    return float((answers == labels[asked]).double().mean())


class Learner:
    """The plastic layers and how they learn: gradient descent with momentum 0.9 on blended, cropped examples."""

    def __init__(self, arm: Settings, seed: Seed, lesson: Lesson) -> None:
        self.augmented, self.least, self.rate, self.lower = arm.augmented, arm.least, arm.rate, lesson.lower
        self.upper, self.draws = copy.deepcopy(lesson.upper), seed.torch("augment")
        self.optimizer = torch.optim.SGD(self.upper.parameters(), arm.rate, momentum=0.9, weight_decay=1e-5)
        self.steps = 0

    def crop(self, x: Tensor) -> Tensor:
        """A random part of each image or map, stretched to the whole, where the arm augments."""
        return random_resized_crop(x, scale=(self.least, 1.0), generator=self.draws) if self.augmented else x

    def step(self, x: Tensor, targets: Tensor, progress: float, *, images: bool = False) -> None:
        """Descend the loss on maps, or on images, at the rate of this ``progress`` from 0 to 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * FALL**progress
        if images:
            with torch.no_grad():
                x = self.lower(x)
        self.optimizer.zero_grad()
        cross_entropy(self.upper(x), targets).backward()
        self.optimizer.step()
        self.steps += 1


def stream(arm: Settings, budget: Settings, seed: Seed, lesson: Lesson) -> tuple[Learner, Memory, list[float], float]:
    """Take the new classes one example at a time; give the accuracies on classes so far and the mean number replayed."""
    memory, learner = Memory(arm, budget, seed, lesson), Learner(arm, seed, lesson)
    labels, base = lesson.train.labels, budget.base * budget.base_each
    for k in range(base):
        if k % budget.base_each < budget.each:
            memory.add(k)
    test, images = memory.shown(lesson.test), memory.keeps == "images"
    course, replayed = [accuracy(learner.upper, test, lesson.test.labels, budget.base)], 0
    for k in range(base, len(labels)):
        x, y = learner.crop(memory.fresh(k)), nn.functional.one_hot(labels[k : k + 1], CLASSES).float()
        if len(memory.store):
            first, second = memory.store.draw(budget.replayed), memory.store.draw(budget.replayed)
            seen = learner.crop(memory.recall(first + second)).chunk(2)
            blended, targets = feature_mixup(
                (seen[0], labels[first]),
                (seen[1], labels[second]),
                CLASSES,
                alpha=ALPHA if learner.augmented else 0.0,
                generator=learner.draws,
            )
            x, y = torch.cat([x, blended]), torch.cat([y, targets])
            replayed += len(first)
        done = (k - base) % budget.each
        learner.step(x, y, done / budget.each, images=images)
        memory.add(k)
        if done == budget.each - 1:
            course.append(accuracy(learner.upper, test, lesson.test.labels, budget.base + len(course)))
    return learner, memory, course, replayed / (len(labels) - base)


def learn_jointly(arm: Settings, budget: Settings, seed: Seed, lesson: Lesson) -> Learner:
    """Learn all classes at once, batches of 32 balanced over classes, from cropped maps that nothing was lost of."""
    learner, train = Learner(arm, seed, lesson), lesson.train
    chance = 1 / train.labels.bincount()[train.labels]
    for k in range(budget.joint_steps):
        rows = chance.multinomial(32, generator=learner.draws)
        learner.step(learner.crop(train.maps[rows].float()), train.labels[rows], k / budget.joint_steps)
    return learner


def pooled(part: Part) -> Tensor:
    """Maps averaged over neighbourhoods, as vectors."""
    return adaptive_avg_pool2d(part.maps.float(), POOLED).flatten(1)


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Learn the base classes offline, then the others as the arm does."""
    lesson = _lesson(tuple(budget.items()), seed.value)
    ends, labels = range(budget.base, CLASSES + 1), lesson.train.labels
    model: nn.Module
    course: list[float] = []
    found: dict[str, float | Curve | Matrix]
    if arm.keeps == "means":
        test, checked, train = pooled(lesson.test), pooled(lesson.validation), pooled(lesson.train)
        model = StreamingLDA(test.shape[1], CLASSES, shrinkage=arm.shrinkage)
        for end in ends:
            new = (labels < end) & (labels >= (end - 1 if course else 0))
            model.add(train[new], labels[new])
            course.append(accuracy(model, test, lesson.test.labels, end))
        found = {"bytes": 8.0 * sum(one.numel() for one in model.buffers()), "parameters": float(CLASSES * (test.shape[1] + 1))}
        found |= {"steps": float(len(labels)), "kept": 0.0, "replayed": 0.0}
    else:
        test, checked = lesson.test.maps.float(), lesson.validation.maps.float()
        if arm.keeps == "everything":
            learner = learn_jointly(arm, budget, seed, lesson)
            found = {"bytes": 2.0 * lesson.train.maps.numel(), "kept": float(len(labels)), "replayed": 0.0}
        else:
            learner, memory, course, replayed = stream(arm, budget, seed, lesson)
            test, checked = memory.shown(lesson.test), memory.shown(lesson.validation)
            found = {"bytes": float(memory.used), "kept": float(len(memory.store)), "replayed": replayed}
            if memory.keeps == "codes":
                found |= described(memory, test, budget, seed)
        model = learner.upper
        found |= {"parameters": float(sum(one.numel() for one in model.parameters())), "steps": float(learner.steps)}
    final = accuracy(model, test, lesson.test.labels)
    course = course or [final]
    return found | {
        "accuracy": final,
        "mean_accuracy": sum(course) / len(course),
        "validation_accuracy": accuracy(model, checked, lesson.validation.labels),
        "base_accuracy": accuracy(model, test, lesson.test.labels, among=budget.base),
        "samples": float(len(labels)),
        "course": Curve(list(ends)[-len(course) :], course, "classes so far", "accuracy on classes so far"),
    }


def described(memory: Memory, test: Tensor, budget: Settings, seed: Seed) -> dict[str, float | Curve | Matrix]:
    """What quantisation keeps of the test maps, how many whole JPEG files would take the place of the codes, and one map before and after."""
    maps = memory.lesson.test.maps.float()
    lost, spread = (maps - test).square().sum(), (maps - maps.mean((0, 2, 3), keepdim=True)).square().sum()
    jpegs = _jpegs(tuple(budget.items()), seed.value, QUALITY[2])
    file = jpegs.tables + sum(jpegs.sizes) / len(jpegs.sizes) + 1
    one = memory.lesson.train.maps[:1].float()
    return {
        "kept_size": 1 - float(lost / maps.square().sum()),
        "kept_variance": 1 - float(lost / spread),
        "files_ratio": len(memory.store) * file / memory.used,
        "map": Matrix(one[0].mean(0).tolist(), "row", "column"),
        "recalled": Matrix(memory.recall([0])[0].mean(0).tolist(), "row", "column"),
    }


COLOURS = {
    "remind": "#d1495b",
    "plain": "#e58f9a",
    "scrambled": "#8f2f3c",
    "jpeg": "#4f7cac",
    "jpeg_files": "#7a6fb0",
    "roomy": "#2c4a6b",
    "unquantised": "#e09f3e",
    "lda": "#5b8c5a",
    "fine_tune": "#999999",
    "joint": "#333333",
}


@study.figure(
    "classes",
    "Left: accuracy on all classes so far, means over seeds. Right: accuracy on all ten classes at the end, a dot a seed.",
)
def classes_figure(table: Table) -> Figure:
    """How each learner fares as classes come."""
    figure, (left, right) = panels(1, 1.1, height=4.2)
    followed = ("remind", "jpeg", "jpeg_files", "unquantised", "lda", "fine_tune", "scrambled")
    lines(left, {arm: table.curves(arm, "course") for arm in followed if arm in table.arms}, COLOURS, marker="o")
    left.legend(fontsize=8, frameon=False, labelcolor=GREY)
    dots(right, {arm: table.values(arm, "accuracy") for arm in COLOURS if arm in table.arms}, COLOURS)
    right.set_xlabel("final accuracy")
    return figure


@study.figure("number", "Final accuracy against the number of examples kept at the end, in all arms that replay, a dot a seed.")
def number_figure(table: Table) -> Figure:
    """What a byte buys."""
    figure, (ax,) = panels(1)
    for arm in ("remind", "jpeg", "jpeg_files", "unquantised", "roomy"):
        if arm in table.arms:
            ax.scatter(table.values(arm, "kept"), table.values(arm, "accuracy"), s=16, color=COLOURS[arm], label=arm.replace("_", " "))
    ax.set(xscale="log", xlabel="examples kept", ylabel="final accuracy")
    ax.legend(fontsize=8, frameon=False, labelcolor=GREY)
    return figure


@study.figure(
    "maps", "One base image's map, mean over channels: as the frozen layers give it, as its code is replayed, and as the lesion replays it."
)
def maps_figure(table: Table) -> Figure:
    """What is replayed."""
    figure, axes = panels(1, 1, 1, height=3.4)
    shown = (("remind", "map", "map"), ("remind", "recalled", "from its code"), ("scrambled", "recalled", "scrambled"))
    for ax, (arm, name, title) in zip(axes, shown, strict=True):
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9, color=GREY)
        if arm in table.arms:
            ax.imshow(table.matrix(arm, name).values, cmap="magma")
    return figure
