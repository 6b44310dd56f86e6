"""Tests that a part must pass wherever it lives: the library's own suite, to be run on yours."""

from neuropil.testing.bench import Bench
from neuropil.testing.suite import Check, check_part, checks

__all__ = ["Bench", "Check", "check_part", "checks"]
