"""Experience replay: some examples are kept, and learned again beside the new ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.fine_tuning import plain
from neuropil.continual.replay_buffer import ReplayBuffer
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State, Strategy


@STRATEGIES.register(
    cites=("chaudhry2019b", "vitter1985"), tags=("replay",), example={"capacity": 20, "draw": 8}, off={"capacity": 0}, like=plain
)
class ExperienceReplay(Strategy):
    """Experience replay (ER): each step descends the mean loss over the batch and ``draw`` examples from a reservoir of ``capacity``.

    ``objective = 1 / (B + draw) sum L`` over both together; afterwards the batch is offered to the reservoir (at every pass, if there are
    several). It needs no boundaries. Reports ``replayed``, the share of the step's examples that are old. Sources: chaudhry2019b, vitter1985.
    Raises ``ValueError`` for a capacity below 0 or a draw below 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        capacity: int,
        draw: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if capacity < 0 or draw < 1:
            raise ValueError(f"{type(self).__name__} takes a capacity from 0 and a draw from 1, {capacity} and {draw} were given.")
        self.capacity, self.draw = capacity, draw

    def init(self, model: nn.Module) -> State:
        """Make the first state: an empty reservoir."""
        return super().init(model) | {"buffer": ReplayBuffer(self.capacity, generator=self.generator)}

    def objective(self, model: nn.Module, batch: Batch, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss over new and old examples."""
        buffer = state["buffer"]
        size = len(batch[0])
        if len(buffer):
            batch = [torch.cat([new, old]) for new, old in zip(batch, buffer.draw(self.draw), strict=True)]
        loss, said = super().objective(model, batch, state)
        return loss, said | {"replayed": torch.tensor(1 - size / len(batch[0]))}

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Offer the batch to the reservoir."""
        state["buffer"].add(*batch)
