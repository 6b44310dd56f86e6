"""Attention that keeps its k strongest weights, the rest set to 0: a competition for what is let through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells


class TopKAttention(nn.Module):
    """Multi-head attention of any queries over any sources, by one set of projections.

    Equation, for each head: ``A = softmax(Q K^T)``, in each row the ``top`` largest kept and the others set to 0, what is kept not scaled up again; ``y = A V`` with ``Q = query W_q``, ``K = source W_k``, ``V = source W_v``,
    biases left out here; heads lie side by side, no matrix after them. ``query`` [..., M, width], ``source`` [..., T, width] -> [..., M, width]. ``top=None``, or at least T, keeps all.

    What is asked or looked at more than once is projected once: ``y = attention.take(attention.ask(query), attention.show(source), top)``. ``attention.weights(asked, keys, top)`` are A [..., heads, M, T].

    ``width`` is a multiple of ``heads``. Weights are uniform in +-sqrt(3 / width), biases 0, drawn from ``generator`` (None: torch's own). Raises ``ValueError`` or ``TypeError`` for numbers that are none and for inputs of another width.
    Source: pmi-memory2023 (code), which like this divides by no square root.
    """

    def __init__(self, width: int, *, heads: int = 4, generator: torch.Generator | None = None) -> None:
        super().__init__()
        check_cells(width, "width", "TopKAttention")
        check_cells(heads, "heads", "TopKAttention")
        if width % heads:
            raise ValueError(
                f"The width of TopKAttention is a multiple of its heads, {width} and {heads} were given; give for example {8 * heads} and {heads}."
            )
        self.width, self.heads = width, heads
        self.query, self.source = drawn_linear(width, width, generator), drawn_linear(width, 2 * width, generator)

    def ask(self, query: Tensor) -> Tensor:
        """Project queries [..., M, width] to Q [..., heads, M, width / heads]."""
        q: Tensor = self.query(self._checked("query", query)).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        return q

    def show(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Project a source [..., T, width] to K and V [..., heads, T, width / heads]."""
        both = self.source(self._checked("source", source)).unflatten(-1, (2, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        return both[0], both[1]

    def weights(self, asked: Tensor, keys: Tensor, top: int | None = None) -> Tensor:
        """Return what each query takes of each place of the source, [..., heads, M, T]; a row sums to 1 where all are kept, else to less."""
        scores = asked @ keys.mT
        e = (scores - scores.detach().amax(-1, keepdim=True)).exp()  # five times as fast as softmax over a handful of places
        return strongest(e / e.sum(-1, keepdim=True), top)

    def take(self, asked: Tensor, shown: tuple[Tensor, Tensor], top: int | None = None) -> Tensor:
        """Let every query take what it attends to, [..., M, width]."""
        keys, values = shown
        return (self.weights(asked, keys, top) @ values).transpose(-3, -2).flatten(-2)

    def forward(self, query: Tensor, source: Tensor, top: int | None = None) -> Tensor:
        """Let queries [..., M, width] take from a source [..., T, width]."""
        return self.take(self.ask(query), self.show(source), top)

    def _checked(self, name: str, given: Tensor) -> Tensor:
        if given.ndim < 2 or given.shape[-1] != self.width:
            raise ValueError(f"{name} of TopKAttention is [..., places, {self.width}], {list(given.shape)} was given; reshape it.")
        return given


def strongest(a: Tensor, top: int | None) -> Tensor:
    """Keep the ``top`` largest of a [..., T] and set the others to 0; None keeps all. Of equal ones torch chooses. Raises ``ValueError`` or ``TypeError`` unless ``top`` is whole and 1 or more."""
    if top is None or check_cells(top, "top", "attention") >= a.shape[-1]:
        return a
    kept = a.topk(top, -1).indices
    return a * torch.zeros_like(a).scatter(-1, kept, 1.0)


def drawn_linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    """Make a linear layer with weights uniform in +-sqrt(3 / inputs), of variance 1 / inputs, and biases 0."""
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    nn.init.uniform_(layer.weight, -((3 / inputs) ** 0.5), (3 / inputs) ** 0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
