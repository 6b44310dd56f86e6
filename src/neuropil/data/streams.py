"""Streams of examples whose labels drift: concept shift by swapping the labels of two classes, again and again.

Source: man2022 (the schedule follows the authors' code).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


class LabelSwapStream:
    """Concept shift: examples in random order, epoch after epoch, the labels of two random classes swapped ``swaps_per_epoch`` times an epoch.

    ``classes`` [N]: the pool's original classes 0 .. C-1; ``examples``: how many are drawn from it without replacement (all unless given).
    A swap follows each batch, the first of an epoch excepted, at whose end the number of samples seen in the epoch is a multiple of
    ``examples // swaps_per_epoch``; swaps persist over epochs. An incomplete last batch is dropped. ``order`` and ``swaps`` are numpy
    generators: streams built from equally seeded ``order`` show the same examples at every swap rate.

    Attributes, with T samples and S swaps in all: ``index`` [T] into the pool, ``labels`` [T] as shown, ``segment`` [T] how many swaps came
    before, ``swap_at`` [S] the first sample after each swap (T if none follows), ``swapped`` [S, 2] its two labels, ``crossing`` [S] whether
    they lie on either side of ``midpoint``, ``maps`` [S + 1, C] from original class to label.

    Differs from man2022 in that the first epoch is shuffled as well. Raises ``ValueError`` where no such stream exists.
    """

    def __init__(
        self,
        classes: Tensor,
        *,
        epochs: int,
        swaps_per_epoch: int,
        order: np.random.Generator,
        swaps: np.random.Generator,
        examples: int | None = None,
        batch: int = 10,
        midpoint: int = 5,
    ) -> None:
        examples = len(classes) if examples is None else examples
        if not 0 < examples <= len(classes):
            raise ValueError(
                f"The stream draws between 1 and {len(classes)} examples, {examples} were asked for; ask for fewer or bring more."
            )
        if not 0 < batch <= examples:
            raise ValueError(f"A batch is between 1 and {examples} samples, {batch} was given.")
        if not 0 <= swaps_per_epoch <= examples:
            raise ValueError(f"Swaps an epoch lie between 0 and the {examples} examples, {swaps_per_epoch} was given.")
        if epochs < 1:
            raise ValueError(f"A stream lasts at least one epoch, {epochs} was given.")
        self.batch = batch
        self.per_epoch = examples // batch * batch
        drawn = order.permutation(len(classes))[:examples]
        shown = [drawn[order.permutation(examples)][: self.per_epoch] for _ in range(epochs)]
        self.index = torch.from_numpy(np.concatenate(shown))

        interval = examples // swaps_per_epoch if swaps_per_epoch else 0
        ends = range(2 * batch, self.per_epoch + 1, batch)
        in_epoch = [end for end in ends if interval and end % interval == 0]
        self.swap_at = torch.tensor([e * self.per_epoch + end for e in range(epochs) for end in in_epoch], dtype=torch.long)

        number = int(classes.max()) + 1
        pairs = [swaps.choice(number, 2, replace=False) for _ in range(len(self.swap_at))]
        self.swapped = torch.tensor(np.array(pairs, dtype=np.int64).reshape(-1, 2))
        self.crossing = (self.swapped >= midpoint).sum(1) == 1
        maps = [np.arange(number)]
        for first, second in pairs:
            last = maps[-1]
            maps.append(np.where(last == first, second, np.where(last == second, first, last)))
        self.maps = torch.tensor(np.array(maps))
        self.segment = torch.searchsorted(self.swap_at, torch.arange(len(self.index)), right=True)
        self._classes = classes.long()[self.index]
        self.labels = self.maps[self.segment, self._classes]

    def __len__(self) -> int:
        return len(self.index) // self.batch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give ``(index, labels)`` of one batch after the other."""
        yield from zip(self.index.view(-1, self.batch), self.labels.view(-1, self.batch), strict=True)

    def labels_at(self, samples: Tensor, moment: Tensor) -> Tensor:
        """Give today's labels of earlier samples: those of stream positions ``samples`` under the map in force at position ``moment``."""
        return self.maps[self.segment[moment], self._classes[samples]]
