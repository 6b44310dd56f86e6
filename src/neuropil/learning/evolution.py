"""Evolution strategies: climb a return by trying random directions both ways, with no gradient."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Shaping = Literal["ranks", "returns", "ars"]


class EvolutionState(NamedTuple):
    """``parameters`` f64 [P]; ``first`` and ``second`` f64 [P], Adam's moments; ``generation``, how many updates were made."""

    parameters: Floats
    first: Floats
    second: Floats
    generation: int


def centred_ranks(returns: npt.ArrayLike) -> Floats:
    """Replace returns by their ranks, spread evenly over -0.5 .. 0.5; equal ones share their mean rank; [M] -> [M].

    Source: salimans2017.
    """
    values = np.asarray(returns, np.float64)
    less, equal = (values[:, None] > values).sum(axis=1), (values[:, None] == values).sum(axis=1)
    return np.asarray((less + (equal - 1) / 2) / (len(values) - 1) - 0.5)


class Evolution:
    """An antithetic evolution strategy on any vector of parameters: ``ask`` for members, measure their returns, ``tell`` them.

    Equations, e_k ~ N(0, I) for ``pairs`` directions, members ``theta + sigma e_k`` and ``theta - sigma e_k`` with returns F+ and F-::

        g = 1 / (2 n sigma) sum_k (u+_k - u-_k) e_k

    ``shaping``: "returns" u = F (g is the gradient of F smoothed by N(0, sigma^2)), "ranks" u = centred ranks among all members (salimans2017), "ars"
    sums over the ``best`` directions by max(F+, F-) only, and divides by the standard deviation of their 2 n returns instead of 2 sigma (mania2018, V1-t).
    ``theta += step_size * g``, or Adam's step along g with ``adam=True`` (kingma2015; a parameter then moves about ``step_size``).
    Shapes: parameters [P], directions [pairs, P], members [2 pairs, P] (all + first, then all -), returns [2 pairs].
    Source: salimans2017, mania2018. Differs from salimans2017 in that there is no weight decay.
    Raises ``ValueError`` for settings out of range, returns of another shape, or NaN among them.
    """

    def __init__(
        self, sigma: float, step_size: float, pairs: int, *, shaping: Shaping = "ranks", best: int | None = None, adam: bool = False
    ) -> None:
        if not (sigma > 0 and step_size >= 0 and pairs >= 1):
            raise ValueError(f"sigma is above 0, step_size 0 or more, pairs at least 1; {sigma}, {step_size} and {pairs} were given.")
        if shaping not in ("ranks", "returns", "ars"):
            raise ValueError(f"shaping={shaping!r} is not known; accepted are 'ranks', 'returns' and 'ars'.")
        if best is not None and (shaping != "ars" or not 1 <= best <= pairs):
            raise ValueError(f"best= keeps 1 to {pairs} directions under shaping='ars', best={best} with {shaping!r} was given.")
        self.sigma, self.step_size, self.pairs, self.shaping, self.adam = sigma, step_size, pairs, shaping, adam
        self.best = pairs if best is None else best

    def init(self, parameters: npt.ArrayLike) -> EvolutionState:
        """Begin at ``parameters`` [P]."""
        start = np.array(parameters, np.float64)
        if start.ndim != 1 or not len(start):
            raise ValueError(f"Evolution searches one vector of parameters, the shape {start.shape} was given; flatten it.")
        return EvolutionState(start, np.zeros_like(start), np.zeros_like(start), 0)

    def ask(self, state: EvolutionState, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw directions [pairs, P] and the members [2 pairs, P] to try."""
        directions = generator.standard_normal((self.pairs, len(state.parameters)))
        return directions, state.parameters + self.sigma * np.concatenate([directions, -directions])

    def gradient(self, directions: Floats, returns: npt.ArrayLike) -> Floats:
        """Estimate the direction of ascent [P] from the returns [2 pairs] of the members that ``ask`` gave with ``directions``."""
        found = np.asarray(returns, np.float64)
        if found.shape != (2 * self.pairs,) or np.isnan(found).any():
            raise ValueError(
                f"{2 * self.pairs} members were asked for and their returns are needed, none NaN; given was the shape {found.shape}"
                f"{' with NaN' if np.isnan(found).any() else ''}."
            )
        if self.shaping == "ars":
            both = found.reshape(2, self.pairs)
            kept = np.argsort(-both.max(axis=0), kind="stable")[: self.best]
            spread = float(both[:, kept].std())
            return (
                np.asarray((both[0, kept] - both[1, kept]) @ directions[kept] / (self.best * spread)) if spread > 0 else directions[0] * 0
            )
        up, down = (centred_ranks(found) if self.shaping == "ranks" else found).reshape(2, self.pairs)
        return np.asarray((up - down) @ directions / (2 * self.pairs * self.sigma))

    def tell(self, state: EvolutionState, directions: Floats, returns: npt.ArrayLike) -> EvolutionState:
        """Take one step up."""
        ascent, generation = self.gradient(directions, returns), state.generation + 1
        first, second = 0.9 * state.first + 0.1 * ascent, 0.999 * state.second + 0.001 * ascent**2
        if self.adam:
            ascent = first / (1 - 0.9**generation) / (np.sqrt(second / (1 - 0.999**generation)) + 1e-8)
        return EvolutionState(state.parameters + self.step_size * ascent, first, second, generation)
