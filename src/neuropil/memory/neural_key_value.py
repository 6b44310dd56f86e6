"""A neural memory as a memory of pairs: the weights of a small network learn, write by write and at rates that are fixed, to give the content of each cue."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neuropil.memory.neural_memory import NeuralMemory
from neuropil.memory.protocol import MEMORIES, check_binary, check_cells, check_own, check_sizes


@MEMORIES.register(
    cites=("behrouz2024",),
    tags=("pairs", "auto", "graded"),
    example={"cue_size": 24, "content_size": 24, "hidden": 0},
)
class NeuralKeyValueMemory(nn.Module):
    """Memory of pairs in a ``NeuralMemory``: a cue, brought to length 1, is the key, a content the value, a write one step of gradient descent; answers are numbers.

    Equation: with ``k = cue / |cue|``, ``S <- momentum S - rate grad_M |M(k) - content|^2``, ``M <- (1 - forget) M + S``; read by ``M(k)``. Without a hidden layer, momentum and forgetting: ``KeyValueMemory`` by the delta rule
    with strength ``2 rate``. One step of a deep ``M`` seldom suffices, so that what is asked at once comes back weak.

    ``cue`` [..., K] and ``content`` [..., N] of 0 and 1 -> answers [..., N] of any size. State: ``change``, what was added to the first weights, and ``surprise``, a tensor [..., rows, columns] a layer each. ``hidden``: cells of the hidden
    layer, by default as many as leave as many synapses as a matrix from cues to contents has, ``K N / (K + N)``; 0: none, ``M`` is a matrix. ``rate`` above 0; ``momentum`` and ``forget`` from 0 to below 1. First weights as ``NeuralMemory`` has
    them, from ``generator``; they are fixed. Raises ``ValueError`` or ``TypeError`` for sizes and settings that are none and inputs that do not fit.
    Source: behrouz2024. Differs from it in rates that are the same at every moment instead of learned functions of the input, and in keys and values that are given instead of learned projections.
    """

    class State(NamedTuple):
        """``change`` and ``surprise``: a tensor [..., rows, columns] for each layer."""

        change: tuple[Tensor, ...]
        surprise: tuple[Tensor, ...]

    def __init__(
        self,
        cue_size: int,
        content_size: int,
        *,
        hidden: int | None = None,
        rate: float = 0.5,
        momentum: float = 0.0,
        forget: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes(cue_size, content_size, "NeuralKeyValueMemory")
        if hidden is None:
            hidden = -(-cue_size * content_size // (cue_size + content_size))
        elif hidden:
            check_cells(hidden, "hidden", "NeuralKeyValueMemory")
        if not 0 < rate < float("inf") or not 0 <= momentum < 1 or not 0 <= forget < 1:
            raise ValueError(
                f"rate of NeuralKeyValueMemory is above 0, momentum and forget are from 0 to below 1; {rate!r}, {momentum!r} and {forget!r} were given."
            )
        self.cue_size, self.content_size = cue_size, content_size
        self.rate, self.momentum, self.forget = rate, momentum, forget
        self.network = NeuralMemory(cue_size, content_size, hidden=(hidden,) if hidden else (), generator=generator).requires_grad_(False)
        self.synapses: tuple[str, ...] = tuple(f"change.{layer}" for layer in range(len(self.network.start)))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """The first weights, unchanged."""
        change, surprise = (
            tuple(
                torch.zeros(*leading, *weight.shape, device=device or weight.device, dtype=dtype or weight.dtype)
                for weight in self.network.start
            )
            for _ in range(2)
        )
        return self.State(change, surprise)

    def write(self, s: State, cue: Tensor, content: Tensor) -> State:
        """Take one step towards ``content`` under ``cue``, and on in the direction of earlier ones."""
        key = self._key(s, cue).unsqueeze(-2)
        content = check_binary(content, self.content_size, s.change[0].shape[:-2], "content", "NeuralKeyValueMemory").unsqueeze(-2)
        whole = self._whole(s)
        entered, errors = self.network.gradients(whole, key, content)
        surprise = tuple(self.momentum * old - self.rate * (e.mT @ a) for old, e, a in zip(s.surprise, errors, entered, strict=True))
        kept = ((1 - self.forget) * weight - start for weight, start in zip(whole.weights, self._start(s), strict=True))
        return self.State(tuple(old + new for old, new in zip(kept, surprise, strict=True)), surprise)

    def recall(self, s: State, cue: Tensor) -> tuple[Tensor, State]:
        """Return what the network says to ``cue``, as numbers; the memory is left as it is."""
        key = self._key(s, cue)
        return self.network.read(self._whole(s), key), s

    def _start(self, s: State) -> list[Tensor]:
        return [weight.to(s.change[0]) for weight in self.network.start]

    def _whole(self, s: State) -> NeuralMemory.State:
        return NeuralMemory.State(tuple(start + change for start, change in zip(self._start(s), s.change, strict=True)), s.surprise)

    def _key(self, s: State, cue: Tensor) -> Tensor:
        check_own(s, self)
        cue = check_binary(cue, self.cue_size, s.change[0].shape[:-2], "cue", "NeuralKeyValueMemory")
        length: Tensor = cue.sum(-1, keepdim=True).clamp(min=1).sqrt()
        return cue / length

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.cue_size}, {self.content_size}, rate={self.rate}, momentum={self.momentum}, forget={self.forget}"
