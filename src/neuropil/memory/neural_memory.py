"""Neural memory: a small network whose weights are the memory, written at test time by gradient descent with momentum and forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory.protocol import check_cells


class NeuralMemory(nn.Module):
    """A multilayer perceptron ``M`` that learns, within a sequence, to give the value of each key; without hidden layers it is a matrix.

    Equation: ``g_t = grad_M |M(k_t) - v_t|^2``; surprise ``S_t = eta_t S_(t-1) - theta_t g_t``; ``M_t = (1 - alpha_t) M_(t-1) + S_t``; read ``y_t = M_t(q_t)``, which writes nothing.
    ``M(k) = W_L silu(W_(L-1) ... silu(W_1 k))``, no biases. Gradients of a chunk are all taken at the weights with which it begins; momentum and forgetting pass from moment to moment.
    With one matrix, no momentum and chunks of 1 that is the delta rule with forgetting: ``W_t = (1 - alpha_t) W_(t-1) + 2 theta_t (v_t - W_(t-1) k_t) k_t^T``.

    ``y, s = memory(q, k, v, theta, eta, alpha, s)``: a sequence, ``q``, ``k`` [..., T, K], ``v`` [..., T, V], rates [..., T] -> ``y`` [..., T, V], ``s`` after it (of chunks, the last may be shorter). ``eta`` None: no momentum (0); ``alpha`` None: nothing is
    forgotten (0). ``read(s, q)`` asks a state, one question [..., K] or, with an axis more, many. ``s = initial(*leading)``: the parameters ``start``, by which every sequence begins, and no surprise. State: ``weights`` and ``surprise``, a tensor [..., rows, columns] a layer.
    Weights of single moments are never made: within a chunk they differ from its first by outer products, which pass every layer as T x T matrices.

    ``hidden``: sizes of hidden layers; ``chunk``: moments a chunk. Initial law: ``start`` normal with variance 1 / columns, drawn from ``generator``, its last matrix 0, so that an unwritten memory answers 0.
    Raises ``ValueError`` for sizes that are none and shapes that do not fit. Source: behrouz2024. Differs from it in that the rates are arguments, made by whoever uses the memory, and where it says nothing (activation, first weights).
    """

    class State(NamedTuple):
        """``weights`` and ``surprise``: a tensor [..., rows, columns] for each layer."""

        weights: tuple[Tensor, ...]
        surprise: tuple[Tensor, ...]

    def __init__(
        self, key_size: int, value_size: int, *, hidden: Sequence[int] = (), chunk: int = 16, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        sizes = (key_size, *hidden, value_size)
        for size in sizes:
            check_cells(size, "a layer", "NeuralMemory")
        if chunk < 1:
            raise ValueError(f"A chunk of NeuralMemory is 1 or more moments, {chunk!r} was given.")
        self.key_size, self.value_size, self.hidden, self.chunk = key_size, value_size, tuple(hidden), chunk
        shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
        self.start = nn.ParameterList(torch.randn(shape, generator=generator) * shape[1] ** -0.5 for shape in shapes[:-1])
        self.start.append(torch.zeros(shapes[-1]))

    @property
    def floats(self) -> int:
        """How many weights hold what is remembered; the surprise takes as many."""
        return sum(weight.numel() for weight in self.start)

    def initial(self, *leading: int) -> State:
        """A memory that nothing was written to."""
        weights = tuple(weight.expand(*leading, *weight.shape) for weight in self.start)
        return self.State(weights, tuple(torch.zeros_like(weight) for weight in weights))

    def read(self, s: State, q: Tensor) -> Tensor:
        """What lies under ``q`` [..., K] or [..., questions, K]: [..., V] or [..., questions, V]."""
        single = q.ndim < s.weights[0].ndim
        x = q.unsqueeze(-2) if single else q
        x = self._through(s.weights, x)[-1]
        return x.squeeze(-2) if single else x

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor | None = None, alpha: Tensor | None = None, s: State | None = None
    ) -> tuple[Tensor, State]:
        """Write a sequence and read at every moment what has been written up to it."""
        if q.shape != k.shape or q.shape[-1] != self.key_size or v.shape != (*k.shape[:-1], self.value_size):
            raise ValueError(
                f"NeuralMemory takes q and k [..., T, {self.key_size}] and v [..., T, {self.value_size}], {list(q.shape)}, {list(k.shape)} and {list(v.shape)} were given."
            )
        for name, rate in (("theta", theta), ("eta", eta), ("alpha", alpha)):
            if rate is not None and rate.shape != k.shape[:-1]:
                raise ValueError(
                    f"{name} of NeuralMemory has a number a moment, {list(k.shape[:-1])}, {list(rate.shape)} was given; expand it to that."
                )
        eta = torch.zeros_like(theta) if eta is None else eta
        keep = torch.ones_like(theta) if alpha is None else 1 - alpha
        s = self.initial(*k.shape[:-2]) if s is None else s
        found = []
        for begin in range(0, k.shape[-2], self.chunk):
            now = slice(begin, begin + self.chunk)
            y, s = self._chunk(s, q[..., now, :], k[..., now, :], v[..., now, :], theta[..., now], eta[..., now], keep[..., now])
            found.append(y)
        return torch.cat(found, -2), s

    def _chunk(self, s: State, q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, keep: Tensor) -> tuple[Tensor, State]:
        met, errors = self.gradients(s, k, v)
        kept, first = _products(keep)
        carried, surprised = _products(eta)
        share = kept @ carried
        old = (kept @ surprised.unsqueeze(-1)).squeeze(-1)
        written = share * theta.unsqueeze(-2)
        x, layers = q, len(s.weights)
        for layer, (weight, surprise) in enumerate(zip(s.weights, s.surprise, strict=True)):
            z = first.unsqueeze(-1) * (x @ weight.mT) + old.unsqueeze(-1) * (x @ surprise.mT)
            z = z - (written * (x @ met[layer].mT)) @ errors[layer]
            x = F.silu(z) if layer < layers - 1 else z
        last, swept = written[..., -1, :, None], (carried[..., -1, :] * theta).unsqueeze(-1)
        weights, surprises = [], []
        for weight, surprise, a, e in zip(s.weights, s.surprise, met, errors, strict=True):
            weights.append(first[..., -1, None, None] * weight + old[..., -1, None, None] * surprise - (last * e).mT @ a)
            surprises.append(surprised[..., -1, None, None] * surprise - (swept * e).mT @ a)
        return x, self.State(tuple(weights), tuple(surprises))

    def gradients(self, s: State, k: Tensor, v: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """For each layer what enters it ``a`` [..., T, columns] and the error behind it ``e`` [..., T, rows]: the gradient of ``|M(k_t) - v_t|^2`` is ``e_t a_t^T``."""
        before: list[Tensor] = []
        *inputs, y = self._through(s.weights, k, before)
        error = 2 * (y - v)
        errors = [error]
        for weight, z in zip(reversed(s.weights[1:]), reversed(before), strict=True):
            slope = z.sigmoid()
            error = (error @ weight) * (slope * (1 + z * (1 - slope)))
            errors.insert(0, error)
        return inputs, errors

    def _through(self, weights: Sequence[Tensor], x: Tensor, before: list[Tensor] | None = None) -> list[Tensor]:
        """What enters each layer, and what comes out; ``before`` receives what hidden layers are driven by."""
        passed = [x]
        for weight in weights[:-1]:
            z = passed[-1] @ weight.mT
            if before is not None:
                before.append(z)
            passed.append(F.silu(z))
        return [*passed, passed[-1] @ weights[-1].mT]

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.key_size}, {self.value_size}, hidden={self.hidden}, chunk={self.chunk}"


def _products(rates: Tensor) -> tuple[Tensor, Tensor]:
    """``P_ts = prod_(s < j <= t) rates_j`` for s <= t, else 0, and what is left at t of the time before, ``prod_(j <= t) rates_j``."""
    moments = torch.arange(rates.shape[-1], device=rates.device)
    earlier = moments.unsqueeze(-1) >= moments
    logs = rates.clamp(min=1e-30).log().cumsum(-1)
    since = logs.unsqueeze(-1) - logs.unsqueeze(-2)
    return torch.where(earlier, since.masked_fill(~earlier, 0.0).exp(), 0.0), logs.exp()
