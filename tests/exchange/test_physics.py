"""Graphs as their readers elsewhere see them: NIR's differential equations, solved by scipy, against the steps of ``from_nir``."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import LI, LIF, CubaLIF
from neuropil.exchange import CubaMembrane, Membrane, from_nir, to_nir

nir = pytest.importorskip("nir")

PIECE = 0.02
"""Seconds for which the input is constant."""
CURRENTS = np.random.default_rng(4).uniform(1.2, 3.0, 10)
"""Well above what makes the neurons below fire at all: nearer to it a small delay grows to a large one."""


def solved(node, n, currents):
    """Spike times and the potential at the end of each piece of neuron ``n`` of ``node``, by the format's own equations."""
    p = {key: float(np.asarray(value)[n]) for key, value in vars(node).items() if isinstance(value, np.ndarray)}
    cuba, tau = "tau_syn" in p, p.get("tau_mem", p.get("tau"))

    def slope(t, state, x):
        v, i = state
        drive = p["r"] * (i if cuba else x)
        return (drive if tau is None else (p["v_leak"] - v + drive) / tau), ((p["w_in"] * x - i) / p["tau_syn"] if cuba else 0.0)

    def crossing(t, state, x):
        return state[0] - p["v_threshold"]

    crossing.terminal, crossing.direction = True, 1
    events = [crossing] if "v_threshold" in p else []
    state, spikes, ends = (0.0 if tau is None else p["v_leak"], 0.0), [], []
    for k, x in enumerate(currents):
        t, end = k * PIECE, (k + 1) * PIECE
        while t < end:
            run = solve_ivp(slope, (t, end), state, args=(x,), events=events, rtol=1e-9, atol=1e-12)
            t, state = run.t[-1], run.y[:, -1]
            if run.status == 1:
                spikes.append(t)
                state = (p["v_reset"], state[1])
        ends.append(state[0])
    return np.array(spikes), np.array(ends)


def stepped(node, dt, currents):
    """What ``from_nir`` makes of the node: outputs [T, N], all potentials [T, N]."""
    cell = from_nir(nir.NIRGraph.from_list(node), dt=dt, dtype=torch.float64)
    each = round(PIECE / dt)
    x = torch.tensor(np.repeat(currents, each), dtype=torch.float64)[:, None, None].expand(-1, 1, len(node.r))
    s, ys, vs = None, [], []
    for moment in x:
        y, s = cell.step(moment, s)
        ys.append(y[0])
        vs.append(s.v[0])
    return torch.stack(ys).numpy(), torch.stack(vs).numpy()


def numbers(**arrays):
    return {key: np.array(value) for key, value in arrays.items()}


LEAKY = numbers(tau=[0.01, 0.02, 0.05], r=[1.0, 2.0, 0.5], v_leak=[0.0, -0.2, 0.3])
THRESHOLD = numbers(v_threshold=[0.7, 1.1, 0.6], v_reset=[0.0, -0.3, 0.1])
CUBA = numbers(tau_mem=[0.01, 0.02, 0.05], tau_syn=[0.005, 0.02, 0.004], r=[1.0, 2.0, 0.5], v_leak=[0.0, -0.2, 0.3], w_in=[1.0, 0.7, 2.0])
SPIKING = [
    nir.LIF(**LEAKY, **THRESHOLD),
    nir.IF(r=np.array([20.0, 40.0, 15.0]), **THRESHOLD),
    nir.CubaLIF(**CUBA, **THRESHOLD),
]


@pytest.mark.parametrize("node", [nir.LI(**LEAKY), nir.I(r=np.array([20.0, -40.0, 15.0]))], ids=lambda node: type(node).__name__)
@pytest.mark.parametrize("dt", [5e-3, 1e-3])
def test_potentials_under_held_currents_are_the_solution_whatever_the_step(node, dt):
    y, v = stepped(node, dt, CURRENTS)
    ends = y[round(PIECE / dt) - 1 :: round(PIECE / dt)]
    for n in range(3):
        np.testing.assert_allclose(ends[:, n], solved(node, n, CURRENTS)[1], rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(y, v)


def test_a_current_based_membrane_nears_the_solution_in_proportion_to_the_step():
    node = nir.CubaLI(**CUBA)
    for n in range(3):
        _, exact = solved(node, n, CURRENTS)
        errors = [
            np.abs(stepped(node, dt, CURRENTS)[0][round(PIECE / dt) - 1 :: round(PIECE / dt), n] - exact).max() for dt in (1e-3, 2.5e-4)
        ]
        assert 3.5 < errors[0] / errors[1] < 4.5
        assert errors[0] < 0.15


def late_by(spikes, exact, dt):
    """How far the spike times of steps ``dt`` lie from the solution's; as many spikes as it has, but for one where the last is near the end."""
    found = (np.flatnonzero(spikes) + 1) * dt
    assert abs(len(found) - len(exact)) <= 1 + len(exact) * dt / 5e-3
    both = min(len(found), len(exact))
    # a spike is seen at the end of its step, so that each one may put off the next by a step
    worst = np.abs(found[:both] - exact[:both]).max()
    assert worst <= dt * both
    return worst


@pytest.mark.parametrize("node", SPIKING, ids=lambda node: type(node).__name__)
def test_spike_times_near_the_solution_as_steps_get_shorter(node):
    coarse, fine = (stepped(node, dt, CURRENTS)[0] for dt in (1e-3, 1e-4))
    for n in range(3):
        exact, _ = solved(node, n, CURRENTS)
        assert len(exact) >= 2
        assert late_by(fine[:, n], exact, 1e-4) < late_by(coarse[:, n], exact, 1e-3) / 4


@pytest.mark.parametrize(
    ("make", "tau_of_input"),
    [
        (lambda dt: LIF(1, tau=0.02, threshold=0.8, dt=dt), 0.02),
        (lambda dt: LIF(1, tau=0.02, threshold=0.8, dt=dt, reset="hard"), 0.02),
        (lambda dt: CubaLIF(1, tau=0.02, tau_syn=0.004, threshold=0.8, dt=dt), 0.004),
    ],
    ids=["LIF soft", "LIF hard", "CubaLIF soft"],
)
def test_a_foreign_reader_of_our_nodes_solves_to_our_spikes(make, tau_of_input):
    errors = []
    for dt in (1e-3, 1e-4):
        cell = make(dt)
        current = 1 - np.exp(-dt / tau_of_input)  # the input that is a current of 1 to the cell, by its docstring
        (node,) = (node for node in to_nir(cell).nodes.values() if isinstance(node, nir.LIF | nir.CubaLIF))
        exact, _ = solved(node, 0, CURRENTS * current)  # the reader knows nothing but the node
        assert len(exact) > 8
        x = torch.tensor(np.repeat(CURRENTS * current, round(PIECE / dt)), dtype=torch.float64)[:, None, None]
        errors.append(late_by(cell.double()(x)[0].flatten().numpy(), exact, dt))
    assert errors[1] < errors[0] / 4


def test_membranes_with_the_numbers_of_our_cells_are_our_cells():
    x = torch.rand(200, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    d = float(np.exp(-1e-3 / 0.02))
    d_s = float(np.exp(-1e-3 / 0.005))
    pairs = [
        (LI(3, dt=1e-3), Membrane(3, r=1 / (1 - d), dt=1e-3)),
        (LIF(3, dt=1e-3), Membrane(3, r=1 / (1 - d), v_threshold=1.0, reset="soft", dt=1e-3)),
        (CubaLIF(3, threshold=0.5, dt=1e-3), CubaMembrane(3, w_in=1 / (1 - d_s), v_threshold=0.5, reset="soft", dt=1e-3)),
    ]
    for ours, theirs in pairs:
        y, s = ours.double()(x)
        y2, s2 = theirs.double()(x)
        torch.testing.assert_close(y, y2, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(s.v, s2.v, rtol=1e-4, atol=1e-5)
        assert y.sum() > 0
