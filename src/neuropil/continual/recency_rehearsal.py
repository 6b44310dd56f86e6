"""Recency rehearsal: old tasks come back beside the new one, the more rarely the longer ago they came."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.fine_tuning import plain
from neuropil.continual.strategy import STRATEGIES, Batch, Loss, Optimizer, State, Strategy

Law = Callable[[Tensor], Tensor]
"""Weights f64 [K], from 0, of old tasks whose lags are f64 [K]; they need not sum to 1."""


class Since(StrEnum):
    """What a lag is counted from: the task's introduction, or the last time that an example of it was shown."""

    INTRODUCTION = "introduction"
    PRACTICE = "practice"


def power_law(exponent: float) -> Law:
    """``w = lag ** -exponent``; 0 is uniform. Source: gandhi2024. Raises ``ValueError`` for an exponent that is not finite."""
    if not math.isfinite(exponent):
        raise ValueError(f"power_law takes a finite exponent, {exponent} was given.")
    return lambda lag: lag**-exponent


def exponential_law(rate: float) -> Law:
    """``w = exp(-rate lag)``. Source: gandhi2024. Raises ``ValueError`` for a rate that is not finite."""
    if not math.isfinite(rate):
        raise ValueError(f"exponential_law takes a finite rate, {rate} was given.")
    return lambda lag: (-rate * (lag - lag.min())).exp()


def share_out(total: int, weights: Tensor) -> Tensor:
    """Split ``total`` things in proportion to ``weights`` f64 [K] by largest remainders (Hamilton's method): i64 [K] that sums to ``total``."""
    exact = total * weights / weights.sum()
    counts = exact.floor()
    rest = total - int(counts.sum())
    counts[(exact - counts).argsort(descending=True, stable=True)[:rest]] += 1
    return counts.long()


@STRATEGIES.register(cites=("gandhi2024",), tags=("replay",), example={"ratio": 0.5}, off={"ratio": 0.0}, like=plain)
class RecencyRehearsal(Strategy):
    """Rehearsal by recency: beside a task's N examples, ``round(ratio N)`` of earlier tasks are learned, task i with share ``w(t - t_i) / sum_j w(t - t_j)``.

    ``t - t_i``: tasks since task i was introduced, or last shown (``since``), 1 for the latest. ``law`` gives ``w`` (``power_law(1.0)``). ``recurring`` None: the volume is
    divided over all earlier tasks by their shares, in whole examples by largest remainders; a number m: only m of them come back (all, if there are fewer), drawn one after the other
    without replacement with probability proportional to ``w``, and share the volume equally. Counted from the last practice, divided volumes would be uniform for every law, as each old task is practised in each task's time.

    Each task's examples are kept, all of them: it stands for an environment in which tasks recur, and not for a memory of a size, so it does not run online. When a task begins those to be rehearsed are drawn, without replacement while a task has enough; they are spread evenly over the batches of one pass, each step
    descending the mean loss over new and old together; later passes show them again in another order. Reports ``replayed``, the share of the step's examples that are old, ``lag``, the mean lag since introduction of what this task's time rehearses,
    and ``fewest``, the number of examples of the old task that is rehearsed least (both 0 in the first task). Source: gandhi2024 (our reading).
    Raises ``ValueError`` for a ratio below 0, ``recurring`` below 1, an unknown ``since``, ``since="practice"`` with volumes divided, and weights that are below 0, not finite or all 0.
    """

    needs_boundaries: ClassVar[bool] = True
    revisits: ClassVar[bool] = True

    def __init__(
        self,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        ratio: float,
        law: Law | None = None,
        since: Since | str = Since.INTRODUCTION,
        recurring: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(optimizer, loss, generator=generator)
        if not 0 <= ratio < math.inf or (recurring is not None and recurring < 1) or since not in list(Since):
            raise ValueError(
                f"RecencyRehearsal takes a finite ratio from 0, recurring from 1 or None and since {' or '.join(Since)}; "
                f"{ratio}, {recurring} and {since!r} were given."
            )
        if since == Since.PRACTICE and recurring is None:
            raise ValueError(
                "Counted from the last practice, volumes divided over all old tasks are uniform under every law; give recurring=, how many come back."
            )
        self.ratio, self.law, self.since, self.recurring = ratio, law or power_law(1.0), Since(since), recurring

    def init(self, model: nn.Module) -> State:
        """Make the first state: no task has ended."""
        nothing = torch.zeros(0, dtype=torch.long)
        return super().init(model) | {
            "kept": [],
            "sizes": [],
            "practised": [],
            "plan": nothing,
            "place": 0,
            "owed": 0.0,
            "lag": 0.0,
            "fewest": 0,
        }

    def begin(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Draw what is rehearsed beside the coming task."""
        sizes, now = state["sizes"], len(state["sizes"])
        total = round(self.ratio * len(examples[0])) if now else 0
        counts = self.allot(total, now, state["practised"]) if total else torch.zeros(now, dtype=torch.long)
        ends = torch.tensor(sizes, dtype=torch.long).cumsum(0).tolist()
        drawn = [end - size + self._draw(size, int(count)) for size, end, count in zip(sizes, ends, counts, strict=True)]
        plan = torch.cat(drawn) if drawn else torch.zeros(0, dtype=torch.long)
        practised = [now if count else last for last, count in zip(state["practised"], counts.tolist(), strict=True)]
        lag = float((counts * (now - torch.arange(now))).sum()) / total if total else 0.0
        return state | {
            "plan": plan[torch.randperm(len(plan), generator=self.generator)],
            "practised": practised,
            "place": 0,
            "owed": 0.0,
            "lag": lag,
            "fewest": int(counts.min()) if now else 0,
        }

    def allot(self, total: int, now: int, practised: list[int]) -> Tensor:
        """How many of ``total`` examples each of the tasks 0 .. now - 1 contributes to the time of task ``now``: i64 [now]; ``practised``: when each was last shown."""
        last = torch.arange(now) if self.since is Since.INTRODUCTION else torch.tensor(practised)
        weights = self.law((now - last).double())
        if weights.shape != (now,) or not bool(weights.isfinite().all()) or bool((weights < 0).any()) or not float(weights.sum()) > 0:
            raise ValueError(
                f"A law gives a finite weight from 0 for each of {now} lags, one of them above 0; {weights.tolist()} came back."
            )
        if self.recurring is None:
            return share_out(total, weights)
        number = min(self.recurring, int((weights > 0).sum()))
        chosen = torch.multinomial(weights, number, generator=self.generator)
        counts = torch.zeros(now, dtype=torch.long)
        counts[chosen] = share_out(total, torch.ones(number, dtype=torch.float64))
        return counts

    def end(self, model: nn.Module, examples: Batch, state: State) -> State:
        """Keep the task's examples."""
        kept: list[Tensor] = state["kept"]
        both = [torch.cat(pair) for pair in zip(kept, examples, strict=True)] if kept else list(examples)
        now = len(state["sizes"])
        return state | {"kept": both, "sizes": [*state["sizes"], len(examples[0])], "practised": [*state["practised"], now]}

    def objective(self, model: nn.Module, batch: Batch, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss over new and old examples."""
        size = len(batch[0])
        if len(state["plan"]):
            state["owed"] += self.ratio * size
            number = int(state["owed"] + 0.5)
            state["owed"] -= number
            chosen = self._next(number, state).to(batch[0].device)
            batch = [torch.cat([new, old[chosen]]) for new, old in zip(batch, state["kept"], strict=True)]
        loss, said = super().objective(model, batch, state)
        numbers = {"replayed": 1 - size / len(batch[0]), "lag": state["lag"], "fewest": float(state["fewest"])}
        return loss, said | {name: torch.tensor(value) for name, value in numbers.items()}

    def _next(self, number: int, state: State) -> Tensor:
        """The next ``number`` of the plan, shuffled anew whenever all of it has been shown."""
        parts = []
        while number:
            if state["place"] == len(state["plan"]):
                state["plan"], state["place"] = state["plan"][torch.randperm(len(state["plan"]), generator=self.generator)], 0
            part = state["plan"][state["place"] : state["place"] + number]
            state["place"] += len(part)
            number -= len(part)
            parts.append(part)
        return torch.cat(parts) if parts else state["plan"][:0]

    def _draw(self, size: int, count: int) -> Tensor:
        """``count`` of ``size`` places, each as often as any other to within one."""
        rounds = [torch.randperm(size, generator=self.generator) for _ in range(-(-count // size))]
        return torch.cat(rounds)[:count] if rounds else torch.zeros(0, dtype=torch.long)
