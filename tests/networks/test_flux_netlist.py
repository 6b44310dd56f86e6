import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from neuropil.networks.flux_netlist import CAPACITANCE, CRITICAL, PICOHENRY, FluxNetlist
from neuropil.networks.josephson_circuit import FLUX_QUANTUM

TURN = 2 * math.pi


def settled(net, moments=2500, start=None, dt=4e-14):
    circuit, bias = net.circuit(dt=dt)
    state = None if start is None else circuit.State(start, torch.zeros_like(start))
    return circuit, circuit.transient(lambda t: min(1.0, t / 1e-11) * bias, moments, state).phase


def test_values_are_in_their_units_and_shunts_damp_critically():
    net = FluxNetlist()
    a, b = net.junction(critical=1.4, bias=0.5), net.junction()
    net.inductor(a, b, 8.0)
    circuit, bias = net.circuit(dt=2e-14)
    assert bias.tolist() == pytest.approx([0.7 * CRITICAL, 0.7 * CRITICAL])
    assert circuit.critical.tolist() == pytest.approx([1.4 * CRITICAL, CRITICAL])
    damping = TURN * circuit.critical * circuit.resistance.square() * circuit.capacitance / FLUX_QUANTUM
    torch.testing.assert_close(damping, torch.ones(2, dtype=torch.float64))
    assert circuit.capacitance[1].item() == pytest.approx(CAPACITANCE)
    assert circuit.stiffness[0, 1].item() == pytest.approx(-FLUX_QUANTUM / TURN / (8 * PICOHENRY))


def test_a_stored_quantum_drives_the_current_of_its_coil_and_a_transformer_the_other_loop():
    # At rest the phases solve Ic sin p + f K p = bias, of which the branch near 2 pi is the stored quantum.
    net = FluxNetlist()
    store = net.store(net.junction(bias=0.0), picohenries=30.0)
    other = net.junction(bias=0.0)
    sensing = net.inductor(other, None, 20.0)
    net.couple(store.coil, sensing, -0.5)
    start = torch.tensor([TURN, TURN, 0.0], dtype=torch.float64)
    circuit, phase = settled(net, start=start)
    balance = circuit.critical * phase.sin() + circuit.stiffness @ phase - torch.tensor([0, 0.7, 0]) * CRITICAL
    assert balance.abs().max() < 1e-3 * CRITICAL
    assert torch.round(phase / TURN).tolist() == [1, 1, 0]
    k, lp, ls = -0.5, 30 * PICOHENRY, 20 * PICOHENRY
    m = k * math.sqrt(lp * ls)

    def torque(p):
        flux = FLUX_QUANTUM / TURN * np.array([phase[1].item(), p])
        current = np.linalg.solve([[lp, m], [m, ls]], flux)[1]
        return CRITICAL * math.sin(p) + current

    assert phase[2].item() == pytest.approx(brentq(torque, -1.5, 1.5), abs=1e-3)
    assert phase[2] < -0.3


def test_a_pulse_runs_down_a_line_splits_and_is_stored_once():
    net = FluxNetlist()
    start = net.junction()
    split = net.line(start, 3)
    stores = net.store(split), net.store(split)
    circuit, bias = net.circuit(dt=4e-14)

    def current(t):
        x = bias * min(1.0, t / 8e-12)
        push = torch.zeros_like(x)
        push[start] = 1.6 * CRITICAL * math.sin(math.pi * (t / 1e-12 - 15) / 4) if 15e-12 < t < 19e-12 else 0.0
        return x + push

    phase = circuit.transient(current, 3000).phase
    assert torch.round(phase / TURN).tolist() == [1] * 6
    assert len({store.coil for store in stores}) == 2


@pytest.mark.parametrize(("picohenries", "periodic"), [(6.0, True), (60.0, False)])
def test_a_small_loop_answers_flux_periodically(picohenries, periodic):
    # An interferometer at a bias between its least and its greatest critical current switches at half a quantum of flux, not at none or one.
    net = FluxNetlist()
    loop = net.loop(picohenries, first=0.75, second=0.75)
    control = net.inductor(net.junction(critical=1e-3, bias=0.0), None, 1000.0)
    net.couple(loop.coil, control, 0.9)
    circuit, bias = net.circuit(dt=4e-14)
    m = 0.9 * math.sqrt(picohenries * 1000.0) * PICOHENRY
    switched = []
    for quanta in (0.0, 0.5, 1.0):
        # The junction beside the control coil is so small that all current goes through the coil.
        phase = torch.zeros(3, dtype=torch.float64)
        extra = torch.zeros(3, dtype=torch.float64)
        extra[2] = quanta * FLUX_QUANTUM / m
        state = circuit.State(phase, torch.zeros_like(phase))
        held = circuit.transient(lambda t, extra=extra: min(1.0, t / 4e-11) * (bias + extra), 1600, state)
        switched.append(bool((held.phase[:2].abs() > 2 * TURN).any()))
    assert switched[0] is False
    assert (switched[1] and not switched[2]) is periodic


def test_spread_changes_junctions_and_coils_by_its_size_and_leaves_biases():
    net = FluxNetlist()
    a, b = net.junction(), net.junction()
    net.inductor(a, b, 10.0)
    net.inductor(b, None, 20.0)
    circuit, bias = net.circuit(dt=2e-14, spread=0.03, draws=4000, generator=torch.Generator().manual_seed(0))
    assert circuit.critical.shape == (4000, 1, 2)
    assert (circuit.critical / CRITICAL).std().item() == pytest.approx(0.03, rel=0.05)
    stiffness = -circuit.stiffness[:, 0, 1] * TURN / FLUX_QUANTUM * 10 * PICOHENRY
    assert stiffness.std().item() == pytest.approx(0.03, rel=0.06)
    assert torch.equal(bias.squeeze(1), (0.7 * CRITICAL * torch.ones(4000, 2, dtype=torch.float64)))
    exact, _ = net.circuit(dt=2e-14, draws=2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(exact.critical, CRITICAL * torch.ones(2, 1, 2, dtype=torch.float64))
