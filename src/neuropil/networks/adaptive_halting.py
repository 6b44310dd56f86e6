"""Learnt halting: after each hop a small recurrent network says whether to answer now; it learns by REINFORCE and by what hops cost."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.synapses.synapse import check_size


class Halting(NamedTuple):
    """After each hop, ``log_stop`` and ``log_go`` [..., T]: the logarithms of halting and of going on; ``value`` [..., T]: the reward that is expected."""

    log_stop: Tensor
    log_go: Tensor
    value: Tensor


class AdaptiveHalting(nn.Module):
    """A gated recurrent unit that watches hops: ``s_t = GRU(z_t, s_t-1)``, ``pi_t = strength (explore + (1 - 2 explore) sig(a . s_t + a_0))``, ``value_t = b . s_t + b_0``.

    ``observed`` [..., T, N] -> ``Halting``. ``pi_t`` is the chance to halt after hop t if it got there; at the last hop, T, it is 1. ``strength`` from 0 to 1 scales it: at 0 no hop but the last halts. ``explore`` keeps it away from 0 and 1, so that answers after every hop go on being tried and learned while halts are drawn; what is likelier is as without it. What is observed is not learned through it: it is detached.

    ``units``: of the recurrent unit. Initial law: matrices normal with variance 1 / fan-in, biases 0 but ``a_0 = -1``, so that it halts by a quarter at first and all hops are tried; drawn from ``generator`` (None: torch's own).
    Raises ``ValueError`` for sizes that are none, a strength outside [0, 1], an ``explore`` outside [0, 0.5) and inputs that do not fit. Source: banino2020.
    Differs from the paper in linear readouts of the unit for perceptrons, and in ``explore``.
    """

    def __init__(
        self, observed: int, *, units: int = 16, strength: float = 1.0, explore: float = 0.05, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        check_size(observed, "observed", "AdaptiveHalting")
        check_size(units, "units", "AdaptiveHalting")
        if not 0 <= strength <= 1:
            raise ValueError(f"The strength of AdaptiveHalting lies between 0 and 1, {strength} was given; 0 never halts before the end.")
        if not 0 <= explore < 0.5:
            raise ValueError(
                f"explore of AdaptiveHalting lies from 0 to below 0.5, {explore} was given; 0.05 tries every hop now and then."
            )
        self.observed, self.units, self.strength, self.explore = observed, units, strength, explore
        self.hear, self.keep = nn.Linear(observed, 3 * units), nn.Linear(units, 3 * units)
        self.readout = nn.Linear(units, 2)
        with torch.no_grad():
            for tensor in self.parameters():
                if tensor.ndim == 2:
                    tensor.normal_(0.0, tensor.shape[1] ** -0.5, generator=generator)
                else:
                    tensor.zero_()
            self.readout.bias[0] = -1.0

    def forward(self, observed: Tensor) -> Halting:
        """Watch hops [..., T, N]."""
        if observed.ndim < 2 or observed.shape[-1] != self.observed:
            raise ValueError(f"This AdaptiveHalting observes [..., T, {self.observed}], {list(observed.shape)} was given; reshape it.")
        z = observed.detach().flatten(0, -3) if observed.ndim > 2 else observed.detach().unsqueeze(0)
        s, told = z.new_zeros(z.shape[0], self.units), []
        for t in range(z.shape[1]):
            s = self.step(z[:, t], s)
            told.append(self.readout(s))
        score, value = torch.stack(told, 1).unflatten(0, observed.shape[:-2]).unbind(-1)
        pi = self.strength * (self.explore + (1 - 2 * self.explore) * score.sigmoid())
        last = (torch.arange(observed.shape[-2], device=z.device) == observed.shape[-2] - 1).to(pi)
        pi = pi * (1 - last) + last
        return Halting(pi.clamp_min(1e-6).log(), (1 - pi).clamp_min(1e-6).log(), value)

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        """Hear of one hop: the gated recurrent unit as torch writes it, reset, update, candidate."""
        heard, kept = self.hear(z).chunk(3, -1), self.keep(s).chunk(3, -1)
        reset, update = (heard[0] + kept[0]).sigmoid(), (heard[1] + kept[1]).sigmoid()
        new: Tensor = (1 - update) * (heard[2] + reset * kept[2]).tanh() + update * s
        return new

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.observed}, units={self.units}, strength={self.strength}, explore={self.explore}"


def halts(log_stop: Tensor, chance: Tensor | float = 0.5) -> Tensor:
    """Return at which hop [...] each item of ``log_stop`` [..., T] halts, from 0: the first where ``pi_t > chance``, numbers [..., T] drawn evenly from 0 to 1 to sample, 0.5 to take what is likelier; the last where there is none."""
    stop = (log_stop.exp() > chance).float()
    last = torch.nn.functional.one_hot(torch.tensor(stop.shape[-1] - 1), stop.shape[-1]).to(stop)
    found: Tensor = (stop + last).clamp(max=1.0).argmax(-1)
    return found


def expected_hops(halting: Halting) -> Tensor:
    """Return the mean number of hops [...] under the chances of halting: ``1 + sum_t<T prod_u<=t (1 - pi_u)``."""
    return 1 + halting.log_go[..., :-1].cumsum(-1).exp().sum(-1)


def halting_loss(
    halting: Halting, at: Tensor, reward: Tensor, *, hop_cost: float = 0.05, value_weight: float = 0.5, entropy_weight: float = 0.0
) -> Tensor:
    """Give the loss of halting at hop ``at`` [...], from 0, for a ``reward`` [...]: ``-sum_t log p(a_t) (R - value_t) + value_weight sum_t (R - value_t)^2 + hop_cost E[hops] - entropy_weight sum_t H(a_t)``, t up to ``at``, a mean over items.

    ``a_t``: to go on before ``at``, to halt there; the last hop, at which nothing is chosen, has neither the first term nor an entropy. ``R - value_t`` is no path for the gradient of the first term (REINFORCE with a baseline, williams1992). The last term is the expected number of hops itself, whose gradient is exact. An entropy keeps chances from becoming 0 or 1 before a better time to halt was found (mnih2016). Source: banino2020.
    """
    steps = torch.arange(halting.value.shape[-1], device=at.device)
    reached = (steps <= at.unsqueeze(-1)).to(reward)
    gap = reward.unsqueeze(-1) - halting.value
    chosen = torch.where(steps == at.unsqueeze(-1), halting.log_stop, halting.log_go)
    free = reached * (steps < steps[-1]).to(reward)
    policy = -(free * chosen * gap.detach()).sum(-1)
    entropy = -(free * (halting.log_stop.exp() * halting.log_stop + halting.log_go.exp() * halting.log_go)).sum(-1)
    value = (reached * gap.square()).sum(-1)
    return (policy + value_weight * value + hop_cost * expected_hops(halting) - entropy_weight * entropy).mean()


def bhattacharyya(w: Tensor, before: Tensor) -> Tensor:
    """Return ``-log sum_i sqrt(w_i v_i)`` of two distributions [..., F]: 0 where they are the same, at most 14 (``sum`` no less than 1e-6)."""
    return -(w * before).sqrt().sum(-1).clamp(1e-6, 1.0).log()
