"""Category ensembles: the units that a category recruits more often than the other categories do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def hypergeometric_tail(hits: Tensor, active: Tensor, drawn: int, total: int) -> Tensor:
    """Return the chance of at least ``hits`` active trials among ``drawn`` of ``total`` trials, of which ``active`` are active.

    Equation: ``p = sum over j >= hits of C(active, j) C(total - active, drawn - j) / C(total, drawn)``, exact (one-sided Fisher).
    Shapes: hits, active [units] (whole numbers) -> [units] float64. Raises ``ValueError`` where hits are more than active or drawn trials.
    """
    if bool((hits > active).any()) or bool((hits > drawn).any()) or bool((active > total).any()):
        raise ValueError("More hits than active or drawn trials were given; count hits among the drawn trials, active among all.")

    def log_choose(n: Tensor, k: Tensor) -> Tensor:
        return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)

    j = torch.arange(drawn + 1, dtype=torch.float64, device=hits.device)
    successes = active.double()[:, None]
    n, m = torch.tensor(float(total), dtype=torch.float64), torch.tensor(float(drawn), dtype=torch.float64)
    possible = (j <= successes) & (drawn - j <= total - successes)
    log_p = log_choose(successes, j.minimum(successes)) - log_choose(n, m)
    log_p = log_p + log_choose(total - successes, (drawn - j).clamp(min=0).minimum(total - successes))
    log_p = torch.where(possible & (j >= hits[:, None]), log_p, -torch.inf)
    return log_p.logsumexp(dim=1).exp().clamp(max=1.0)


@dataclass(frozen=True)
class Ensembles:
    """The ensemble of every category: ``members`` [classes, units], the p-values behind them (before correction), and the units that live.

    ``live`` [units] (bool) are the units active in at least one of the trials that the ensembles were found in.
    """

    members: Tensor
    p: Tensor
    live: Tensor

    @property
    def size(self) -> Tensor:
        """The share of live units in each ensemble, [classes]: ``members / live``, 0 where no unit lives.

        A dead unit can join no ensemble; counting it would make a net look more selective only because part of it does nothing.
        """
        return self.members.double().sum(dim=1) / self.live.sum().clamp(min=1)

    @property
    def overlap(self) -> Tensor:
        """Jaccard overlap of every two ensembles, shared over joint members, [classes, classes]; two empty ones share nothing: 0."""
        m = self.members.double()
        shared = m @ m.T
        joint = m.sum(dim=1)[:, None] + m.sum(dim=1)[None, :] - shared
        return torch.where(joint > 0, shared / joint.clamp(min=1), 0.0)

    @property
    def mean_overlap(self) -> float:
        """The mean overlap over pairs of different categories."""
        first, second = torch.triu_indices(len(self.members), len(self.members), offset=1)
        return self.overlap[first, second].mean().item()

    def specificity(self, active: Tensor, labels: Tensor) -> Tensor:
        """Return how much more often an ensemble's units are active for their category than for others, on trials not used to find them.

        Equation: mean over members of P(active | category) - P(active | another category), from -1 to 1. Shapes: active [trials, units]
        (bool), labels [trials] -> [classes]. An empty ensemble tells nothing, a category without trials cannot be told: 0.
        """
        result = torch.zeros(len(self.members), dtype=torch.float64, device=active.device)
        for c, members in enumerate(self.members):
            inside = labels == c
            if bool(members.any()) and bool(inside.any()) and not bool(inside.all()):
                units = active[:, members].double()
                result[c] = (units[inside].mean(dim=0) - units[~inside].mean(dim=0)).mean()
        return result


def category_ensembles(active: Tensor, labels: Tensor, classes: int, *, alpha: float = 0.01, minimum_share: float = 0.0) -> Ensembles:
    """Find, for every category, the units active in a significantly larger share of its trials than of the others.

    Test: hypergeometric per unit and category, Holm-corrected over all of them, so that on data without categories the chance of any member
    is at most ``alpha``. ``minimum_share`` additionally asks that a member be active in that share of its category's trials: with many
    trials a trace of preference is significant. Shapes: active [trials, units] (bool), labels [trials] (whole numbers below ``classes``).
    Find ensembles on one part of the trials and judge them (``specificity``) on another.
    Source: tosato2023. Differs from the paper in that an exact test stands for the permutation test. Raises ``ValueError`` for other shapes.
    """
    if active.ndim != 2 or labels.shape != active.shape[:1] or active.dtype != torch.bool:
        raise ValueError(
            f"Ensembles need active [trials, units] as bool and one label a trial, {active.dtype} {tuple(active.shape)} and {tuple(labels.shape)} were given."
        )
    if not 0 < alpha < 1 or not 0 <= minimum_share <= 1:
        raise ValueError(f"alpha lies between 0 and 1, minimum_share from 0 to 1; {alpha:g} and {minimum_share:g} were given.")
    everywhere = active.sum(dim=0)
    p = torch.ones(classes, active.shape[1], dtype=torch.float64, device=active.device)
    recruited = torch.zeros_like(p, dtype=torch.bool)
    for c in range(classes):
        inside = active[labels == c]
        if len(inside):
            hits = inside.sum(dim=0)
            p[c] = hypergeometric_tail(hits, everywhere, len(inside), len(active))
            recruited[c] = hits >= minimum_share * len(inside)
    return Ensembles(_holm(p, alpha) & recruited, p, everywhere > 0)


def _holm(p: Tensor, alpha: float) -> Tensor:
    ordered, order = p.flatten().sort(stable=True)
    passed = (ordered <= alpha / torch.arange(len(ordered), 0, -1, device=p.device)).long().cumprod(dim=0).bool()
    return torch.zeros_like(passed).scatter(0, order, passed).view_as(p)


def layer_agreement(first: Ensembles, second: Ensembles) -> float:
    """Say whether two layers let the same pairs of categories share units: Pearson's r of their overlaps over pairs, from -1 to 1.

    0 where one layer's overlaps do not vary. Raises ``ValueError`` for fewer than 3 categories or different numbers of them.
    """
    n = len(first.members)
    if n < 3 or len(second.members) != n:
        raise ValueError(f"Agreement compares two layers over the same 3 or more categories, {n} and {len(second.members)} were given.")
    i, j = torch.triu_indices(n, n, offset=1)
    a, b = first.overlap[i, j], second.overlap[i, j]
    a, b = a - a.mean(), b - b.mean()
    scale = torch.linalg.vector_norm(a) * torch.linalg.vector_norm(b)
    return (a @ b / scale).item() if scale > 1e-12 else 0.0
