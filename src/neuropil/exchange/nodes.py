"""One module as one node of NIR: which numbers of the format make the same steps, and what is noted beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.cells import (
    ALIF,
    LI,
    LIF,
    PLIF,
    CubaLIF,
    EventUnit,
    ExponentialIF,
    Izhikevich,
    LeakyRate,
    PhaseOscillator,
    QuadraticIF,
    RefractoryLIF,
    ResonateAndFire,
)
from neuropil.dynamics import Decay, Reset, Surrogate
from neuropil.dynamics.state import own_tensors
from neuropil.exchange.membrane import CubaMembrane, Membrane, Scheme
from neuropil.exchange.plain import Scale, Threshold
from neuropil.synapses import Synapse
from neuropil.synapses.synapse import matrix_of

PASSING = (nn.Identity, nn.Dropout)
"""Plain modules that do nothing when they are not training."""

Size = int | tuple[int, ...]
"""Features of one moment: their number, or channels and axes of space."""

NOTES = "neuropil"
"""The key of ``metadata`` under which a node keeps, as JSON, what the format has no place for."""

REASONS: dict[type[nn.Module], str] = {
    ALIF: "its threshold moves and NIR's are fixed; use a LIF or CubaLIF",
    EventUnit: "its events carry a value and its input goes through tanh, for which NIR has no node; use a LIF",
    ExponentialIF: "its membrane is nonlinear and NIR's are linear; use a LIF",
    Izhikevich: "its membrane is nonlinear and NIR's are linear; use a LIF or CubaLIF",
    LeakyRate: "NIR has no node for its activation; use an LI, which is read out as it is",
    PhaseOscillator: "NIR's integrators have no drive of their own; use nn.Linear, whose bias is the drive, and a Membrane without tau",
    QuadraticIF: "its membrane is nonlinear and NIR's are linear; use a LIF",
    RefractoryLIF: "NIR's neurons have no refractory period; use a LIF",
    ResonateAndFire: "NIR's membranes relax and do not oscillate; use a CubaLIF",
}


def nir_package() -> Any:
    """The package ``nir``. Raises ``ImportError`` in one sentence where it cannot be had."""
    try:
        return import_module("nir")
    except ImportError as error:
        raise ImportError(f'The exchange format needs nir ({error}); run pip install "neuropil[exchange]".') from None


def node_of(module: nn.Module, size: Size | None, scheme: Scheme = "exact") -> Any:
    """The NIR node of one cell or plain module with ``size`` inputs, for readers that step by ``scheme``. Raises ``ValueError`` where the format has none, with the reason."""
    nir, name = nir_package(), type(module).__name__
    if type(module) in NEURONS:
        if size is None:
            raise ValueError(
                f"A {name} without size has no arrays for NIR to hold; give the cell its size, or to_nir the size of the input."
            )
        kind, numbers = NEURONS[type(module)](module)
        numbers |= times_for(
            numbers, module.step_length if isinstance(module, Membrane) else module.dt, getattr(module, "scheme", "exact"), scheme
        )
        notes = {
            "cell": name,
            "scheme": scheme,
            "shared": sorted(key for key, number in numbers.items() if number.ndim == 0),
            **notes_of_cell(module),
        }
        arrays = {key: array(number.expand(size)) for key, number in numbers.items()}
        return getattr(nir, kind)(**arrays, metadata=write_notes(module, notes))
    if isinstance(module, Synapse) or type(module) is nn.Linear:
        bias, weight = getattr(module, "bias", None), module.weight if type(module) is nn.Linear else matrix_of(module)
        if isinstance(weight, Tensor):
            metadata = write_notes(module, {})
            return (
                nir.Linear(weight=array(weight), metadata=metadata)
                if bias is None
                else nir.Affine(weight=array(weight), bias=array(bias), metadata=metadata)
            )
    if type(module) in PASSING or type(module) is nn.BatchNorm1d:
        return _at_rest(module, size)
    if type(module) is Scale:
        return nir.Scale(scale=array(module.scale), metadata=write_notes(module, {}))
    if type(module) is Threshold:
        return nir.Threshold(threshold=array(module.threshold), metadata=write_notes(module, {"surrogate": words_of(module.surrogate)}))
    reason = REASONS.get(type(module), "no node of NIR states what it does; use LI, LIF, PLIF, CubaLIF, Dense or nn.Linear")
    raise ValueError(f"{name} cannot be written for NIR: {reason}.")


def _at_rest(module: nn.Module, size: Size | None) -> Any:
    """The node of a module that trains in another way than it runs: a factor of 1 for what passes, a diagonal matrix for batch normalisation."""
    nir, name = nir_package(), type(module).__name__
    if module.training and type(module) is not nn.Identity:
        raise ValueError(f"{name} cannot be written for NIR: in training it depends on chance or on the batch; call model.eval() first.")
    if isinstance(module, nn.BatchNorm1d):
        if module.running_mean is None or module.running_var is None:
            raise ValueError(f"{name} cannot be written for NIR: it keeps no running mean; use track_running_stats=True.")
        factor = (module.running_var.double() + module.eps).rsqrt()
        factor = factor if module.weight is None else factor * module.weight.detach().double()
        bias = -factor * module.running_mean.double()
        bias = bias if module.bias is None else bias + module.bias.detach().double()
        dtype = module.running_mean.dtype
        return nir.Affine(weight=array(factor.diag().to(dtype)), bias=array(bias.to(dtype)), metadata=write_notes(module, {}))
    if size is None:
        raise ValueError(f"{name} cannot be written for NIR: how many features pass it is not known; give to_nir the size of the input.")
    return nir.Scale(scale=np.ones(size), metadata={})


def times_for(numbers: dict[str, Tensor], dt: Any, own: Scheme, scheme: Scheme) -> dict[str, Tensor]:
    """The time constants among ``numbers`` that make in steps of ``scheme`` what they make in steps of ``own``.

    By Euler a relaxation goes ``dt / tau`` of its way in a step, exactly ``1 - exp(-dt / tau)``.
    """
    times = {key: value for key, value in numbers.items() if key.startswith("tau")}
    if own == scheme:
        return times
    if scheme == "euler":
        return {key: -dt / torch.expm1(-dt / tau) for key, tau in times.items()}
    for key, tau in times.items():
        if not (tau > dt).all():
            raise ValueError(
                f"{key} of a cell that steps by Euler is dt = {dt:g} s, which no exact step equals; write it with scheme='euler'."
            )
    return {key: -dt / torch.log1p(-dt / tau) for key, tau in times.items()}


def array(tensor: Tensor) -> Any:
    """A tensor as a numpy array of its own; precisions below float32, which numpy may lack, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor if tensor.dtype == torch.float64 else tensor.float()).numpy().copy()


def write_notes(module: nn.Module, notes: dict[str, Any]) -> dict[str, str]:
    """Metadata that holds ``notes`` and the dtype of ``module``."""
    dtype = next((tensor.dtype for tensor in own_tensors(module) if tensor.is_floating_point()), torch.get_default_dtype())
    return {NOTES: json.dumps({"dtype": str(dtype).removeprefix("torch."), **notes})}


def words_of(surrogate: Surrogate) -> dict[str, Any]:
    """A surrogate gradient as its name and numbers."""
    return {"name": type(surrogate).__name__, "slope": surrogate.slope, "scale": surrogate.scale}


def notes_of_cell(cell: Any) -> dict[str, Any]:
    """What NIR has no place for: the step, the kind of reset, the surrogate, what is learned, whether any size will do."""
    notes: dict[str, Any] = {"dt": cell.dt, "any_size": cell.size is None}
    if isinstance(getattr(cell, "reset", None), Reset):
        notes |= {"reset": cell.reset.mode, "detach": cell.reset.detach, "surrogate": words_of(cell.surrogate)}
    if type(cell) is LI:
        notes["learnable"] = isinstance(cell.decay.log_tau, nn.Parameter)
    return notes


def _tau(decay: Decay) -> Tensor:
    return decay.log_tau.detach().double().exp()


def _per_kick(decay: Decay) -> Tensor:
    """``1 / (1 - d)``: the held current that moves a membrane in one step by as much as an input that is added at once."""
    return -1 / torch.expm1(-decay.dt / _tau(decay))


def _exact(number: Tensor) -> Tensor:
    return number.detach().double()


def _constant(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64)


def _thresholds(cell: Any, threshold: Tensor, reset: Tensor) -> dict[str, Tensor]:
    if cell.reset.mode == "none":
        raise ValueError(
            f"{type(cell).__name__} cannot be written for NIR: its neurons are reset and this one is not; give it a reset, or use LI."
        )
    return {"v_threshold": _exact(threshold), "v_reset": _exact(reset)}


def _firing(cell: Any) -> dict[str, Tensor]:
    return _thresholds(cell, cell.threshold, _constant(cell.reset.value if cell.reset.mode == "hard" else 0.0))


def _li(cell: LI) -> tuple[str, dict[str, Tensor]]:
    return "LI", {"tau": _tau(cell.decay), "r": _per_kick(cell.decay), "v_leak": _constant(0.0)}


def _lif(cell: LIF) -> tuple[str, dict[str, Tensor]]:
    return "LIF", {"tau": _tau(cell.decay), "r": _per_kick(cell.decay), "v_leak": _constant(0.0), **_firing(cell)}


def _plif(cell: PLIF) -> tuple[str, dict[str, Tensor]]:
    return "LIF", {"tau": _tau(cell.decay), "r": _constant(1.0), "v_leak": _constant(0.0), **_firing(cell)}


def _cuba_lif(cell: CubaLIF) -> tuple[str, dict[str, Tensor]]:
    times = {"tau_mem": _tau(cell.decay), "tau_syn": _tau(cell.decay_syn)}
    return "CubaLIF", {**times, "r": _constant(1.0), "v_leak": _constant(0.0), "w_in": _per_kick(cell.decay_syn), **_firing(cell)}


def _membrane(cell: Membrane) -> tuple[str, dict[str, Tensor]]:
    numbers = {"r": _exact(cell.r)}
    if cell.decay is not None:
        numbers |= {"tau_mem" if type(cell) is CubaMembrane else "tau": _tau(cell.decay), "v_leak": _exact(cell.v_leak)}
    if isinstance(cell, CubaMembrane):
        numbers |= {"tau_syn": _tau(cell.decay_syn), "w_in": _exact(cell.w_in)}
    if cell.v_threshold is not None:
        numbers |= _thresholds(cell, cell.v_threshold, cell.v_reset)
    kind = (
        ("Cuba" if type(cell) is CubaMembrane else "")
        + ("" if cell.decay is None else "L")
        + "I"
        + ("" if cell.v_threshold is None else "F")
    )
    return kind, numbers


NEURONS: dict[type[nn.Module], Callable[[Any], tuple[str, dict[str, Tensor]]]] = {
    LI: _li,
    LIF: _lif,
    PLIF: _plif,
    CubaLIF: _cuba_lif,
    Membrane: _membrane,
    CubaMembrane: _membrane,
}
"""The node and its numbers, by the class of a cell: one for all neurons, or one a neuron."""
