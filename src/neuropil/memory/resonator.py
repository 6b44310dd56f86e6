"""A resonator network: which codevectors a product was bound from, found by factors that explain each other away."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

Bound = Literal["unit", "norm"]
Cleanup = Callable[[Tensor], Tensor]
MATCHED = 0.9
"""How much of a product the factors read must explain (as a cosine) to count as found."""


def projection_cleanup(a: Tensor) -> Tensor:
    """Weigh codevectors by how similar they are, with sign (and phase): the outer-product clean-up of frady2020."""
    return a


class ThresholdCleanup:
    """Weigh codevectors by their similarity where it is above ``threshold`` (in units of crosstalk), and by 0 elsewhere. Source: langenegger2023."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, a: Tensor) -> Tensor:
        """Similarities [..., K] -> weights [..., K]."""
        return torch.where(a.real > self.threshold, a.real, 0.0)


class AttentionCleanup:
    """Weigh codevectors by ``softmax(beta a)``, ``beta`` in inverse units of crosstalk: one step of the log-sum-exp Hopfield network of ramsauer2021.

    ``beta`` 0 weighs all alike, an infinite one takes the most similar alone. Source: attention-resonator2024.
    """

    def __init__(self, beta: float) -> None:
        if not beta >= 0:
            raise ValueError(f"beta of AttentionCleanup is 0 or more, {beta!r} was given.")
        self.beta = beta

    def __call__(self, a: Tensor) -> Tensor:
        """Similarities [..., K] -> weights [..., K]."""
        if self.beta == float("inf"):
            return nn.functional.one_hot(a.real.argmax(-1), a.shape[-1]).to(a.real.dtype)
        return (self.beta * a.real).softmax(-1)


class Factors(NamedTuple):
    """What was found for B products: ``factors`` i64 [B, F] (their places in the codebooks), ``found`` bool [B], ``sweeps`` f32 [B] until found, half a sweep for a restart (all, where not found), ``restarts`` i64 [B]."""

    factors: Tensor
    found: Tensor
    sweeps: Tensor
    restarts: Tensor


class ResonatorNetwork(nn.Module):
    """Factorise products ``s = c_1 * ... * c_F`` of one codevector from each of F codebooks, without trying all ``K^F``.

    Equation, factor after factor: ``u_f = s prod_(g != f) conj(x_g)``, brought to length ``sqrt(D)``; ``a_f = conj(C_f) u_f / sigma``; ``x_f <- bound(w(a_f) C_f)``. ``sigma`` is ``sqrt(D)``, for phasors ``sqrt(D / 2)``: how far
    chance takes the similarity of unrelated vectors (the crosstalk), so that a right factor alone has ``a = D / sigma``. ``w``: ``projection_cleanup`` (default), ``ThresholdCleanup``, ``AttentionCleanup`` or any function of ``a`` [..., K];
    with ``noise``, normal deviates of so many units of crosstalk are added to what ``w`` is given. ``bound``: ``unit`` takes every element to modulus 1 (the sign, for real codebooks; 0 becomes 1), ``norm`` the whole to length ``sqrt(D)``.

    ``codebooks`` [F, K, D], real of -1 and 1 or complex of modulus 1, F at least 2, a buffer; products [B, D]. ``sweep`` updates all factors once and costs 2 F products with a codebook a row.
    The factors read are those of the largest ``|a_f|``, since two sign (or phase) flips leave a product as it is; they are found where they explain the product (cosine 0.9 in modulus).
    Raises ``ValueError`` for shapes, bounds or numbers that do not fit. Sources: frady2020, kent2020 (``projection_cleanup``, ``unit``; stops here where the right factors are read, not at a fixed point), attention-resonator2024 (``AttentionCleanup``, ``norm``).
    """

    codebooks: Tensor

    def __init__(self, codebooks: Tensor, cleanup: Cleanup = projection_cleanup, *, bound: Bound = "unit") -> None:
        super().__init__()
        if codebooks.ndim != 3 or len(codebooks) < 2:
            raise ValueError(f"codebooks of ResonatorNetwork are [F, K, D] with F at least 2, {list(codebooks.shape)} was given.")
        if not bool(((codebooks.abs() - 1).abs() < 1e-3).all()):
            raise ValueError(
                "codebooks of ResonatorNetwork hold elements of modulus 1, others were given; draw them with random_codebooks() or take signs."
            )
        if bound not in get_args(Bound):
            raise ValueError(f"bound is 'unit' or 'norm', {bound!r} was given.")
        self.register_buffer("codebooks", codebooks)
        self.cleanup, self.bound = cleanup, bound
        d = codebooks.shape[-1]
        self.length = math.sqrt(d)
        self.crosstalk = math.sqrt(d / 2 if codebooks.is_complex() else d)

    def bind(self, index: Tensor) -> Tensor:
        """The products [B, D] of the codevectors ``index`` [B, F]."""
        factors = torch.arange(len(self.codebooks), device=index.device)
        return self.codebooks[factors, index].prod(-2)

    def start(self, rows: int, generator: torch.Generator | None = None) -> Tensor:
        """First states [rows, F, D]: the bound sum of every codebook, or, with a generator, of its codevectors weighted by normal deviates."""
        f, k, _ = self.codebooks.shape
        real = self.codebooks.real.dtype
        weights = (
            torch.ones(rows, f, 1, k, dtype=real) if generator is None else torch.randn(rows, f, 1, k, dtype=real, generator=generator)
        )
        return self._bound((weights.to(self.codebooks) @ self.codebooks).squeeze(-2))

    def sweep(self, s: Tensor, x: Tensor, *, noise: float = 0.0, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Update all factors once, in turn: products [B, D], states [B, F, D] -> states, similarities ``a`` [B, F, K] as they were met."""
        states, met = list(x.unbind(-2)), []
        for f, codebook in enumerate(self.codebooks):
            u = s
            for g, other in enumerate(states):
                u = u * other.conj() if g != f else u
            u = u * (self.length / u.norm(dim=-1, keepdim=True).clamp(min=1e-12))
            a = u @ codebook.mH / self.crosstalk
            met.append(a)
            if noise:
                a = a + noise * torch.randn(a.shape, dtype=a.real.dtype, generator=generator)
            states[f] = self._bound(self.cleanup(a).to(codebook) @ codebook)
        return torch.stack(states, -2), torch.stack(met, -2)

    def factorise(
        self, s: Tensor, *, sweeps: int, noise: float = 0.0, patience: int | None = None, generator: torch.Generator | None = None
    ) -> Factors:
        """Sweep until the factors read explain the product, ``sweeps`` times at most: products [B, D] -> ``Factors``.

        A row whose reading has stayed wrong and the same for ``patience`` sweeps starts anew from drawn weights (``None``: never), which takes as many products with the codebooks as half a sweep and is counted as that. ``noise`` and ``patience`` draw from ``generator``.
        """
        if s.ndim != 2 or s.shape[-1] != self.codebooks.shape[-1]:
            raise ValueError(f"products are [B, {self.codebooks.shape[-1]}], {list(s.shape)} was given.")
        if sweeps < 1 or (patience is not None and patience < 1) or noise < 0:
            raise ValueError(f"sweeps and patience are 1 or more, noise 0 or more; {sweeps}, {patience} and {noise} were given.")
        rows, left = len(s), torch.arange(len(s))
        factors = torch.full((rows, len(self.codebooks)), -1)
        found, restarts = torch.zeros(rows, dtype=torch.bool), torch.zeros(rows, dtype=torch.long)
        spent = torch.zeros(rows)
        x, same = self.start(rows), torch.zeros(rows, dtype=torch.long)
        while len(left):
            x, a = self.sweep(s[left], x, noise=noise, generator=generator)
            read = a.abs().argmax(-1)
            same = torch.where((read == factors[left]).all(-1), same + 1, 0)
            factors[left] = read
            found[left] = (self.bind(read).conj() * s[left]).sum(-1).abs() >= MATCHED * self.codebooks.shape[-1]
            spent[left] += 1
            stuck = same >= (sweeps if patience is None else patience)
            spent[left[stuck & ~found[left]]] += 0.5
            more = ~found[left] & (spent[left] + 1 <= sweeps)
            left, x, same, stuck = left[more], x[more], same[more], stuck[more]
            if bool(stuck.any()):
                x = x.masked_scatter(stuck[:, None, None], self.start(int(stuck.sum()), generator))
                restarts[left] += stuck
                same = same.masked_fill(stuck, 0)
        return Factors(factors, found, torch.where(found, spent, float(sweeps)), restarts)

    def _bound(self, x: Tensor) -> Tensor:
        if self.bound == "norm":
            scaled: Tensor = self.length / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            return x * scaled
        if x.is_complex():
            modulus = x.abs()
            return torch.where(modulus > 0, x / modulus.clamp(min=1e-12), 1.0)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def random_codebooks(factors: int, size: int, dimension: int, generator: torch.Generator, *, phasor: bool = False) -> Tensor:
    """Draw codebooks [factors, size, dimension] of independent signs, or of phasors, ``exp(i phi)`` with ``phi`` uniform."""
    shape = (factors, size, dimension)
    if phasor:
        phase = 2 * torch.pi * torch.rand(shape, generator=generator)
        return torch.polar(torch.ones_like(phase), phase)
    return torch.randint(2, shape, generator=generator).float() * 2 - 1
