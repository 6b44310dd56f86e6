"""A model as a graph of NIR."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from neuropil.dynamics import Cell, Chain, Circuit
from neuropil.dynamics.chain import output_size
from neuropil.dynamics.circuit import INPUT
from neuropil.dynamics.parameter import check_dt
from neuropil.exchange.delayed import delay_node, delayed_graph
from neuropil.exchange.membrane import Scheme, check_scheme
from neuropil.exchange.nodes import Size, nir_package, node_of
from neuropil.exchange.space import SPACE, space_node
from neuropil.synapses import DelayedLinear, Recurrent


def to_nir(model: nn.Module, *, size: Size | None = None, dt: float | None = None, scheme: Scheme = "exact") -> Any:
    """Write a cell, ``Chain``, ``Circuit``, ``Recurrent``, ``DelayedLinear`` or linear layer as an ``nir.NIRGraph``, which ``nir.write`` puts into a file.

    Equation: NIR's neurons are ``tau dv/dt = v_leak - v + r x``, without a step. ``x`` is taken as held over each step of ``dt``, which gives
    ``v <- d v + (1 - d) (v_leak + r x)`` exactly, ``d = exp(-dt / tau)``; so an LI or LIF, to which ``x`` is added at once, has
    ``r = 1 / (1 - d)`` (about ``tau / dt``), a CubaLIF ``w_in = 1 / (1 - d_s)`` and ``r = 1``, a PLIF ``r = 1``. Update, spike (``v >= threshold``), reset and
    output come in this order within a step; a spike is a pulse of height 1 and length ``dt``. ``v_reset`` is the value of a hard reset, and 0 for a soft one, which is the same in
    the limit of short steps. A delay of ``k`` steps is a ``Delay`` of ``k dt`` seconds; the loop of a ``Recurrent`` has no ``Delay``: ``from_nir`` gives every loop a step.
    ``dt``, kind of reset, surrogate, dtype, what is shared or learned are noted as JSON in ``metadata["neuropil"]`` of the nodes.

    ``scheme="euler"`` writes for readers that step by ``v <- v + dt / tau (v_leak - v + r x)``, snnTorch, Norse and SpikingJelly among them: ``tau = dt / (1 - d)``, with
    which they make the same steps, at the price of a ``tau`` that is not the cell's. ``size``: features of the input, where the model does not say, or (channels, height, width); ``dt``: one step in
    seconds, where no cell says. Synapses are written as the matrix that acts and come back as ``Dense``; a surrogate of your own class comes back as the default;
    ``nn.BatchNorm1d`` is written as the matrix that it is after training, ``nn.Dropout`` and ``nn.Identity`` as a factor of 1. Raises ``ValueError`` for a part without a node in NIR,
    with the reason, for sizes or a ``dt`` that are not known or differ, modules in training, and a ``Circuit`` node that leads nowhere; ``ImportError`` without the extra ``exchange``.
    Source: pedersen2024.
    """
    nir_package()
    size, step = size if size is not None else _input_size(model), _steps(model, dt)
    graph = _node(model, size, step, check_scheme(scheme))
    if type(graph).__name__ == "NIRGraph":
        return graph
    name = type(model).__name__.lower()
    return _closed({name: graph}, [(INPUT, name)], name, size)


def _steps(model: nn.Module, dt: float | None) -> float | None:
    steps = {part.dt for part in model.modules() if isinstance(part, Cell) and part.dt is not None}
    steps |= set() if dt is None else {check_dt(dt)}
    if len(steps) > 1:
        raise ValueError(f"The cells of this model have steps of {sorted(steps)} s; give all of them the same dt.")
    return next(iter(steps), None)


def _input_size(module: nn.Module) -> int | None:
    """How many features ``module`` takes, where it says so."""
    if isinstance(module, Chain):
        return _input_size(module.layers[0])
    if isinstance(module, Circuit) and module.size is None:
        first = (
            module.get_submodule(child or name) for name, paths in module.paths.items() for edge, child in paths if edge.source == INPUT
        )
        return next((known for known in map(_input_size, first) if known is not None), None)
    size = getattr(module, "size", getattr(module, "in_features", None))
    return size if isinstance(size, int) else None


def _output_size(node: Any) -> Size:
    shape = tuple(int(axis) for axis in np.ravel(next(iter(node.output_type.values()))))
    return shape[0] if len(shape) == 1 else shape


def _node(module: nn.Module, size: Size | None, dt: float | None, scheme: Scheme) -> Any:
    if type(module) is DelayedLinear:
        return delayed_graph(module, dt)
    if isinstance(module, SPACE):
        return space_node(module, size)
    if not isinstance(module, Chain | Circuit | Recurrent):
        return node_of(module, size, scheme)
    kind = next(kind for kind in (Chain, Circuit, Recurrent) if isinstance(module, kind))
    if type(module).step is not kind.step or type(module).forward is not kind.forward:
        raise ValueError(
            f"{type(module).__name__} cannot be written for NIR: it is a {kind.__name__} with steps of its own; write the {kind.__name__}."
        )
    return _graph(module, size, dt, scheme)


def _graph(model: Chain | Circuit | Recurrent, size: Size | None, dt: float | None, scheme: Scheme) -> Any:
    if isinstance(model, Chain):
        nodes, edges, last, features = {}, [], INPUT, size
        for name, layer in zip(model.names, model.layers, strict=True):
            nodes[name] = _node(layer, features, dt, scheme)
            edges.append((last, name))
            last, features = name, _output_size(nodes[name])
    elif isinstance(model, Recurrent):
        last = "cell"
        nodes = {"cell": _node(model.cell, size, dt, scheme), "synapse": _node(model.synapse, size, dt, scheme)}
        edges = [(INPUT, "cell"), ("synapse", "cell"), ("cell", "synapse")]
    else:
        nodes, edges = _circuit(model, size, dt, scheme)
        last = model.output
    return _closed(nodes, edges, last, size)


def _closed(nodes: dict[str, Any], edges: list[tuple[str, str]], last: str, size: Size | None) -> Any:
    """The graph of nodes and edges between an ``Input`` and, after node ``last``, an ``Output``."""
    nir = nir_package()
    if size is None:
        raise ValueError("The number of inputs of this model is not known; give it to to_nir as size.")
    if INPUT in nodes:
        raise ValueError(f"A layer is named {INPUT!r}, which is the input's name; choose another name.")
    end = _free("output", nodes)
    nodes = {INPUT: nir.Input(np.atleast_1d(size)), **nodes, end: nir.Output(np.atleast_1d(_output_size(nodes[last])))}
    return nir.NIRGraph(nodes, [*edges, (last, end)])


def _free(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def _circuit(model: Circuit, size: Size | None, dt: float | None, scheme: Scheme) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The nodes of a circuit, those of its edges among them, and the edges between them."""
    nir = nir_package()
    sources = {edge.source for edge in model.edges}
    for name in model.names:
        if name not in sources and name != model.output:
            raise ValueError(f"Node {name!r} of this Circuit leads nowhere, which NIR takes for an output; leave it out.")
    nodes: dict[str, Any] = {}
    for name in model.order:
        nodes[name] = _node(model.get_submodule(name), _arriving(model, name, nodes, size), dt, scheme)
    edges: list[tuple[str, str]] = []
    children = [child for paths in model.paths.values() for _, child in paths if child is not None]
    for target, paths in model.paths.items():
        for edge, child in paths:
            last = edge.source
            features = size if edge.source == INPUT else _output_size(nodes[edge.source])
            if edge.delay:
                if dt is None:
                    raise ValueError("A delay is in seconds in NIR and no cell of this Circuit has a dt; give one its dt.")
                delay = _free(f"{edge.source}_delay_{target}", (*nodes, *children))
                nodes[delay] = delay_node(edge.delay, dt, _known(features))
                edges.append((last, delay))
                last = delay
            if child is not None:
                nodes[child] = _node(model.get_submodule(child), features, dt, scheme)
                edges.append((last, child))
                last = child
            if (last, target) in edges:  # NIR holds an edge once
                again = _free(f"{last}_again_{target}", (*nodes, *children))
                nodes[again] = nir.Scale(scale=np.ones(_known(features)))
                edges.append((last, again))
                last = again
            edges.append((last, target))
    return nodes, edges


def _known(features: Size | None) -> Size:
    if features is None:
        raise ValueError("How many features this Circuit takes is not known and one of its edges needs it; give the Circuit its size.")
    return features


def _arriving(model: Circuit, name: str, nodes: dict[str, Any], size: Size | None) -> Size | None:
    """How many features node ``name`` is sent, from what is known so far."""
    own = _input_size(model.get_submodule(name))
    if own is not None:
        return own
    for edge, child in model.paths[name]:
        via = None if child is None else output_size(model.get_submodule(child))
        if via is not None:
            return via
        if child is None and edge.source in nodes:
            return _output_size(nodes[edge.source])
        if child is None and edge.source == INPUT:
            return size
    return None
