"""Boards: parts of one kind crossed with tasks under equal budgets, ranked with intervals and costs; descriptive, without a verdict."""

from neuropil.atlas.board.form import Board, Entry, Task
from neuropil.atlas.board.result import results

__all__ = ["Board", "Entry", "Task", "results"]
