"""A graph of named parts with feedback and delays, run moment by moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuropil.dynamics.cell import Cell
from neuropil.dynamics.chain import check_plain, output_size
from neuropil.dynamics.state import check_state

INPUT = "input"


class Edge(NamedTuple):
    """What ``source`` puts out arrives ``delay`` steps later at ``target``, through the plain module ``via`` (identity if ``None``)."""

    source: str
    target: str
    delay: int = 0
    via: nn.Module | None = None


class Circuit(Cell):
    """Named nodes and edges: ``Circuit({"e": ..., "i": ...}, [("input", "e"), ("e", "i"), Edge("i", "e", 1, via)], output="e")``.

    Equation: ``y_j(t) = node_j(sum over edges (i, j, d, via) of via(y_i(t - d)))`` with ``y_input = x`` and silence (0) before the first
    moment. ``x`` [T, ..., N] -> ``y`` [T, ..., M], the output of node ``output``; the others are there to observe. ``nodes``: Cells or plain
    modules by name; ``edges``: ``Edge`` or tuples (source, target[, delay[, via]]), delays in whole steps, the source ``"input"`` is ``x``;
    several edges into a node are added. ``State.nodes`` holds the nodes' states, ``State.buffers`` what is under way: [longest delay, ..., N]
    for each source with a delay, newest last. The module of an edge is the child ``"source_to_target"``.
    Raises ``ValueError`` for unknown names, a node without input, a negative delay, a loop without delay, a delayed source whose
    number of features is not known, and edges that bring one node different shapes; ``TypeError`` for a plain module with a Cell inside.
    """

    class State(NamedTuple):
        """``nodes``: a state a node (``None``: at rest, or plain); ``buffers``: outputs under way, [delay, ..., N], newest last."""

        nodes: dict[str, Any]
        buffers: dict[str, Tensor]

    def __init__(self, nodes: Mapping[str, nn.Module], edges: Iterable[tuple[Any, ...]], *, output: str, size: int | None = None) -> None:
        super().__init__(size)
        self.edges = tuple(Edge(*edge) for edge in edges)
        self.names = tuple(nodes)
        self.output = output
        for name, node in nodes.items():
            if not isinstance(node, nn.Module):
                raise TypeError(f"Node {name!r} of a Circuit is a {type(node).__name__}; accepted are nn.Modules and Cells.")
            check_plain(node, f"Node {name!r} of a Circuit")
            if name == INPUT or hasattr(self, name):
                raise ValueError(f"A node of a Circuit cannot be named {name!r}, that name is taken; choose another.")
            self.add_module(name, node)
        if output not in nodes:
            raise ValueError(f"The output of this Circuit was named {output!r}; accepted are its nodes {sorted(nodes)}.")
        self.out_size = output_size(nodes[output])
        self.delays: dict[str, int] = {}
        self.paths: dict[str, list[tuple[Edge, str | None]]] = {name: [] for name in nodes}
        for edge in self.edges:
            self._connect(edge)
        for name, paths in self.paths.items():
            if not paths:
                raise ValueError(f"Node {name!r} gets no input; give it an edge, for example ('input', {name!r}).")
        try:
            order = {name: [e.source for e, _ in paths if e.delay == 0 and e.source != INPUT] for name, paths in self.paths.items()}
            self.order = tuple(TopologicalSorter(order).static_order())
        except CycleError as error:
            loop = " -> ".join(reversed(error.args[1]))
            raise ValueError(
                f"The loop {loop} has no delay, so no node in it can be first; give one of its edges a delay of 1 or more."
            ) from None

    def _connect(self, edge: Edge) -> None:
        for name, accepted in ((edge.source, (INPUT, *self.names)), (edge.target, self.names)):
            if name not in accepted:
                raise ValueError(f"An edge names {name!r}; accepted here are {sorted(accepted)}.")
        if isinstance(edge.delay, bool) or not isinstance(edge.delay, int) or edge.delay < 0:
            raise ValueError(f"The delay of edge {edge.source} -> {edge.target} is {edge.delay!r}; accepted are whole steps, 0 or more.")
        child = None
        if edge.via is not None:
            if isinstance(edge.via, Cell) or not isinstance(edge.via, nn.Module):
                raise TypeError(
                    f"Edge {edge.source} -> {edge.target} goes through a {type(edge.via).__name__}; accepted are plain modules, make a cell a node."
                )
            check_plain(edge.via, f"The module of edge {edge.source} -> {edge.target}")
            stem = f"{edge.source}_to_{edge.target}"
            child = next(name for name in (stem, *(f"{stem}_{k}" for k in range(2, 2 + len(self.edges)))) if not hasattr(self, name))
            self.add_module(child, edge.via)
        if edge.delay:
            if edge.source != INPUT and output_size(self.get_submodule(edge.source)) is None:
                raise ValueError(
                    f"Node {edge.source!r} feeds an edge with a delay but has no size; give it one, its silence before the start has that shape."
                )
            self.delays[edge.source] = max(self.delays.get(edge.source, 0), edge.delay)
        self.paths[edge.target].append((edge, child))

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
        """Every node at rest, nothing under way. An input with a delay needs the ``size`` of the circuit."""
        lead = leading if self.size is not None else leading[:-1]
        return self._silent(lead, self.size if self.size is not None else (leading[-1] if leading else None), device, dtype)

    def _silent(self, lead: tuple[int, ...], features: int | None, device: Any, dtype: Any) -> State:
        buffers = {}
        for source, longest in self.delays.items():
            size = features if source == INPUT else output_size(self.get_submodule(source))
            if size is None:
                raise ValueError("The input of this Circuit has a delay but no size is known; give the Circuit its size.")
            buffers[source] = torch.zeros(longest, *lead, size, **self._place(device, dtype))
        return self.State(dict.fromkeys(self.names), buffers)

    def ready(self, x: Tensor, s: Any = None) -> Any:
        """Check the input and that ``s`` is this circuit's state; the nodes check their parts."""
        self._check_input(x, "[..., N]", 1)
        if s is None:
            return self.initial_like(x)
        if not isinstance(s, self.State) or s.nodes.keys() != set(self.names):
            given = sorted(s.nodes) if isinstance(s, self.State) else f"a {type(s).__name__}"
            raise TypeError(f"Circuit was given the state of {given}; accepted is a Circuit.State of its nodes {sorted(self.names)}.")
        check_state(s.buffers, self.initial_like(x).buffers, "Circuit")
        return s

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, Any]:
        """One moment: every node once, in the order of its undelayed input."""
        s = self.ready(x, s)
        now: dict[str, Tensor] = {INPUT: x}
        nodes: dict[str, Any] = dict(s.nodes)
        for name in self.order:
            arriving = []
            for edge, child in self.paths[name]:
                sent = s.buffers[edge.source][-edge.delay] if edge.delay else now[edge.source]
                arriving.append(sent if child is None else self.get_submodule(child)(sent))
            if any(one.shape != arriving[0].shape for one in arriving):
                sent = ", ".join(f"{list(one.shape)} from {edge.source}" for one, (edge, _) in zip(arriving, self.paths[name], strict=True))
                raise ValueError(f"Node {name!r} of a Circuit is sent {sent}; edges into one node bring equal shapes, change one's module.")
            total = reduce(torch.add, arriving)
            node = self.get_submodule(name)
            if isinstance(node, Cell):
                now[name], nodes[name] = node.step(total, nodes[name])
            else:
                now[name] = node(total)
        buffers = {source: torch.cat((buffer[1:], now[source].unsqueeze(0))) for source, buffer in s.buffers.items()}
        return now[self.output], self.State(nodes, buffers)
