"""A memory of somebody's own is tested by the same suite, registered or not; a bad one is caught and named."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from neuropil.memory.protocol import check_binary, check_own
from neuropil.testing import check_part, checks


class Correlation(nn.Module):
    """The sum of outer products, read as numbers."""

    class State(NamedTuple):
        """Synapses."""

        w: Tensor

    synapses = ("w",)

    def __init__(self, cue_size, content_size):
        super().__init__()
        self.cue_size, self.content_size = cue_size, content_size

    def initial(self, *leading, device=None, dtype=None):
        return self.State(torch.zeros(*leading, self.content_size, self.cue_size, device=device, dtype=dtype))

    def write(self, s, cue, content):
        return self.State(s.w + self._fits(s, content, self.content_size).unsqueeze(-1) * self._fits(s, cue, self.cue_size).unsqueeze(-2))

    def recall(self, s, cue):
        cue = self._fits(s, cue, self.cue_size)
        return (s.w @ cue.unsqueeze(-1)).squeeze(-1), s

    def _fits(self, s, given, size):
        check_own(s, self)
        return check_binary(given, size, s.w.shape[:-2], "a pattern", "Correlation")


class InPlace(Correlation):
    """Writes into the state it was given."""

    def write(self, s, cue, content):
        s.w.add_(super().write(s, cue, content).w - s.w)
        return s


class Leaky(Correlation):
    """Keeps the last cue on itself, and adds it to what it recalls."""

    def recall(self, s, cue):
        found, s = super().recall(s, cue)
        self.last, before = found, getattr(self, "last", 0.0)
        return found + before, s


class Mixing(Correlation):
    """Samples of a batch touch."""

    def recall(self, s, cue):
        found, s = super().recall(s, cue)
        return (found + 0.5 * found.flip(0) if found.ndim > 1 else found), s


class Forgetting(Correlation):
    """Each write takes the place of all before."""

    def write(self, s, cue, content):
        return super().write(type(s)(torch.zeros_like(s.w)), cue, content)


class Miscounting(Correlation):
    """Calls something a synapse that is not in its state."""

    synapses = ("weights",)


FACTS = {"example": {"cue_size": 20, "content_size": 15}, "tags": ("pairs", "graded")}


@pytest.mark.parametrize("check", checks(Correlation, **FACTS), ids=str)
def test_a_good_memory_passes(check):
    check()


@pytest.mark.parametrize(
    ("bad", "fails"),
    [
        (InPlace, "nothing is hidden and nothing given is changed"),
        (Leaky, "nothing is hidden and nothing given is changed"),
        (Mixing, "samples of a batch do not touch"),
        (Forgetting, "what is written comes back"),
        (Miscounting, "it is a memory: synapses"),
    ],
)
def test_a_bad_one_is_caught(bad, fails):
    with pytest.raises(AssertionError, match=fails):
        check_part(bad, **FACTS)
