"""A stream in which old tasks come again, the more rarely the longer ago they last came, as things do in human environments."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neuropil.data.checks import whole
from neuropil.data.task_streams import Task, TaskStream, numpy_generator


class PowerLawStream(TaskStream):
    """Tasks that recur by a power law of recency: visits of the tasks of another stream, new ones in their order and old ones again and again.

    After the first visit of each task follow ``revisits`` visits of tasks that have come, task k at visit t with probability
    ``(t - t_k) ** -exponent / sum_j (t - t_j) ** -exponent``, where ``t_k`` is the last visit of task k; 0 is uniform. So with exponent 1 and two tasks, the one not visited comes
    back after a lag of m >= 2 with probability ``2 / (m (m + 1))``. Every visit shows ``examples`` of its task, none twice until all were shown, then all again in another order.

    ``len(stream)`` counts visits, tasks x (1 + revisits); ``stream[t]`` is visit t, its ``id`` the task's; ``stream.at(t, inputs, labels)`` all given examples as that task. Attributes: ``stream``, the tasks
    that are visited; ``order``, the task of each visit; ``shown`` i64 [visits, examples], which of its examples a visit shows.
    Sources: anderson1991 (the law), gandhi2024 (forgetting under it); ``neuropil.continual.RecencyRehearsal`` mixes old tasks into each batch instead.
    Raises ``TypeError`` or ``ValueError`` for numbers that are not whole or too small, and for an exponent that is not finite or below 0.
    """

    def __init__(self, stream: TaskStream, *, revisits: int, examples: int, generator: np.random.Generator, exponent: float = 1.0) -> None:
        if not 0 <= exponent < np.inf:
            raise ValueError(f"PowerLawStream takes a finite exponent from 0, {exponent} was given.")
        whole("revisits", revisits, 0)
        whole("examples", examples, 1)
        numpy_generator(generator)
        order: list[int] = []
        last: list[int] = []
        for task in range(len(stream)):
            order.append(task)
            last.append(len(order) - 1)
            for _ in range(revisits):
                weights = (len(order) - np.array(last, dtype=float)) ** -exponent
                order.append(int(generator.choice(task + 1, p=weights / weights.sum())))
                last[order[-1]] = len(order) - 1
        super().__init__(stream._inputs, stream._labels, tasks=len(stream), setting=stream.setting, sizes=stream.sizes, order=order)
        self.stream = stream
        shown = torch.empty(len(order), examples, dtype=torch.long)
        for task, given in enumerate(stream):
            visits = [t for t, which in enumerate(order) if which == task]
            rounds = [generator.permutation(len(given)) for _ in range(-(-len(visits) * examples // len(given)))]
            shown[visits] = torch.from_numpy(np.concatenate(rounds))[: len(visits) * examples].view(-1, examples)
        self.shown = shown

    def __getitem__(self, task: int) -> Task:
        """Visit ``task`` of the stream: some examples of the task that it is of."""
        given = self.stream[self._which(task)]
        chosen = self.shown[task].to(given.labels.device)
        return Task(given.id, given.inputs[chosen], given.labels[chosen])

    def _change(self, task: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self.stream._change(task, inputs, labels)
