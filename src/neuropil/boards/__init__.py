"""Boards: parts of one kind crossed with tasks, one board a file; run by ``neuropil board``."""
