"""Synthetic tasks in time whose classes are known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuropil.data.checks import positive, whole


@dataclass(frozen=True)
class LagPatterns:
    """Lag-pattern timing task: pairs of spike trains; how far each pair's second lags its first is the class, and nothing else is.

    ``a_p[t] ~ Bernoulli(rate dt)``; ``b_p[t] = a_p[(t - lags[k][p]) mod T]``. Channels are ``a_0, b_0, a_1, b_1, ...``. Time is a ring, so
    ``b_p`` has exactly as many spikes as ``a_p``: spike counts have one law under every class, and no readout of them passes chance. The same
    holds for all the ``a_p``, or all the ``b_p``, by themselves. Delays that undo the lags make each pair coincide. (The largest of several weighted sums
    over channels *and* moments is no longer a readout of single channels: it can sense covariances, and passes chance somewhat.)

    ``lags`` [K][P] in steps, one row a class, all rows different modulo ``steps``; ``steps`` T; ``dt`` in seconds; ``rate`` in hertz. ``noise`` in hertz: spikes
    are added to every channel, whatever the class, with probability ``noise dt`` a step (a step holds one spike at most). The task is our own.

    Raises ``ValueError`` for fewer than two classes, ragged or equal rows, lags of T or more, times that are not positive, probabilities above 1.
    """

    lags: tuple[tuple[int, ...], ...]
    steps: int
    dt: float
    rate: float
    noise: float = 0.0

    def __post_init__(self) -> None:
        whole("steps", self.steps, 1)
        positive("dt", self.dt, "seconds")
        positive("rate", self.rate, "hertz")
        if self.noise != 0:
            positive("noise", self.noise, "hertz")
        for name in ("rate", "noise"):
            if getattr(self, name) * self.dt > 1:
                raise ValueError(
                    f"{name} times dt is a probability, {getattr(self, name) * self.dt:g} was given; shorten dt or lower {name}."
                )
        if isinstance(self.lags, Sequence) and all(isinstance(row, list) for row in self.lags):
            object.__setattr__(self, "lags", tuple(map(tuple, self.lags)))
        if not (isinstance(self.lags, tuple) and all(isinstance(row, tuple) for row in self.lags)):
            raise TypeError(
                f"lags hold one row of whole numbers a class, a {type(self.lags).__name__} of other things was given; for an array take its tolist()."
            )
        if len(self.lags) < 2 or not self.lags[0] or any(len(row) != len(self.lags[0]) for row in self.lags):
            raise ValueError(f"lags hold one row a class, two at least, with one lag a pair in each, {self.lags} was given.")
        for lag in (lag for row in self.lags for lag in row):
            if isinstance(lag, bool) or not isinstance(lag, int) or abs(lag) >= self.steps:
                raise ValueError(f"A lag is a whole number of steps between {1 - self.steps} and {self.steps - 1}, {lag!r} was given.")
        if len({tuple(lag % self.steps for lag in row) for row in self.lags}) < len(self.lags):
            raise ValueError(f"Every class needs lags of its own (on a ring of {self.steps} steps), {self.lags} repeats one.")

    @classmethod
    def balanced(
        cls, *, classes: int, pairs: int, spacing: int, steps: int, dt: float, rate: float, generator: torch.Generator, noise: float = 0.0
    ) -> LagPatterns:
        """Draw lags so that in every pair the classes take ``0, spacing, 2 spacing, ...``, each once, centred, in an order drawn for that pair."""
        whole("classes", classes, 2)
        whole("pairs", pairs, 1)
        _torch(generator)
        whole("spacing", spacing, 1)
        orders = torch.stack([torch.randperm(classes, generator=generator, device=generator.device) for _ in range(pairs)], 1)
        lags = (orders - (classes - 1) // 2) * spacing
        return cls(tuple(tuple(row) for row in lags.tolist()), steps, dt, rate, noise)

    @property
    def channels(self) -> int:
        """How many spike trains an example has: two a pair."""
        return 2 * len(self.lags[0])

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` examples: spikes f32 [T, n, 2P], 0 or 1, and labels i64 [n], the classes as equally frequent as ``n`` allows; on the generator's device."""
        whole("n", n, 1)
        device = _torch(generator).device
        labels = torch.randperm(n, generator=generator, device=device) % len(self.lags)
        pairs = len(self.lags[0])
        first = torch.rand(self.steps, n, pairs, generator=generator, device=device) < self.rate * self.dt
        source = (torch.arange(self.steps, device=device)[:, None, None] - torch.tensor(self.lags, device=device)[labels]) % self.steps
        spikes = torch.stack([first, first.gather(0, source)], -1).reshape(self.steps, n, 2 * pairs)
        if self.noise:
            spikes |= torch.rand(spikes.shape, generator=generator, device=device) < self.noise * self.dt
        return spikes.float(), labels


def _torch(generator: torch.Generator) -> torch.Generator:
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"A LagPatterns draws from a torch.Generator, {type(generator).__name__} was given; make one and seed it.")
    return generator
