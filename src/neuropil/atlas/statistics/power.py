"""How many seeds it takes: the power of the tests in ``estimates`` to tell a benefit of delta from zero."""

from __future__ import annotations

import math

from neuropil.atlas.contrast import Contrast
from neuropil.atlas.statistics.estimates import Estimate, t_quantile
from neuropil.atlas.statistics.exact import mcnemar

FEWEST, MOST, WANTED_POWER, LEAST_POWER = 10, 30, 0.9, 0.8


def power(spread: float, delta: float, n: int, overlap: float = 0.0) -> float:
    """Give the chance that L > 0 when the true benefit is ``delta``: the paired t test's power, noncentral t with n - 1 degrees of freedom.

    ``overlap`` is test/train where splits overlap (nadeau2003). The word *supported* also needs d >= delta, which at a true benefit of
    exactly delta happens half of the time; the power stated is for telling the benefit from zero.
    """
    from scipy.stats import nct

    if spread == 0:
        return 1.0
    noncentrality = delta / (spread * math.sqrt(1 / n + overlap))
    if noncentrality > 30:
        return 1.0
    return float(nct.sf(t_quantile(0.975, n - 1), n - 1, noncentrality))


def success_power(discordant: float, delta: float, n: int) -> float:
    """Give the chance that the exact McNemar test finds a true difference ``delta`` of success rates, by summing over all outcomes.

    ``discordant`` is the share of seeds on which the arms disagree; at least ``delta`` of them must.
    """
    from scipy.stats import multinomial

    discordant = min(1.0, max(discordant, delta))
    better, worse = (discordant + delta) / 2, (discordant - delta) / 2
    law = multinomial(n, [better, worse, max(0.0, 1 - better - worse)])
    return float(
        sum(
            law.pmf([wins, losses, n - wins - losses])
            for wins in range(n + 1)
            for losses in range(n + 1 - wins)
            if wins > losses and mcnemar(wins, losses) < 0.05
        )
    )


def seeds_needed(found: Estimate, contrast: Contrast) -> tuple[int, float]:
    """Find the smallest n from 10 to 30 with 90 % power at delta, given the spread in ``found``; (30, its power) where none has it."""
    delta = math.log(contrast.delta) if found.scale == "log" else contrast.delta
    reached = 0.0
    for n in range(FEWEST, MOST + 1):
        if found.kind == "success":
            reached = success_power(sum(b != 0 for b in found.benefits) / found.n, delta, n)
        else:
            reached = power(found.spread, delta, n, found.overlap)
        if reached >= WANTED_POWER:
            return n, reached
    return MOST, reached
