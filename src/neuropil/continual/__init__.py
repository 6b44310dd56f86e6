"""Continual learning: one strategy against forgetting a file, and summaries of the accuracy matrix."""

from neuropil.continual.gradient_projection import GradientProjection, Subspace, principal_subspace, random_rows, subspace_overlap
from neuropil.continual.hebbian_subspace import HebbianSubspace
from neuropil.continual.metrics import ContinualMetrics, continual_metrics

__all__ = [
    "ContinualMetrics",
    "GradientProjection",
    "HebbianSubspace",
    "Subspace",
    "continual_metrics",
    "principal_subspace",
    "random_rows",
    "subspace_overlap",
]
