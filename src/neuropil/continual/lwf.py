"""Learning without forgetting: on new data, the network goes on answering as it did about old classes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from neuropil.continual.fine_tuning import plain
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State, Strategy


@STRATEGIES.register(cites=("li2018", "hinton2015"), tags=("distillation",), example={"strength": 1.0}, off={"strength": 0.0}, like=plain)
class LwF(Strategy):
    """Learning without forgetting: ``objective = L + strength T^2 sum_h KL(softmax(z*_h / T) || softmax(z_h / T))``, a mean over the batch.

    ``z*``: answers of the network as it was when the task began, on the present inputs; over the outputs whose labels occurred in earlier
    tasks (class- and domain-incremental: one group h), or over the heads of earlier tasks (task-incremental: a model with ``every(x)``
    [B, heads, outputs], such as ``MultiHead``). ``T``: ``temperature``. Sources: li2018, hinton2015 (the factor T^2, which keeps the gradient's size).
    Kept is one network, whatever the tasks; labels are noted as they pass.
    Reports ``distillation``. Raises ``ValueError`` for a strength below 0 or temperature not above 0, and task-incrementally for a model without ``every``.
    """

    needs_boundaries: ClassVar[bool] = True

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        strength: float,
        temperature: float = 2.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if not (strength >= 0 and temperature > 0):
            raise ValueError(f"LwF takes a strength from 0 and a temperature above 0, {strength} and {temperature} were given.")
        self.strength, self.temperature = strength, temperature

    def init(self, model: nn.Module) -> State:
        """Make the first state: there is no earlier network."""
        return super().init(model) | {"teacher": copy.deepcopy(model).requires_grad_(False), "old": [], "seen": []}

    def begin(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Keep the network as it is, and which labels or heads it has learned."""
        state["teacher"].load_state_dict(model.state_dict())
        state["teacher"].eval()
        return state | {"old": state["seen"]}

    def objective(self, model: nn.Module, batch: Batch, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the distillation."""
        *inputs, target = batch
        if not state["old"] or self.strength == 0:
            loss, said = super().objective(model, batch, state)
            return loss, said | {"distillation": torch.zeros((), device=target.device)}
        teacher = state["teacher"]
        if len(inputs) == 2:
            every: Callable[[Tensor], Tensor] | None = getattr(model, "every", None)
            if every is None:
                raise ValueError(f"LwF asks old heads and this {type(model).__name__} has no every(x); use MultiHead.")
            outputs = every(inputs[0])
            loss = self.loss(outputs[torch.arange(len(target)), inputs[1]], target)
            with torch.no_grad():
                before = teacher.every(inputs[0])
            pairs = [(outputs[:, head], before[:, head]) for head in state["old"]]
        else:
            outputs = model(*inputs)
            loss = self.loss(outputs, target)
            with torch.no_grad():
                before = teacher(*inputs)
            pairs = [(outputs[:, state["old"]], before[:, state["old"]])]
        parts = [
            kl_div((now / self.temperature).log_softmax(1), (was / self.temperature).log_softmax(1), reduction="batchmean", log_target=True)
            for now, was in pairs
        ]
        distillation = self.strength * self.temperature**2 * torch.stack(parts).sum()
        return loss + distillation, {"distillation": distillation.detach()}

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Note the batch's labels, or its heads: they count as old from the next task on."""
        state["seen"] = sorted({*state["seen"], *(batch[1] if len(batch) == 3 else batch[-1]).unique().tolist()})
