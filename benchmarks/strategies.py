"""What a step of a continual-learning strategy costs, beside plain training, beside its arithmetic and beside Avalanche's.

    python benchmarks/strategies.py [--repeats 9] [--save]

The work: a task of 6,400 random vectors, learned after one or ten others (one where nothing is said), 784-256-256-10 with rectified units, batches of 64, plain gradient
descent; replay and A-GEM draw 64 stored examples a step, DER++ twice 64. Timed is one pass from the first batch to the
last, choosing batches included, what a strategy does between tasks not, in processor time of one thread, which other processes disturb less than the clock. Arithmetic: products of a step beside those of a plain one, where a way backwards counts as two ways forwards.

Avalanche is measured where it can be imported; it asks for torchvision, whose wheels ask for another torch. In an environment that has neuropil and its torch:
``pip install --no-deps avalanche-lib torchvision torchmetrics lightning-utilities pytorchcv``, and what these import in turn. Operators of torchvision that do not load beside this
torch are declared by name first; no strategy calls one.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from shared import interleaved, save
from torch import Tensor, nn

from neuropil.continual import AGEM, EWC, DarkExperienceReplay, ExperienceReplay, FineTuning, LwF, Strategy, SynapticIntelligence
from neuropil.networks import MLP

SIZES, BATCH, STEPS, RATE = [784, 256, 256, 10], 64, 100, 0.01
OPERATORS = (
    "nms",
    "qnms",
    *(f"{kind}{name}" for kind in ("", "_") for name in ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")),
)
ARITHMETIC = {
    "plain training": 1.0,
    "replay": 2.0,
    "DER++": 3.0,
    "A-GEM": 2.0,
    "EWC after 1 task": 1.0,
    "EWC after 10 tasks": 1.0,
    "synaptic intelligence": 1.0,
    "LwF": 4 / 3,
}


def tasks(old: int) -> list[tuple[Tensor, Tensor]]:
    """Old tasks of 1,024 examples and the one that is timed, which nobody could learn; what is in them does not matter for time."""
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.rand(rows, SIZES[0], generator=generator), torch.randint(SIZES[-1], (rows,), generator=generator))
        for rows in (*[16 * BATCH] * old, STEPS * BATCH)
    ]


def old_tasks(kind: str) -> int:
    """How many tasks come before."""
    return 10 if "10" in kind else 1


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """Plain gradient descent."""
    return torch.optim.SGD(parameters, RATE)


def ours() -> dict[str, Callable[[], float]]:
    """Neuropil's strategies: a pass over the last task, the others being learned already."""
    made: dict[str, Callable[[torch.Generator], Strategy]] = {
        "plain training": lambda _: FineTuning(sgd),
        "replay": lambda g: ExperienceReplay(sgd, capacity=1000, draw=BATCH, generator=g),
        "DER++": lambda g: DarkExperienceReplay(sgd, capacity=1000, draw=BATCH, generator=g),
        "A-GEM": lambda g: AGEM(sgd, per_task=500, draw=BATCH, generator=g),
        **dict.fromkeys(("EWC after 1 task", "EWC after 10 tasks"), lambda _: EWC(sgd, strength=1.0, fisher="batches", batch_size=BATCH)),
        "synaptic intelligence": lambda _: SynapticIntelligence(sgd, strength=1.0),
        "LwF": lambda _: LwF(sgd, strength=0.25, temperature=2.0),
    }

    def prepared(kind: str, make: Callable[[torch.Generator], Strategy]) -> Callable[[], float]:
        model, strategy = MLP(SIZES, generator=torch.Generator().manual_seed(1)), make(torch.Generator().manual_seed(2))
        *old, new = tasks(old_tasks(kind))
        state = strategy.init(model)
        for task in old:
            state = strategy.begin(model, task, state)
            state = one_pass(strategy, model, task, state)[1]
            state = strategy.end(model, task, state)
        state = strategy.begin(model, new, state)

        def run() -> float:
            return one_pass(strategy, model, new, state)[0]

        return run

    return {f"neuropil, {kind}": prepared(kind, make) for kind, make in made.items()}


def one_pass(strategy: Strategy, model: nn.Module, task: tuple[Tensor, Tensor], state: Any) -> tuple[float, Any]:
    """Processor seconds of a pass over a task in a drawn order, and the state after it."""
    x, y = task
    began = time.process_time()
    for index in torch.randperm(len(x)).split(BATCH):
        state, _ = strategy.step(model, (x[index], y[index]), state)
    return time.process_time() - began, state


def declare_operators() -> None:
    """Name torchvision's operators where its own library does not load, so that the package can be imported."""
    for name in OPERATORS:
        torch.library.define(f"torchvision::{name}{'_backward' if name.startswith('_') else ''}", "(Tensor x) -> Tensor")


def avalanches() -> dict[str, Callable[[], float]]:
    """Avalanche's strategies, the same pass."""
    declare_operators()
    try:
        importlib.import_module("torchvision")
        plugins = importlib.import_module("avalanche.training.plugins")
        benchmarks, training = importlib.import_module("avalanche.benchmarks"), importlib.import_module("avalanche.training")
    except (ImportError, RuntimeError) as error:
        print(f"Avalanche is left out, it cannot be imported here: {error}")
        return {}
    made: dict[str, Callable[[], list[Any]]] = {
        "plain training": list,
        "replay": lambda: [plugins.ReplayPlugin(1000, batch_size=BATCH, batch_size_mem=BATCH)],
        "A-GEM": lambda: [plugins.AGEMPlugin(500, BATCH)],
        **dict.fromkeys(("EWC after 1 task", "EWC after 10 tasks"), lambda: [plugins.EWCPlugin(1.0, mode="separate")]),
        "synaptic intelligence": lambda: [plugins.SynapticIntelligencePlugin(1.0)],
        "LwF": lambda: [plugins.LwFPlugin(1.0, 2.0)],
    }
    streams = {}
    for old in (1, 10):
        given = tasks(old)
        streams[old] = benchmarks.tensors_benchmark(train_tensors=given, test_tensors=given[:1], task_labels=[0] * (old + 1)).train_stream

    class Clock(plugins.SupervisedPlugin):  # type: ignore[misc, name-defined]
        def before_training_epoch(self, strategy: Any, **_: Any) -> None:
            self.began = time.process_time()

        def after_training_epoch(self, strategy: Any, **_: Any) -> None:
            self.seconds = time.process_time() - self.began

    def timed(kind: str, make: Callable[[], list[Any]]) -> float:
        model, clock = MLP(SIZES, generator=torch.Generator().manual_seed(1)), Clock()
        strategy = training.Naive(
            model=model,
            optimizer=sgd(model.parameters()),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=BATCH,
            train_epochs=1,
            plugins=[*make(), clock],
            evaluator=None,
        )
        for experience in streams[old_tasks(kind)]:
            strategy.train(experience)
        return float(clock.seconds)

    return {f"Avalanche, {name}": partial(timed, name, make) for name, make in made.items()}


def main() -> None:
    """Print one line a strategy and library."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--save", action="store_true", help="write results/strategies.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    seconds = {name: each / STEPS for name, each in interleaved({**ours(), **avalanches()}, asked.repeats).items()}
    for name, each in seconds.items():
        library, kind = name.split(", ")
        print(
            f"{name:32} {1e3 * each:6.2f} ms a step, {each / seconds[f'{library}, plain training']:5.2f} plain ones, arithmetic {ARITHMETIC[kind]:.2f}"
        )
    print(f"{load:.1f} processes ran on {os.cpu_count()} cores when this began.")
    if asked.save:
        save(
            "strategies",
            {"sizes": SIZES, "batch": BATCH, "repeats": asked.repeats, "load": load, "arithmetic": ARITHMETIC, "seconds": seconds},
        )


if __name__ == "__main__":
    main()
