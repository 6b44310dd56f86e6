"""Fast and slow weights: one copy solves the stream, another follows it slowly, and each new task starts nearer to the slow one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.ewc import EWC, Fisher
from neuropil.continual.strategy import Batch, Loss, Optimizer, State, trainable


class FastSlowWeights(EWC):
    """A pair of weights with consolidation in two steps: theta_f, the model's own, answers for the stream; theta_s, kept in ``state["slow"]``, follows it.

    When a task begins: ``theta_f,i <- theta_f,i + pull p_i (theta_s,i - theta_f,i)``. Step 1, while it lasts, descends the loss of elastic weight consolidation,
    ``L + strength / 2 sum_i F_i (theta_f,i - theta*_i)^2``. Step 2, at its end, after F and theta* are taken: ``theta_s,i <- theta_s,i + slow_rate p_i (theta_f,i - theta_s,i)``.
    Weights that matter move less: ``p_i = 1 / (1 + F_i / mean(F))``, F summed over the tasks that have ended and its mean over all weights; 1 where F is 0. At first theta_s = theta_f.

    ``pull`` and ``slow_rate`` lie in [0, 1]; without pull theta_f is what EWC makes of it. ``fisher``, ``decay`` and ``batch_size`` are those of ``EWC``, except that
    importances add up about the newest weights here (decay 1). Reports ``penalty``. Source: wang2021, whose equations were not at hand: pull, p and step 2 are our reading.
    Raises ``ValueError`` for a pull or slow_rate outside [0, 1], and as ``EWC``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        strength: float,
        pull: float,
        slow_rate: float,
        fisher: Fisher | str = Fisher.SAMPLES,
        decay: float | None = 1.0,
        batch_size: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, strength=strength, fisher=fisher, decay=decay, batch_size=batch_size, generator=generator)
        if not 0 <= pull <= 1 or not 0 <= slow_rate <= 1:
            raise ValueError(f"FastSlowWeights takes a pull and a slow_rate from 0 to 1; {pull} and {slow_rate} were given.")
        self.pull, self.slow_rate = pull, slow_rate

    def init(self, model: nn.Module) -> State:
        """Make the first state: no task has ended, slow weights are the model's."""
        return super().init(model) | {"slow": {name: one.detach().clone() for name, one in trainable(model).items()}}

    def begin(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Pull the model's weights towards the slow ones."""
        state = super().begin(model, examples, state)
        plasticity = self.plasticity(state)
        with torch.no_grad():
            for name, one in trainable(model).items():
                one.add_(self.pull * plasticity[name] * (state["slow"][name] - one))
        return state

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Measure importances, then let the slow weights follow."""
        state = super().end(model, examples, state)
        plasticity = self.plasticity(state)
        fast = {name: one.detach() for name, one in trainable(model).items()}
        slow = {name: old + self.slow_rate * plasticity[name] * (fast[name] - old) for name, old in state["slow"].items()}
        return state | {"slow": slow}

    def plasticity(self, state: State) -> dict[str, Tensor]:
        """``p``, one number in (0, 1] a weight, by name."""
        total = state["importance"]
        mean = sum(float(one.sum()) for one in total.values()) / sum(one.numel() for one in total.values())
        return {name: 1 / (1 + one / mean) if mean > 0 else torch.ones_like(one) for name, one in total.items()}
