"""One node of NIR as one module: our own cell where ours wrote it and it is untouched, else the node's equation as it stands."""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.cells import LI, LIF, PLIF, CubaLIF
from neuropil.dynamics import Arctan, Cell, FastSigmoid, Reset, Sigmoid, Surrogate, Triangular
from neuropil.dynamics.parameter import check_dt
from neuropil.exchange.membrane import CubaMembrane, Membrane, Scheme, check_scheme
from neuropil.exchange.nodes import NOTES, node_of, times_for
from neuropil.exchange.plain import Scale, Threshold
from neuropil.exchange.space import READABLE as SPACE
from neuropil.exchange.space import space_module
from neuropil.synapses import Dense

SURROGATES: dict[str, type[Surrogate]] = {one.__name__: one for one in (Arctan, FastSigmoid, Sigmoid, Triangular)}
MEMBRANES = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")
READABLE = ("Affine", "Delay", "Input", "Linear", "NIRGraph", "Output", "Scale", "Threshold", *MEMBRANES, *SPACE)


class Reading(NamedTuple):
    """How a graph is read: what is given here counts before what the nodes' notes say."""

    dt: float | None = None
    dtype: torch.dtype | None = None
    scheme: Scheme | None = None
    reset: Literal["hard", "soft"] | None = None


def read_notes(node: Any, name: str) -> dict[str, Any]:
    """What ``to_nir`` noted beside node ``name``, {} where it did not write it. Raises ``ValueError`` for notes that cannot be read."""
    text = node.metadata.get(NOTES)
    if text is None:
        return {}
    try:
        notes = json.loads(text)
    except (TypeError, ValueError):
        notes = None
    if not isinstance(notes, dict):
        raise ValueError(
            f"The metadata {NOTES!r} of node {name!r} is {text!r} and not what to_nir writes; delete it to read the node without."
        )
    return notes


def module_of(node: Any, name: str, reading: Reading) -> nn.Module:
    """The module of node ``name``. Raises ``ValueError`` for nodes that have none."""
    kind, notes = type(node).__name__, read_notes(node, name)
    dtype = getattr(torch, notes.get("dtype", ""), torch.get_default_dtype()) if reading.dtype is None else reading.dtype
    if kind in MEMBRANES:
        return _neuron(node, name, notes, reading).to(dtype)
    if kind in SPACE:
        return space_module(node, name, dtype)
    if kind in ("Linear", "Affine"):
        return _matrix(node, name, dtype)
    if kind in ("Scale", "Threshold"):
        numbers = torch.as_tensor(node.scale if kind == "Scale" else node.threshold, dtype=dtype)
        if numbers.ndim == 0:
            raise ValueError(f"Node {name!r} holds one number; accepted is one a neuron, [N].")
        numbers = _last_axis(numbers, f"node {name!r}")
        return Scale(len(numbers), numbers) if kind == "Scale" else Threshold(len(numbers), numbers, _surrogate(notes))
    raise ValueError(f"Node {name!r} is a {kind}, which neuropil has no module for; accepted are {', '.join(READABLE)}.")


def _matrix(node: Any, name: str, dtype: torch.dtype) -> nn.Module:
    weight = torch.as_tensor(node.weight, dtype=dtype).detach().cpu()
    if weight.ndim != 2:
        raise ValueError(f"The weight of node {name!r} has shape {list(weight.shape)}; accepted is [M, N], one axis of neurons.")
    if type(node).__name__ == "Linear":
        dense = Dense(weight.shape[1], weight.shape[0], generator=torch.Generator())
        dense.weight = nn.Parameter(weight.clone())
        return dense
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(torch.as_tensor(node.bias))
    return linear


def _neuron(node: Any, name: str, notes: dict[str, Any], reading: Reading) -> Cell:
    scheme, reset = check_scheme(reading.scheme or notes.get("scheme", "exact")), reading.reset or notes.get("reset", "hard")
    step = check_dt(notes.get("dt") if reading.dt is None else reading.dt, f"node {name!r}, whose equation is in continuous time,")
    arrays = _numbers(node)
    arrays = {key: _last_axis(array, f"{key} of node {name!r}") for key, array in arrays.items()}
    shared = [key for key in notes.get("shared", ()) if key in arrays and bool((arrays[key] == arrays[key].flatten()[0]).all())]
    numbers = {key: array.flatten()[0] if key in shared else array for key, array in arrays.items()}
    anything = bool(notes.get("any_size")) and all(number.ndim == 0 for number in numbers.values())
    size = None if anything else next((len(array) for array in arrays.values() if array.ndim), None)
    if (notes.get("dt"), notes.get("scheme", "exact"), notes.get("reset", reset)) == (step, scheme, reset):
        own = _own_cell(notes, numbers | times_for(numbers, step, scheme, "exact"), size, step)
        if own is not None and _says(own, node, size or next((len(array) for array in arrays.values()), None), scheme):
            return own
    cuba = type(node).__name__.startswith("Cuba")
    given: dict[str, Any] = {key: numbers[key] for key in ("tau_syn", "w_in") if cuba}
    if "v_threshold" in numbers:
        given |= {"v_threshold": numbers["v_threshold"], "v_reset": numbers["v_reset"]}
        given |= {"reset": Reset(reset, bool(notes.get("detach"))), "surrogate": _surrogate(notes)}
    given["tau"] = numbers.get("tau_mem" if cuba else "tau")
    if given["tau"] is not None:
        given["v_leak"] = numbers["v_leak"]
    return (CubaMembrane if cuba else Membrane)(size, r=numbers["r"], dt=step, scheme=scheme, **given)


def _surrogate(notes: dict[str, Any]) -> Surrogate | None:
    words = notes.get("surrogate", {})
    known = SURROGATES.get(words.get("name"))
    return None if known is None else known(words["slope"], words["scale"])


def _own_cell(notes: dict[str, Any], numbers: dict[str, Tensor], size: int | None, dt: float) -> Cell | None:
    """The cell that the notes name, with the numbers it takes."""
    cell = notes.get("cell")
    if cell == "LI" and "tau" in numbers:
        return LI(size, tau=numbers["tau"], dt=dt, learnable=bool(notes.get("learnable")))
    if "v_threshold" not in numbers:
        return None
    mode = notes.get("reset", "hard")
    value = float(numbers["v_reset"].flatten()[0]) if mode == "hard" else 0.0
    firing: dict[str, Any] = {"reset": Reset(mode, bool(notes.get("detach")), value), "surrogate": _surrogate(notes)}
    firing |= {"threshold": numbers["v_threshold"], "dt": dt}
    if cell == "LIF" and "tau" in numbers:
        return LIF(size, tau=numbers["tau"], **firing)
    if cell == "PLIF" and "tau" in numbers:
        return PLIF(size, tau=numbers["tau"], **firing)
    if cell == "CubaLIF" and "tau_syn" in numbers:
        return CubaLIF(size, tau=numbers["tau_mem"], tau_syn=numbers["tau_syn"], **firing)
    return None


def _says(cell: Cell, node: Any, size: int | None, scheme: Scheme) -> bool:
    """Whether the node that ``cell`` would be written as is ``node``: its arrays may have been changed since, or rounded to float32."""
    again = node_of(cell, size, scheme)
    given, written = _numbers(node), _numbers(again)
    return type(again) is type(node) and all(np.allclose(written[key], value, rtol=1e-5, atol=0) for key, value in given.items())


def _last_axis(numbers: Tensor, what: str) -> Tensor:
    """The numbers of neurons along the last axis, [] or [N]; raises ``ValueError`` where they differ along others."""
    if numbers.ndim < 2:
        return numbers
    rows = numbers.reshape(-1, numbers.shape[-1])
    if not (rows == rows[0]).all():
        raise ValueError(
            f"{what} of shape {list(numbers.shape)} differs between channels; accepted are one for all or numbers along the last axis."
        )
    return rows[0]


def _numbers(node: Any) -> dict[str, Tensor]:
    """The numbers of a neuron's node: arrays, or the numpy scalars and tensors that files and other simulators leave in their place."""
    fields = {key: value for key, value in vars(node).items() if key not in ("input_type", "output_type", "metadata")}
    return {key: torch.as_tensor(value, dtype=torch.float64).detach().cpu() for key, value in fields.items()}
