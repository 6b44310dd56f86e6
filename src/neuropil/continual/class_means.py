"""Nearest class mean: on fixed features, a class is the running mean of its examples, and nothing else is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NearestMean(nn.Module):
    """Nearest-class-mean classifier: ``mu_c <- mu_c + (f - mu_c) / (n_c + 1)`` for every feature vector f of class c; scores ``-|f - mu_c|^2``.

    ``add(f, labels)``: f [N, D], labels i64 [N] from 0 to ``classes`` - 1, in any order and any number of calls; means do not depend on the order but to rounding.
    ``model(f)`` gives scores [N, classes], ``-inf`` for classes not seen yet. Buffers ``means`` [classes, D], ``counts`` [classes], both f64. Source: janson2022.
    Raises ``ValueError`` for sizes below 1, features of another width, labels that are not i64 [N], and labels outside the classes.
    """

    means: Tensor
    counts: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        if features < 1 or classes < 1:
            raise ValueError(f"{type(self).__name__} takes numbers of features and classes from 1 up, {features} and {classes} were given.")
        self.register_buffer("means", torch.zeros(classes, features, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.float64))

    @property
    def seen(self) -> Tensor:
        """Which classes have examples: bool [classes]."""
        return self.counts > 0

    @torch.no_grad()
    def add(self, f: Tensor, labels: Tensor) -> None:
        """Take in examples of any classes."""
        f = self._checked(f, labels).double()
        new = torch.zeros_like(self.counts).index_add_(0, labels, torch.ones_like(labels, dtype=torch.float64))
        total = torch.zeros_like(self.means).index_add_(0, labels, f - self.means[labels])
        self.counts += new
        self.means += total / self.counts.clamp(min=1)[:, None]

    def forward(self, f: Tensor) -> Tensor:
        """Score features [N, D] for each class, [N, classes]."""
        scores = -torch.cdist(f.double(), self.means, compute_mode="donot_use_mm_for_euclid_dist").square()
        return scores.masked_fill(~self.seen, -torch.inf)

    def _checked(self, f: Tensor, labels: Tensor) -> Tensor:
        classes, features = self.means.shape
        if f.ndim != 2 or f.shape[1] != features or labels.dtype != torch.long or labels.shape != f.shape[:1]:
            raise ValueError(
                f"{type(self).__name__} takes features [N, {features}] and labels i64 [N], {list(f.shape)} and {labels.dtype} {list(labels.shape)} were given."
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"Labels lie between 0 and {classes - 1}, {int(labels.min())} to {int(labels.max())} were given.")
        return f


class StreamingLDA(NearestMean):
    """Linear discriminant analysis with running class means and one running covariance of all classes; equal priors.

    ``S <- (n S + sum (f - mu) (f - mu)^T) / (n + N)``, deviations from the class's own mean as it is updated (exactly the pooled within-class covariance of all
    examples, whatever their order); ``S_s = (1 - s) S + s tr(S) / D I`` with shrinkage s in [0, 1]; scores ``mu_c^T S_s^-1 f - mu_c^T S_s^-1 mu_c / 2``.

    ``restart()`` forgets the covariance and keeps the means: what then comes alone decides the covariance, as where no sums over old classes are stored.
    Buffers as of ``NearestMean``, and ``scatter`` [D, D], ``number`` []. Source: hayes2020b. Differs from it in that the shrinkage keeps the trace.
    Raises ``ValueError`` as ``NearestMean``, and for a shrinkage outside [0, 1].
    """

    scatter: Tensor
    number: Tensor

    def __init__(self, features: int, classes: int, *, shrinkage: float) -> None:
        super().__init__(features, classes)
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"StreamingLDA takes a shrinkage in [0, 1], {shrinkage} was given.")
        self.shrinkage = shrinkage
        self.register_buffer("scatter", torch.zeros(features, features, dtype=torch.float64))
        self.register_buffer("number", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def add(self, f: Tensor, labels: Tensor) -> None:
        """Take in examples of any classes."""
        before, counts = self.means.clone(), self.counts.clone()
        super().add(f, labels)
        new = self.counts - counts
        own = torch.zeros_like(self.means).index_add_(0, labels, f.double()) / new.clamp(min=1)[:, None]
        within = f.double() - own[labels]
        between = (own - before) * (new * counts / self.counts.clamp(min=1)).sqrt()[:, None]
        self.scatter += within.mT @ within + between.mT @ between
        self.number += len(labels)

    def restart(self) -> None:
        """Forget the covariance, keep the means."""
        self.scatter.zero_()
        self.number.zero_()

    def forward(self, f: Tensor) -> Tensor:
        """Score features [N, D] for each class, [N, classes]."""
        covariance = self.scatter / self.number.clamp(min=1)
        size = len(covariance)
        shrunk = (1 - self.shrinkage) * covariance + self.shrinkage * covariance.trace() / size * torch.eye(size, dtype=torch.float64)
        factor, failed = torch.linalg.cholesky_ex(shrunk)
        if failed:  # a singular covariance: the least of the directions that would do
            directions = torch.linalg.lstsq(shrunk, self.means.mT, driver="gelsd").solution
        else:
            directions = torch.cholesky_solve(self.means.mT, factor)
        scores: Tensor = f.double() @ directions - (self.means.mT * directions).sum(0) / 2
        return scores.masked_fill(~self.seen, -torch.inf)
