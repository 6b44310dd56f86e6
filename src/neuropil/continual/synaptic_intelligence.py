"""Synaptic intelligence: every weight counts, while it learns, what it contributed to the fall of the loss, and is held by that later."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.ewc import pull
from neuropil.continual.fine_tuning import plain
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State, Strategy, trainable


@STRATEGIES.register(cites=("zenke2017",), tags=("regularisation",), example={"strength": 1.0}, off={"strength": 0.0}, like=plain)
class SynapticIntelligence(Strategy):
    """Synaptic intelligence (SI): ``objective = L + strength sum_i Omega_i (theta_i - theta*_i)^2``.

    While a task lasts, ``omega_i <- omega_i - g_i dtheta_i`` at every step, with ``g = dL / dtheta`` and ``dtheta`` what the optimiser did;
    at its end ``Omega_i <- Omega_i + max(omega_i, 0) / (Delta_i^2 + damping)``, ``Delta`` how far the weight moved in the task, and
    ``theta*`` is the weight then. ``total``: g is the gradient of the whole objective, penalty included, as some libraries have it, and not of L alone.
    ``adjust`` adds the penalty's gradient, ``2 strength Omega (theta - theta*)``, so that ``loss`` is reported without it and ``penalty`` beside it. Three numbers a
    parameter are kept, whatever the tasks; no example is gone over again. Source: zenke2017; omega below 0 counts as 0, as in its code. Raises ``ValueError`` for a strength below 0 or damping not above 0.
    """

    needs_boundaries: ClassVar[bool] = True

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        strength: float,
        damping: float = 0.1,
        total: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if not (strength >= 0 and damping > 0):
            raise ValueError(f"SynapticIntelligence takes a strength from 0 and damping above 0, {strength} and {damping} were given.")
        self.strength, self.damping, self.total = strength, damping, total

    def init(self, model: nn.Module) -> State:
        """Make the first state: nothing matters yet."""
        now = {name: one.detach().clone() for name, one in trainable(model).items()}
        zeros = {name: torch.zeros_like(one) for name, one in now.items()}
        kept = {"anchor": now, "importance": zeros, "path": {name: one.clone() for name, one in zeros.items()}}
        return super().init(model) | kept

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Turn what each weight contributed into importance, and start counting anew."""
        now = {name: one.detach().clone() for name, one in trainable(model).items()}
        importance = {
            name: state["importance"][name] + state["path"][name].clamp(min=0) / ((one - state["anchor"][name]).square() + self.damping)
            for name, one in now.items()
        }
        path = {name: torch.zeros_like(one) for name, one in now.items()}
        return state | {"anchor": now, "importance": importance, "path": path}

    def adjust(self, model: nn.Module, batch: Batch, state: State) -> dict[str, Tensor]:
        """Add the penalty's gradient; note the gradient that is followed, and where the weights are before the optimiser moves them."""
        followed = {} if self.total else _gradients(model)
        penalty = pull(model, state["importance"], state["anchor"], 2 * self.strength)
        state["before"] = {name: one.detach().clone() for name, one in trainable(model).items()}
        state["followed"] = followed or _gradients(model)
        return {"penalty": penalty}

    def after(self, model: nn.Module, batch: Batch, state: State) -> None:
        """Add this step's contribution to the path."""
        before, followed = state.pop("before"), state.pop("followed")
        for name, one in trainable(model).items():
            state["path"][name].addcmul_(followed[name], before[name].sub_(one.detach()))


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: torch.zeros_like(one) if one.grad is None else one.grad.clone() for name, one in trainable(model).items()}
