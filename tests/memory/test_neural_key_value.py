"""Pairs in a neural memory: the delta rule where it must be that, autograd's descent with momentum and forgetting where it is deep."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from neuropil.data import sparse_patterns
from neuropil.memory import KeyValueMemory, NeuralKeyValueMemory, memory_cost
from neuropil.testing import checks
from neuropil.testing.memories import MemoryBench


def pairs(count, cells=24, active=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(zip(*(sparse_patterns(count, cells, active, generator).double() for _ in range(2)), strict=True))


def held(memory, rows):
    s = memory.initial(dtype=torch.float64)
    for cue, content in rows:
        s = memory.write(s, cue, content)
    return s


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_a_matrix_without_momentum_is_the_delta_rule(strength):
    rows = pairs(30)
    ours = NeuralKeyValueMemory(24, 24, hidden=0, rate=strength / 2).double()
    theirs = KeyValueMemory(24, 24, strength=strength)
    assert_close(held(ours, rows).change[0], held(theirs, rows).F)


def test_a_deep_one_descends_as_autograd_does():
    rows, rate, momentum, forget = pairs(12), 0.3, 0.6, 0.05
    memory = NeuralKeyValueMemory(24, 24, rate=rate, momentum=momentum, forget=forget, generator=torch.Generator().manual_seed(1)).double()
    weights = [weight.clone().requires_grad_() for weight in memory.network.start]
    surprise = [torch.zeros_like(weight) for weight in weights]
    for cue, content in rows:
        answer = weights[1] @ F.silu(weights[0] @ (cue / cue.norm()))
        gradients = torch.autograd.grad((answer - content).square().sum(), weights)
        surprise = [momentum * s - rate * g for s, g in zip(surprise, gradients, strict=True)]
        weights = [((1 - forget) * w + s).detach().requires_grad_() for w, s in zip(weights, surprise, strict=True)]
    s = held(memory, rows)
    for now, start, change in zip(weights, memory.network.start, s.change, strict=True):
        assert_close(change, (now - start).detach())
    cue = rows[3][0]
    assert_close(memory.recall(s, cue)[0], (weights[1] @ F.silu(weights[0] @ (cue / cue.norm()))).detach())


class DoubleBench(MemoryBench):
    """Asks in float64, where the products of a batch and of one of it agree to rounding."""

    def make(self, **changed):
        return super().make(**changed).double()

    def pairs(self, memory, count=2, *lead, dtype=torch.float64):
        return super().pairs(memory, count, *lead, dtype=torch.float64)


class Deep(NeuralKeyValueMemory):
    """The same, registered by nobody."""


DEEP = {
    "cites": ("behrouz2024",),
    "tags": ("pairs", "auto", "graded"),
    "example": {"cue_size": 24, "content_size": 24, "generator": lambda: torch.Generator().manual_seed(0)},
}


@pytest.mark.parametrize("check", checks(Deep, **DEEP), ids=str)
def test_a_deep_one_conforms_too(check):
    if str(check) == "kinds of numbers copies and state dicts":
        check()
    else:
        check.stated.function(DoubleBench(check.part))


def test_what_is_held_is_what_changed_in_about_as_many_synapses_as_a_matrix_has():
    memory = NeuralKeyValueMemory(64, 256)
    cost = memory_cost(memory, memory.initial())
    assert (cost.bits, cost.synapses) == (0.0, 52 * 320)
    assert memory_cost(NeuralKeyValueMemory(64, 256, hidden=0), NeuralKeyValueMemory(64, 256, hidden=0).initial(3)).synapses == 64 * 256
    assert torch.equal(memory.recall(memory.initial(), torch.ones(64))[0], torch.zeros(256))


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"momentum": 1.0}, {"forget": -0.1}, {"hidden": -3}])
def test_settings_that_are_none(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} .*of NeuralKeyValueMemory|of NeuralKeyValueMemory .*{next(iter(wrong))}"):
        NeuralKeyValueMemory(5, 5, **wrong)
