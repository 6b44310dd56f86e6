"""What spiking cells share: bad surrogates are refused, defaults are each cell's own, parameters keep their names."""

import pytest

from neuropil.cells import ALIF, LIF, PLIF, CubaLIF, Izhikevich, RefractoryLIF
from neuropil.dynamics import Arctan, FastSigmoid, Sigmoid, Triangular

CELLS = (LIF, RefractoryLIF, ALIF, CubaLIF, PLIF, Izhikevich)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("given", "said"),
    [("atan", "'atan'"), (0, "0"), (Arctan, "<class 'neuropil.dynamics.surrogate.Arctan'>"), (abs, "<built-in function abs>")],
)
def test_a_surrogate_that_is_none_is_refused_in_one_sentence(cell, given, said):
    with pytest.raises(TypeError) as error:
        cell(4, dt=1e-3, surrogate=given)
    assert str(error.value).startswith(f"A surrogate is a Surrogate, {said} was given; give for example ")


@pytest.mark.parametrize(
    ("cell", "surrogate", "mode", "keys"),
    [
        (LIF, FastSigmoid, "soft", {"threshold", "decay.log_tau"}),
        (RefractoryLIF, FastSigmoid, "soft", {"threshold", "decay.log_tau"}),
        (ALIF, FastSigmoid, "soft", {"threshold", "beta", "decay.log_tau", "decay_adapt.log_tau"}),
        (CubaLIF, FastSigmoid, "soft", {"threshold", "decay.log_tau", "decay_syn.log_tau"}),
        (PLIF, Arctan, "hard", {"threshold", "decay.log_tau"}),
    ],
)
def test_defaults_and_names_are_those_of_the_cell(cell, surrogate, mode, keys):
    one = cell(4, dt=1e-3)
    assert (type(one.surrogate), one.reset.mode, one.emits) == (surrogate, mode, "spikes")
    assert set(one.state_dict()) == keys
    given = Triangular(slope=2.0)
    assert cell(4, dt=1e-3, surrogate=given).surrogate is given
    assert isinstance(Izhikevich(4, dt=1e-3).surrogate, Sigmoid)
