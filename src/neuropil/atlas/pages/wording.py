"""How a result is put into words and numbers: what a verdict claims and what it does not, digits that the interval supports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

Plain = Mapping[str, Any]

MEANINGS = {
    "supported": "The benefit is above zero and at least as large as the smallest difference that matters.",
    "negligible": "Whatever difference there is, it is smaller than the smallest difference that matters.",
    "reversed": "The difference goes the other way, by at least as much as matters.",
    "undecided": "The interval allows both a difference that matters and none.",
    "descriptive": "Numbers and figures are shown; the audit does not allow a verdict on them.",
    "unverifiable": "The text gives no recoverable equations, so what was run cannot stand for it.",
    "exploratory": "An estimate from seeds anyone may choose; only a registered run gives a verdict.",
}
EQUAL_MEANINGS = {
    "supported": "As claimed, whatever difference there is, it is smaller than the smallest difference that matters.",
    "reversed": "Against the claim of no difference, there is one, and it is at least as large as what matters.",
    "undecided": "The interval allows both a difference that matters and none.",
}
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
        written = f"{value:,.0f}" if size >= 1e4 else f"{value:.4g}"
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


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Give the mean and the standard deviation over seeds, ``None`` for one seed or where a run never got there."""
    if not all(math.isfinite(v) for v in values):
        finite = sorted(values)
        return finite[len(finite) // 2], None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def probability(p: float) -> Markup:
    """Write a p-value with two figures."""
    return (
        Markup('<data value="{}">{}</data>').format(repr(p), "&lt; 0.0001" if p == 0 else f"{p:.2g}")
        if p >= 1e-4
        else Markup('<data value="{}">&lt; 0.0001</data>').format(repr(p))
    )


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
        """Say what was measured: ``learned was 0.031 share correct better than random on test accuracy``."""
        a, b = self.plain["a"], self.plain["b"]
        if self.log:
            said = Markup("<b>{}</b> needed <b>{}\u00d7 {}</b> {} than <b>{}</b>").format(
                a, number(max(self.effect, 1 / self.effect), 2), self._direction(self.effect >= 1), self.units, b
            )
        elif self.effect == 0:
            said = Markup("<b>{}</b> and <b>{}</b> came out equal on {}").format(a, b, self.label)
        else:
            side = "better" if self.effect > 0 else "worse"
            said = Markup("<b>{}</b> was <b>{}</b> {} <b>{}</b> than <b>{}</b> on {}").format(
                a, number(abs(self.effect), self.places), self.units, side, b, self.label
            )
        return said

    def _direction(self, benefit: bool) -> str:
        less = (self.better == "lower") == benefit
        if self.kind == "time":
            return "less" if less else "more"
        return "fewer" if less else "more"


def headline(result: Plain) -> str:
    """Put the verdict into one sentence that claims no more than it may."""
    word, scale = kind_of(result), at_scale(result)
    equal = any(c["role"] == "primary" and c["relation"] == "equal" for c in result["contrasts"])
    reading = "our reading of the claim" if result["fidelity"] == "reconstructed" else "the claim"
    match word:
        case "supported":
            return (
                f"Supported {scale}: {reading} holds here, by at least as much as matters."
                if not equal
                else (f"Supported {scale}: as in {reading}, no difference that matters was seen here.")
            )
        case "negligible":
            return f"Negligible {scale}: a difference that matters was not seen here."
        case "reversed":
            if equal:
                return f"Reversed {scale}: against {reading} of no difference, one that matters was seen here."
            return f"Reversed {scale}: the benefit was not seen here; the difference went the other way."
        case "undecided":
            return f"Undecided {scale}: neither a difference that matters nor its absence was seen here."
        case "descriptive":
            return f"Descriptive {scale}: numbers and figures, and no verdict."
        case "unverifiable":
            return f"Unverifiable {scale}: the text gives no recoverable equations, so no run of ours can speak for it."
    return f"Exploratory, {scale}: an effect with its interval, and no verdict."


def meaning(result: Plain) -> str:
    """Say what the word means."""
    word = kind_of(result)
    equal = any(c["role"] == "primary" and c["relation"] == "equal" for c in result["contrasts"])
    return EQUAL_MEANINGS.get(word, MEANINGS[word]) if equal else MEANINGS[word]
