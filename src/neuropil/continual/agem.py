"""Averaged gradient episodic memory: a step that would raise the loss on remembered examples is turned until it does not."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.fine_tuning import plain
from neuropil.continual.replay_buffer import ReplayBuffer
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State, Strategy, trainable


@STRATEGIES.register(
    cites=("chaudhry2019", "vitter1985"),
    tags=("replay", "projection"),
    example={"per_task": 10, "draw": 16},
    off={"per_task": 0},
    like=plain,
)
class AGEM(Strategy):
    """Averaged gradient episodic memory (A-GEM): where ``g . r < 0``, ``g <- g - (g . r / r . r) r``.

    ``g``: the gradient of all parameters on the batch; ``r``: that on ``draw`` examples of earlier tasks (all, if fewer are kept), of which ``per_task`` each are kept:
    a reservoir that is filled while the task lasts (offered at every pass, if there are several), so that it runs online too. Reports ``turned``, 1 where the step was changed. Sources: chaudhry2019, vitter1985.
    Raises ``ValueError`` for ``per_task`` below 0 or a draw below 1.
    """

    needs_boundaries: ClassVar[bool] = True

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        per_task: int,
        draw: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if per_task < 0 or draw < 1:
            raise ValueError(f"AGEM takes per_task from 0 and a draw from 1, {per_task} and {draw} were given.")
        self.per_task, self.draw = per_task, draw

    def init(self, model: nn.Module) -> State:
        """Make the first state: nothing is kept."""
        return super().init(model) | {"kept": [], "buffer": self._reservoir()}

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Put what was kept of the task beside that of earlier ones."""
        old, new = state["kept"], state["buffer"].parts
        both = [torch.cat(pair) for pair in zip(old, new, strict=True)] if old and new else old or new
        return state | {"kept": both, "buffer": self._reservoir()}

    def adjust(self, model: nn.Module, batch: Batch, state: State) -> dict[str, Tensor]:
        """Turn the gradient where it points against that of remembered examples."""
        kept: list[Any] = state["kept"]
        if not kept or not len(kept[0]):
            return {"turned": torch.zeros(())}
        chosen = torch.randperm(len(kept[0]), generator=self.generator)[: self.draw]
        *inputs, target = (part[chosen] for part in kept)
        parameters = list(trainable(model).values())
        reference = torch.autograd.grad(self.loss(model(*inputs), target), parameters, allow_unused=True, materialize_grads=True)
        own = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        along = torch.stack([(a * b).sum() for a, b in zip(own, reference, strict=True)]).sum()
        if along < 0:
            scale = along / torch.stack([each.square().sum() for each in reference]).sum()
            for one, gradient, each in zip(parameters, own, reference, strict=True):
                one.grad = gradient - scale * each
        return {"turned": (along < 0).float()}

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Offer the batch to the task's reservoir."""
        state["buffer"].add(*batch)

    def _reservoir(self) -> ReplayBuffer:
        return ReplayBuffer(self.per_task, generator=self.generator)
