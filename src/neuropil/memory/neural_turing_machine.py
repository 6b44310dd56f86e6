"""The memory of a Neural Turing Machine: rows that heads find by content or by place, all of it differentiable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from neuropil.memory.protocol import check_cells, check_own

START = 1e-6
"""What every number of the memory is at first, as collier2018, who found a small constant to learn fastest."""


class Aim(NamedTuple):
    """Where heads shall look: ``key`` [..., H, W]; ``strength`` of the key, 0 or more, ``gate`` in 0 to 1 and ``sharpening``, 1 or more, [..., H, 1]; ``shift`` [..., H, 2 reach + 1], shares of 1 from the farthest step back to the farthest ahead."""

    key: Tensor
    strength: Tensor
    gate: Tensor
    shift: Tensor
    sharpening: Tensor


class NeuralTuringMemory(nn.Module):
    """A memory matrix with heads that read and write; what steers them may be any network.

    Equation, for a head with weights ``w'`` over places and rows ``M_i``: by content ``c_i = softmax_i(strength cos(key, M_i))``; ``u = gate c + (1 - gate) w'``; moved on the ring of places ``v_i = sum_k shift_k u_(i-k)``;
    ``w_i = v_i^sharpening / sum_j v_j^sharpening``. A read head gives ``r = sum_i w_i M_i``; a write head makes ``M_i <- M_i (1 - w_i erase) + w_i add``. All heads look at, and read, the matrix as the last moment left it.

    ``read, s = memory.step(asked, s)``: ``asked`` [..., memory.asked], numbers of any size that a controller gives, of which ``aim`` makes keys and additions by tanh, strengths by softplus, gates and erasures by the logistic function,
    shifts by softmax and sharpening by 1 + softplus; ``read`` [..., reads W]. ``s = memory.initial(*leading)``: rows ``START``, weights the softmax of the parameter ``start`` [H, N], by which a head begins; it is set so that nearly all of a weight lies on the
    first place. ``contents`` [..., N, W] and ``weights`` [..., H, N], read heads first, are State. Functions for single steps: ``by_content``, ``shifted``, ``sharpened``, ``erased_and_added``.

    ``places`` N, ``width`` W, ``reads`` and ``writes`` numbers of heads, ``reach``: places that a head moves at most in a moment. Raises ``ValueError`` or ``TypeError`` for sizes that are none, a ring too small for the reach, and inputs that do not fit. Source: graves2014.
    Differs from it where it says nothing (ranges, first contents, that a read does not see the write of its moment, all as collier2018, whose first contents are learned and ours are not; where heads begin is ours), and in a floor under lengths and weights that keeps gradients finite.
    """

    class State(NamedTuple):
        """``contents`` [..., N, W]: the memory; ``weights`` [..., H, N]: where heads are, each summing to 1."""

        contents: Tensor
        weights: Tensor

    def __init__(self, places: int, width: int, *, reads: int = 1, writes: int = 1, reach: int = 1, focus: float = 6.0) -> None:
        super().__init__()
        for name, size in (("places", places), ("width", width), ("reads", reads), ("writes", writes), ("reach", reach)):
            check_cells(size, name, "NeuralTuringMemory")
        if places < 2 * reach + 1:
            raise ValueError(
                f"A ring of {places} places is too small for steps of {reach} either way; give {2 * reach + 1} or more places."
            )
        self.places, self.width, self.reads, self.writes, self.reach = places, width, reads, writes, reach
        start = torch.zeros(reads + writes, places)
        start[:, 0] = focus
        self.start = nn.Parameter(start)

    @property
    def asked(self) -> int:
        """How many numbers a controller gives a moment."""
        return (self.reads + self.writes) * (self.width + 2 * self.reach + 4) + 2 * self.writes * self.width

    @property
    def read_size(self) -> int:
        """How many numbers come back."""
        return self.reads * self.width

    def initial(self, *leading: int) -> State:
        """Rows that hold next to nothing, and heads at their start."""
        contents = self.start.new_full((*leading, self.places, self.width), START)
        weights = self.start.softmax(-1)
        return self.State(contents, weights.expand(*leading, *weights.shape))

    def aim(self, asked: Tensor) -> tuple[Aim, Tensor, Tensor]:
        """Bring what was asked into range: where heads look, and what write heads erase and add, [..., writes, W] each."""
        if asked.shape[-1] != self.asked:
            raise ValueError(f"This NeuralTuringMemory is asked by {self.asked} numbers a moment, {list(asked.shape)} was given.")
        heads = self.reads + self.writes
        looks, changes = asked.split((heads * (self.width + 2 * self.reach + 4), 2 * self.writes * self.width), -1)
        key, strength, gate, shift, sharpening = looks.unflatten(-1, (heads, -1)).split((self.width, 1, 1, 2 * self.reach + 1, 1), -1)
        erase, add = changes.unflatten(-1, (self.writes, -1)).chunk(2, -1)
        return (
            Aim(key.tanh(), softplus(strength), gate.sigmoid(), shift.softmax(-1), 1 + softplus(sharpening)),
            erase.sigmoid(),
            add.tanh(),
        )

    def step(self, asked: Tensor, s: State) -> tuple[Tensor, State]:
        """Let one moment pass."""
        return self.move(*self.aim(asked), s)

    def move(self, aim: Aim, erase: Tensor, add: Tensor, s: State) -> tuple[Tensor, State]:
        """Let one moment pass, told in the equation's own terms: ``read`` [..., reads W] and the state after it."""
        check_own(s, self)
        weights = address(s, aim)
        looking, writing = weights.split((self.reads, self.writes), -2)
        read = (looking @ s.contents).flatten(-2)
        return read, self.State(erased_and_added(s.contents, writing, erase, add), weights)

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return f"{self.places}, {self.width}, reads={self.reads}, writes={self.writes}"


def address(s: NeuralTuringMemory.State, aim: Aim) -> Tensor:
    """Where heads look next, [..., H, N]."""
    content = by_content(s.contents, aim.key, aim.strength)
    return sharpened(shifted(torch.lerp(s.weights, content, aim.gate), aim.shift), aim.sharpening)


def by_content(contents: Tensor, key: Tensor, strength: Tensor) -> Tensor:
    """``softmax_i(strength cos(key, M_i))``: contents [..., N, W], key [..., H, W], strength [..., H, 1] -> [..., H, N]."""
    return likeness(contents, key, strength).softmax(-1)


def likeness(contents: Tensor, key: Tensor, strength: Tensor) -> Tensor:
    """``strength cos(key, M_i)``: contents [..., N, W], key [..., H, W], strength [..., H, 1] -> [..., H, N]; lengths are at least 1e-8."""
    rows = contents.square().sum(-1).clamp(min=1e-16).rsqrt().unsqueeze(-2)
    keys = key.square().sum(-1, keepdim=True).clamp(min=1e-16).rsqrt()
    return (key @ contents.mT) * rows * (strength * keys)


def shifted(weights: Tensor, shift: Tensor) -> Tensor:
    """Convolve weights [..., H, N] on the ring with shares [..., H, 2 reach + 1] of moving by -reach to reach places."""
    reach = shift.shape[-1] // 2
    moved = torch.stack([weights.roll(by, -1) for by in range(-reach, reach + 1)], -1)
    return (moved @ shift.unsqueeze(-1)).squeeze(-1)


def sharpened(weights: Tensor, sharpening: Tensor) -> Tensor:
    """``w_i^sharpening / sum_j w_j^sharpening``, by logarithms of weights of at least 1e-30."""
    return (sharpening * weights.clamp(min=1e-30).log()).softmax(-1)


def erased_and_added(contents: Tensor, weights: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """``M_i prod_h (1 - w_hi erase_h) + sum_h w_hi add_h``: contents [..., N, W], weights [..., H, N], erase and add [..., H, W]."""
    kept = (1 - weights.unsqueeze(-1) * erase.unsqueeze(-2)).prod(-3)
    return contents * kept + weights.mT @ add
