"""Checks: samples, instances and threads do not touch; nothing is hidden; the seed decides and nothing else."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from inspect import signature

import torch
from safetensors.torch import load, save

from neuropil.dynamics import leaves, map_state
from neuropil.testing.bench import Bench, is_cell
from neuropil.testing.stating import asked, require, same, same_state


@asked()
def samples_of_a_batch_do_not_touch(bench: Bench) -> None:
    """Each sample gives alone what it gives in company."""
    part, x = bench.make().double(), bench.x(20, 4, dtype=torch.float64)
    along = bench.along(x)
    y, _ = bench.run(part, x, **along)
    for b in range(4):
        alone, _ = bench.run(part, x[:, b : b + 1], **{name: tensor[:, b : b + 1] for name, tensor in along.items()})
        same(y[:, b : b + 1], alone, exact=False)


@asked()
def nothing_is_hidden(bench: Bench) -> None:
    """A call changes neither the part, nor its input, nor the state it was given; a state shares no memory with the part."""
    part, x = bench.make(), bench.x(20, 2)
    along = bench.along(x)
    before = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    attributes, given = set(vars(part)), x.clone()
    y, s = bench.run(part, x, **along)
    kept = map_state(torch.clone, s)
    bench.run(part, 2 * x, s, **along)
    same(y, bench.run(part, x, **along)[0])
    same(x, given)
    if bench.is_cell:
        same_state(s, kept)
    added = set(vars(part)) - attributes
    require(not added, f"A call stored {', '.join(sorted(added))} on the part; what changes within a sequence is state.")
    for name, tensor in part.state_dict().items():
        same(tensor, before[name])
    if bench.is_cell:
        rest = part.initial_like(x[0])
        kept = map_state(torch.clone, rest)
        with torch.no_grad():
            for tensor in bench.tensors(part).values():
                tensor.add_(1)
        same_state(rest, kept)


@asked(is_cell)
def a_single_sample_shares_no_memory_with_the_part_either(bench: Bench) -> None:
    """The state at rest of one sample is a copy too."""
    part = bench.make()
    own = {tensor.untyped_storage().data_ptr() for tensor in part.state_dict().values()}
    for name, tensor in leaves(part.initial_like(bench.x(1)[0])):
        require(
            tensor.untyped_storage().data_ptr() not in own, f"The field {name} of the state at rest is the part's own memory; clone it."
        )


@asked()
def instances_do_not_touch_even_under_threads(bench: Bench) -> None:
    """One instance in many threads, and many instances, give what each gives alone."""
    inputs = [bench.x(25, 2, seed=seed) for seed in range(6)]
    parts = [bench.make(seed=seed) for seed in range(3)]
    shared = [bench.run(parts[0], x)[0] for x in inputs]
    own = [bench.run(parts[k % 3], x)[0] for k, x in enumerate(inputs)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for a, b in zip(shared, pool.map(lambda x: bench.run(parts[0], x)[0], inputs), strict=True):
                same(a, b)
            for a, b in zip(own, pool.map(lambda kx: bench.run(parts[kx[0] % 3], kx[1])[0], enumerate(inputs)), strict=True):
                same(a, b)


@asked()
def state_dict_round_trip_by_safetensors_and_deep_copy(bench: Bench) -> None:
    """Saved and loaded, or copied, it is the same part."""
    part, x = bench.make(seed=0), bench.x(20, 2)
    other = bench.make(seed=1)
    other.load_state_dict(load(save({name: tensor.contiguous() for name, tensor in part.state_dict().items()})), strict=True)
    same(bench.run(part, x)[0], bench.run(other, x)[0])
    same(bench.run(part, x)[0], bench.run(copy.deepcopy(part), x)[0])


@asked()
def the_seed_decides_and_nothing_else(bench: Bench) -> None:
    """Equal seeds make equal parts; where it takes a generator, that alone decides."""
    for name, tensor in bench.make(seed=3).state_dict().items():
        same(tensor, bench.make(seed=3).state_dict()[name])
    if "generator" in signature(bench.part.make).parameters:
        one, two = (bench.make(seed=seed, generator=torch.Generator().manual_seed(7)).state_dict() for seed in (0, 1))
        for name, tensor in one.items():
            same(tensor, two[name])
        other = bench.make(generator=torch.Generator().manual_seed(8)).state_dict()
        require(any(not torch.equal(one[name], other[name]) for name in one), "Another generator made the same part; draw from generator=.")


@asked()
def nan_gives_nan_and_never_a_spike_and_stays_in_its_sample(bench: Bench) -> None:
    """A NaN is seen, at once or a moment later, and reaches no other sample, nor another neuron where the equation is elementwise."""
    part, x = bench.make(), bench.x(12, 2)
    clean, _ = bench.run(part, x)
    place = (3, 0, *(size // 2 for size in bench.features))
    x[place] = float("nan")
    y, _ = bench.run(part, x)
    same(y[:, 1], clean[:, 1])
    same(y[:3], clean[:3])
    require(y[3:5, 0].isnan().any(), "An input of NaN gave finite outputs at once and a moment later.")
    if bench.elementwise:
        n = bench.features[0] // 2
        require(y[3, 0, n].isnan() or y[3, 0, n] == clean[3, 0, n], "An input of NaN gave a number of its own.")
        require(y[4:, 0, n].isnan().all(), "A neuron that has seen NaN gave numbers, or spikes, later on.")
        others = [k for k in range(bench.features[0]) if k != n]
        same(y[:, 0, others], clean[:, 0, others])
