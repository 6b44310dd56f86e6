"""Make ``neurobench_counts.json``: what NeuroBench's own code counts for small networks, run step by step as its wrapper for snnTorch does.

pip install --no-deps --target DIR neurobench==2.3.0 snntorch==1.0.0 && PYTHONPATH=DIR python tests/observe/golden/neurobench_counts.py
"""

import json
from pathlib import Path

import torch
from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
from neurobench.models import TorchModel
from torch import nn

HERE = Path(__file__).parent


def grid(rows, columns, zero, scale):
    """Weights without a random generator: a pattern of which about a ``zero``-th is 0."""
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    value = ((7 * i + 3 * j) % 11 - 4).float() / scale
    return torch.where((i + 2 * j) % zero == 0, 0.0, value)


def pattern(kind, steps=12, batch=5, size=6):
    """Inputs [T, B, N]: spikes, signed spikes, graded values, or graded at every third moment only."""
    t, b, n = torch.meshgrid(torch.arange(steps), torch.arange(batch), torch.arange(size), indexing="ij")
    spikes = ((t * 5 + b * 3 + n * 7) % 4 == 0).float()
    signed = spikes * torch.where((t + n) % 2 == 0, 1.0, -1.0)
    graded = spikes * ((t + b + n) % 5).float() / 2
    return {"spikes": spikes, "signed": signed, "graded": graded, "mixed": torch.where(t % 3 == 0, graded, spikes)}[kind]


class Spiking(nn.Module):
    """Linear, LIF (decay 0.8, reset by subtraction, hearing itself one step later where ``recurrent``), linear."""

    def __init__(self, recurrent):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 3)
        self.own = nn.Linear(8, 8, bias=False) if recurrent else None
        self.spikes = nn.Identity()
        fill(self)

    def forward(self, batch):
        v, last, out = torch.zeros(len(batch), 8), torch.zeros(len(batch), 8), []
        for x in batch.unbind(1):
            v = 0.8 * v + self.fc1(x) + (0 if self.own is None else self.own(last))
            spike = (v >= 1).float()
            v, last = v - spike, spike
            out.append(self.fc2(self.spikes(spike)))
        return torch.stack(out, 1)


class Pictures(nn.Module):
    """Convolution, ReLU, linear: no time."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Linear(3 * 3 * 3, 4)
        fill(self)

    def forward(self, batch):
        return self.fc(self.relu(self.conv(batch)).flatten(1))


def fill(model):
    """Give every layer the weights of ``grid``."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.weight.copy_(grid(layer.weight.shape[0], layer.weight[0].numel(), 4, 5.0).view_as(layer.weight))
                if layer.bias is not None:
                    layer.bias.copy_(torch.linspace(-0.1, 0.2, len(layer.bias)))


def counted(net, batch):
    """Everything NeuroBench says of this network and batch."""
    model = TorchModel(net)
    model.add_activation_module(nn.Identity)
    model.register_hooks()
    with torch.no_grad():
        predictions = model(batch)
    data = (batch, torch.zeros(len(batch)))
    found = dict(SynapticOperations()(model, predictions, data))
    return found | {
        "activation_sparsity": ActivationSparsity()(model, predictions, data),
        "connection_sparsity": ConnectionSparsity()(model),
        "parameters": ParameterCount()(model),
        "footprint": Footprint()(model),
    }


if __name__ == "__main__":
    kinds = ("spikes", "signed", "graded", "mixed")
    numbers = {
        f"{shape} {kind}": counted(Spiking(shape == "recurrent"), pattern(kind).transpose(0, 1))
        for shape in ("feedforward", "recurrent")
        for kind in kinds
    }
    numbers |= {f"pictures {kind}": counted(Pictures(), pattern(kind, 2, 4, 25).transpose(0, 1).unflatten(2, (5, 5))) for kind in kinds}
    (HERE / "neurobench_counts.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
