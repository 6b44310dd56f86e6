"""Checks of memories: what is written comes back, batches and instances do not touch, states are arguments and nothing else, bad input is one sentence."""

from __future__ import annotations

import copy
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from neuropil.dynamics import leaves, map_state
from neuropil.dynamics.registry import Part
from neuropil.memory.protocol import AskedByContent, Bounded, Erasable, Memory, memory_cost
from neuropil.testing.refusals import Foreign, refused
from neuropil.testing.stating import asked, require, same, same_state

ACTIVE = 3


class MemoryBench:
    """Makes small memories of one part and pairs that fit them: ``make``, ``pairs``, ``held``.

    Cues are single cells (``one-hot``), the contents themselves (``auto`` without ``pairs``), or patterns of a few cells of their own.
    """

    def __init__(self, part: Part) -> None:
        self.part = part

    def make(self, **changed: Any) -> Any:
        """A small memory, arguments named here changed."""
        return self.part.small(**changed)

    def pairs(self, memory: Any, count: int = 2, *lead: int, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
        """Pairs of cue [*lead, K] and content [*lead, N] that share no cell with other pairs."""
        k, n = memory.cue_size, memory.content_size
        one_hot, alone = "one-hot" in self.part.tags, "pairs" not in self.part.tags and "auto" in self.part.tags
        made = []
        for p in range(count):
            content = torch.zeros(n, dtype=dtype)
            content[ACTIVE * p : ACTIVE * (p + 1)] = 1
            cue = torch.zeros(k, dtype=dtype)
            cue[p if one_hot else slice(ACTIVE * p, ACTIVE * (p + 1))] = 1
            cue = cue if one_hot else cue.flip(0)
            made.append(((content if alone else cue).expand(*lead, -1).clone(), content.expand(*lead, -1).clone()))
        return made

    def held(self, memory: Any, pairs: list[tuple[Tensor, Tensor]]) -> Any:
        """A state in which these pairs were written, one after another."""
        s = memory.initial(*pairs[0][0].shape[:-1], dtype=pairs[0][0].dtype)
        for cue, content in pairs:
            s = memory.write(s, cue, content)
        return s

    def cut(self, memory: Any, answer: Tensor, active: int = ACTIVE) -> Tensor:
        """The answer as 0 and 1: of a ``graded`` one the largest."""
        if "graded" not in self.part.tags:
            return answer
        return torch.zeros_like(answer).scatter(-1, answer.topk(active).indices, 1.0)


@asked(kind="memory")
def it_is_a_memory(bench: MemoryBench) -> None:
    """It has what the protocol names, and the fields it calls synapses are in its state."""
    memory = bench.make()
    require(isinstance(memory, Memory), f"{bench.part.name} lacks one of cue_size, content_size, synapses, initial, write, recall.")
    fields = dict(leaves(memory.initial()))
    missing = [name for name in memory.synapses if name not in fields]
    require(memory.synapses and not missing, f"synapses of {bench.part.name} names {missing or 'nothing'}; its state has {sorted(fields)}.")


@asked(kind="memory")
def what_is_written_comes_back(bench: MemoryBench) -> None:
    """Two pairs that share nothing are both recalled by their cues, again and again; before any write nothing of them is."""
    memory = bench.make()
    pairs = bench.pairs(memory)
    s = bench.held(memory, pairs)
    for cue, content in pairs * 2:
        found, s = memory.recall(s, cue)
        same(bench.cut(memory, found), content)


@asked(lambda part: "auto" in part.tags, kind="memory")
def a_part_of_a_content_is_completed(bench: MemoryBench) -> None:
    """A content that was written under itself comes back from all of its cells but one."""
    memory = bench.make()
    contents = [content for _, content in bench.pairs(memory)]
    s = bench.held(memory, [(content, content) for content in contents])
    for content in contents:
        part = content * (content.cumsum(0) < ACTIVE)
        same(bench.cut(memory, memory.recall(s, part)[0]), content)


@asked(kind="memory")
def samples_of_a_batch_do_not_touch(bench: MemoryBench) -> None:
    """Memories along leading axes hold and answer what each would alone."""
    memory = bench.make()
    pairs = bench.pairs(memory, 3, 2, 2)
    pairs = [(torch.stack((a[0], b[0])), torch.stack((c[0], d[0]))) for (a, c), (b, d) in (pairs[:2], pairs[1:])]
    together = bench.held(memory, pairs)
    for i in range(2):
        alone = bench.held(memory, [(cue[i], content[i]) for cue, content in pairs])
        for cue, _ in pairs:
            same(memory.recall(together, cue)[0][i], memory.recall(alone, cue[i])[0], exact=False)
    wide = bench.held(memory, [(cue.expand(3, 2, *cue.shape[1:]), content.expand(3, 2, *content.shape[1:])) for cue, content in pairs])
    found = memory.recall(wide, pairs[0][0].expand(3, 2, *pairs[0][0].shape[1:]))[0]
    same(found[2], memory.recall(together, pairs[0][0])[0], exact=False)


@asked(kind="memory")
def nothing_is_hidden_and_nothing_given_is_changed(bench: MemoryBench) -> None:
    """Writing, asking and erasing change neither the memory, nor what they were given, nor the state that they got."""
    memory = bench.make()
    (cue, content), other = bench.pairs(memory)
    attributes, numbers = set(vars(memory)), {name: tensor.clone() for name, tensor in memory.state_dict().items()}
    s = bench.held(memory, [(cue, content)])
    kept, given = map_state(torch.clone, s), (cue.clone(), content.clone())
    memory.write(s, *other)
    first, _ = memory.recall(s, cue)
    if isinstance(memory, AskedByContent):
        memory.recall_cues(s, content)
    if isinstance(memory, Erasable):
        memory.erase(s, cue, content)
    same(memory.recall(s, cue)[0], first)
    same_state(s, kept)
    same(cue, given[0])
    same(content, given[1])
    require(
        not set(vars(memory)) - attributes, f"A call stored {sorted(set(vars(memory)) - attributes)} on the memory; what it holds is state."
    )
    for name, tensor in memory.state_dict().items():
        same(tensor, numbers[name])
    same(bench.make().recall(s, cue)[0], first)


@asked(kind="memory")
def kinds_of_numbers_copies_and_state_dicts(bench: MemoryBench) -> None:
    """In float64 it answers the same; a copy and a loaded state dict are the same memory."""
    memory = bench.make()
    (cue, content), _ = bench.pairs(memory)
    s = bench.held(memory, [(cue, content)])
    double = bench.make().double()
    pairs = bench.pairs(double, dtype=torch.float64)[:1]
    state = bench.held(double, pairs)
    require(all(tensor.dtype == torch.float64 for _, tensor in leaves(state)), "A state for float64 holds other numbers.")
    torch.testing.assert_close(double.recall(state, pairs[0][0])[0].float(), memory.recall(s, cue)[0])
    other = bench.make()
    other.load_state_dict(load(save({name: tensor.contiguous() for name, tensor in memory.state_dict().items()})))
    for one in (other, copy.deepcopy(memory)):
        same(one.recall(s, cue)[0], memory.recall(s, cue)[0])


@asked(kind="memory")
def its_cost_can_be_counted(bench: MemoryBench) -> None:
    """Synapses are at least one a pair of cells, of one memory as of each in a batch; an empty one holds no bit, a written one does."""
    memory = bench.make()
    empty = memory_cost(memory, memory.initial())
    held = memory_cost(memory, bench.held(memory, bench.pairs(memory, 2, 4)))
    require(empty.synapses >= memory.cue_size * memory.content_size, f"{empty.synapses} synapses are fewer than pairs of cells.")
    require(held.synapses == empty.synapses, "A batch of memories has other numbers of synapses than one.")
    require(held.state_bytes == empty.state_bytes, "A batch of memories has other sizes than one.")
    require(empty.bits == 0 < held.bits, f"Bits a synapse are {empty.bits} before a write and {held.bits} after it.")


@asked(lambda part: hasattr(part.make, "erase"), kind="memory")
def what_is_erased_is_gone_and_the_rest_stays(bench: MemoryBench) -> None:
    """Of two pairs that share nothing, the one that was not erased is still recalled, and the other is as if it had not been written."""
    memory = bench.make().double()
    gone, kept = bench.pairs(memory, dtype=torch.float64)
    s = memory.erase(bench.held(memory, [gone, kept]), *gone)
    same(bench.cut(memory, memory.recall(s, kept[0])[0]), kept[1])
    same(memory.recall(s, gone[0])[0], memory.recall(bench.held(memory, [kept]), gone[0])[0], exact=False)


@asked(lambda part: hasattr(part.make, "recall_cues"), kind="memory")
def a_fragment_is_answered_by_its_cue(bench: MemoryBench) -> None:
    """Of two pairs that share nothing, a content calls its own cue."""
    memory = bench.make()
    pairs = bench.pairs(memory)
    s = bench.held(memory, pairs)
    for cue, content in pairs:
        found, s = memory.recall_cues(s, content)
        same(found, cue)


@asked(lambda part: hasattr(part.make, "capacity"), kind="memory")
def more_is_held_where_more_may_be_wrong(bench: MemoryBench) -> None:
    """Capacity is above 0, rises with what may be wrong, and refuses what it has not."""
    memory = bench.make()
    require(isinstance(memory, Bounded), "capacity takes cue_active, content_active and wrong=.")
    small, large = (memory.capacity(ACTIVE, ACTIVE, wrong=wrong) for wrong in (0.01, 0.1))
    require(0 < small < large, f"With 1 % wrong it holds {small}, with 10 % {large}.")
    refused(ValueError, lambda: memory.capacity(memory.cue_size + 1, ACTIVE), "More active cells than there are")
    refused(ValueError, lambda: memory.capacity(ACTIVE, ACTIVE, wrong=1.5), "wrong=1.5")


@asked(kind="memory")
def bad_input_is_one_sentence(bench: MemoryBench) -> None:
    """Cues and contents that are no tensors, of another kind of number, size or batch, or not finite."""
    memory = bench.make()
    (cue, content), _ = bench.pairs(memory)
    s = bench.held(memory, [(cue, content)])
    listed: Any = cue.tolist()
    refused(TypeError, lambda: memory.recall(s, listed), "A list as cue")
    refused(TypeError, lambda: memory.recall(s, cue.long()), "An integer cue")
    refused(TypeError, lambda: memory.write(s, cue, content > 0), "A boolean content")
    refused(ValueError, lambda: memory.recall(s, torch.cat((cue, cue[:1]))), "A cue of another size")
    refused(ValueError, lambda: memory.write(s, cue, content[:-1]), "A content of another size")
    refused(ValueError, lambda: memory.write(s, cue.expand(2, -1), content.expand(2, -1)), "Another batch than the state's")
    refused(ValueError, lambda: memory.recall(s, cue * float("nan")), "A cue that is not finite")
    refused(TypeError, lambda: memory.recall(Foreign(torch.zeros(2)), cue), "The state of another")
