"""What an accuracy matrix says about continual learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class ContinualMetrics(NamedTuple):
    """Summaries of one accuracy matrix R, R[i, j] the accuracy on task j after learning task i, T tasks; means over tasks.

    ``average_accuracy``: R[T-1, j] over j (lopezpaz2017). ``learning_accuracy``: R[j, j] over j, what was learned while a task lasted (riemer2019).
    ``backward_transfer``: R[T-1, j] - R[j, j] over j < T-1 (lopezpaz2017). ``forgetting``: the best of R[j..T-2, j] minus R[T-1, j] over j < T-1
    (chaudhry2018). ``forward_transfer``: R[j-1, j] - untrained[j] over j > 0 (lopezpaz2017); NaN where no untrained accuracies were given.
    """

    average_accuracy: float
    learning_accuracy: float
    backward_transfer: float
    forgetting: float
    forward_transfer: float


def continual_metrics(accuracy: Tensor | Sequence[Sequence[float]], untrained: Tensor | Sequence[float] | None = None) -> ContinualMetrics:
    """Summarise an accuracy matrix [T, T]; above its diagonal only R[j-1, j] is read, and only if ``untrained`` [T] is given.

    Equations: see ``ContinualMetrics``. Sources: lopezpaz2017, chaudhry2018, riemer2019. Raises ``ValueError`` for a matrix that is not square
    or has fewer than 2 tasks, for untrained accuracies of another length, and for NaN where a number is read.
    """
    r = torch.as_tensor(accuracy, dtype=torch.float64)
    tasks = len(r)
    if r.ndim != 2 or r.shape[1] != tasks or tasks < 2:
        raise ValueError(f"An accuracy matrix is square with a row and a column a task, 2 at least, {list(r.shape)} was given.")
    diagonal, last = r.diagonal(), r[-1]
    best = torch.stack([r[j:-1, j].max() for j in range(tasks - 1)])
    forward = math.nan
    if untrained is not None:
        first = torch.as_tensor(untrained, dtype=torch.float64)
        if first.shape != (tasks,):
            raise ValueError(f"There is one untrained accuracy a task, {tasks} of them, {list(first.shape)} was given.")
        forward = _mean(r.diagonal(1) - first[1:])
    return ContinualMetrics(_mean(last), _mean(diagonal), _mean(last[:-1] - diagonal[:-1]), _mean(best - last[:-1]), forward)


def _mean(values: Tensor) -> float:
    mean = values.mean().item()
    if math.isnan(mean):
        raise ValueError("The accuracy matrix holds NaN where it is read; fill its diagonal and everything below it.")
    return mean
