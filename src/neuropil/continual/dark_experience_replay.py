"""Dark experience replay: old examples are kept with the answers that were given to them, and both are learned again."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from neuropil.continual.experience_replay import ExperienceReplay
from neuropil.continual.fine_tuning import plain
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State


@STRATEGIES.register(
    cites=("buzzega2020",),
    tags=("replay", "distillation"),
    example={"capacity": 20, "draw": 8},
    off={"alpha": 0.0, "beta": 0.0},
    like=plain,
)
class DarkExperienceReplay(ExperienceReplay):
    """DER++: ``objective = L(x, y) + alpha mean (z(x') - z')^2 + beta L(x'', y'')``; ``beta = 0`` is DER.

    ``(x', z')`` and ``(x'', y'')``: two independent draws of ``draw`` examples from a reservoir of ``capacity``, with the logits ``z'`` that the network
    gave when they were learned first. Afterwards the batch and its logits of this step are offered to the reservoir. It needs no boundaries.
    Reports ``distillation``. Source: buzzega2020. Raises ``ValueError`` for a capacity below 0, a draw below 1, and alpha or beta below 0.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        capacity: int,
        draw: int,
        alpha: float = 0.5,
        beta: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, capacity=capacity, draw=draw, generator=generator)
        if not (alpha >= 0 and beta >= 0):
            raise ValueError(f"DarkExperienceReplay takes alpha and beta from 0, {alpha} and {beta} were given.")
        self.alpha, self.beta = alpha, beta

    def objective(self, model: nn.Module, batch: Batch, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss on the batch, the distance to old answers and the loss on old labels."""
        *inputs, target = batch
        outputs = model(*inputs)
        state["answered"] = outputs.detach()
        loss, buffer = self.loss(outputs, target), state["buffer"]
        distillation = torch.zeros((), device=loss.device)
        if len(buffer) and self.alpha:
            *old, _, answers = buffer.draw(self.draw)
            distillation = self.alpha * mse_loss(model(*old), answers)
        if len(buffer) and self.beta:
            *old, labels, _ = buffer.draw(self.draw)
            loss = loss + self.beta * self.loss(model(*old), labels)
        return loss + distillation, {"distillation": distillation.detach()}

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Offer the batch to the reservoir with the answers it got."""
        state["buffer"].add(*batch, state.pop("answered"))
