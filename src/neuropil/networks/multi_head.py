"""A network with one readout a task, for learners that are told the task."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.synapses.synapse import check_size


class MultiHead(nn.Module):
    """A shared trunk and a linear readout of its own for every task: ``y = W_task trunk(x) + b_task``.

    ``trunk``: any module, x [B, ...] -> [B, features]. ``model(x, task)`` takes the task of every example, i64 [B], and gives [B, outputs];
    ``every(x)`` gives the answers of all heads, [B, heads, outputs]. Heads begin with weights normal of variance 1 / features (lecun1998b) and biases 0, drawn from
    ``generator`` (None: torch's own). Parameters ``weight`` [heads, outputs, features] and ``bias`` [heads, outputs].
    Raises ``ValueError`` for sizes below 1 and tasks of another shape or dtype, ``IndexError`` for a task beyond the heads. Source: vandeven2022.
    """

    def __init__(self, trunk: nn.Module, features: int, heads: int, outputs: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        for name, size in (("features", features), ("heads", heads), ("outputs", outputs)):
            check_size(size, name, "MultiHead")
        self.trunk = trunk
        self.weight = nn.Parameter(torch.randn(heads, outputs, features, generator=generator) / features**0.5)
        self.bias = nn.Parameter(torch.zeros(heads, outputs))

    def every(self, x: Tensor) -> Tensor:
        """The answers of all heads, [B, heads, outputs]."""
        return torch.einsum("bf,hof->bho", self.trunk(x), self.weight) + self.bias

    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        """Answer each example by the head of its task."""
        if task.dtype != torch.long or task.shape != x.shape[:1]:
            raise ValueError(f"MultiHead takes the task of every example, i64 [{len(x)}], {task.dtype} {list(task.shape)} was given.")
        return torch.einsum("bf,bof->bo", self.trunk(x), self.weight[task]) + self.bias[task]
