"""How a result is put into words and numbers: what a verdict claims and what it does not, digits that the interval supports."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

Plain = Mapping[str, Any]

MEANINGS = {
    "supported": "The 95 % interval lies above no effect, and the effect is at least the smallest difference that matters.",
    "negligible": "The whole 90 % interval lies within the smallest difference that matters, either way.",
    "reversed": "The 95 % interval lies below no effect, and the effect is at least the smallest difference that matters, the other way.",
    "undecided": "The interval is compatible with more than one answer; more seeds or a sharper assay could tell.",
    "descriptive": "Numbers and figures are shown; the audit does not allow a verdict on them.",
    "unverifiable": "What was run is shown for what it is; it carries no badge.",
    "exploratory": "An estimate from seeds anyone may choose; only a registered run gives a verdict.",
}
EQUAL_MEANINGS = {
    "supported": "The whole 90 % interval lies within the smallest difference that matters, either way.",
    "reversed": "The 95 % interval leaves out no effect, and the difference is at least as large as what matters.",
    "undecided": "The interval is compatible with more than one answer; more seeds or a sharper assay could tell.",
}
STANDING = {
    "fresh": "",
    "carried": "Carried: the code has changed since, and one small cell an arm still gives the same numbers; the seeds were not run again.",
    "stale": "Stale: the code has changed since this result was computed. `neuropil refresh` says whether it still stands.",
}
"""Whether the code is still that of the result."""
FIDELITY = {
    "code": "Read from the paper and its authors' code",
    "paper": "Read from the paper's equations",
    "reconstructed": "Our reading of the paper, whose description leaves choices open",
    "unverifiable": "The paper gives no recoverable equations",
}
SCALE = {
    "own": "the paper's own data and size",
    "reduced": "the paper's data, reduced in size",
    "proxy": "other data in the place of the paper's",
}
CHECKS = {
    "dose": "the mechanism acted",
    "gate": "the assay can show the effect",
    "lesion": "without the mechanism it costs",
    "off": "strength 0 is the control",
    "matched": "held equal, primary",
    "matched (secondary)": "held equal, secondary",
}


def kind_of(result: Plain) -> str:
    """Name the word a page stands under: the verdict's, or ``exploratory``."""
    return str(result["verdict"]["word"]) if result["verdict"] else "exploratory"


def at_scale(result: Plain) -> str:
    """Say the scale that every badge carries, ``at desk scale``."""
    return f"at {result['budget']['name']} scale"


def decimals(*values: float) -> int:
    """Give the decimals that show two figures of the largest of ``values``, such as an interval's half width: 0 to 8."""
    size = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return 3 if size == 0 else max(0, min(8, 1 - math.floor(math.log10(size))))


def text_of(value: float, places: int | None = None, *, signed: bool = False) -> str:
    """Write a number: so many decimals, or four figures; a true minus sign; thousands apart; ``never`` for infinity."""
    if not math.isfinite(value):
        return "never" if value > 0 else "no bound" if value < 0 else "not a number"
    if places is not None:
        written = f"{value:+,.{places}f}" if signed else f"{value:,.{places}f}"
    elif value == int(value) and abs(value) < 1e15:
        written = f"{int(value):+,}" if signed else f"{int(value):,}"
    else:
        size = abs(value)
        written = f"{value:,.0f}" if size >= 1e3 else f"{value:.4g}"
        written = f"+{written}" if signed and value > 0 else written
    if not any(digit in written for digit in "123456789"):
        written = written.lstrip("+-")
    return written.replace("-", "\u2212")


def number(value: float, places: int | None = None, *, signed: bool = False) -> Markup:
    """Write a number as HTML that also carries its exact value: ``<data value="0.0312345">0.031</data>``."""
    return Markup('<data value="{}">{}</data>').format(repr(float(value)), text_of(value, places, signed=signed))


def interval(limits: Sequence[float] | None, places: int | None = None, *, signed: bool = False) -> Markup:
    """Write an interval, ``[0.012, 0.050]``; say where there is none."""
    if limits is None:
        return Markup("no interval")
    return Markup("[{}, {}]").format(*(number(v, places, signed=signed) for v in limits))


def mean_of(values: Sequence[float]) -> float:
    """Give the mean over seeds; the median (which may be ``inf``) where some run never got there."""
    if all(math.isfinite(v) for v in values):
        return math.fsum(values) / len(values)
    return sorted(values)[len(values) // 2]


def spread_of(values: Sequence[float]) -> float | None:
    """Give the standard deviation over seeds; ``None`` for one seed, or where some run never got there."""
    if len(values) < 2 or not all(math.isfinite(v) for v in values):
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def summary(values: Sequence[float], kind: str) -> Markup:
    """Write an arm's values in short: mean and spread, successes out of seeds, or a median where some run never got there."""
    if kind == "success":
        return Markup("{} of {}").format(number(sum(values)), len(values))
    if not all(math.isfinite(v) for v in values):
        never = sum(math.isinf(v) for v in values)
        return Markup("median {}, {} of {} never").format(number(mean_of(values)), never, len(values))
    spread = spread_of(values)
    if not spread:
        return number(mean_of(values))
    places = decimals(spread)
    return Markup("{} \u00b1 {}").format(number(mean_of(values), places), number(spread, places))


def probability(p: float) -> Markup:
    """Write a p-value with two figures."""
    return Markup('<data value="{}">{}</data>').format(repr(float(p)), "< 0.0001" if p < 1e-4 else f"{p:.2g}")


class Shown:
    """A contrast as it is shown: on the metric's scale, or as ratios where the statistics were done on logarithms."""

    def __init__(self, contrast: Plain, metrics: Mapping[str, Plain]) -> None:
        self.plain = contrast
        metric = metrics[contrast["on"]]
        self.label, self.kind, self.better = str(metric["label"]), str(metric["kind"]), str(metric["better"])
        self.log = contrast["scale"] == "log"
        self.units = str(contrast["units"])
        self.effect = self.on_scale(contrast["effect"])
        self.interval = None if contrast["interval"] is None else [self.on_scale(v) for v in contrast["interval"]]
        self.interval90 = None if contrast["interval90"] is None else [self.on_scale(v) for v in contrast["interval90"]]
        self.delta = float(contrast["delta"])
        self.band = (1 / self.delta, self.delta) if self.log else (-self.delta, self.delta)
        self.nothing = 1.0 if self.log else 0.0
        self.benefits = [self.on_scale(v) for v in contrast["benefits"]]
        self.prediction = None if contrast["prediction"] is None else [self.on_scale(v) for v in contrast["prediction"]["interval"]]
        half = (self.interval[1] - self.interval[0]) / 2 if self.interval else self.delta
        self.places = 2 if self.log else decimals(half if half and math.isfinite(half) else self.effect or self.delta)
        self.axis = (
            f"{self.label}: {contrast['b']} over {contrast['a']}, ratio"
            if self.log and self.better == "lower"
            else (f"{self.label}: {contrast['a']} over {contrast['b']}, ratio" if self.log else f"benefit in {self.label} ({self.units})")
        )

    def on_scale(self, value: float) -> float:
        """Undo the logarithm where there was one."""
        return math.exp(value) if self.log else float(value)

    @property
    def amount(self) -> Markup:
        """The effect: ``+0.031 share correct``, or ``1.40x fewer steps``."""
        if not self.log:
            return Markup("{} {}").format(number(self.effect, self.places, signed=True), self.units)
        return Markup("{}\u00d7 {} {}").format(number(max(self.effect, 1 / self.effect), 2), self._direction(self.effect >= 1), self.units)

    @property
    def limits(self) -> Markup:
        """The 95 % interval on the same scale."""
        written = interval(self.interval, self.places, signed=not self.log)
        return Markup("{}\u00d7").format(written) if self.log and self.interval else written

    @property
    def margin(self) -> Markup:
        """The smallest difference that matters."""
        return Markup("{}\u00d7").format(number(self.delta)) if self.log else Markup("{} {}").format(number(self.delta), self.units)

    @property
    def predicted(self) -> Markup | None:
        """The 95 % prediction interval."""
        if self.prediction is None:
            return None
        written = interval(self.prediction, self.places, signed=not self.log)
        return Markup("{}\u00d7").format(written) if self.log else written

    def sentence(self) -> Markup:
        """Say what was measured: ``Measured by test accuracy, learned was better than random by 0.031 share correct``."""
        a, b = self.plain["a"], self.plain["b"]
        if self.log:
            said = Markup("<b>{}</b> needed <b>{}\u00d7 {}</b> {} than <b>{}</b>").format(
                a, number(max(self.effect, 1 / self.effect), 2), self._direction(self.effect >= 1), self.units, b
            )
        elif round(self.effect, self.places) == 0:
            said = Markup("Measured by {}, <b>{}</b> and <b>{}</b> came out equal, to the digits that the interval supports").format(
                self.label, a, b
            )
        else:
            side = "better" if self.effect > 0 else "worse"
            said = Markup("Measured by {}, <b>{}</b> was {} than <b>{}</b> by <b>{}</b> {}").format(
                self.label, a, side, b, number(abs(self.effect), self.places), self.units
            )
        return said

    def _direction(self, benefit: bool) -> str:
        less = (self.better == "lower") == benefit
        if self.kind == "time":
            return "less" if less else "more"
        return "fewer" if less else "more"


def id_of(text: str) -> str:
    """Make a part of an id of any text."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "x"


def headline(result: Plain) -> str:
    """Put the verdict into one sentence that claims no more than it may; the badge above it carries the word and the scale."""
    equal = any(c["role"] == "primary" and c["relation"] == "equal" for c in result["contrasts"])
    ours = result["fidelity"] == "reconstructed"
    claim = "our reading of the claim" if ours else "the claim"
    benefit = "The benefit, in our reading of the claim," if ours else "The claimed benefit"
    match kind_of(result):
        case "supported" if equal:
            return f"As in {claim}, a difference that matters was not seen here."
        case "supported":
            return f"{claim.capitalize()} holds here, by at least as much as matters."
        case "negligible":
            return f"{benefit} was not seen here: whatever difference there is, it is too small to matter."
        case "reversed" if equal:
            return f"Unlike in {claim}, a difference that matters was seen here."
        case "reversed":
            return f"{benefit} was not seen here: the difference went the other way."
        case "undecided":
            return f"Neither {claim} nor its absence was seen clearly enough here."
        case "descriptive":
            return "Numbers and figures, and no verdict."
        case "unverifiable":
            return "The text gives no recoverable equations, so no run of ours can speak for it."
    return "This run is exploratory: it shows an effect and how sure it is, and it has no verdict."


def meaning(result: Plain) -> str:
    """Say what the word means."""
    word = kind_of(result)
    equal = any(c["role"] == "primary" and c["relation"] == "equal" for c in result["contrasts"])
    return EQUAL_MEANINGS.get(word, MEANINGS[word]) if equal else MEANINGS[word]
