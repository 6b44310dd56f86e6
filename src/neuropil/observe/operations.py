"""What an inference costs: synaptic operations, spikes, sparsity and size, counted as NeuroBench counts them.

Equations, over the moments of a sequence, for a layer of weights ``W`` that hears ``x``:
effective operations ``sum over samples and synapses of [x_n != 0] [W_mn != 0]``, dense ones the same with every factor 1. They are
accumulates (ACs) at a moment at which all of the batch's inputs to the layer are -1, 0 or 1, multiply-accumulates (MACs) otherwise.
Biases, and what neurons do by themselves, are no synaptic operations. Source: yik2025.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuropil.observe.names import is_cell
from neuropil.observe.record import observe

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SILENT = ("potential", "current")
"""Words for outputs of cells that are no activity: of an integrator that is read out, of a synapse."""


@dataclass(frozen=True)
class Operations:
    """The cost of one inference, means over the samples; ``footprint`` in bytes of parameters and buffers.

    ``activation_sparsity``: the share of zeros in what cells emit (spikes, events, rates; potentials aside) and ReLU and sigmoid layers put
    out, 0 where there are none; ``connection_sparsity``: the share of zeros among weights; ``spikes``: what is not 0 of spikes and events.
    """

    effective_macs: float
    effective_acs: float
    dense: float
    spikes: float
    activation_sparsity: float
    connection_sparsity: float
    parameters: int
    footprint: int


class _Layer:
    """One layer of weights, counting."""

    def __init__(self, module: nn.Module, samples: tuple[int, int]) -> None:
        self.steps, self.batch = samples
        self.macs = self.acs = self.dense = 0
        matrix = _matrix(module)
        self.weight = _kernel(module) if matrix is None else matrix
        self.axes = 1 if matrix is not None else self.weight.ndim - 1
        self.effective = _fan_out(matrix != 0) if matrix is not None else _copy(module, self.weight != 0)
        self.everything = _fan_out(torch.ones_like(matrix)) if matrix is not None else _copy(module, torch.ones_like(self.weight))

    def hear(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Count the operations of one call: of one moment, or of a sequence, time first or folded into the batch."""
        x = inputs[0].detach()
        lead = x.shape[: x.ndim - self.axes]
        if tuple(lead) == (self.steps * self.batch,) and self.steps > 1:
            x = x.unflatten(0, (self.steps, self.batch))
        elif tuple(lead) != (self.steps, self.batch):
            x = x.unsqueeze(0)
        for moment in x:
            active = (moment != 0).double()
            operations = round(float(self.effective(active)))
            if bool(((moment == 0) | (moment.abs() == 1)).all()):
                self.acs += operations
            else:
                self.macs += operations
            self.dense += round(float(self.everything(torch.ones_like(active))))


def count_operations(model: nn.Module, x: Tensor) -> Operations:
    """Run ``model`` on ``x`` [T, B, ...], time first, without gradients, and count what an inference costs.

    Layers of weights are ``nn.Linear``, ``nn.Conv1d`` to ``3d`` and the synapses of neuropil, recurrent and delayed ones included (a spike
    counts when it enters the delay). Differs from NeuroBench's code in that nothing is rounded and that a model runs over its sequence by itself.

    Raises ``ValueError`` for ``x`` without time and batch, and for a layer whose weights it cannot count, by name.
    """
    if x.ndim < 2 or 0 in x.shape[:2]:
        raise ValueError(f"count_operations takes x [T, B, ...], time first, {list(x.shape)} was given.")
    samples = (x.shape[0], x.shape[1])
    weighty = [module for name, module in model.named_modules() if _weighty(name, module)]
    layers = [_Layer(module, samples) for module in weighty]
    cells = [(name or "output", getattr(module, "emits", "output")) for name, module in model.named_modules() if _active(module)]
    training = model.training
    with ExitStack() as stack:
        for layer, module in zip(layers, weighty, strict=True):
            stack.callback(module.register_forward_pre_hook(layer.hear).remove)
        seen = stack.enter_context(observe(model, *(name for name, _ in cells))) if cells else {}
        stack.enter_context(torch.no_grad())
        stack.callback(model.train, training)
        model.eval()
        model(x)
        active = {name: int(seen[name].count_nonzero()) for name, _ in cells}
        total = sum(seen[name].numel() for name, _ in cells)
    weights = sum(layer.weight.numel() for layer in layers)
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    kept = [*model.parameters(), *model.buffers()]
    return Operations(
        effective_macs=sum(layer.macs for layer in layers) / samples[1],
        effective_acs=sum(layer.acs for layer in layers) / samples[1],
        dense=sum(layer.dense for layer in layers) / samples[1],
        spikes=sum(active[name] for name, word in cells if word in ("spikes", "events")) / samples[1],
        activation_sparsity=1 - sum(active.values()) / total if total else 0.0,
        connection_sparsity=zeros / weights if weights else 0.0,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        footprint=sum(tensor.numel() * tensor.element_size() for tensor in kept),
    )


def _matrix(module: nn.Module) -> Tensor | None:
    """The matrix [M, N] of a layer that is one; a delayed synapse's is the one behind its delays."""
    if callable(effective := getattr(module, "effective", None)):
        return torch.as_tensor(effective()).detach()
    weight = module._parameters.get("weight")
    if weight is not None and weight.ndim == 2 and (isinstance(module, nn.Linear) or hasattr(module, "delay")):
        return weight.detach()
    return None


def _kernel(module: nn.Module) -> Tensor:
    weight = module._parameters["weight"]
    assert weight is not None
    return weight.detach()


def _weighty(name: str, module: nn.Module) -> bool:
    """Whether a module holds weights between neurons; raises ``ValueError`` for weights of a kind that is not known."""
    own = [leaf for leaf, tensor in module._parameters.items() if tensor is not None and tensor.ndim > 1]
    if callable(getattr(module, "effective", None)) or _matrix(module) is not None:
        return True
    if own == ["weight"] and (isinstance(module, _CONVOLUTIONS) or type(module).__name__ == "Conv"):
        return True
    if own:
        raise ValueError(
            f"count_operations cannot count {name!r}, a {type(module).__name__} with the weights {', '.join(own)}; it knows linear layers, convolutions and the synapses of neuropil."
        )
    return False


def _active(module: nn.Module) -> bool:
    """Whether what a module puts out is activity: a ReLU, a sigmoid, or a cell that is elementwise or says what it emits."""
    if isinstance(module, nn.ReLU | nn.Sigmoid):
        return True
    if not is_cell(module) or any(is_cell(part) for part in module.modules() if part is not module):
        return False
    word = getattr(module, "emits", "output")
    return word not in _SILENT and (word != "output" or bool(getattr(module, "elementwise", False)))


def _fan_out(present: Tensor) -> Callable[[Tensor], Tensor]:
    fan_out = present.double().sum(0)
    return lambda active: (active @ fan_out).sum()


def _copy(module: nn.Module, present: Tensor) -> Callable[[Tensor], Tensor]:
    """The layer with its weights replaced by 0 or 1 and no bias."""
    binary = copy.deepcopy(module).double()
    with torch.no_grad():
        _kernel(binary).copy_(present)
        bias = binary._parameters.get("bias")
        if bias is not None:
            bias.zero_()
    return lambda active: binary(active).sum()
