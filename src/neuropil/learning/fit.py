"""``fit``: a model, some data and a learning rule, from the first epoch to the last, resumable at every epoch."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

import torch
from torch import Tensor, nn

from neuropil.learning.checkpoint import CheckpointError, load_checkpoint, restore, save_checkpoint
from neuropil.learning.progress import Bar
from neuropil.learning.replicas import Replicas, pays

Metrics = Mapping[str, float | Tensor]
Data = Sequence[Tensor]
Validation = Callable[[nn.Module], float]
AfterStep = Callable[[int, nn.Module, Metrics], None]
AfterEpoch = Callable[[int, nn.Module, dict[str, float]], Mapping[str, float] | None]


class Rule(Protocol):
    """A learning rule: what it remembers between steps, and how one batch changes the model.

    A rule that can teach ``Replicas`` at once, with batches and metrics [R, ...], also has ``hindrance(replicas) -> str | None``, which says
    in words why it cannot teach these, or None.
    """

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


@dataclass
class _Run:
    """What belongs to one seed: its model, its history, and with patience the state of its best epoch."""

    seed: int
    model: nn.Module
    history: History = field(default_factory=History)
    best: dict[str, Any] | None = None

    def ends_epoch(self, record: dict[str, float], patience: int | None) -> None:
        """Record an epoch; remember the best one."""
        history, epoch = self.history, len(self.history)
        history.epochs.append(record)
        if "validation" not in record:
            return
        values = history.series("validation")
        if history.best_epoch is None or values[epoch] < values[history.best_epoch]:
            history.best_epoch = epoch
            if patience is not None:
                state = self.model.state_dict()
                self.best = {name: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value) for name, value in state.items()}
        history.stopped_early = patience is not None and epoch - history.best_epoch >= patience


class _Noise:
    """Torch's own generators as each run would find them alone: seeded by its seed and the epoch, and going on from there."""

    def __init__(self, seeds: Sequence[int], devices: Sequence[int]) -> None:
        self.generators = [torch.default_generator, *(torch.cuda.default_generators[i] for i in devices)]
        self.seeds, self.left, self.now = seeds, dict[int, list[Tensor]](), -1

    def of(self, k: int) -> None:
        """Go on with run ``k``."""
        if k == self.now:
            return
        if self.now >= 0:
            self.left[self.now] = [generator.get_state() for generator in self.generators]
        self.now = k
        for i, generator in enumerate(self.generators):
            if k in self.left:
                generator.set_state(self.left[k][i])
            else:
                generator.manual_seed(self.seeds[k])


@overload
def fit(
    model: nn.Module,
    data: Data,
    rule: Rule,
    *,
    epochs: int,
    seed: int,
    batch_size: int,
    validation: Validation | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    after_step: AfterStep | None = None,
    after_epoch: AfterEpoch | None = None,
    progress: bool = True,
) -> History: ...
@overload
def fit(
    model: Replicas,
    data: Data | Sequence[Data],
    rule: Rule,
    *,
    epochs: int,
    seeds: Sequence[int],
    batch_size: int,
    together: bool | None = None,
    validation: Validation | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    after_step: AfterStep | None = None,
    after_epoch: AfterEpoch | None = None,
    progress: bool = True,
) -> list[History]: ...
def fit(
    model: nn.Module,
    data: Data | Sequence[Data],
    rule: Rule,
    *,
    epochs: int,
    batch_size: int,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    together: bool | None = None,
    validation: Validation | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    after_step: AfterStep | None = None,
    after_epoch: AfterEpoch | None = None,
    progress: bool = True,
) -> History | list[History]:
    """Teach ``model`` with ``rule`` on ``data``, tensors [N, ...] that are cut into batches along their first axis.

    The order of the data is a fresh permutation an epoch, and torch's own generators are seeded an epoch (for dropout), both from
    ``seed`` alone; outside, torch's generators stay as they were. ``validation(model)`` is a number, the lower the better, taken in
    evaluation mode without gradients; after ``patience`` epochs without a lower one learning ends, and with ``patience`` given the model
    ends with the state of its best epoch. ``after_step(step, model, metrics)`` and ``after_epoch(epoch, model, metrics)`` look on; what
    the second returns joins the history.

    ``checkpoint`` is a path, written after every epoch. If it exists, learning goes on from there, and ends in exactly the bits of a run
    that was never interrupted (on one machine with the same threads).

    ``seeds`` instead of ``seed``, with ``Replicas`` as the model, is a run a seed and gives a history a seed: each replica ends, to rounding,
    as ``fit(replicas[k], ..., seed=seeds[k])`` would alone, its order of data, its best epoch and its end by patience included. ``data`` is
    shared, or one tuple of tensors a seed, alike in shapes. ``validation`` and the functions that look on see ordinary models, replica by
    replica. ``together=True`` computes all as one batch, ``False`` one after another, and ``None`` as one batch where that was measured to be
    faster than a process a seed (``neuropil.learning.replicas.pays``). One after another, a run's checkpoint has its number behind the name.

    Raises ``ValueError`` for unusable arguments and ``CheckpointError`` for a damaged or foreign checkpoint.
    """
    if (seed is None) == (seeds is None):
        raise ValueError("fit takes either seed=, or seeds= with Replicas of as many models; give one of them.")
    if epochs < 0 or batch_size < 1 or (patience is not None and patience < 1):
        raise ValueError(f"fit takes epochs from 0, batch_size and patience from 1; {epochs}, {batch_size} and {patience} were given.")
    if patience is not None and validation is None:
        raise ValueError("patience needs something to wait for; give validation=, a function from the model to a number to lower.")
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "validation": validation, "patience": patience}
    options |= {"after_step": after_step, "after_epoch": after_epoch, "progress": progress}
    if seed is not None:
        if isinstance(model, Replicas):
            raise ValueError("Replicas learn with a seed each; give seeds= instead of seed=.")
        return _learn(model, [_Run(seed, model)], [_checked(data)], rule, checkpoint=checkpoint, **options)[0]
    seeds = list(seeds or ())
    if not isinstance(model, Replicas) or len(model) != len(seeds):
        given = f"{len(model)} replicas" if isinstance(model, Replicas) else f"a {type(model).__name__}"
        raise ValueError(f"fit takes seeds= with Replicas of as many models, {len(seeds)} seeds and {given} were given; match them.")
    shared = not len(data) or isinstance(data[0], Tensor)
    own = [_checked(one) for one in ([data] if shared else data)]
    shapes = [[list(tensor.shape) for tensor in tensors] for tensors in own]
    if len(own) not in (1, len(seeds)) or any(each != shapes[0] for each in shapes):
        raise ValueError(
            f"fit takes data that all seeds share, or one tuple of tensors a seed, alike in shapes; {shapes} were given for {len(seeds)} seeds."
        )
    if _at_once(model, rule, own[0][0].shape[1:], batch_size, together):
        return _learn(model, [_Run(s, one) for s, one in zip(seeds, model, strict=True)], own, rule, checkpoint=checkpoint, **options)
    paths = [None if checkpoint is None else f"{os.fspath(checkpoint)}-{k}" for k in range(len(seeds))]
    return [fit(model[k], own[k % len(own)], rule, seed=s, checkpoint=paths[k], **options) for k, s in enumerate(seeds)]


def _learn(
    model: nn.Module,
    runs: list[_Run],
    data: Sequence[Data],
    rule: Rule,
    *,
    epochs: int,
    batch_size: int,
    validation: Validation | None,
    patience: int | None,
    checkpoint: str | os.PathLike[str] | None,
    after_step: AfterStep | None,
    after_epoch: AfterEpoch | None,
    progress: bool,
) -> list[History]:
    """Teach one model, or the replicas of several runs at once; ``data`` of all, or of each."""
    together, seeds, n = isinstance(model, Replicas), [run.seed for run in runs], len(data[0][0])
    state, steps = rule.init(model), -(-n // batch_size)
    setting = {"seed": seeds if together else seeds[0], "n": n, "batch_size": batch_size, "rule": type(rule).__name__, "patience": patience}
    if checkpoint is not None and Path(checkpoint).exists():
        state = _resume(checkpoint, setting, model, runs, state)
    start = max(len(run.history) for run in runs)
    training, devices = model.training, _cuda(model)
    everything = [model, *(run.model for run in runs)]
    with Bar(epochs * steps, "fit", show=progress) as bar:
        bar.advance(start * steps)
        for epoch in range(start, epochs):
            going = {k: run for k, run in enumerate(runs) if not run.history.stopped_early}
            if not going:
                break
            with torch.random.fork_rng(devices=devices):
                noise = _Noise([_derive(seed, "noise", epoch) for seed in seeds], devices)
                noise.of(0)
                generators = (torch.Generator().manual_seed(_derive(seed, "order", epoch)) for seed in seeds)
                order = torch.stack([torch.randperm(n, generator=generator) for generator in generators])
                for one in everything:
                    one.train()
                sums: dict[str, float | Tensor] = {}
                for step, index in enumerate(order.split(batch_size, dim=1), epoch * steps):
                    batch = _together(data, index) if together else tuple(tensor[index[0].to(tensor.device)] for tensor in data[0])
                    state, metrics = rule.step(model, batch, state)
                    for name, value in metrics.items():
                        value = value.detach().double() if isinstance(value, Tensor) else value
                        sums[name] = sums.get(name, 0.0) + value * index.shape[1]
                    if after_step is not None:
                        for k, run in going.items():
                            noise.of(k)
                            after_step(step, run.model, {name: _part(value, k) for name, value in metrics.items()} if together else metrics)
                    bar.advance()
                for one in everything:
                    one.eval()
                totals = {name: torch.as_tensor(total, dtype=torch.float64).expand(len(runs)).tolist() for name, total in sums.items()}
                for k, run in going.items():
                    noise.of(k)
                    record = {name: total[k] / n for name, total in totals.items()}
                    if validation is not None:
                        with torch.no_grad():
                            record["validation"] = float(validation(run.model))
                    if after_epoch is not None:
                        record |= after_epoch(epoch, run.model, dict(record)) or {}
                    run.ends_epoch(record, patience)
            if checkpoint is not None:
                best, histories = [run.best for run in runs], [vars(run.history) for run in runs]
                save_checkpoint(checkpoint, {"setting": setting, "model": model, "state": state, "best": best, "history": histories})
            bar.describe("  ".join([f"epoch {epoch + 1}/{epochs}", *(f"{name} {value:.4g}" for name, value in record.items())]))
    for run in runs:
        if run.best is not None:
            run.model.load_state_dict(run.best)
    model.train(training)
    return [run.history for run in runs]


def _resume(path: str | os.PathLike[str], setting: dict[str, Any], model: nn.Module, runs: list[_Run], state: Any) -> Any:
    """Give the model and the runs what a checkpoint holds; return the rule's state."""
    saved = load_checkpoint(path)
    if not isinstance(saved, dict) or not saved.keys() >= {"setting", "model", "state", "best", "history"}:
        raise CheckpointError(f"{path} was not written by fit; give another path.")
    if saved["setting"] != setting:
        changed = ", ".join(
            f"{key} {saved['setting'].get(key)!r}, now {setting[key]!r}" for key in setting if saved["setting"].get(key) != setting[key]
        )
        raise CheckpointError(f"{path} belongs to another run ({changed}); give that run's settings or another path.")
    restore(model, saved["model"])
    bests, histories = saved["best"], saved["history"]
    if isinstance(histories, dict):  # of one run, as fit wrote it before it took seeds=
        bests, histories = [bests], [histories]
    for run, best, history in zip(runs, bests, histories, strict=True):
        run.best, run.history = best, History(**history)
    return restore(state, saved["state"])


def _together(data: Sequence[Data], index: Tensor) -> tuple[Tensor, ...]:
    """The items ``index`` [R, B] of data that all replicas share, or of each one's own, [R, B, ...]."""
    if len(data) == 1:
        return tuple(tensor[index.to(tensor.device)] for tensor in data[0])
    return tuple(torch.stack([own[i.to(own.device)] for own, i in zip(each, index, strict=True)]) for each in zip(*data, strict=True))


def _part(value: float | Tensor, k: int) -> float | Tensor:
    return value[k] if isinstance(value, Tensor) and value.ndim else value


def _at_once(replicas: Replicas, rule: Rule, item: torch.Size, batch_size: int, together: bool | None) -> bool:
    """Whether these replicas learn as one batch: where they can, and where it was asked for or pays."""
    if together is False:
        return False
    ask = getattr(rule, "hindrance", None)
    reason = ask(replicas) if ask is not None else f"{type(rule).__name__} teaches one model at a time"
    if together and reason:
        raise ValueError(f"These replicas cannot learn together: {reason}; leave together out, and they learn one after another.")
    return not reason and (together or pays(replicas, item, batch_size))


def _checked(data: Any) -> Data:
    if isinstance(data, Tensor) or not data or not all(isinstance(tensor, Tensor) and tensor.ndim for tensor in data):
        raise ValueError("fit takes data as a tuple of tensors [N, ...], for example (inputs, targets); wrap a single tensor as (tensor,).")
    if len({len(tensor) for tensor in data}) != 1 or not len(data[0]):
        raise ValueError(f"fit needs tensors of one length N > 0, lengths {[len(tensor) for tensor in data]} were given; match them.")
    return tuple(data)


def _cuda(model: nn.Module) -> list[int]:
    return sorted({parameter.device.index for parameter in model.parameters() if parameter.device.type == "cuda"})


def _derive(seed: int, axis: str, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"neuropil/fit/{seed}/{axis}/{epoch}".encode()).digest()[:8], "big") >> 1
