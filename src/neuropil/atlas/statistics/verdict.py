"""From an estimate to one word.

With d the mean benefit over seeds and [L, U] its 95 % interval:

- *negligible*: the 90 % interval lies inside (-delta, delta);
- *supported*: L > 0 and d >= delta;
- *reversed*: U < 0 and d <= -delta;
- *undecided*: otherwise, and wherever *negligible* would rest on runs that never got there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from neuropil.atlas.contrast import Contrast
from neuropil.atlas.statistics.estimates import Estimate

Word = Literal["supported", "negligible", "reversed", "undecided", "descriptive", "unverifiable"]
_ROUNDING = 1e-9


def judge(found: Estimate, contrast: Contrast) -> Word:
    """Turn an estimate into its word for this contrast (see the module's head); ``relation="equal"`` claims the negligible difference."""
    delta = math.log(contrast.delta) if found.scale == "log" else contrast.delta
    enough = delta * (1 - _ROUNDING)
    significant = found.kind != "success" or (found.p is not None and found.p < 0.05)
    word: Word = "undecided"
    if -delta < found.interval90[0] and found.interval90[1] < delta:
        word = "undecided" if found.censored else "negligible"
    elif found.interval[0] > 0 and found.effect >= enough and significant:
        word = "supported"
    elif found.interval[1] < 0 and found.effect <= -enough and significant:
        word = "reversed"
    if contrast.relation == "equal":
        claimed: dict[Word, Word] = {"negligible": "supported", "supported": "reversed", "reversed": "reversed"}
        return claimed.get(word, "undecided")
    return word


def conjunction(words: Sequence[Word]) -> Word:
    """Join several primary contrasts, which must all pass: supported if all are, else the worst of reversed, negligible, undecided."""
    for worst in ("reversed", "negligible", "undecided"):
        if worst in words:
            return worst
    return "supported"
