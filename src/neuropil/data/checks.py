"""Checks of numbers that carry a unit, so that every part says the same sentence."""

from __future__ import annotations

import math

import numpy as np


def positive(name: str, value: float, unit: str) -> float:
    """Give ``value`` back if it is a finite number above 0. Raises ``TypeError`` for what is no number, ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is a number in {unit}, {value!r} of type {type(value).__name__} was given.")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is a finite number of {unit} above 0, {value} was given.")
    return float(value)


def whole(name: str, value: int, least: int) -> int:
    """Give ``value`` back if it is a whole number of at least ``least``. Raises ``TypeError`` or ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is a whole number, {value!r} of type {type(value).__name__} was given.")
    if value < least:
        raise ValueError(f"{name} is at least {least}, {value} was given.")
    return int(value)
