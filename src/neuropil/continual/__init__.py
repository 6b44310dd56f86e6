"""Continual learning: one strategy against forgetting a file, and summaries of the accuracy matrix."""

__all__: list[str] = []
