"""Networks of one architecture side by side: their tensors stacked along a first axis, computed as one batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_flatten, tree_unflatten

SMALL = 300_000
"""Products in a step of one model, up to which one batch of replicas may pay."""
MANY = 4
"""Replicas for each thread of torch, from which it does."""
_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, Random)
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


class Replicas(nn.Module):
    """R networks of one architecture as one module: ``y = replicas(x)`` is ``y[k] = models[k](x[k])`` for all k at once, gradients included.

    ``model`` is that architecture with every parameter and buffer [R, ...] under its own name, copied from ``models``. Inputs [R, ...] ->
    outputs [R, ...], tuples and states alike; the axis of replicas comes first everywhere, also before time: x [R, T, B, N]. An input that
    all share is ``x.expand(R, *x.shape)``. Gradients are ordinary autograd's; the gradient of a sum over replicas is each one's own. Running
    statistics of batch normalisation are kept for each replica.

    ``replicas[k]`` is an ordinary module on the k-th part of the same memory (as ``tensor[k]`` is), for validation, observing and changes in
    place; ``unstack()`` gives copies. ``neuropil.observe`` sees the parts of ``replicas[k]``, not what runs inside the batch.

    Computed by ``torch.vmap``. Raises ``ValueError`` for models that differ in anything but the numbers in their tensors, for models that draw
    random numbers in their forward pass (each would need its own), for what cannot be mapped, and for inputs without the axis of replicas.
    """

    def __init__(self, models: Iterable[nn.Module]) -> None:
        super().__init__()
        models = list(models)
        if not models:
            raise ValueError("Replicas are one model or more, none was given; give a list of models of one architecture.")
        for part in models[0].modules():
            _refuse_random(part)
        for k, other in enumerate(models[1:], 1):
            if difference := _difference(models[0], other):
                raise ValueError(
                    f"Replicas are models of one architecture and model {k} differs from model 0 in {difference}; build all by one function."
                )
        everything = [dict(named_tensors(model)) for model in models]
        stacked = {name: torch.stack([own[name].detach() for own in everything]) for name in everything[0]}
        self.count, self.model = len(models), _with_tensors(models[0], stacked)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[nn.Module]:
        return (self[k] for k in range(self.count))

    def __getitem__(self, k: int) -> nn.Module:
        """The k-th model, on the memory of the replicas; ``IndexError`` beyond them."""
        if not -self.count <= k < self.count:
            raise IndexError(f"There are {self.count} replicas, number {k} was asked for; the last is {self.count - 1}.")
        return _with_tensors(self.model, {name: tensor.detach()[k] for name, tensor in named_tensors(self.model)})

    def unstack(self) -> list[nn.Module]:
        """All models, with copies of their tensors."""
        own = {name: tensor.detach() for name, tensor in named_tensors(self.model)}
        return [_with_tensors(self.model, {name: tensor[k].clone() for name, tensor in own.items()}) for k in range(self.count)]

    def forward(self, *inputs: Any) -> Any:
        """Run every replica on its part of the inputs."""
        for tensor in tree_flatten(inputs)[0]:
            if isinstance(tensor, Tensor) and tensor.shape[:1] != (self.count,):
                raise ValueError(
                    f"{self.count} replicas take inputs [{self.count}, ...], {list(tensor.shape)} was given; "
                    f"share one with x.expand({self.count}, *x.shape)."
                )
        name = type(self.model).__name__
        return side_by_side(lambda own, given: functional_call(self.model, own, given), name, dict(named_tensors(self.model)), inputs)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.count} of"


def pays(replicas: Replicas, item: torch.Size, batch_size: int) -> bool:
    """Whether replicas learn faster as one batch than as a process each on all cores, for items of this shape.

    The rule stands for what ``benchmarks/replicas.py`` measured on CPUs: a step is mostly overhead, which the batch has once, for models on
    vectors with at most ``SMALL`` products a step (parameters times items), and this outweighs what other cores would do from ``MANY``
    replicas a thread on. For larger models, sequences and pictures the work itself counts, and a process each does it as fast or faster.
    """
    tensors = list(replicas.parameters())
    products = sum(tensor[0].numel() for tensor in tensors) * batch_size
    on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
    return on_cpu and len(item) <= 1 and products <= SMALL and len(replicas) >= MANY * torch.get_num_threads()


def side_by_side(function: Callable[..., Any], name: str, *inputs: Any) -> Any:
    """Apply ``function`` along the first axis of every tensor in ``inputs``; what is no tensor in inputs or result is passed on.

    Raises ``ValueError`` in one sentence, about ``name``, where ``function`` draws random numbers or cannot be mapped.
    """
    given, form = tree_flatten(inputs)
    found: list[Any] = []
    out: Any = None

    def call(tensors: list[Tensor]) -> list[Tensor]:
        nonlocal found, out
        mapped = iter(tensors)
        found, out = tree_flatten(function(*tree_unflatten([next(mapped) if isinstance(one, Tensor) else one for one in given], form)))
        return [one for one in found if isinstance(one, Tensor)]

    try:
        results = iter(torch.vmap(call, randomness="error")([one for one in given if isinstance(one, Tensor)]))
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if "random operation" in text:
            raise ValueError(
                f"{name} draws random numbers, which replicas cannot each draw as alone; leave that out or train a model at a time."
            ) from error
        if text.startswith(("vmap", "Batching rule not implemented")):
            raise ValueError(f"{name} cannot be computed for replicas at once ({text.split('. ')[0]}); train a model at a time.") from error
        raise
    return tree_unflatten([next(results) if isinstance(one, Tensor) else one for one in found], out)


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by dotted name, each once."""
    return chain(model.named_parameters(), model.named_buffers())


def _with_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model on other tensors, which it does not copy."""
    placed: dict[int, Any] = {}
    for name, old in named_tensors(model):
        new = tensors[name]
        placed[id(old)] = nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new
    return copy.deepcopy(model, placed)


def _refuse_random(part: nn.Module) -> None:
    kind = type(part).__name__
    share = part.p if isinstance(part, _DropoutNd) else getattr(part, "dropout", 0.0)
    if isinstance(share, int | float) and share > 0:
        raise ValueError(
            f"A {kind} drops at random, which replicas cannot each do as alone; set its share to 0 or train a model at a time."
        )
    for attribute, value in vars(part).items():
        if isinstance(value, _GENERATORS):
            raise ValueError(
                f"A {kind} holds a generator of random numbers, {attribute!r}, which replicas cannot each have; train a model at a time."
            )


def _difference(a: nn.Module, b: nn.Module) -> str | None:
    """In what two models differ, in words, or None."""
    parts, others = dict(a.named_modules()), dict(b.named_modules())
    if parts.keys() != others.keys():
        return f"its parts ({', '.join(sorted(parts.keys() ^ others.keys()))})"
    for name, part in parts.items():
        other, where = others[name], f" of {name!r}" if name else ""
        if type(part) is not type(other):
            return f"the class{where} ({type(other).__name__}, not {type(part).__name__})"
        mine, theirs = ({k: v for k, v in vars(one).items() if k not in _OF_EVERY_MODULE or k == "training"} for one in (part, other))
        for key in mine.keys() | theirs.keys():
            if isinstance(mine.get(key), Tensor):
                return f"the attribute {key!r}{where}, a tensor that is neither parameter nor buffer"
            if key not in mine or key not in theirs or not _equal(mine[key], theirs[key]):
                return f"the attribute {key!r}{where}"
    own, its = dict(named_tensors(a)), dict(named_tensors(b))
    if own.keys() != its.keys():
        return f"its tensors ({', '.join(sorted(own.keys() ^ its.keys()))})"
    for name, tensor in own.items():
        for what in ("shape", "dtype", "device", "requires_grad"):
            if getattr(tensor, what) != getattr(its[name], what):
                return f"the {what} of {name!r}"
    return None


def _equal(a: Any, b: Any) -> bool:
    """Whether two attributes are the same; arrays are so number by number."""
    return a is b or (type(a) is type(b) and bool(np.all(a == b)))
