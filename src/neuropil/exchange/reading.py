"""A graph of NIR as a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from neuropil.dynamics import Cell, Chain, Circuit, Edge
from neuropil.dynamics.circuit import INPUT
from neuropil.dynamics.parameter import check_dt
from neuropil.exchange.delayed import delayed_of
from neuropil.exchange.membrane import Scheme, check_scheme
from neuropil.exchange.modules import Reading, module_of, read_notes
from neuropil.synapses import Recurrent


def from_nir(
    graph: Any,
    *,
    dt: float | None = None,
    dtype: torch.dtype | None = None,
    scheme: Scheme | None = None,
    reset: Literal["hard", "soft"] | None = None,
) -> Cell:
    """Make a model of an ``nir.NIRGraph``: the cell itself where it is alone, a ``Chain`` where it is a line, a ``Recurrent`` or a ``Circuit``.

    Equation: every neuron is ``Membrane`` or ``CubaMembrane``, the format's equation in steps of ``dt`` with inputs held over each step; where
    ``to_nir`` wrote the node, nothing other is asked for and the arrays are unchanged, it is the cell that was written. A ``Delay`` becomes its nearest whole number of
    steps; in a loop without one, what leaves a neuron arrives a step later. ``nir.Linear`` becomes ``Dense``, ``nir.Affine`` ``nn.Linear``.

    ``graph``: with one ``Input`` and one ``Output``, numbers [N] or one for all; graphs within it become parts of the model. ``dt``: one step in seconds, that of the notes
    unless given: where another is, spikes last that long, and a graph of several spiking layers is another one; ``dtype``: that of the notes, else torch's default. ``scheme``: that of the notes, else ``"exact"``; ``"euler"`` reads a graph as snnTorch, Norse and SpikingJelly
    step it (snnTorch writes for ``dt=1e-4``). ``reset``: that of the notes, else ``"hard"``, NIR's; ``"soft"`` subtracts, which graphs of before nir 1.0.6 may mean. Dots in names become ``_``. Raises ``ValueError`` for nodes that neuropil has no module for, for ``dt`` missing or
    above a time constant, for a ``Delay`` that differs between neurons and a loop of nothing but delays; ``TypeError`` for what is no graph. Source: pedersen2024.
    """
    if reset not in (None, "hard", "soft"):
        raise ValueError(f"reset is 'hard' or 'soft', {reset!r} was given; NIR's is 'hard', to v_reset.")
    return _model(graph, Reading(dt, dtype, None if scheme is None else check_scheme(scheme), reset))


def _model(graph: Any, reading: Reading) -> Cell:
    if type(graph).__name__ != "NIRGraph":
        raise TypeError(f"from_nir was given a {type(graph).__name__}; accepted is an nir.NIRGraph, from to_nir or nir.read.")
    delayed = delayed_of(graph, reading)
    if delayed is not None:
        return delayed
    ends = {kind: [name for name, node in graph.nodes.items() if type(node).__name__ == kind] for kind in ("Input", "Output")}
    for kind, found in ends.items():
        if len(found) != 1:
            raise ValueError(f"The graph has {len(found)} nodes {kind} ({found}); accepted is one.")
    (first,), (last,) = ends.values()
    names = _names([name for name, node in graph.nodes.items() if type(node).__name__ not in ("Input", "Output", "Delay")])
    modules: dict[str, nn.Module] = {}
    for given, name in names.items():
        node = graph.nodes[given]
        inner = type(node).__name__ == "NIRGraph"
        modules[name] = _model(node, reading) if inner else module_of(node, given, reading)
    if not modules:
        raise ValueError("The graph has no node between its Input and its Output; accepted is one or more.")
    edges = [
        Edge(INPUT if source == first else names[source], names[target], steps)
        for source, target, steps in _paths(graph, names, reading.dt)
    ]
    edges = _with_delays(edges, modules)
    ending = [Edge(INPUT if source == first else names[source], "readout", steps) for source, steps in _sources(graph, last, reading.dt)]
    if len(ending) == 1 and ending[0].source != INPUT and not ending[0].delay:
        output = ending[0].source
    else:
        output = next(iter(_names(["readout"], set(modules)).values()))
        modules[output] = nn.Identity()
        edges += [Edge(source, output, steps) for source, _, steps, _ in ending]
    size = int(np.ravel(graph.nodes[first].input_type["input"])[-1]) if np.size(graph.nodes[first].input_type["input"]) else None
    return _recurrent(modules, edges, output) or _line(modules, edges, output) or Circuit(modules, edges, output=output, size=size)


def _names(given: list[str], taken: set[str] | None = None) -> dict[str, str]:
    """Names that a Chain or Circuit can give its children, by those of the graph."""
    used, names = {"self", INPUT, "names", "edges", "output", "delays", "paths", "order", *(taken or ())}, {}
    for name in given:
        free = name.replace(".", "_") or "node"
        while free in used or hasattr(Circuit, free) or hasattr(Chain, free) or free in vars(nn.Module()) or free in _PLAIN:
            free += "_"
        used.add(free)
        names[name] = free
    return names


_PLAIN = ("size", "out_size", "dt")


def _sources(graph: Any, target: str, dt: float | None, steps: int = 0, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    """What arrives at ``target``: nodes that are no delays, and how many steps later."""
    for source, other in graph.edges:
        if other != target:
            continue
        node = graph.nodes[source]
        if type(node).__name__ != "Delay":
            yield source, steps
        elif source in seen:
            raise ValueError(f"The delays {', '.join(seen)} form a loop with nothing else in it; take them out.")
        else:
            yield from _sources(graph, source, dt, steps + _steps(node, source, dt), (*seen, source))


def _steps(node: Any, name: str, dt: float | None) -> int:
    seconds = np.ravel(node.delay)
    if len(seconds) == 0 or not np.all(seconds == seconds[0]) or not 0 <= seconds[0] < np.inf:
        raise ValueError(f"The delay of node {name!r} is {seconds}; accepted is one number of seconds for all neurons, 0 or more.")
    return round(float(seconds[0]) / check_dt(read_notes(node, name).get("dt") if dt is None else dt, f"the delay {name!r}"))


def _paths(graph: Any, names: dict[str, str], dt: float | None) -> Iterator[tuple[str, str, int]]:
    """The edges between nodes that are no delays, in the order in which the graph names what arrives."""
    for target in names:
        yield from ((source, target, steps) for source, steps in _sources(graph, target, dt))


def _with_delays(edges: list[Edge], modules: dict[str, nn.Module]) -> list[Edge]:
    """One step for every edge that leaves a cell for a loop without delay."""

    def reached(start: str) -> set[str]:
        found, ahead = {start}, [start]
        while ahead:
            here = ahead.pop()
            fresh = {edge.target for edge in edges if edge.source == here and not edge.delay} - found
            found |= fresh
            ahead += fresh
        return found

    looping = [
        edge for edge in edges if not edge.delay and isinstance(modules.get(edge.source), Cell) and edge.source in reached(edge.target)
    ]
    return [Edge(edge.source, edge.target, 1) if edge in looping else edge for edge in edges]


def _recurrent(modules: dict[str, nn.Module], edges: list[Edge], output: str) -> Recurrent | None:
    """The Recurrent that the circuit is, if it is one."""
    cell, others = modules[output], [name for name in modules if name != output]
    if len(others) != 1 or not isinstance(cell, Cell) or cell.size is None or isinstance(modules[others[0]], Cell):
        return None
    wanted = {Edge(INPUT, output), Edge(others[0], output), Edge(output, others[0], 1)}
    return Recurrent(cell, modules[others[0]]) if len(edges) == 3 and set(edges) == wanted else None


def _line(modules: dict[str, nn.Module], edges: list[Edge], output: str) -> Cell | None:
    """The Chain that the circuit is, or the one cell, if it is one."""
    after = {edge.source: edge.target for edge in edges}
    if len(edges) != len(modules) or len(after) != len(edges) or any(edge.delay for edge in edges):
        return None
    order: list[str] = []
    here = INPUT
    while here in after and len(order) < len(modules):
        here = after[here]
        order.append(here)
    if here != output or len(set(order)) != len(modules):
        return None
    only = modules[output]
    return only if len(order) == 1 and isinstance(only, Cell) else Chain(**{name: modules[name] for name in order})
