import numpy as np
import pytest
import torch
from scipy.constants import e as charge
from scipy.constants import h, k
from scipy.integrate import solve_ivp
from scipy.special import iv

from neuropil.networks import JosephsonCircuit
from neuropil.networks.josephson_circuit import BOLTZMANN, FLUX_QUANTUM

IC, PS = 1e-4, 1e-12
LINE = [(i, i + 1, 1e-11) for i in range(5)]


def made(size, **settings):
    return JosephsonCircuit(size, critical=torch.full((size,), IC, dtype=torch.float64), **settings)


def pulsed(size, moments, dt, bias=0.7):
    """Bias on every node, and on the first a bump of current of 0.9 critical, 4 ps long."""
    x = torch.full((moments, size), bias * IC, dtype=torch.float64)
    t = dt * torch.arange(moments, dtype=torch.float64) / PS
    x[:, 0] += 0.9 * IC * torch.sin(torch.pi * (t - 20) / 4).clamp(min=0) * ((t > 20) & (t < 24))
    return x


def test_constants_are_codata():
    assert pytest.approx(h / (2 * charge), rel=1e-9) == FLUX_QUANTUM
    assert pytest.approx(k, rel=1e-9) == BOLTZMANN


def test_a_line_without_noise_follows_an_ode_solver():
    dt = 5e-15
    circuit, x = made(6, inductors=LINE, dt=dt), pulsed(6, 12000, dt)
    v, s = circuit(x)
    c, r = circuit.capacitance.numpy(), circuit.resistance.numpy()

    def flow(t, y):
        phase, volts = y[:6], y[6:]
        bump = np.sin(np.pi * (t / PS - 20) / 4) if 20 < t / PS < 24 else 0.0
        current = 0.7 * IC - volts / r - IC * np.sin(phase)
        current[0] += 0.9 * IC * bump
        for a, b, henries in LINE:
            between = FLUX_QUANTUM / (2 * np.pi) * (phase[a] - phase[b]) / henries
            current[a] -= between
            current[b] += between
        return np.concatenate([volts * 2 * np.pi / FLUX_QUANTUM, current / c])

    at = dt * np.array([2000, 4400, 4800, 5200, 12000])
    flowed = solve_ivp(flow, (0, at[-1]), np.zeros(12), t_eval=at, rtol=1e-9, atol=1e-12, max_step=1e-13)
    for moment, end in zip((2000, 4400, 4800, 5200, 12000), flowed.y.T, strict=True):
        np.testing.assert_allclose(v[moment - 1].numpy(), end[6:], atol=1e-5)
    np.testing.assert_allclose(s.phase.numpy(), flowed.y[:6, -1], atol=1e-3)
    assert (s.phase > 2 * np.pi).all()


def test_one_spike_carries_one_flux_quantum_through_every_junction():
    dt = 2e-14
    circuit, x = made(6, inductors=LINE, dt=dt), pulsed(6, 5000, dt)
    v, _ = circuit(x)
    areas = v[900:].sum(0) * dt / FLUX_QUANTUM
    torch.testing.assert_close(areas, torch.ones(6, dtype=torch.float64), atol=1e-3, rtol=0)
    assert v.argmax(0).diff().min() > 0


@pytest.mark.parametrize(("henries", "stays"), [(4e-11, True), (2e-12, False)])
def test_a_loop_keeps_a_quantum_where_its_inductance_is_large(henries, stays):
    circuit = made(2, inductors=[(0, 1, henries)])
    start = circuit.State(torch.tensor([2 * torch.pi, 0.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    _, s = circuit(torch.zeros(10000, 2, dtype=torch.float64), start)
    slipped = round(float((s.phase[0] - s.phase[1]) / (2 * torch.pi)))
    assert (slipped == 1) is stays


def test_without_capacitance_the_mean_voltage_has_a_closed_form():
    light = JosephsonCircuit(1, critical=torch.tensor([IC], dtype=torch.float64), resistance=1.0, capacitance=2e-14, dt=2e-14)
    over = torch.tensor([[1.5], [3.0]], dtype=torch.float64)
    _, start = light((over * IC).expand(5000, 2, 1))
    v, _ = light((over * IC).expand(20000, 2, 1), start)
    torch.testing.assert_close(v.mean(0), IC * (over.square() - 1).sqrt(), rtol=0.02, atol=0)


def test_heat_gives_the_boltzmann_distribution_of_phase_and_voltage():
    draws = torch.Generator().manual_seed(0)
    circuit = made(1, temperature=1500.0, dt=4e-14)
    x = torch.zeros(2000, 4000, 1, dtype=torch.float64)
    y, s = circuit(x, noise=torch.randn(x.shape, generator=draws, dtype=torch.float64))
    ratio = IC * FLUX_QUANTUM / (2 * np.pi) / (k * 1500)
    found = s.phase.cos()
    assert found.mean().item() == pytest.approx(iv(1, ratio) / iv(0, ratio), abs=4 * found.std().item() / 4000**0.5)
    voltage = y[-1].square()
    assert voltage.mean().item() == pytest.approx(k * 1500 / 7e-14, rel=4 * (2 / 4000) ** 0.5 + 0.01)


def test_cold_and_off_are_the_same_and_heat_is_not():
    x = pulsed(3, 200, 2e-14)
    noise = torch.randn(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = made(3, inductors=[(0, 1, 1e-11)])(x)[0]
    assert torch.equal(made(3, inductors=[(0, 1, 1e-11)], temperature=0.0)(x, noise=noise)[0], plain)
    assert not torch.equal(made(3, inductors=[(0, 1, 1e-11)])(x, noise=noise)[0], plain)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"inductors": [(0, 0, 1e-11)]}, "between two of 2 nodes"),
        ({"inductors": [(0, 2, 1e-11)]}, "between two of 2 nodes"),
        ({"inductors": [(0, 1, 0.0)]}, "between two of 2 nodes"),
        ({"temperature": -1.0}, "kelvin"),
        ({"dt": 1e-12}, "shorter steps"),
        ({"critical": -1.0}, "critical"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(ValueError, match=words):
        JosephsonCircuit(2, **settings)


def test_a_transformer_has_the_closed_form_of_two_coils_and_what_one_does_the_other_suffers():
    one, other, k = 2e-11, 3e-11, 0.6
    m = -k * (one * other) ** 0.5
    circuit = made(2, inductors=[(0, None, one), (1, None, other)], mutual=[(0, 1, m)])
    expected = torch.tensor([[other, -m], [-m, one]], dtype=torch.float64) / (one * other - m * m) * FLUX_QUANTUM / (2 * torch.pi)
    torch.testing.assert_close(circuit.stiffness, expected)
    net = made(5, inductors=[(0, 1, one), (1, 2, other), (3, 4, one), (4, None, other)], mutual=[(0, 2, m), (1, 3, 0.4 * m)])
    torch.testing.assert_close(net.stiffness, net.stiffness.mT)
    assert net.stiffness[0, 3] * net.stiffness[3, 0] > 0
    assert (torch.linalg.eigvalsh(net.stiffness) > -1e-9 * net.stiffness.abs().max()).all()


def test_a_circuit_with_transformers_follows_an_ode_solver():
    dt, coils = 5e-15, [(0, 1, 1e-11), (1, None, 3e-11), (2, None, 2e-11), (2, 3, 1e-11)]
    m = 0.7 * (3e-11 * 2e-11) ** 0.5
    circuit, x = made(4, inductors=coils, mutual=[(1, 2, m)], dt=dt), pulsed(4, 10000, dt)
    v, s = circuit(x)
    inductance = np.diag([1e-11, 3e-11, 2e-11, 1e-11])
    inductance[1, 2] = inductance[2, 1] = m
    ends = np.array([[1, -1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, -1]])
    c, r = circuit.capacitance.numpy(), circuit.resistance.numpy()

    def flow(t, y):
        phase, volts = y[:4], y[4:]
        through = np.linalg.solve(inductance, FLUX_QUANTUM / (2 * np.pi) * ends @ phase)
        current = 0.7 * IC - volts / r - IC * np.sin(phase) - ends.T @ through
        current[0] += 0.9 * IC * (np.sin(np.pi * (t / PS - 20) / 4) if 20 < t / PS < 24 else 0.0)
        return np.concatenate([volts * 2 * np.pi / FLUX_QUANTUM, current / c])

    at = dt * np.array([2000, 4400, 4800, 5200, 10000])
    flowed = solve_ivp(flow, (0, at[-1]), np.zeros(8), t_eval=at, rtol=1e-9, atol=1e-12, max_step=1e-13)
    for moment, end in zip((2000, 4400, 4800, 5200, 10000), flowed.y.T, strict=True):
        np.testing.assert_allclose(v[moment - 1].numpy(), end[4:], atol=2e-5)
    np.testing.assert_allclose(s.phase.numpy(), flowed.y[:4, -1], atol=2e-3)
    assert s.phase[1] > np.pi


def test_variants_side_by_side_are_each_circuit_alone_and_a_transient_ends_where_the_sequence_does():
    critical, henries = IC * torch.tensor([[1.0, 1.2, 0.9], [0.8, 1.0, 1.1]], dtype=torch.float64), [1e-11, 2e-11]
    both = JosephsonCircuit(
        3,
        critical=critical[:, None],
        inductors=[(0, 1, torch.tensor(henries, dtype=torch.float64)), (1, 2, 1e-11), (2, None, 4e-11)],
        mutual=[(0, 2, torch.tensor([5e-12, -5e-12], dtype=torch.float64))],
    )
    x = pulsed(3, 1500, 2e-14)
    v, last = both(x[:, None, None].expand(1500, 2, 1, 3))
    for which, sign in enumerate((1, -1)):
        coils = [(0, 1, henries[which]), (1, 2, 1e-11), (2, None, 4e-11)]
        alone = JosephsonCircuit(3, critical=critical[which], inductors=coils, mutual=[(0, 2, sign * 5e-12)])
        torch.testing.assert_close(v[:, which, 0], alone(x)[0])
    ended = both.transient(lambda t: x[round(t / 2e-14)].expand(2, 1, 3), 1500)
    torch.testing.assert_close(ended.phase, last.phase)
    cold = both.transient(lambda t: x[round(t / 2e-14)].expand(2, 1, 3), 500)
    warm = both.transient(lambda t: x[round(t / 2e-14)].expand(2, 1, 3), 500, generator=torch.Generator().manual_seed(0))
    assert (cold.phase != warm.phase).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"inductors": [(0, None, 1e-11)], "mutual": [(0, 0, 1e-12)]}, "between two of 1 inductors"),
        ({"inductors": [(0, None, 1e-11), (1, None, 1e-11)], "mutual": [(0, 1, 2e-11)]}, "negative energy"),
        ({"critical": torch.ones(2, 2)}, r"shape \[2, 2\] was given"),
    ],
)
def test_transformers_that_cannot_be(settings, words):
    with pytest.raises(ValueError, match=words):
        JosephsonCircuit(2, **settings)
