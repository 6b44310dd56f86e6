"""Backpropagation through time in little memory: a sequence is run in chunks, each computed again on the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from neuropil.dynamics.state import detach, leaves, map_state


def checkpoint_through_time(
    model: nn.Module, x: Tensor, s: Any = None, *, chunk: int | None = None, **along: Tensor | None
) -> tuple[Tensor, Any]:
    """``y, s = model(x, s)`` with the same gradients, keeping for the way back only the states between chunks of time.

    Using it, with a Cell, a Chain or any module that takes a sequence and a state and gives both::

        y, s = checkpoint_through_time(net, x)           # in place of y, s = net(x)
        loss = cross_entropy(y.mean(0), target)          # any loss of the outputs and the last state

    ``x`` and what is given by name in ``along``, [T, ..., N], are cut into chunks of ``chunk`` moments, about sqrt(T) unless given. What the gradients of a
    chunk need is computed again when they are due, the last chunk first. It takes the memory of sqrt(T) states and one chunk, and the time of one more way
    forwards. Outputs and gradients of ``x``, ``s`` and parameters agree with those of ``model(x, s)`` to rounding. Torch's random numbers (dropout) are drawn
    chunk by chunk, the same ones on the way back.

    Raises ``ValueError`` for a chunk below 1 and for a model that is another one in chunks: batch normalisation in training, which takes its mean over all
    moments; buffers that a run changes; hooks on the model itself, as ``observe(model, ...)`` puts there (observe a module that calls this function instead);
    an output that has not one moment for each of ``x``. Raises ``RuntimeError`` inside ``torch.func`` transforms such as ``vmap`` (run what they make
    in chunks), and on the way back where tensors were changed since or a chunk does not end as it did. Source: chen2016, gruslys2016.
    """
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1):
        raise ValueError(f"A chunk is a whole number of moments, 1 or more, {chunk!r} was given; None takes about sqrt(T).")
    _check_lengths(x, along)
    _check_model(model)
    length = chunk or math.isqrt(max(len(x) - 1, 0)) + 1
    cut = {name: None if tensor is None else tensor.split(length) for name, tensor in along.items()}
    own, ys = _tensors(model), []
    for place, piece in enumerate(x.split(length)):
        with_it = {name: None if parts is None else parts[place] for name, parts in cut.items()}
        if torch.is_grad_enabled():
            run = _Chunk(model, own)
            y, s = checkpoint(run, piece, s, with_it, use_reentrant=False, early_stop=False)
            s = map_state(Tensor.clone, s)  # a view of the chunk would keep all of it
            last = (place + 1) * length >= len(x)
            run.end = (y[-1:].detach().clone(), map_state(Tensor.clone, detach(s)) if last else detach(s))
        else:
            y, s = _run(model, piece, s, with_it)
        ys.append(y)
    return torch.cat(ys), s


class _Chunk:
    """A model over one chunk; where it runs again it has the tensors ``own`` of the first time, and ends as then, in ``end``, or an error says so."""

    def __init__(self, model: nn.Module, own: Mapping[str, Tensor]) -> None:
        self.model, self.own = model, own
        self.versions: list[int] | None = None
        self.end: Any = None

    def __call__(self, x: Tensor, s: Any, along: dict[str, Tensor | None]) -> tuple[Tensor, Any]:
        versions = [tensor._version for _, tensor in leaves((self.own, x, s, along))]
        if self.versions is None:
            self.versions = versions
            y, s = _run(self.model, x, s, along)
            _check_unchanged(self.model, self.own, versions)
            return y, s
        if versions != self.versions:
            raise RuntimeError(
                "A tensor that this sequence was computed from was changed in place before its way back; change parameters, inputs and states after backward()."
            )
        y, s = functional_call(self.model, dict(self.own), (x, s), along)
        if not _alike(detach((y[-1:], s)), self.end):
            raise RuntimeError(
                f"{type(self.model).__name__} did not do on the way back what it did on the way forwards; it draws random numbers that are not torch's, was changed or is held otherwise."
            )
        return y, s


def _run(model: nn.Module, x: Tensor, s: Any, along: dict[str, Tensor | None]) -> tuple[Tensor, Any]:
    result = model(x, s, **along)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Tensor) or result[0].shape[:1] != x.shape[:1]:
        raise ValueError(
            f"{type(model).__name__} did not give outputs [T, ..., N], one a moment, and a state; let it give all outputs and take means over time of what comes back."
        )
    return result


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _alike(one: Any, other: Any) -> bool:
    pairs = list(zip(leaves(one), leaves(other), strict=True))
    return all(a.shape == b.shape and (torch.equal(a, b) or bool(torch.isclose(a, b, equal_nan=True).all())) for (_, a), (_, b) in pairs)


def _check_lengths(x: Tensor, along: Mapping[str, Tensor | None]) -> None:
    for name, tensor in {"x": x, **{name: one for name, one in along.items() if one is not None}}.items():
        if not isinstance(tensor, Tensor) or tensor.ndim == 0:
            given = "a tensor without axes" if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"
            raise TypeError(f"{name} was {given}; accepted is a tensor [T, ..., N], time first.")
        if len(tensor) != len(x):
            raise ValueError(f"{name} has {len(tensor)} moments and x has {len(x)}; give both the same length, time first.")


def _check_model(model: nn.Module) -> None:
    name = type(model).__name__
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise RuntimeError(f"{name} cannot be run in chunks inside torch.vmap or torch.func; run what they make of it in chunks.")
    if model._forward_hooks or model._forward_pre_hooks:
        raise ValueError(
            f"{name} itself has hooks (as of observe or clamp), to which every chunk would be a call of its own; put them on a module that calls this."
        )
    for path, part in model.named_modules():
        if isinstance(part, _BatchNorm) and (part.training or part.running_mean is None):
            raise ValueError(
                f"{path or name!r} is batch normalisation in training, which takes its mean over all moments at once; use eval(), or normalise each moment, as LayerNorm does."
            )


def _check_unchanged(model: nn.Module, own: Mapping[str, Tensor], versions: list[int]) -> None:
    now = _tensors(model)
    for (name, tensor), before in zip(own.items(), versions, strict=False):
        if now.get(name) is not tensor or tensor._version != before:
            raise ValueError(
                f"{name!r} of {type(model).__name__} is changed by a run, and would be once more on the way back; what changes within a sequence belongs into its state."
            )
