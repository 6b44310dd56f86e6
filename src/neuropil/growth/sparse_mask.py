"""Which connections exist: named masks over the weights of any module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class SparseMask:
    """Masks over weights of a model that is otherwise left as it is: where the mask is False the weight is 0.

    Equation: ``w <- m * w``, and the same for everything of ``w``'s shape that an optimiser remembers (momentum, second moments), so that an
    absent weight neither drifts nor comes back with an old momentum. The forward pass is the dense one; gradients of absent weights are
    computed like any other, which is what growth by gradient reads.

    ``names`` are parameters of ``model``; without them all with two dimensions or more (matrices and kernels, not biases or norms). At first
    every weight exists. ``mask[name]`` is a bool tensor of the weight's shape; ``mask[name] = kept`` replaces it, which takes effect at the next
    ``apply()``. Iterating gives the names. Use it by hand, ``optimizer.step(); mask.apply(optimizer)``, or once with ``mask.attach(optimizer)``.

    Raises ``ValueError`` for a name the model lacks, a model without weights, and a mask of another shape or dtype. Source: mocanu2018, liu2021a.
    """

    def __init__(self, model: nn.Module, names: Iterable[str] | None = None) -> None:
        known = dict(model.named_parameters())
        chosen = [name for name, weight in known.items() if weight.ndim >= 2] if names is None else list(names)
        if lacking := [name for name in chosen if name not in known]:
            raise ValueError(f"This {type(model).__name__} has no parameter {lacking[0]!r}; it has {', '.join(known) or 'none'}.")
        if not chosen or len(set(chosen)) != len(chosen):
            raise ValueError(
                f"A SparseMask needs one weight or more, each once, {chosen} came of this {type(model).__name__}; "
                "give names= of parameters, or a model with matrices or kernels."
            )
        self._weights = {name: known[name] for name in chosen}
        self._kept = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in self._weights.items()}
        self._factor = {name: torch.ones_like(weight) for name, weight in self._weights.items()}

    def weight(self, name: str) -> nn.Parameter:
        """Return the parameter behind a name."""
        self._known(name)
        return self._weights[name]

    def __getitem__(self, name: str) -> Tensor:
        self._known(name)
        return self._kept[name]

    def __setitem__(self, name: str, kept: Tensor) -> None:
        weight = self.weight(name)
        if kept.dtype != torch.bool or kept.shape != weight.shape:
            raise ValueError(
                f"The mask of {name!r} is bool {list(weight.shape)}, {kept.dtype} {list(kept.shape)} was given; True where a weight exists."
            )
        self._kept[name] = kept.to(weight.device, copy=True)
        self._factor[name] = self._kept[name].to(weight.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def _known(self, name: str) -> None:
        if name not in self._weights:
            raise ValueError(f"No weight {name!r} is masked; masked are {', '.join(self._weights)}.")

    @property
    def size(self) -> int:
        """The number of masked weights, absent ones included."""
        return sum(kept.numel() for kept in self._kept.values())

    @property
    def active(self) -> int:
        """The number of weights that exist."""
        return sum(int(kept.sum()) for kept in self._kept.values())

    @property
    def density(self) -> float:
        """The share of weights that exist, over all layers."""
        return self.active / self.size

    def densities(self) -> dict[str, float]:
        """Return the share of weights that exist, a layer."""
        return {name: int(kept.sum()) / kept.numel() for name, kept in self._kept.items()}

    @torch.no_grad()
    def apply(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Set absent weights to 0, and their share of what ``optimizer`` remembers."""
        for name, weight in self._weights.items():
            if (self._factor[name].device, self._factor[name].dtype) != (weight.device, weight.dtype):
                self[name] = self._kept[name]  # the model was moved or cast
            weight.mul_(self._factor[name])
            for held in optimizer.state[weight].values() if optimizer is not None and weight in optimizer.state else ():
                if isinstance(held, Tensor) and held.shape == weight.shape:
                    held.mul_(self._factor[name])

    def attach(self, optimizer: torch.optim.Optimizer) -> RemovableHandle:
        """Apply the mask now and after every step of ``optimizer``; ``handle.remove()`` ends that."""
        self.apply(optimizer)
        return optimizer.register_step_post_hook(lambda stepped, _args, _kwargs: self.apply(stepped))

    def draw(self, densities: Mapping[str, float], generator: torch.Generator | None = None) -> None:
        """Replace the masks of these names by random ones, ``round(density * size)`` weights each; see ``erk_densities``."""
        for name, density in densities.items():
            weight = self.weight(name)
            if not 0 <= density <= 1:
                raise ValueError(f"The density of {name!r} is a share from 0 to 1, {density!r} was given.")
            chosen = torch.randperm(weight.numel(), generator=generator)[: round(density * weight.numel())]
            kept = torch.zeros(weight.numel(), dtype=torch.bool)
            kept[chosen] = True
            self[name] = kept.view(weight.shape)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the masks by name, to be saved beside the model's state."""
        return {name: kept.clone() for name, kept in self._kept.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put saved masks back; ``ValueError`` where names or shapes differ."""
        if set(state) != set(self._weights):
            raise ValueError(f"Masks of {', '.join(state) or 'nothing'} were given, masked are {', '.join(self._weights)}; give these.")
        for name, kept in state.items():
            self[name] = kept
