"""``fit``: a model, some data and a learning rule, from the first epoch to the last, resumable at every epoch."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from neuropil.learning.checkpoint import CheckpointError, load_checkpoint, restore, save_checkpoint
from neuropil.learning.progress import Bar

Metrics = Mapping[str, float | Tensor]


class Rule(Protocol):
    """A learning rule: what it remembers between steps, and how one batch changes the model."""

    def init(self, model: nn.Module) -> Any:
        """Make the rule's first state for this model."""
        ...

    def step(self, model: nn.Module, batch: tuple[Tensor, ...], state: Any) -> tuple[Any, Metrics]:
        """Change the model in place; return the next state and scalars, means over the batch."""
        ...


@dataclass
class History:
    """What happened: one dictionary of metrics an epoch, the epoch with the lowest validation, and whether patience ended it."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped_early: bool = False

    def __len__(self) -> int:
        return len(self.epochs)

    def series(self, name: str) -> list[float]:
        """One metric over the epochs; ``ValueError`` if it was not recorded."""
        if not self.epochs or any(name not in epoch for epoch in self.epochs):
            raise ValueError(
                f"{name!r} was not recorded at every epoch; recorded are {', '.join(self.epochs[0]) if self.epochs else 'none'}."
            )
        return [epoch[name] for epoch in self.epochs]


def fit(
    model: nn.Module,
    data: Sequence[Tensor],
    rule: Rule,
    *,
    epochs: int,
    seed: int,
    batch_size: int,
    validation: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    after_step: Callable[[int, nn.Module, Metrics], None] | None = None,
    after_epoch: Callable[[int, nn.Module, dict[str, float]], Mapping[str, float] | None] | None = None,
    progress: bool = True,
) -> History:
    """Teach ``model`` with ``rule`` on ``data``, tensors [N, ...] that are cut into batches along their first axis.

    The order of the data is a fresh permutation an epoch, and torch's own generators are seeded an epoch (for dropout), both from
    ``seed`` alone; outside, torch's generators stay as they were. ``validation(model)`` is a number, the lower the better, taken in
    evaluation mode without gradients; after ``patience`` epochs without a lower one learning ends, and with ``patience`` given the model
    ends with the state of its best epoch. ``after_step(step, model, metrics)`` and ``after_epoch(epoch, model, metrics)`` look on; what
    the second returns joins the history.

    ``checkpoint`` is a path, written after every epoch. If it exists, learning goes on from there, and ends in exactly the bits of a run
    that was never interrupted (on one machine with the same threads).

    Raises ``ValueError`` for unusable arguments and ``CheckpointError`` for a damaged or foreign checkpoint.
    """
    data = _checked(data, epochs, batch_size, patience, validation)
    n = len(data[0])
    history, state, best, start = History(), rule.init(model), None, 0
    setting = {"seed": seed, "n": n, "batch_size": batch_size, "rule": type(rule).__name__, "patience": patience}
    if checkpoint is not None and Path(checkpoint).exists():
        saved = load_checkpoint(checkpoint)
        if not isinstance(saved, dict) or not saved.keys() >= {"setting", "model", "state", "best", "history"}:
            raise CheckpointError(f"{checkpoint} was not written by fit; give another path.")
        if saved["setting"] != setting:
            changed = ", ".join(
                f"{key} {saved['setting'].get(key)!r}, now {setting[key]!r}" for key in setting if saved["setting"].get(key) != setting[key]
            )
            raise CheckpointError(f"{checkpoint} belongs to another run ({changed}); give that run's settings or another path.")
        restore(model, saved["model"])
        state, best, history = restore(state, saved["state"]), saved["best"], History(**saved["history"])
        start = len(history)
    steps = -(-n // batch_size)
    training, devices = model.training, _cuda(model)
    with Bar(epochs * steps, "fit", show=progress) as bar:
        bar.advance(start * steps)
        for epoch in range(start, epochs):
            if history.stopped_early:
                break
            with torch.random.fork_rng(devices=devices):
                for generator in (torch.default_generator, *(torch.cuda.default_generators[i] for i in devices)):
                    generator.manual_seed(_derive(seed, "noise", epoch))
                order = torch.randperm(n, generator=torch.Generator().manual_seed(_derive(seed, "order", epoch)))
                model.train()
                sums: dict[str, float | Tensor] = {}
                for step, index in enumerate(torch.split(order, batch_size), epoch * steps):
                    batch = tuple(tensor[index.to(tensor.device)] for tensor in data)
                    state, metrics = rule.step(model, batch, state)
                    for name, value in metrics.items():
                        sums[name] = sums.get(name, 0.0) + (value.detach().double() if isinstance(value, Tensor) else value) * len(index)
                    if after_step is not None:
                        after_step(step, model, metrics)
                    bar.advance()
                record = {name: float(total) / n for name, total in sums.items()}
                model.eval()
                if validation is not None:
                    with torch.no_grad():
                        record["validation"] = float(validation(model))
                if after_epoch is not None:
                    record |= after_epoch(epoch, model, dict(record)) or {}
            history.epochs.append(record)
            if validation is not None:
                values = history.series("validation")
                if history.best_epoch is None or values[epoch] < values[history.best_epoch]:
                    history.best_epoch = epoch
                    best = copy.deepcopy(model.state_dict()) if patience is not None else None
                history.stopped_early = patience is not None and epoch - history.best_epoch >= patience
            if checkpoint is not None:
                save_checkpoint(checkpoint, {"setting": setting, "model": model, "state": state, "best": best, "history": vars(history)})
            bar.describe("  ".join([f"epoch {epoch + 1}/{epochs}", *(f"{name} {value:.4g}" for name, value in record.items())]))
    if best is not None:
        model.load_state_dict(best)
    model.train(training)
    return history


def _checked(data: Sequence[Tensor] | Tensor, epochs: int, batch_size: int, patience: int | None, validation: object) -> tuple[Tensor, ...]:
    if isinstance(data, Tensor) or not data or not all(isinstance(tensor, Tensor) and tensor.ndim for tensor in data):
        raise ValueError("fit takes data as a tuple of tensors [N, ...], for example (inputs, targets); wrap a single tensor as (tensor,).")
    if len({len(tensor) for tensor in data}) != 1 or not len(data[0]):
        raise ValueError(f"fit needs tensors of one length N > 0, lengths {[len(tensor) for tensor in data]} were given; match them.")
    if epochs < 0 or batch_size < 1 or (patience is not None and patience < 1):
        raise ValueError(f"fit takes epochs from 0, batch_size and patience from 1; {epochs}, {batch_size} and {patience} were given.")
    if patience is not None and validation is None:
        raise ValueError("patience needs something to wait for; give validation=, a function from the model to a number to lower.")
    return tuple(data)


def _cuda(model: nn.Module) -> list[int]:
    return sorted({parameter.device.index for parameter in model.parameters() if parameter.device.type == "cuda"})


def _derive(seed: int, axis: str, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"neuropil/fit/{seed}/{axis}/{epoch}".encode()).digest()[:8], "big") >> 1
