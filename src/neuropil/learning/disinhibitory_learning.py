"""Learning from feedback control: what the controller adds to each cell's rate, told apart by the cell's own inhibition, teaches its synapses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from neuropil.learning.backprop import Backprop
from neuropil.learning.replicas import Replicas
from neuropil.plasticity.disinhibitory_hebb import inhibition_threshold, inverse_softplus

Threshold = Literal["linear", "constant", "exact", "before", "other"]
Feedback = Callable[[Any, Any], Sequence[Tensor]]


class Controlled(Protocol):
    """What the rule asks of a network: parameters ``weights`` and ``biases``, the rest of the open and of the closed loop (``neuropil.networks.DisinhibitoryNet``)."""

    weights: nn.ParameterList
    biases: nn.ParameterList

    def rest(self, x: Tensor) -> Any:
        """Where the open loop rests."""
        ...

    def controlled(self, x: Tensor, target: Tensor, feedback: Sequence[Tensor], start: Any) -> Any:
        """Where the closed loop rests."""
        ...


class DisinhibitoryLearning:
    """Hebbian learning in a network under feedback control, in which recurrent inhibition tells each cell its error.

    Equation: in the closed loop at rest, with rates ``r = phi(u_e)`` and inhibition ``phi(u_i)`` of each cell, hidden layer l learns ``dW_l = < (r - theta) phi'(u_e) r_(l-1)^T >``, the bias the same without ``r_(l-1)``, the readout ``< c r^T >``: means
    over the batch, handed to ``optimizer`` as if they were minus a gradient. At rest ``r - u_i = Q_l c``, so that ``threshold="exact"``, ``theta = u_i = phi^-1(phi(u_i))``, learns from the feedback itself. ``"linear"``, the plausible rule:
    ``theta = inhibition_threshold(phi(u_i), mean)``, ``mean`` each cell's inhibition in the open loop, a mean over the batch; ``slope`` below 1 makes less of it. ``"constant"``: ``theta = phi^-1(mean)``, which knows the cell but not the item, as ``slope`` 0. ``"before"``: ``theta`` is the cell's own rate in the open loop (two phases). ``"other"``: as ``"linear"``, but with the inhibition that the cell gets under the next item of the batch, a control.

    ``feedback(net, rest)`` gives ``Q`` of each hidden layer, ``DisinhibitoryNet.authors_feedback`` for example; ``hidden_rate``: rate of hidden layers as a share of the optimiser's. Batches are ``(x, target)``, ``target`` [B, K]: shares of the
    classes. ``Replicas`` learn all at once. Metrics: ``loss``, cross-entropy of the open loop, and ``settled``, the share of items whose loop is within 1e-3 of rest. Raises ``ValueError`` for another threshold and a ``hidden_rate`` below 0.
    Source: rossbroich2023. Differs from the paper in that rest is solved for, not waited for.
    """

    def __init__(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        feedback: Feedback,
        *,
        threshold: Threshold = "linear",
        slope: float = 1.0,
        hidden_rate: float = 1.0,
    ) -> None:
        if threshold not in get_args(Threshold):
            raise ValueError(f"threshold is one of {', '.join(get_args(Threshold))}, {threshold!r} was given.")
        if not hidden_rate >= 0:
            raise ValueError(f"hidden_rate is 0 or more, {hidden_rate!r} was given; 0 teaches the readout alone.")
        self.optimizer, self.feedback = optimizer, feedback
        self.threshold, self.slope, self.hidden_rate = threshold, slope, hidden_rate

    def init(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser, hidden layers in a group of their own."""
        net = _net(model)
        state = self.optimizer([net.weights[-1]])
        slow = self.hidden_rate * state.param_groups[0]["lr"]
        state.add_param_group({"params": [*list(net.weights)[:-1], *net.biases], "lr": slow})
        return state

    def hindrance(self, replicas: Replicas) -> str | None:
        """Say in words why these replicas cannot learn together, or None where they can."""
        if not hasattr(replicas.model, "controlled"):
            return f"a {type(replicas.model).__name__} has no feedback control"
        return Backprop(self.optimizer, cross_entropy).hindrance(replicas)

    @torch.no_grad()
    def updates(self, model: nn.Module, batch: Sequence[Tensor]) -> tuple[dict[nn.Parameter, Tensor], dict[str, Tensor]]:
        """What one batch teaches: the change of every parameter, before the optimiser, and the metrics."""
        (x, target), net = batch, _net(model)
        opened = net.rest(x)
        closed = net.controlled(x, target, self.feedback(net, opened), opened)
        made: dict[nn.Parameter, Tensor] = {}
        pre, items = x, x.shape[-2]
        for w, b, before, u_e, u_i in zip(list(net.weights)[:-1], net.biases, opened.u_e, closed.u_e, closed.u_i, strict=True):
            rate = softplus(u_e)
            error = (rate - self._theta(softplus(before), u_i)) * torch.sigmoid(u_e)
            made[w], made[b] = error.mT @ pre / items, error.mean(-2)
            pre = rate
        made[net.weights[-1]] = closed.c.mT @ pre / items
        loss = -(target * opened.y.log_softmax(-1)).sum(-1).mean(-1)
        return made, {"loss": loss, "settled": (closed.residual < 1e-3).to(loss.dtype).mean(-1)}

    def step(
        self, model: nn.Module, batch: tuple[Tensor, ...], state: torch.optim.Optimizer
    ) -> tuple[torch.optim.Optimizer, dict[str, Tensor]]:
        """Take one step."""
        made, metrics = self.updates(model, batch)
        for one, change in made.items():
            one.grad = -change
        state.step()
        return state, metrics

    def _theta(self, before: Tensor, u_i: Tensor) -> Tensor:
        """The threshold of every cell: from its open-loop rate, which is its interneuron's potential there, and from that potential now."""
        if self.threshold == "before":
            return before
        if self.threshold == "exact":
            return u_i
        if self.threshold == "other":
            u_i = u_i.roll(1, -2)
        mean = softplus(before).mean(-2, keepdim=True)
        if self.threshold == "constant":
            return inverse_softplus(mean)
        return inhibition_threshold(softplus(u_i), mean, slope=self.slope)


def _net(model: nn.Module) -> Any:
    net = model.model if isinstance(model, Replicas) else model
    if not hasattr(net, "controlled"):
        raise TypeError(
            f"DisinhibitoryLearning teaches networks under feedback control, a {type(net).__name__} was given; use a DisinhibitoryNet."
        )
    return net
