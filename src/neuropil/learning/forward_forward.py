"""The Forward-Forward algorithm: every layer learns alone to be excited by true data and quiet for false data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Goodness = Literal["l1", "l2", "linf", "squares"]
Pooling = Literal["layer", "sum"]
_ORDERS: dict[str, float] = {"l1": 1.0, "l2": 2.0, "linf": math.inf, "squares": 2.0}


class ForwardForwardLayer(nn.Module):
    """A layer that hands on only the direction of its input's pattern and has a goodness of its own.

    Equation: ``h = ReLU(W x / ||x||_2 + b)``, goodness ``g = ||h||_p`` with p = 1, 2 or infinity (tosato2023), or ``||h||_2^2``
    ("squares", hinton2022).
    Shapes: x [..., in_features] -> h [..., out_features]; g [...]. A zero input stays zero. ``unit_length=False`` leaves the input as it is.
    Source: hinton2022, tosato2023. Raises ``ValueError`` for a goodness other than "l1", "l2", "linf", "squares" or a size below 1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        goodness: Goodness = "l2",
        unit_length: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if goodness not in _ORDERS:
            raise ValueError(f"goodness={goodness!r} is not known; accepted are {', '.join(_ORDERS)}.")
        if in_features < 1 or out_features < 1:
            raise ValueError(f"A layer has at least one input and one unit, {in_features} and {out_features} were given.")
        self.goodness_kind = goodness
        self.unit_length = unit_length
        bound = 1.0 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's activity, [..., in_features] -> [..., out_features]."""
        return F.relu(F.linear(F.normalize(x, dim=-1) if self.unit_length else x, self.weight, self.bias))

    def goodness(self, h: Tensor) -> Tensor:
        """Return the goodness of an activity, [..., out_features] -> [...]."""
        if self.goodness_kind == "squares":
            return h.square().sum(dim=-1)
        norm: Tensor = torch.linalg.vector_norm(h, ord=_ORDERS[self.goodness_kind], dim=-1)
        return norm


@dataclass(frozen=True)
class LabelStrip:
    """Write a label in front of an input, one value a class.

    Equation: ``[value * onehot(label), x]``. Shapes: x [B, N], labels [B] (whole numbers) -> [B, classes + N].
    A *neutral* strip holds ``value / classes`` everywhere, the mean of the strips of all labels (as in hinton2022); an *absent* one zeros.
    Source: hinton2022. Differs from the paper in that the strip is added before the input and overwrites no pixel.
    """

    classes: int = 10
    value: float = 1.0

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"A label strip tells at least 2 classes apart, {self.classes} was given.")

    def write(self, x: Tensor, labels: Tensor) -> Tensor:
        """Put these labels in front of the inputs; raises ``ValueError`` for a label outside 0 .. classes - 1."""
        if labels.shape != x.shape[:1]:
            raise ValueError(f"Each input needs one label, {tuple(x.shape)} inputs and {tuple(labels.shape)} labels were given.")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ValueError(
                f"Labels from {int(labels.min())} to {int(labels.max())} were given; this strip accepts 0 to {self.classes - 1}."
            )
        strip = x.new_zeros(len(x), self.classes)
        strip[torch.arange(len(x), device=x.device), labels] = self.value
        return torch.cat([strip, x], dim=1)

    def wrong(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw for each label one of the other labels, all equally likely; the generator lives where the labels do."""
        shift = torch.randint(1, self.classes, labels.shape, generator=generator, device=labels.device)
        return (labels + shift) % self.classes

    def random(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw labels that tell nothing, of the shape of those given."""
        return torch.randint(0, self.classes, labels.shape, generator=generator, device=labels.device)

    def neutral(self, x: Tensor) -> Tensor:
        """Put the mean of all strips in front of the inputs."""
        return torch.cat([x.new_full((len(x), self.classes), self.value / self.classes), x], dim=1)

    def absent(self, x: Tensor) -> Tensor:
        """Put zeros in front of the inputs."""
        return torch.cat([x.new_zeros(len(x), self.classes), x], dim=1)


def activities(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the activity of every layer, the first one first."""
    seen = []
    for layer in model.children():
        x = layer(x)
        seen.append(x)
    return seen


def goodness_scores(model: nn.Module, strip: LabelStrip, x: Tensor, *, skip: int = 0) -> Tensor:
    """Return how well each candidate label fits, summed over layers.

    Equation: ``score[b, c] = sum over layers l >= skip of softmax_c g_l(x_b with label c)``. Shapes: x [B, N] -> [B, classes].
    Source: tosato2023 (hinton2022 sums goodness without the softmax and skips the first layer).
    """
    layers = forward_forward_layers(model)
    tried = torch.arange(strip.classes, device=x.device)
    paired = strip.write(x.repeat_interleave(strip.classes, 0), tried.repeat(len(x)))
    scores = x.new_zeros(len(x), strip.classes)
    for layer, h in list(zip(layers, activities(model, paired), strict=True))[skip:]:
        scores = scores + layer.goodness(h).view(len(x), strip.classes).softmax(dim=1)
    return scores


def goodness_predict(model: nn.Module, strip: LabelStrip, x: Tensor, *, skip: int = 0) -> Tensor:
    """Return the label with the highest ``goodness_scores``, [B, N] -> [B]."""
    return goodness_scores(model, strip, x, skip=skip).argmax(dim=1)


def forward_forward_layers(model: nn.Module) -> list[ForwardForwardLayer]:
    """List the layers of a stack; raises ``TypeError`` if one has no goodness and ``ValueError`` if there is none."""
    layers = list(model.children())
    for layer in layers:
        if not isinstance(layer, ForwardForwardLayer):
            raise TypeError(
                f"Forward-Forward trains a stack of ForwardForwardLayer, a {type(layer).__name__} is in it; build nn.Sequential of such layers."
            )
    if not layers:
        raise ValueError("The stack has no layer; build nn.Sequential of at least one ForwardForwardLayer.")
    return [layer for layer in layers if isinstance(layer, ForwardForwardLayer)]


class ForwardForwardState(NamedTuple):
    """What the rule keeps between steps: the optimizer's moments and the stream of wrong labels."""

    optimizer: torch.optim.Optimizer
    generator: torch.Generator


@dataclass(frozen=True)
class ForwardForward:
    """The Forward-Forward learning rule for a stack of ``ForwardForwardLayer``.

    Equation: per layer ``L = mean over [softplus(theta - g(positive)), softplus(g(negative) - theta)]``; positive inputs carry their label,
    negative ones a wrong label, drawn anew at every step. ``local=True``: a layer's input is detached, no loss reaches an earlier layer.
    ``local=False``: the same losses end to end (``pooled="layer"``, so theta means the same in every layer), or one loss on the goodness
    summed over layers (``pooled="sum"``, the comparison of tosato2023, where each of L layers needs but theta / L).
    Adam with decoupled weight decay. Source: hinton2022, tosato2023. Differs from tosato2023's code in that layers learn side by side and
    not one after another, and wrong labels are drawn anew and not once.
    ``batch`` is (inputs [B, N], labels [B]). Raises ``ValueError`` for a pooling other than "layer" or "sum", or a sum with ``local=True``.
    """

    strip: LabelStrip
    threshold: float = 3.0
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    local: bool = True
    pooled: Pooling = "layer"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pooled not in ("layer", "sum"):
            raise ValueError(f"pooled={self.pooled!r} is not known; accepted are 'layer' and 'sum'.")
        if self.local and self.pooled == "sum":
            raise ValueError("A loss on the summed goodness is not local; set local=False, or pooled='layer'.")

    def init(self, model: nn.Module) -> ForwardForwardState:
        """Make the rule's state for this stack."""
        parameters = [p for layer in forward_forward_layers(model) for p in layer.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)
        return ForwardForwardState(optimizer, torch.Generator(parameters[0].device).manual_seed(self.seed))

    def loss(self, model: nn.Module, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and, per layer, mean goodness of positives minus that of negatives ([layers], detached)."""
        if positive.shape != negative.shape:
            raise ValueError(
                f"Positives and negatives come in pairs, {tuple(positive.shape)} and {tuple(negative.shape)} were given; give as many of each."
            )
        x = torch.cat([positive, negative])
        sign = torch.cat([x.new_ones(len(positive)), -x.new_ones(len(negative))])
        goodness = []
        for layer in forward_forward_layers(model):
            x = layer(x.detach() if self.local else x)
            goodness.append(layer.goodness(x))
        per_layer = torch.stack(goodness)
        judged = per_layer if self.pooled == "layer" else per_layer.sum(dim=0, keepdim=True)
        loss = F.softplus(sign * (self.threshold - judged)).mean(dim=1).sum()
        return loss, (2 * sign * per_layer).mean(dim=1).detach()

    def step(
        self, model: nn.Module, batch: tuple[Tensor, Tensor], state: ForwardForwardState
    ) -> tuple[ForwardForwardState, dict[str, Tensor]]:
        """Learn from one batch; the metrics are the loss and the smallest goodness gap over layers."""
        x, labels = batch
        positive = self.strip.write(x, labels)
        negative = self.strip.write(x, self.strip.wrong(labels, state.generator))
        loss, gap = self.loss(model, positive, negative)
        state.optimizer.zero_grad()
        torch.autograd.backward(loss)
        state.optimizer.step()
        return state, {"loss": loss.detach(), "goodness_gap": gap.min()}
