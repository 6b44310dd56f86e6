"""How often a dendritic segment that samples a sparse pattern fires for another one, or misses its own: exact counting laws.

A population of ``n`` cells of which ``active`` fire at a time; a segment with ``synapses`` from different cells fires where ``threshold`` or
more of these are active. All patterns with that many active cells are taken as equally likely. Source: ahmad2016.
"""

from __future__ import annotations

import math
from fractions import Fraction

from neuropil.data.checks import whole


def false_match(n: int, active: int, synapses: int, threshold: int) -> float:
    """Return the probability that a random pattern makes a segment fire.

    Equation: ``sum_(b >= threshold) C(synapses, b) C(n - synapses, active - b) / C(n, active)``, in whole numbers, so that 1e-40 is as exact as 0.4.
    Of ``m`` segments on separate patterns at least one fires with about ``1 - (1 - P)^m``. Source: ahmad2016.
    Raises ``ValueError`` for counts below 0, more active cells or synapses than cells; ``TypeError`` for numbers that are not whole.
    """
    whole("n", n, 1)
    _part("active", active, n, "cells")
    _part("synapses", synapses, n, "cells")
    whole("threshold", threshold, 0)
    return float(_at_least(threshold, n, active, synapses))


def missed_match(active: int, synapses: int, threshold: int, moved: int) -> float:
    """Return the probability that a segment misses its own pattern when ``moved`` of its active cells fall silent and as many others fire instead.

    Equation: of ``synapses`` on ``active`` cells a hypergeometric number is lost, ``P(synapses - lost < threshold)``. The cells that fire instead
    are silent in the pattern, so none of them is sampled. Source: ahmad2016 (false negatives). Raises as ``false_match``.
    """
    whole("active", active, 1)
    _part("synapses", synapses, active, "active cells")
    _part("moved", moved, active, "active cells")
    whole("threshold", threshold, 0)
    return float(_at_least(synapses - threshold + 1, active, moved, synapses))


def union_size(n: int, active: int, patterns: int) -> float:
    """Return how many different cells ``patterns`` random patterns are expected to use together: ``n (1 - (1 - active / n)^patterns)``.

    A segment that holds all of them has so many synapses, and ``false_match`` of that number, rounded, is its rate of false matches.
    Source: ahmad2016 (the union property). Raises as ``false_match``.
    """
    whole("n", n, 1)
    _part("active", active, n, "cells")
    whole("patterns", patterns, 0)
    return n * (1 - (1 - active / n) ** patterns)


def _at_least(threshold: int, n: int, active: int, synapses: int) -> Fraction:
    """``P(b >= threshold)`` of ``b`` among ``synapses`` marked cells when ``active`` of ``n`` are drawn."""
    ways = sum(math.comb(synapses, b) * math.comb(n - synapses, active - b) for b in range(max(threshold, 0), min(synapses, active) + 1))
    return Fraction(ways, math.comb(n, active))


def _part(name: str, value: int, of: int, what: str) -> None:
    if whole(name, value, 0) > of:
        raise ValueError(f"{name} is at most the {of} {what} there are, {value} was given.")
