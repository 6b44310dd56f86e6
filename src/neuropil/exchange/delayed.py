"""Delays of single synapses in NIR, whose delays are of neurons: a delay and a matrix for every step that a synapse takes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import nn

from neuropil.dynamics.circuit import INPUT
from neuropil.exchange.modules import Reading, read_notes
from neuropil.exchange.nodes import NOTES, Size, array, nir_package, write_notes
from neuropil.synapses import DelayedLinear

PART = "DelayedLinear"


def delay_node(steps: int, dt: float, size: Size) -> Any:
    """The node ``Delay`` of so many steps of ``dt`` seconds, which is noted beside it."""
    return nir_package().Delay(delay=np.full(size, steps * dt), metadata={NOTES: json.dumps({"dt": dt})})


def delayed_graph(module: DelayedLinear, dt: float | None) -> Any:
    """The graph of a ``DelayedLinear``: ``y(t) = sum_k W_k x(t - k dt)``, for every ``k`` whose ``W_k`` [M, N] is not 0 a ``Delay`` and a ``Linear``.

    Delays that were rounded (``discretise_``) give as many as there are different ones, others ``max_delay + 1``. Weights, delays and width are noted
    beside it. Raises ``ValueError`` where no ``dt`` is known.
    """
    nir = nir_package()
    if dt is None:
        raise ValueError(
            f"{PART} cannot be written for NIR: its delays are in steps, NIR's in seconds, and no cell here has a dt; give to_nir the dt."
        )
    kernel = module.kernel().detach()
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for k in [k for k in range(kernel.shape[-1]) if kernel[..., k].any()] or [0]:
        source, weight = INPUT, f"weight{k}"
        nodes[weight] = nir.Linear(weight=array(kernel[..., k]), metadata=write_notes(module, {}))
        if k:
            source = f"delay{k}"
            nodes[source] = delay_node(k, dt, kernel.shape[1])
            edges.append((INPUT, source))
        edges += [(source, weight), (weight, "output")]
    ends = {INPUT: nir.Input(np.array([kernel.shape[1]])), "output": nir.Output(np.array([kernel.shape[0]]))}
    notes = {"part": PART, "dt": dt, "max_delay": module.max_delay, "width": float(module.width), "widest": float(module.widest)}
    learnable = {"learnable": isinstance(module.delay, nn.Parameter)}
    metadata = {**write_notes(module, notes | learnable), "weight": array(module.weight), "delay": array(module.delay)}
    return nir.NIRGraph({INPUT: ends[INPUT], **nodes, "output": ends["output"]}, edges, metadata=metadata)


def delayed_of(graph: Any, reading: Reading) -> DelayedLinear | None:
    """The ``DelayedLinear`` that ``graph`` was written from; None where it was not, or its matrices or ``dt`` are no longer those."""
    notes = read_notes(graph, "graph")
    if notes.get("part") != PART or reading.dt not in (None, notes["dt"]):
        return None
    weight, delay = (torch.as_tensor(np.asarray(graph.metadata[name])) for name in ("weight", "delay"))
    module = DelayedLinear(
        weight.shape[1],
        weight.shape[0],
        max_delay=notes["max_delay"],
        delay=delay,
        width=notes["widest"],
        learnable=notes["learnable"],
        generator=torch.Generator(),
    ).to(reading.dtype or getattr(torch, notes["dtype"]))
    with torch.no_grad():
        module.weight.copy_(weight)
        module.delay.copy_(delay)
        module.width.fill_(notes["width"])
    again = delayed_graph(module, notes["dt"])
    same = again.nodes.keys() == graph.nodes.keys() and sorted(again.edges) == sorted(graph.edges)
    return module if same and all(_equal(node, graph.nodes[name]) for name, node in again.nodes.items()) else None


def _equal(one: Any, other: Any) -> bool:
    """Whether two nodes of a kind hold the same numbers, to the precision of float32."""
    numbers = [name for name in ("weight", "delay") if hasattr(one, name)]
    return type(one) is type(other) and all(
        np.shape(getattr(one, name)) == np.shape(getattr(other, name))
        and np.allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-7)
        for name in numbers
    )
