"""Cells: neuron models, one a file, the equation written once; state in, state out."""

from neuropil.cells.alif import ALIF
from neuropil.cells.astrocyte_lif import AstrocyteLIF
from neuropil.cells.cuba_lif import CubaLIF
from neuropil.cells.disinhibitory_unit import DisinhibitoryUnit
from neuropil.cells.echo_unit import EchoUnit
from neuropil.cells.event_gru import EventGRU, beta_thresholds
from neuropil.cells.event_unit import EventUnit
from neuropil.cells.exponential_if import ExponentialIF
from neuropil.cells.expressive_leaky_memory import ExpressiveLeakyMemory, log_spaced
from neuropil.cells.izhikevich import Izhikevich
from neuropil.cells.leaky_rate import LeakyRate
from neuropil.cells.legendre_memory import LegendreMemory, leaky_matrices, legendre_matrices, shifted_legendre
from neuropil.cells.li import LI
from neuropil.cells.lif import LIF
from neuropil.cells.modulatory_transfer import TRANSFERS, additive, cooperation, kay_phillips, product, sigmoid_gate
from neuropil.cells.phase_oscillator import PhaseOscillator
from neuropil.cells.plif import PLIF
from neuropil.cells.quadratic_if import QuadraticIF
from neuropil.cells.refractory_lif import RefractoryLIF
from neuropil.cells.resonate_and_fire import ResonateAndFire
from neuropil.cells.sphere_oscillator import SphereOscillator
from neuropil.cells.two_point import TwoPoint

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "PLIF",
    "TRANSFERS",
    "AstrocyteLIF",
    "CubaLIF",
    "DisinhibitoryUnit",
    "EchoUnit",
    "EventGRU",
    "EventUnit",
    "ExponentialIF",
    "ExpressiveLeakyMemory",
    "Izhikevich",
    "LeakyRate",
    "LegendreMemory",
    "PhaseOscillator",
    "QuadraticIF",
    "RefractoryLIF",
    "ResonateAndFire",
    "SphereOscillator",
    "TwoPoint",
    "additive",
    "beta_thresholds",
    "cooperation",
    "kay_phillips",
    "leaky_matrices",
    "legendre_matrices",
    "log_spaced",
    "product",
    "shifted_legendre",
    "sigmoid_gate",
]
