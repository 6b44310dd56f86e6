"""``learn``: a model, a stream of tasks and a strategy, from the first task to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neuropil.continual.metrics import ContinualMetrics, continual_metrics
from neuropil.continual.passes import counted_passes
from neuropil.continual.scenario import Boundaries, Scenario
from neuropil.continual.strategy import Batch, Strategy
from neuropil.data.task_streams import Setting, Task, TaskStream
from neuropil.learning.progress import Bar

AfterTask = Callable[[int, nn.Module], None]


@dataclass
class Course:
    """What happened: ``accuracy`` [T, T], R[i, j] on task j after task i; ``untrained`` [T] before the first; and what it cost.

    ``steps`` of the optimiser; ``examples`` that came by (each pass counted, replayed ones not); ``forward``, examples that the model or a copy of it answered while
    learning, and ``backward``, those whose gradient came back: replayed examples, distillation and importances included, tests not; ``seconds`` of learning; ``stored``
    numbers kept beside the model at the end, all examples where the strategy is given them again; and the mean over each task of every number that the strategy
    reports (``said``: one dictionary a task).
    """

    accuracy: Tensor
    untrained: Tensor
    steps: int = 0
    examples: int = 0
    forward: int = 0
    backward: int = 0
    seconds: float = 0.0
    stored: int = 0
    said: list[dict[str, float]] = field(default_factory=list)

    @property
    def metrics(self) -> ContinualMetrics:
        """Summaries of the accuracies."""
        return continual_metrics(self.accuracy, self.untrained)


def learn(
    model: nn.Module,
    stream: TaskStream,
    strategy: Strategy,
    scenario: Scenario,
    *,
    test: Callable[[int], Task] | None = None,
    epochs: int = 1,
    batch_size: int,
    generator: torch.Generator,
    after_task: AfterTask | None = None,
    progress: bool = True,
) -> Course:
    """Teach ``model`` the tasks of ``stream`` by ``strategy``, in the scenario declared.

    Each task is passed over ``epochs`` times, in an order drawn from ``generator`` for each pass. With blurred boundaries the examples of all tasks are laid in
    order once a pass of the whole stream, and each is moved by a normal shift of ``blur`` lengths of a task. Where the task is told, the model is called as ``model(x, task)``,
    otherwise as ``model(x)``, and gives one score a label. ``test(k)`` is task k of examples to be tested on (None: those it learns from), asked before the first task and after every one,
    in evaluation mode. ``after_task(k, model)`` looks on. Online, every example comes in one batch only: the strategy's ``begin`` and ``end`` are given ``()`` for
    the task's examples, and one that needs them refuses.

    Raises ``ValueError`` where the strategy cannot run in this scenario, the stream has another setting, or the scenario is online and ``epochs`` above 1.
    """
    if reason := strategy.hindrance(scenario):
        raise ValueError(f"{reason}, this scenario is {scenario}; choose another strategy or another scenario.")
    if stream.setting is not scenario.setting:
        raise ValueError(f"The stream is {stream.setting}-incremental and the scenario {scenario.setting}-incremental; make them agree.")
    if epochs < 1 or batch_size < 1 or (scenario.online and epochs > 1):
        raise ValueError(
            f"learn takes epochs and batch_size from 1 up, and one epoch online; {epochs} and {batch_size} were given, {scenario}."
        )
    tasks = [as_batch(task, stream) for task in stream]
    tested = tasks if test is None else [as_batch(test(k), stream) for k in range(len(stream))]
    course = Course(torch.full((len(tasks), len(tasks)), math.nan), _accuracies(model, tested))
    training = model.training
    model.train()
    with counted_passes(model) as tally, Bar(len(tasks), type(strategy).__name__, show=progress) as bar:
        state = strategy.init(model)
        tests = 0
        for k, batches in enumerate(_order(tasks, strategy, scenario, epochs, batch_size, generator)):
            began, given = time.perf_counter(), () if scenario.online else tasks[k]
            if scenario.told:
                state = strategy.begin(model, given, state)
            totals: dict[str, float] = {}
            count = 0
            for batch in batches:
                state, said = strategy.step(model, batch, state)
                count += 1
                course.examples += len(batch[0])
                totals = {name: totals.get(name, 0.0) + float(value) for name, value in said.items()}
            if scenario.told:
                state = strategy.end(model, given, state)
            course.seconds += time.perf_counter() - began
            course.steps += count
            course.forward, course.backward = tally.forward - tests, tally.backward
            course.said.append({name: value / count for name, value in totals.items()})
            course.accuracy[k] = _accuracies(model, tested)
            if after_task is not None:
                after_task(k, model)
            tests = tally.forward - course.forward
            bar.advance()
    course.stored = strategy.stored(state) + (sum(one[0].numel() + one[-1].numel() for one in tasks) if strategy.sees_all else 0)
    model.train(training)
    return course


def as_batch(task: Task, stream: TaskStream) -> tuple[Tensor, ...]:
    """All examples of a task as one batch ``(*inputs, target)``: with the task of every example where it is told."""
    told = (torch.full((len(task),), task.id, device=task.labels.device),) if stream.setting is Setting.TASK else ()
    return (task.inputs, *told, task.labels)


def _order(
    tasks: list[tuple[Tensor, ...]], strategy: Strategy, scenario: Scenario, epochs: int, batch_size: int, generator: torch.Generator
) -> Iterator[Iterator[Batch]]:
    """The batches of each task's time, one iterator a task."""
    if scenario.boundaries is not Boundaries.BLURRED:
        for k, task in enumerate(tasks):
            given = [torch.cat(parts) for parts in zip(*tasks[: k + 1], strict=True)] if strategy.sees_all else task
            yield (
                tuple(part[index] for part in given)
                for _ in range(epochs)
                for index in torch.randperm(len(given[0]), generator=generator).split(batch_size)
            )
        return
    both = [torch.cat(parts) for parts in zip(*tasks, strict=True)]
    lengths = [len(task[0]) for task in tasks]
    begin = torch.cat([torch.full((n,), float(k)) for k, n in enumerate(lengths)])
    orders = []
    for _ in range(epochs):
        place = begin + torch.rand(len(begin), generator=generator) + scenario.blur * torch.randn(len(begin), generator=generator)
        orders.append(place.argsort().split(lengths))
    for k in range(len(tasks)):
        yield (tuple(part[index] for part in both) for order in orders for index in order[k].split(batch_size))


@torch.no_grad()
def _accuracies(model: nn.Module, tested: list[tuple[Tensor, ...]]) -> Tensor:
    training = model.training
    model.eval()
    found = [(model(*inputs).argmax(-1) == target).double().mean() for *inputs, target in tested]
    model.train(training)
    return torch.stack(found)
