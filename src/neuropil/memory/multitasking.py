"""Hebbian networks of diluted patterns: several patterns are recalled at once, because each leaves cells to the others."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def diluted_patterns(count: int, size: int, dilution: float, generator: torch.Generator) -> Tensor:
    """Draw patterns f32 [count, size] whose entries are 0 with probability ``dilution``, else -1 or 1, equally likely. Source: agliari2012."""
    if not 0 <= dilution <= 1:
        raise ValueError(f"dilution is the share of zeros, from 0 to 1, {dilution!r} was given.")
    shape = (count, size)
    signs = torch.randint(2, shape, generator=generator).float() * 2 - 1
    return signs * (torch.rand(shape, generator=generator) >= dilution)


def noisy_examples(patterns: Tensor, per: int, quality: float, generator: torch.Generator) -> Tensor:
    """Draw ``per`` examples of each pattern, every entry kept with probability ``(1 + quality) / 2``, else negated: [K, N] -> [K, per, N]. Source: agliari2023."""
    if not 0 <= quality <= 1:
        raise ValueError(f"quality of examples lies from 0 (no information) to 1 (the pattern itself), {quality!r} was given.")
    negated = torch.rand((len(patterns), per, patterns.shape[-1]), generator=generator) >= (1 + quality) / 2
    return torch.where(negated, -1.0, 1.0) * patterns.unsqueeze(1)


class MultitaskingHebbian(nn.Module):
    """A Hopfield network of cells of -1 and 1 with Hebbian synapses from diluted patterns, or from their examples.

    Equation: ``h = J s``, ``J = F^T F / N`` without its diagonal; a cell takes 1 with probability ``(1 + tanh(beta h)) / 2``, at infinite ``beta`` the sign of ``h``, or stays where ``h`` is 0.
    ``factors`` F [R, N], of any numbers: the patterns themselves; ``examples.mean(1)`` (taught: one factor a class); or ``examples.flatten(0, 1) / sqrt(M)`` (untaught: every example, no labels). ``J`` is never formed.

    ``settle`` updates cells in ``blocks`` random groups a sweep, all cells of a group at once: 1 is parallel (Little) dynamics, N is sequential (Glauber); states [..., N] of -1 and 1. ``energy``: ``-s J s / 2``, which no sequential update at infinite ``beta`` raises.
    Raises ``ValueError`` for shapes and numbers that do not fit. Sources: agliari2012; agliari2023 (examples; differs in the scale of ``J``, which matters at finite ``beta`` only).
    """

    factors: Tensor
    own: Tensor

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        if factors.ndim != 2:
            raise ValueError(f"factors of MultitaskingHebbian are [R, N], {list(factors.shape)} was given; flatten examples over classes.")
        self.register_buffer("factors", factors)
        self.register_buffer("own", factors.square().mean(0) * len(factors) / factors.shape[-1], persistent=False)

    def field(self, s: Tensor) -> Tensor:
        """What drives each cell, ``h`` [..., N]."""
        return (s @ self.factors.mT) @ self.factors / self.factors.shape[-1] - self.own * s

    def energy(self, s: Tensor) -> Tensor:
        """``-s J s / 2`` [...]."""
        return -0.5 * (s * self.field(s)).sum(-1)

    def settle(
        self, s: Tensor, *, sweeps: int, beta: float = float("inf"), blocks: int = 8, generator: torch.Generator | None = None
    ) -> Tensor:
        """Sweep over all cells, ``sweeps`` times or, at infinite ``beta``, until a sweep changes none: [..., N] -> [..., N]."""
        n = self.factors.shape[-1]
        if s.shape[-1] != n or sweeps < 1 or not 1 <= blocks <= n or not beta >= 0:
            raise ValueError(
                f"settle takes states [..., {n}], a sweep or more, 1 to {n} blocks and a beta of 0 or more; {list(s.shape)}, {sweeps}, {blocks} and {beta} were given."
            )
        s = s.clone()
        met = s @ self.factors.mT / n
        for _ in range(sweeps):
            changed = False
            for cells in torch.randperm(n, generator=generator).chunk(blocks):
                factors, before = self.factors[:, cells], s[..., cells]
                h = met @ factors - self.own[cells] * before
                if beta == float("inf"):
                    after = torch.where(h == 0, before, h.sign())
                else:
                    after = torch.where(torch.rand(h.shape, generator=generator) * 2 - 1 < torch.tanh(beta * h), 1.0, -1.0).to(h.dtype)
                if not torch.equal(after, before):
                    changed = True
                    s[..., cells] = after
                    met = met + (after - before) @ factors.mT / n
            if not changed and beta == float("inf"):
                break
        return s


def overlaps(patterns: Tensor, s: Tensor) -> Tensor:
    """Mattis overlaps ``m = xi s / N`` of states [..., N] with patterns [K, N]: [..., K]."""
    return s @ patterns.mT / patterns.shape[-1]


def hierarchical_overlaps(count: int, dilution: float) -> Tensor:
    """Overlaps at zero noise when each pattern takes the cells that those before leave: ``(1 - d) d^(k - 1)``, f64 [count]. Source: agliari2012."""
    return (1 - dilution) * dilution ** torch.arange(count, dtype=torch.float64)


def mean_field_step(m: Tensor, dilution: float, beta: float) -> Tensor:
    """One step of the overlaps of an infinite network under parallel dynamics: ``m_mu <- E[xi_mu tanh(beta sum_nu xi_nu m_nu)]``, f64 [K] -> [K].

    The mean is over all ``3^K`` rows of pattern entries; a field of 0 at infinite ``beta`` adds nothing. Source: agliari2012.
    """
    return _step(m.double(), *_entries(len(m), dilution), beta)


def mean_field_overlaps(start: Tensor, dilution: float, beta: float, *, steps: int = 10_000, tolerance: float = 1e-12) -> Tensor:
    """Follow ``mean_field_step`` from ``start`` [K] to the overlaps that solve ``m = E[xi tanh(beta xi m)]``, f64 [K]. Raises ``ValueError`` where ``steps`` do not suffice."""
    m, entries = start.double(), _entries(len(start), dilution)
    for _ in range(steps):
        new = _step(m, *entries, beta)
        if float((new - m).abs().max()) < tolerance:
            return new
        m = new
    raise ValueError(f"The overlaps did not come to rest in {steps} steps; give more steps or a tolerance above {tolerance:g}.")


def _entries(count: int, dilution: float) -> tuple[Tensor, Tensor]:
    rows = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=count)), dtype=torch.float64)
    return rows, torch.where(rows == 0, dilution, (1 - dilution) / 2).prod(1)


def _step(m: Tensor, rows: Tensor, chance: Tensor, beta: float) -> Tensor:
    h = rows @ m
    answer = torch.where(h.abs() > 1e-12, h.sign(), 0.0) if beta == float("inf") else torch.tanh(beta * h)
    return (chance * answer) @ rows
