"""Streams of tasks, one after the other, made from one data set: permuted, rotated and split.

``stream[k]`` is task ``k`` of the stream's own examples; ``stream.at(k, inputs, labels)`` is the same task of others, held-out ones for instance.
Sources: vandeven2022 (settings), goodfellow2013 (permuted), lopezpaz2017 (rotated), zenke2017 (split).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from neuropil.data.checks import whole


class Setting(StrEnum):
    """What a learner is told and asked. Source: vandeven2022.

    ``TASK``: the task is told, also at test, labels count within it. ``DOMAIN``: the task is not told, labels count within it.
    ``CLASS``: the task is not told, labels count over all tasks, so that the task must be inferred.
    """

    TASK = "task"
    DOMAIN = "domain"
    CLASS = "class"


@dataclass(frozen=True)
class Task:
    """One task: ``inputs`` [N, ...], ``labels`` i64 [N] as its setting counts them, and which task it is (``id``, from 0)."""

    id: int
    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Tensor]:
        """Unpack as ``inputs, labels``."""
        return iter((self.inputs, self.labels))


class TaskStream(ABC):
    """What all streams of tasks share; a stream adds ``_change``, the inputs and within-task labels of task ``k``.

    ``inputs`` [N, ...]; ``labels`` i64 [N], classes 0 .. C-1; ``setting``: a ``Setting`` or its name; ``sizes``, how many labels each task has (None: all C);
    ``order``, which task comes at each place of the stream (None: each once). Attributes: these two; ``per_task``, the labels of the largest task;
    ``outputs``, how many labels there are: ``per_task``, or those of all tasks together under ``CLASS``; ``task_known``.
    Raises ``TypeError`` or ``ValueError`` in one sentence for data of unequal length, labels that are not i64 or below 0, inputs with NaN, and no tasks.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        tasks: int,
        setting: Setting | str,
        sizes: Sequence[int] | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        if setting not in list(Setting):
            raise ValueError(f"The setting is one of {', '.join(Setting)}, {setting!r} was given.")
        self._inputs, self._labels, self._classes = inputs, labels, count_classes(inputs, labels)
        self.sizes = (self._classes,) * whole("tasks", tasks, 1) if sizes is None else tuple(sizes)
        self.order = tuple(range(tasks) if order is None else order)
        self.per_task = max(self.sizes)
        self.setting = Setting(setting)

    @property
    def outputs(self) -> int:
        """How many different labels the stream has, which is the width of a readout (of each head where the task is known)."""
        return sum(self.sizes) if self.setting is Setting.CLASS else self.per_task

    @property
    def task_known(self) -> bool:
        """Whether a learner may read ``Task.id`` at test."""
        return self.setting is Setting.TASK

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, task: int) -> Task:
        """Task ``task`` of the stream's own examples."""
        return self.at(task, self._inputs, self._labels)

    def __iter__(self) -> Iterator[Task]:
        return (self[task] for task in range(len(self)))

    def at(self, task: int, inputs: Tensor, labels: Tensor) -> Task:
        """Task ``task`` of the given examples: inputs [N, ...] and original labels i64 [N]. Raises ``IndexError`` beyond the last task."""
        which = self._which(task)
        if inputs.shape[1:] != self._inputs.shape[1:]:
            raise ValueError(
                f"Examples of this stream have the shape {tuple(self._inputs.shape[1:])}, {tuple(inputs.shape[1:])} was given."
            )
        if (found := count_classes(inputs, labels)) > self._classes:
            raise ValueError(f"The stream knows the classes 0 to {self._classes - 1}, labels up to {found - 1} were given.")
        changed, within = self._change(which, inputs, labels)
        return Task(which, changed, within + sum(self.sizes[:which]) if self.setting is Setting.CLASS else within)

    def _which(self, place: int) -> int:
        if not 0 <= place < len(self):
            raise IndexError(f"The stream has the tasks 0 to {len(self) - 1}, {place} was asked for.")
        return self.order[place]

    @abstractmethod
    def _change(self, task: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Give the inputs and within-task labels of task ``task``."""


class PermutedStream(TaskStream):
    """Permuted inputs: in task k every example's entries are shuffled by one permutation, drawn for that task; labels stay.

    ``y[n, i] = x[n, permutation[k, i]]`` over all axes after the first; of pictures with channels [N, C, H, W] the D = H W pixels are shuffled, each keeping its C channels,
    its colour. ``identity_first`` leaves task 0 as it is. Attribute: ``permutations`` i64 [tasks, D]. Source: goodfellow2013. Raises as ``TaskStream``.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        tasks: int,
        setting: Setting | str,
        generator: np.random.Generator,
        identity_first: bool = True,
    ) -> None:
        super().__init__(inputs, labels, tasks=tasks, setting=setting)
        numpy_generator(generator)
        size = inputs[0].flatten(int(inputs.dim() == 4)).shape[-1]
        drawn = [generator.permutation(size) for _ in range(tasks)]
        if identity_first:
            drawn[0] = np.arange(size)
        self.permutations = torch.from_numpy(np.stack(drawn))

    def _change(self, task: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.flatten(2 if inputs.dim() == 4 else 1)[..., self.permutations[task]].reshape(inputs.shape), labels


class RotatedStream(TaskStream):
    """Rotated pictures: in task k every picture is turned counter-clockwise about its centre by ``angles[k]`` degrees; labels stay.

    Bilinear between pixels, 0 outside; inputs floating point [N, H, W] or, with channels, [N, C, H, W]. ``angles``: one a task; or None, and ``tasks`` of them are drawn
    uniformly from [0, ``span``) degrees and sorted. Source: lopezpaz2017. Raises as ``TaskStream``, and for pictures of another rank or dtype.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        setting: Setting | str,
        angles: Sequence[float] | None = None,
        tasks: int | None = None,
        span: float = 180.0,
        generator: np.random.Generator | None = None,
    ) -> None:
        if inputs.dim() not in (3, 4) or not inputs.is_floating_point():
            raise ValueError(
                f"RotatedStream takes floating-point pictures [N, H, W] or [N, C, H, W], {inputs.dtype} {tuple(inputs.shape)} was given."
            )
        if (angles is None) == (tasks is None or generator is None):
            raise ValueError("RotatedStream takes either angles, or tasks and a generator to draw them; give one of the two.")
        if angles is None and tasks is not None and generator is not None:
            angles = np.sort(numpy_generator(generator).uniform(0, span, whole("tasks", tasks, 1))).tolist()
        self.angles = tuple(float(angle) for angle in angles or ())
        if not np.isfinite(self.angles).all():
            raise ValueError(f"Angles are finite numbers of degrees, {self.angles} was given.")
        super().__init__(inputs, labels, tasks=len(self.angles), setting=setting)

    def _change(self, task: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        height, width = inputs.shape[-2:]
        turn = np.deg2rad(self.angles[task])
        cos, sin, ratio = np.cos(turn), np.sin(turn), height / width
        matrix = torch.tensor([[cos, -sin * ratio, 0.0], [sin / ratio, cos, 0.0]], dtype=inputs.dtype, device=inputs.device)
        grid = F.affine_grid(matrix.expand(len(inputs), 2, 3), [len(inputs), 1, height, width], align_corners=False)
        return F.grid_sample(inputs.reshape(len(inputs), -1, height, width), grid, align_corners=False).reshape(inputs.shape), labels


class SplitStream(TaskStream):
    """Split classes: task k holds only the examples of its own classes, ``classes[k]``, relabelled 0, 1, ... in that order.

    Under ``Setting.CLASS`` labels count on from task to task. ``classes``: one tuple a task, of one class or more, no class twice; or None, and all
    classes are drawn in random order, ``per_task`` a task. Source: zenke2017. Raises as ``TaskStream``, and for classes that do not split so.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        setting: Setting | str,
        classes: Sequence[Sequence[int]] | None = None,
        per_task: int | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        number = count_classes(inputs, labels)
        if (classes is None) == (per_task is None or generator is None):
            raise ValueError("SplitStream takes either classes, or per_task and a generator to draw them; give one of the two.")
        if classes is None and per_task is not None and generator is not None:
            if number % whole("per_task", per_task, 1):
                raise ValueError(f"per_task divides the number of classes, {number}; {per_task} was given.")
            classes = numpy_generator(generator).permutation(number).reshape(-1, per_task).tolist()
        self.classes = tuple(tuple(int(c) for c in group) for group in classes or ())
        every = [c for group in self.classes for c in group]
        if not every or not all(self.classes) or len(set(every)) < len(every):
            raise ValueError(f"classes hold one tuple a task, none empty, no class twice, {self.classes} was given.")
        if missing := set(every) - set(labels.unique().tolist()):
            raise ValueError(f"The labels hold no example of class {', '.join(map(str, sorted(missing)))}; name classes that they hold.")
        super().__init__(inputs, labels, tasks=len(self.classes), sizes=[len(group) for group in self.classes], setting=setting)

    def _change(self, task: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        match = labels[:, None] == torch.tensor(self.classes[task], device=labels.device)
        chosen = match.any(1)
        return inputs[chosen], match[chosen].long().argmax(1)


def count_classes(inputs: Tensor, labels: Tensor) -> int:
    """Check inputs [N, ...] and labels i64 [N] as ``TaskStream`` says, and give C, one more than the highest label."""
    if labels.dtype != torch.long or labels.dim() != 1:
        raise TypeError(f"Labels are i64 [N], {labels.dtype} {tuple(labels.shape)} was given; use labels.long().")
    if inputs.dim() < 2 or len(inputs) != len(labels) or len(labels) == 0:
        raise ValueError(f"Inputs are [N, ...] with one label each, {tuple(inputs.shape)} and {len(labels)} labels were given.")
    if inputs.device != labels.device:
        raise ValueError(f"Inputs are on {inputs.device}, their labels on {labels.device}; move both to one device.")
    if labels.min() < 0:
        raise ValueError(f"Labels count from 0, {int(labels.min())} was given.")
    if inputs.is_floating_point() and inputs.isnan().any():
        raise ValueError("Inputs hold NaN; mend or drop those examples.")
    return int(labels.max()) + 1


def numpy_generator(generator: np.random.Generator) -> np.random.Generator:
    """Give a numpy generator back; raise ``TypeError`` for another."""
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"A stream of tasks draws from a numpy generator, {type(generator).__name__} was given; use numpy.random.default_rng."
        )
    return generator
