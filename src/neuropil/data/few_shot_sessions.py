"""Few-shot sessions: some classes are learned from many examples, then new ones come, a few at a time, each with a few examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from neuropil.data.checks import whole
from neuropil.data.task_streams import Setting, SplitStream, Task, count_classes, numpy_generator


class FewShotSessions(SplitStream):
    """Few-shot class-incremental learning: task 0 holds all examples of ``base`` classes, every later task ``shots`` examples each of ``ways`` new classes.

    Classes come in an order drawn from ``generator``, or in the given ``order``; the examples of a session are drawn without replacement. ``stream[k]`` is what is learned from;
    ``stream.at(k, inputs, labels)`` holds every example given of task k's classes, so that sessions are tested on many. Attributes: ``classes``, a tuple a task;
    ``shown``, i64 a task, which of its classes' examples are learned from. Source: tao2020, there class-incremental: labels count over all tasks.
    Raises as ``SplitStream``, and for classes that do not make whole sessions, fewer examples of a class than ``shots``, and an order that is none.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        base: int,
        ways: int,
        shots: int,
        generator: np.random.Generator,
        setting: Setting | str = Setting.CLASS,
        order: Sequence[int] | None = None,
    ) -> None:
        number = count_classes(inputs, labels)
        rest = number - whole("base", base, 1)
        if rest < whole("ways", ways, 1) or rest % ways:
            raise ValueError(f"Sessions of {ways} classes after {base} base classes need {base} + n x {ways} of them, there are {number}.")
        drawn = numpy_generator(generator).permutation(number).tolist() if order is None else list(order)
        if sorted(drawn) != list(range(number)):
            raise ValueError(f"order names each of the classes 0 to {number - 1} once, {drawn} was given.")
        groups = [drawn[:base], *(drawn[k : k + ways] for k in range(base, number, ways))]
        super().__init__(inputs, labels, setting=setting, classes=groups)
        fewest = int(labels.bincount().min())
        if whole("shots", shots, 1) > fewest:
            raise ValueError(f"Every class has {fewest} examples or more, {shots} shots were asked for; ask for fewer or bring more.")
        self.shown = [torch.arange(len(super().__getitem__(0)))]
        for task in range(1, len(self)):
            names = super().__getitem__(task).labels
            own = [generator.permutation(np.flatnonzero(names.cpu() == c))[:shots] for c in names.unique().cpu()]
            self.shown.append(torch.from_numpy(np.sort(np.concatenate(own))))

    def __getitem__(self, task: int) -> Task:
        """Task ``task`` as it is learned: all of the base classes, the few of a session."""
        everything = super().__getitem__(task)
        chosen = self.shown[task].to(everything.labels.device)
        return Task(task, everything.inputs[chosen], everything.labels[chosen])
