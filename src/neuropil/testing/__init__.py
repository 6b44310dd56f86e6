"""Tests that a part or a study must pass wherever it lives: the library's own, to be run on yours."""

from neuropil.testing.bench import Bench
from neuropil.testing.studies import check_study, load_study
from neuropil.testing.suite import Check, check_part, checks

__all__ = ["Bench", "Check", "check_part", "check_study", "checks", "load_study"]
