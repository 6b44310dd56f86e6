"""Architecture matters: does a wide, shallow network forget less than a deep, narrow one of as many weights that learns each task as well?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Match, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, MATRICES, accuracy_matrices, dots, mean_curve, panels
from neuropil.continual import EWC, FineTuning, Joint, Scenario, Strategy, continual_metrics, learn
from neuropil.data import RotatedStream, draw_pictures
from neuropil.networks import MLP, BatchNormMLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH = 5
"""Hidden layers of the deep nets."""
ANGLES = (0.0, 22.5, 45.0, 67.5, 90.0)
WIDE = {"depth": 1, "rate": 0.05}
DEEP = {"depth": DEPTH, "rate": 0.05}
LEARNED = Match("learning_accuracy", within=0.0135)
"""Within this, what a net forgets for having learned more is less than delta: forgetting rises by 2.2 for each 1 of learning accuracy (tuning seeds)."""
ALIKE = (LEARNED, Match("parameters", ratio=0.02), "compute", "data")

study = Study(
    slug="architecture-matters-cl",
    cites="mirzadeh2022",
    claim="Learning five rotations of MNIST one after the other by plain gradient descent, a perceptron with one hidden layer forgets less, by 0.03, than one of as "
    "many weights with five hidden layers, where learning rates are such that both learn each task as well.",
    fidelity="paper",
    scale="reduced",
    arms={
        "wide": WIDE,
        "deep": DEEP,
        "two": {**DEEP, "depth": 2},
        "deep_residual": {**DEEP, "residual": True},
        "wide_layer_norm": {**WIDE, "norm": True},
        "deep_layer_norm": {**DEEP, "norm": True},
        "deep_ewc": {**DEEP, "how": "ewc", "strength": 3.0},
        "half": {**WIDE, "share": 0.5},
        "double": {**WIDE, "share": 2.0},
        "joint_wide": {**WIDE, "how": "joint"},
        "joint_deep": {**DEEP, "how": "joint"},
        "off": {**WIDE, "depth": DEPTH},
    },
    metrics={
        "forgetting": Metric("difference of accuracies", better="lower", label="average forgetting", house="accuracy"),
        "accuracy": Metric("share of test images", floor=0.1, ceiling=1.0, label="final accuracy, mean over all tasks"),
        "learning_accuracy": Metric("share of test images", floor=0.1, ceiling=1.0, label="each task as soon as learned", house="accuracy"),
        "score": Metric(
            "", better="lower", label="for tuning: forgetting, and what learning lacks to the target, times five, on validation images"
        ),
        "width": Metric("units", label="a hidden layer's width"),
        "widening": Metric("times", label="width over that of five hidden layers with as many weights"),
        "moved": Metric("share of the first norm", label="distance of all weights from the first task's end, over their norm there"),
        "parameters": Metric("weights and biases", better="lower"),
        "steps": Metric("updates", kind="exact", better="lower"),
        "samples": Metric("images learned from", kind="exact", better="lower"),
    },
    primary=Contrast("wide", "deep", on="forgetting", delta=0.03, match=ALIKE),
    secondary=(
        Contrast("wide", "two", on="forgetting", delta=0.03, match=ALIKE),
        Contrast("wide", "deep_residual", on="forgetting", delta=0.03, match=ALIKE),
        Contrast("wide_layer_norm", "deep_layer_norm", on="forgetting", delta=0.03, match=ALIKE),
        Contrast("wide", "wide_layer_norm", on="forgetting", delta=0.03, match=ALIKE),
        Contrast("wide", "deep_ewc", on="forgetting", delta=0.03, match=ALIKE),
        Contrast("double", "wide", on="forgetting", delta=0.02, match=(LEARNED, "compute", "data")),
        Contrast("wide", "deep", on="accuracy", delta=0.02, match=ALIKE),
    ),
    dose=Dose("widening", at_least=2.5),
    gate=Gate(
        "the control forgets, but not all; learning all rotations together is better; single tasks are learned, as well by both",
        "deep.forgetting >= 0.1",
        "deep.forgetting <= 0.5",
        "joint_wide.accuracy - wide.accuracy >= 0.1",
        "joint_deep.accuracy - deep.accuracy >= 0.1",
        "wide.learning_accuracy >= 0.8",
        "deep.learning_accuracy >= 0.8",
        "abs(wide.learning_accuracy - deep.learning_accuracy) <= 0.0135",
    ),
    lesion=Lesion("half"),
    off=Off("off", equals="deep"),
    tune=Tune(
        space={"rate": Grid((0.008, 0.01, 0.0125, 0.016, 0.02, 0.025, 0.032, 0.04, 0.05, 0.064))},
        on="score",
        arms=(
            "wide",
            "deep",
            "two",
            "deep_residual",
            "wide_layer_norm",
            "deep_layer_norm",
            "deep_ewc",
            "half",
            "double",
        ),
        follow={"off": "deep", "joint_wide": "wide", "joint_deep": "deep"},
        seeds=(1000, 1001),
        spread=tuple(range(1100, 1110)),
    ),
    budgets={
        "smoke": {"data": "digits", "side": 8, "images": (200, 60, 300), "weights": 5000, "batch": 20, "target": 0.8}
        | {"resplit": (200, 300), "test_items": 300},
        "glance": {"data": "digits", "side": 8, "images": (1000, 100, 600), "weights": 20_000, "batch": 10, "target": 0.85}
        | {"resplit": (1000, 600), "test_items": 600},
        "desk": {
            "data": "mnist",
            "side": 14,
            "images": (3000, 1000, 10_000),
            "weights": 60_000,
            "batch": 16,
            "target": 0.85,
            "test_items": 10_000,
        },
        "full": {
            "data": "mnist",
            "side": 28,
            "images": (59_000, 1000, 10_000),
            "weights": 200_000,
            "batch": 64,
            "target": 0.95,
            "test_items": 10_000,
        },
    },
    data={"smoke": ("digits",), "glance": ("digits",), "desk": ("mnist",), "full": ("mnist",)},
    distance="Rotated MNIST pooled to 14 x 14, five rotations by 22.5 degrees of the same 3,000 images, one pass in batches of 16, perceptrons of 60,000 weights; the paper has all of MNIST, wider nets, and convolutional nets, ResNets and "
    "vision transformers on Split CIFAR-100 and ImageNet besides. Only width, depth, normalisation and skips of perceptrons are tried: no batch normalisation, pooling or heads.",
    notes="At one learning rate a wide net learns more and moves its weights less than a narrow one, so that rates are not held equal but learning is: every arm takes the rate with the least forgetting among those at which each task, as soon as learned, reaches a target accuracy "
    "(0.85, on validation images; 5 times what lacks to it is added to forgetting). A control that could not learn as well at any rate would fail the match, which is narrowed after tuning and before registration from 0.02 to 0.0135 = 0.03 / 2.2: across rates 0.01 to 0.025 (seeds 1000 and 1001) wide nets forget 2.2 more for each 1 that they learn more, so that a mismatch of 0.0135 is worth delta (deep nets 1.2, from 0.016 to 0.032). "
    "The deep nets are he2015-initialised perceptrons, which plain gradient descent trains badly, so that the same contrast is made with skips and with layer normalisation before the nonlinearity. "
    "deep_ewc is the paper's comparison of an algorithm with an architecture; its strength, 3, lies between 1 and 10, which were tried among 0.1, 1, 10 and 100 at two rates (seed 1201). "
    "There is no lesion of a structure at test; half, the same shallow net with half the units (and half the weights), tuned like all others, must forget more than wide. double has twice the units. "
    "Joint nets learn all tasks so far whenever one comes, at the rates of their sequential twins, and take three times the steps. "
    "delta, depths and the lesion are a desk review's from before this study, whose pilot (3 seeds, learning 0.80) had depth 1 forget 0.181, depth 2 0.256 (learning 0.829) and depth 5 0.30. "
    "Pilots here, one seed (1201), rates 0.0125 to 0.2, test images displayed: learning reached 0.91 wide and 0.87 deep, from which the target was set where both can go; forgetting was 0.26 and 0.32 at a rate of 0.0125 (learning 0.845 and 0.836), half 0.225 (0.830). "
    "Each task is tested on 2,000 of MNIST's 10,000 test images, none in two tasks; validation images, 1,000 of the training set's that the seed keeps apart, are seen at all angles.",
)


class ResidualMLP(nn.Module):
    """Hidden layers beside identities: ``h_1 = f(W_1 x + b_1)``, ``h_k = h_(k-1) + f(W_k h_(k-1) + b_k)``, a linear read-out; x [B, sizes[0]] -> [B, sizes[-1]].

    Weights begin as those of ``MLP``; all hidden layers are equally wide. Source: mirzadeh2022 (skip connections).
    """

    def __init__(self, sizes: list[int], generator: torch.Generator) -> None:
        super().__init__()
        self.layers = MLP(sizes, generator=generator).layers

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, sizes[0]] to [B, sizes[-1]]."""
        *hidden, readout = (layer for layer in self.layers if isinstance(layer, nn.Linear))
        h = torch.relu(hidden[0](x))
        for layer in hidden[1:]:
            h = h + torch.relu(layer(h))
        y: Tensor = readout(h)
        return y


def width_of(depth: int, inputs: int, weights: float) -> int:
    """The width at which ``depth`` equal hidden layers between ``inputs`` and 10 outputs have nearest to ``weights`` weights and biases."""
    a, b = depth - 1, inputs + depth + 10
    return round((weights - 10) / b if not a else (math.sqrt(b * b + 4 * a * (weights - 10)) - b) / (2 * a))


def net_of(arm: Settings, inputs: int, weights: int, generator: torch.Generator) -> nn.Module:
    """Make the arm's net; a share of the width is of the width that has these weights."""
    width = round(arm.get("share", 1.0) * width_of(arm.depth, inputs, weights))
    sizes = [inputs, *[width] * arm.depth, 10]
    if arm.get("norm"):
        return BatchNormMLP(sizes, norm=nn.LayerNorm, generator=generator)
    return ResidualMLP(sizes, generator) if arm.get("residual") else MLP(sizes, generator=generator)


def strategy_of(arm: Settings) -> Strategy:
    """Make the arm's strategy on plain gradient descent."""

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, arm.rate)

    if arm.get("how") == "ewc":
        return EWC(optimizer, strength=arm.strength)
    return Joint(optimizer) if arm.get("how") == "joint" else FineTuning(optimizer)


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Learn the rotations one after the other and test each on images of its own."""
    pictures = draw_pictures(budget.data, budget.images, seed.numpy("data"), budget.side)
    stream = Flat(*pictures.train, setting="domain", angles=ANGLES)
    tested = list(zip(*(part.chunk(len(ANGLES)) for part in pictures.test), strict=True))
    checked = [stream.at(k, *pictures.validation) for k in range(len(ANGLES))]
    inputs = budget.side**2
    net = net_of(arm, inputs, budget.weights, seed.torch("init"))
    validation = torch.zeros(len(ANGLES), len(ANGLES))
    path: list[Tensor] = []

    def after(task: int, model: nn.Module) -> None:
        validation[task] = accuracies(model, checked)
        path.append(torch.cat([one.detach().reshape(-1) for one in model.parameters()]))

    course = learn(
        net,
        stream,
        strategy_of(arm),
        Scenario("domain"),
        test=lambda k: stream.at(k, *tested[k]),
        batch_size=budget.batch,
        generator=seed.torch("order"),
        after_task=after,
        progress=False,
    )
    found, known = course.metrics, continual_metrics(validation)
    deep = width_of(DEPTH, inputs, budget.weights)
    width = round(arm.get("share", 1.0) * width_of(arm.depth, inputs, budget.weights))
    return {
        "forgetting": found.forgetting,
        "accuracy": found.average_accuracy,
        "learning_accuracy": found.learning_accuracy,
        "score": known.forgetting + 5 * max(0.0, budget.target - known.learning_accuracy),
        "width": float(width),
        "widening": width / deep,
        "moved": float(torch.nan_to_num((path[-1] - path[0]).norm() / path[0].norm(), nan=torch.inf)),
        "parameters": float(sum(one.numel() for one in net.parameters())),
        "steps": float(course.steps),
        "samples": float(course.examples),
        "first_task": Curve(range(1, len(ANGLES) + 1), course.accuracy[:, 0].tolist(), "tasks learned", "accuracy on task 1"),
        "accuracy_matrix": Matrix(course.accuracy.tolist(), "after task", "accuracy on task"),
    }


class Flat(RotatedStream):
    """Rotated pictures as vectors."""

    def _change(self, task: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        turned, within = super()._change(task, inputs, labels)
        return turned.flatten(1), within


@torch.no_grad()
def accuracies(model: nn.Module, tasks: list[Any]) -> Tensor:
    """Accuracy on each of some tasks, in evaluation mode."""
    training = model.training
    model.eval()
    found = torch.stack([(model(task.inputs).argmax(1) == task.labels).double().mean() for task in tasks])
    model.train(training)
    return found


COLOURS = {
    "wide": "#d1495b",
    "deep": "#4f7cac",
    "two": "#7a6fb0",
    "half": "#e58f9a",
    "double": "#8f2f3c",
    "wide_layer_norm": "#d1495b",
    "deep_layer_norm": "#4f7cac",
    "deep_residual": "#4f7cac",
    "deep_ewc": "#5b8c5a",
}


@study.figure(
    "forgetting",
    "Left: accuracy on the first task, means over seeds. Middle: forgetting, a dot a seed. Right: forgetting against accuracy as soon as learned, a dot a seed; arms are compared where they learn alike.",
)
def forgetting_figure(table: Table) -> Figure:
    """How the first task fades, and what each net forgets at what it learned."""
    figure, (left, middle, right) = panels(0.9, 1.1, 1, height=4.2)
    for arm in ("wide", "deep", "joint_wide", "joint_deep"):
        if arm in table.arms:
            mean = mean_curve(table.curves(arm, "first_task"))
            left.plot(
                mean.x, mean.y, color=COLOURS[arm.removeprefix("joint_")], ls=":" if "joint" in arm else "-", marker="o", ms=3, label=arm
            )
            left.set(xlabel=mean.x_label, ylabel=mean.y_label)
    left.legend(fontsize=8, frameon=False, labelcolor=GREY)
    shown = [arm for arm in table.arms if arm in COLOURS]
    dots(middle, {arm: table.values(arm, "forgetting") for arm in shown}, COLOURS)
    middle.set_xlabel("forgetting")
    for arm in shown:
        right.scatter(table.values(arm, "learning_accuracy"), table.values(arm, "forgetting"), s=12, color=COLOURS[arm], alpha=0.7, lw=0)
    right.set(xlabel="accuracy as soon as learned", ylabel="forgetting")
    return figure


@study.figure("matrices", MATRICES)
def matrices_figure(table: Table) -> Figure:
    """Which task is known when."""
    return accuracy_matrices(table, ("wide", "deep", "deep_residual", "deep_ewc"), COLOURS)
