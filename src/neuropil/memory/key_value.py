"""Fast weights as a memory of pairs: cues of length 1 are keys, contents values, written by Hebb's or the delta rule."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuropil.memory.fast_weights import FastWeights, Write
from neuropil.memory.protocol import MEMORIES, check_binary, check_own, check_sizes


@MEMORIES.register(cites=("schlag2021", "schmidhuber1992"), tags=("pairs", "auto", "graded"), example={"cue_size": 24, "content_size": 24})
class KeyValueMemory(nn.Module):
    """Memory of pairs in ``FastWeights``: a cue, brought to length 1, is the key, a content the value; answers are numbers.

    Equation: with ``k = cue / |cue|``, ``delta`` (default): ``F <- F + strength (content - F k) k^T``, which at ``strength`` 1 puts the content in place of what the cue held; ``hebb``:
    ``F <- F + strength content k^T``. Read by ``F k``. Keys that share cells add up what they hold; by ``delta`` later writes correct for it.

    ``cue`` [..., K] of 0 and 1, ``content`` [..., N] of 0 and 1 -> answers [..., N] of any size; ``F`` [..., N, K] is State. ``strength`` above 0, to 1. Raises ``ValueError`` or
    ``TypeError`` for sizes and settings that are none and inputs that do not fit. Sources: schmidhuber1992, schlag2021.
    """

    State = FastWeights.State
    synapses: tuple[str, ...] = ("F",)

    def __init__(self, cue_size: int, content_size: int, *, write: Write = "delta", strength: float = 1.0) -> None:
        super().__init__()
        check_sizes(cue_size, content_size, "KeyValueMemory")
        if not 0 < strength <= 1:
            raise ValueError(f"strength of KeyValueMemory is above 0 and at most 1, {strength!r} was given; give 1 to write at once.")
        self.cue_size, self.content_size, self.strength = cue_size, content_size, strength
        self.weights = FastWeights(cue_size, content_size, write=write)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> FastWeights.State:
        """Empty weights."""
        return self.State(torch.zeros(*leading, self.content_size, self.cue_size, device=device, dtype=dtype))

    def write(self, s: FastWeights.State, cue: Tensor, content: Tensor) -> FastWeights.State:
        """Hold ``content`` under ``cue``; in place of what was there by the delta rule, on top of it by Hebb's."""
        key = self._key(s, cue)
        content = check_binary(content, self.content_size, s.F.shape[:-2], "content", "KeyValueMemory")
        return self.weights.write(s, key, content, torch.full_like(key[..., 0], self.strength))

    def erase(self, s: FastWeights.State, cue: Tensor, content: Tensor | None = None) -> FastWeights.State:
        """Take away all that is read under ``cue``; keys that share cells with it lose their share."""
        key = self._key(s, cue)
        return self.State(s.F - self.weights.read(s, key).unsqueeze(-1) * key.unsqueeze(-2))

    def recall(self, s: FastWeights.State, cue: Tensor) -> tuple[Tensor, FastWeights.State]:
        """Return what lies under ``cue``, as numbers; the memory is left as it is."""
        return self.weights.read(s, self._key(s, cue)), s

    def _key(self, s: FastWeights.State, cue: Tensor) -> Tensor:
        check_own(s, self)
        cue = check_binary(cue, self.cue_size, s.F.shape[:-2], "cue", "KeyValueMemory")
        length: Tensor = cue.sum(-1, keepdim=True).clamp(min=1).sqrt()
        return cue / length
