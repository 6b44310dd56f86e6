"""Learning rules on digits: what a rule makes of one small network when every rule may look at as many pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from neuropil.atlas import Grid, Metric, Seed, Settings
from neuropil.atlas.board import Board, Entry, Task
from neuropil.atlas.outcome import Outcome
from neuropil.data import draw_split, load
from neuropil.learning import Backprop, DisinhibitoryLearning, Evolution, ForwardForward, ForwardForwardLayer, LabelStrip, goodness_predict
from neuropil.networks import MLP, DisinhibitoryNet

STRIP = LabelStrip(10)
PAIRS, SIGMA = 20, 0.02
SHARE = Metric("share of test items", floor=0.1, ceiling=1.0, label="accuracy")

board = Board(
    name="rules",
    title="Learning rules on digits",
    kind="learning rule",
    about="Ways of assigning credit in a network with one hidden layer of 64 units (or a stack with as many parameters, for rules that need one), each with as many "
    "presentations of a picture to a network.",
    tasks={
        "digits": Task(
            about="Which digit is it? 8 x 8 pixels, 1,397 pictures to learn from, 120,000 presentations.",
            on="accuracy",
            metric=SHARE,
            budget={
                "presentations": 120_000,
                "batch": 50,
                "mlp": (64, 64, 10),
                "stack": (74, 48, 24),
                "resplit": (1397, 400),
                "test_items": 400,
            },
            smoke={"presentations": 4_000},
            tune={"validate": True},
            data=("digits",),
            note="Seeds share one pool of 1,797 pictures, so intervals carry the Nadeau-Bengio correction.",
        ),
        "mnist": Task(
            about="Which digit is it? MNIST, 28 x 28 pixels, 2,000 pictures to learn from, 120,000 presentations.",
            on="accuracy",
            metric=SHARE,
            budget={
                "presentations": 120_000,
                "batch": 50,
                "mlp": (784, 64, 10),
                "stack": (794, 60, 50),
                "train": 2000,
                "test_items": 10000,
            },
            smoke={"presentations": 4_000},
            tune={"validate": True},
            data=("mnist",),
            note="Every seed draws its own 2,000 of the 60,000 training pictures; all are tested on the same 10,000.",
        ),
    },
    entries=lambda: {
        "Backprop": Entry({"rule": "backprop"}, ("rumelhart1986",), note="The baseline: Adam on the cross-entropy."),
        "LastLayer": Entry({"rule": "last"}, ("rumelhart1986",), note="The floor: as Backprop, the hidden layer left as it was drawn."),
        "ForwardForward": Entry(
            {"rule": "goodness", "local": True}, ("hinton2022",), note="Every layer by its own goodness; asks ten times to classify."
        ),
        "GoodnessBackprop": Entry(
            {"rule": "goodness", "local": False},
            ("tosato2023",),
            note="The same losses as ForwardForward, with gradients through all layers.",
        ),
        "DisinhibitoryLearning": Entry(
            {"rule": "control"},
            ("rossbroich2023",),
            note="Cells with an interneuron each, and a readout without bias; the error comes by dis-inhibition and is read off inhibition. It looks at a batch "
            "twice, without and with feedback, which counts as one presentation.",
        ),
        "Evolution": Entry(
            {"rule": "evolution"},
            ("salimans2017",),
            note=f"{2 * PAIRS} networks see every batch, so it makes {2 * PAIRS} times fewer updates than Backprop.",
        ),
    },
    grid={"rate": Grid((0.001, 0.004, 0.016, 0.064, 0.256))},
    costs={
        "parameters": Metric("numbers", kind="exact", better="lower"),
        "updates": Metric("updates", kind="exact", better="lower"),
        "presentations": Metric("pictures shown to a network", kind="exact", better="lower"),
        "passes": Metric("passes to classify a picture", kind="exact", better="lower"),
        "step": Metric("seconds", kind="time", better="lower", label="one training step"),
    },
    note="Held equal are the presentations of a picture to a network and, to 1 %, the parameters; updates are not, and differ with how many presentations one "
    "update needs. The rate (of Adam, or of Adam along the direction of ascent that evolution estimates) was tuned on one grid; goodness thresholds, noise and the number of "
    "directions were not.",
)


class Pictures(NamedTuple):
    """Pictures [items, pixels] from 0 to 1 and their digits, to learn from and to be tested on."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


class Learned(NamedTuple):
    """What a rule made: a way to answer, and what it took."""

    answer: Callable[[Tensor], Tensor]
    parameters: int
    updates: int
    shown: int
    passes: int
    seconds: list[float]


def pictures(task: str, budget: Settings, seed: Seed) -> Pictures:
    """Draw a seed's pictures; while searching, a quarter of those to learn from is the test."""
    data = load(task)
    generator = seed.numpy("data")
    if task == "digits":
        train, test = draw_split(len(data.labels), budget.resplit, generator)
        parts = [(data.images[index] / 16, data.labels[index]) for index in (train, test)]
    else:
        (train,) = draw_split(len(data.train_labels), (budget.train,), generator)
        parts = [(data.train_images[train] / 255, data.train_labels[train]), (data.test_images / 255, data.test_labels)]
    if budget.get("validate"):
        (x, y), cut = parts[0], len(parts[0][0]) * 3 // 4
        parts = [(x[:cut], y[:cut]), (x[cut:], y[cut:])]
    tensors = [(torch.from_numpy(x).float().flatten(1), torch.from_numpy(y).long()) for x, y in parts]
    return Pictures(*tensors[0], *tensors[1])


@board.trial
def trial(entry: Settings, task: str, budget: Settings, seed: Seed) -> Outcome:
    """Let one rule learn, and test what it learned."""
    found = pictures(task, budget, seed)
    learned = RULES[entry.rule](entry, budget, found, seed)
    with torch.no_grad():
        right = learned.answer(found.test_x) == found.test_y
    return {
        "accuracy": float(right.double().mean()),
        "parameters": learned.parameters,
        "updates": learned.updates,
        "presentations": learned.shown,
        "passes": learned.passes,
        "step": sorted(learned.seconds)[len(learned.seconds) // 2],
    }


def by_gradient(entry: Settings, budget: Settings, found: Pictures, seed: Seed) -> Learned:
    """Backpropagation through all layers, or into the last alone."""
    model = MLP(budget.mlp, generator=seed.torch("init"))
    if entry.rule == "last":
        model.layers.linear1.requires_grad_(False)
    rule = Backprop(lambda parameters: torch.optim.Adam(parameters, lr=entry.rate), cross_entropy)
    seconds = _taught(model, rule, budget, found, seed, shown=1)
    return Learned(lambda x: model(x).argmax(1), _size(model), len(seconds), len(seconds) * budget.batch, 1, seconds)


def by_goodness(entry: Settings, budget: Settings, found: Pictures, seed: Seed) -> Learned:
    """Forward-Forward, layer by layer or end to end; every picture is shown with its label and with a wrong one."""
    generator, sizes = seed.torch("init"), budget.stack
    model = nn.Sequential(*(ForwardForwardLayer(a, b, generator=generator) for a, b in pairwise(sizes)))
    rule = ForwardForward(STRIP, learning_rate=entry.rate, local=entry.local, seed=seed.noise % 2**62)
    seconds = _taught(model, rule, budget, found, seed, shown=2)
    shown = 2 * len(seconds) * budget.batch
    return Learned(lambda x: goodness_predict(model, STRIP, x), _size(model), len(seconds), shown, STRIP.classes, seconds)


def by_control(entry: Settings, budget: Settings, found: Pictures, seed: Seed) -> Learned:
    """Hebbian learning under feedback control, the authors' feedback and targets."""
    model = DisinhibitoryNet(budget.mlp, generator=seed.torch("init"))
    rule = DisinhibitoryLearning(
        lambda parameters: torch.optim.Adam(parameters, lr=entry.rate), DisinhibitoryNet.authors_feedback, threshold="linear"
    )
    shares = torch.where(one_hot(found.y, budget.mlp[-1]) > 0, 0.99, 0.01 / (budget.mlp[-1] - 1))
    seconds = _taught(model, rule, budget, found._replace(y=shares), seed, shown=1)
    return Learned(lambda x: model(x).argmax(1), _size(model), len(seconds), len(seconds) * budget.batch, 1, seconds)


def by_evolution(entry: Settings, budget: Settings, found: Pictures, seed: Seed) -> Learned:
    """An antithetic evolution strategy on the vector of all weights; the return of a network is its log likelihood of the batch."""
    model = MLP(budget.mlp, generator=seed.torch("init"))
    strategy = Evolution(SIGMA, entry.rate, PAIRS, adam=True)
    state, directions = strategy.init(parameters_to_vector(model.parameters()).detach().numpy()), seed.numpy("noise")
    seconds: list[float] = []
    for index in _batches(budget, found, seed, shown=2 * PAIRS):
        began = time.process_time()
        drawn, members = strategy.ask(state, directions)
        state = strategy.tell(state, drawn, _returns(torch.from_numpy(members).float(), budget.mlp, found.x[index], found.y[index]))
        seconds.append(time.process_time() - began)
    vector_to_parameters(torch.from_numpy(state.parameters).float(), model.parameters())
    shown = 2 * PAIRS * len(seconds) * budget.batch
    return Learned(lambda x: model(x).argmax(1), _size(model), len(seconds), shown, 1, seconds)


RULES = {"backprop": by_gradient, "last": by_gradient, "goodness": by_goodness, "control": by_control, "evolution": by_evolution}


def _returns(members: Tensor, sizes: tuple[int, ...], x: Tensor, y: Tensor) -> np.ndarray:
    """Log likelihoods [M] of the networks whose weights are the rows of ``members`` [M, P], laid out as an ``MLP``'s."""
    inputs, hidden, outputs = sizes
    first, first_bias, last, last_bias = members.split([hidden * inputs, hidden, outputs * hidden, outputs], 1)
    h = torch.relu(torch.einsum("mhi,bi->mbh", first.unflatten(1, (hidden, inputs)), x) + first_bias[:, None])
    scores = torch.einsum("moh,mbh->mbo", last.unflatten(1, (outputs, hidden)), h) + last_bias[:, None]
    likelihood = scores.log_softmax(2).gather(2, y.expand(len(members), -1)[:, :, None]).mean((1, 2))
    return np.asarray(likelihood.numpy())


def _taught(model: nn.Module, rule: Any, budget: Settings, found: Pictures, seed: Seed, *, shown: int) -> list[float]:
    state, seconds = rule.init(model), []
    for index in _batches(budget, found, seed, shown=shown):
        began = time.process_time()
        state, _ = rule.step(model, (found.x[index], found.y[index]), state)
        seconds.append(time.process_time() - began)
    return seconds


def _batches(budget: Settings, found: Pictures, seed: Seed, *, shown: int) -> list[Tensor]:
    """As many batches, drawn at random, as the presentations allow when each picture of a batch is ``shown`` so often."""
    generator = seed.torch("order")
    updates = budget.presentations // (budget.batch * shown)
    return list(torch.randint(len(found.y), (updates, budget.batch), generator=generator))


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
