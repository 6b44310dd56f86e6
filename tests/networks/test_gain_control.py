import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from neuropil.networks import GainModulatedCircuit, adapt_gains, coding_loss

CELLS, STIMULI = 8, 24


def made(place="recurrent", scale=0.25):
    draws = torch.Generator().manual_seed(0)
    weight = scale * torch.randn(CELLS, CELLS, generator=draws, dtype=torch.float64)
    drive = torch.rand(STIMULI, CELLS, generator=draws, dtype=torch.float64)
    often = torch.rand(STIMULI, generator=draws, dtype=torch.float64)
    return GainModulatedCircuit(weight, place=place), drive, often / often.sum()


def settled(circuit, drive, often, **weights):
    return adapt_gains(circuit, lambda: coding_loss(circuit, drive, often, **weights))


@pytest.mark.parametrize("place", ["recurrent", "output"])
@pytest.mark.parametrize(("cost", "restraint"), [(0.05, 0.1), (0.5, 0.3)])
def test_gains_are_those_of_an_independent_least_squares_solver(place, cost, restraint):
    circuit, drive, often = made(place)
    w, x, p = circuit.weight.numpy(), drive.numpy(), often.numpy()[:, None]

    def residuals(g):
        r = np.linalg.solve(np.eye(CELLS) - w @ np.diag(g), x.T).T
        y = r * g if place == "output" else r
        error = x - y @ (np.eye(CELLS) - w).T
        return np.concatenate([(np.sqrt(p) * error).ravel(), (np.sqrt(cost * p) * y).ravel(), np.sqrt(restraint) * (g - 1)])

    found = least_squares(residuals, np.ones(CELLS), bounds=(1e-12, np.inf), xtol=1e-15, ftol=1e-15, gtol=1e-12)
    gains = settled(circuit, drive, often, cost=cost, restraint=restraint)
    np.testing.assert_allclose(gains.numpy(), found.x, atol=1e-6)
    assert coding_loss(circuit, drive, often, cost=cost, restraint=restraint).item() == pytest.approx(2 * found.cost, rel=1e-10)
    assert gains.std() > 0.01


def test_without_recurrence_the_optimum_has_a_closed_form():
    circuit, drive, often = made("output", scale=0.0)
    power = often @ drive.square()
    gains = settled(circuit, drive, often, cost=0.4, restraint=0.2)
    torch.testing.assert_close(gains, (power + 0.2) / (1.4 * power + 0.2), atol=1e-7, rtol=0)


@pytest.mark.parametrize("place", ["recurrent", "output"])
def test_rest_is_where_an_ode_solver_and_the_steps_come_to(place):
    circuit, drive, _ = made(place)
    with torch.no_grad():
        circuit.gain.copy_(torch.linspace(0.4, 1.2, CELLS))
    w, g, x = circuit.weight.numpy(), circuit.gain.detach().numpy(), drive[0].numpy()
    flow = solve_ivp(lambda t, r: (-r + x + w @ (g * r)) / 0.01, (0, 0.5), np.zeros(CELLS), rtol=1e-10, atol=1e-12)
    end = flow.y[:, -1] * (g if place == "output" else 1)
    np.testing.assert_allclose(circuit.steady(drive[0]).detach().numpy(), end, atol=1e-8)
    y, _ = circuit(drive[:1].expand(500, 1, CELLS))
    np.testing.assert_allclose(y[-1, 0].detach().numpy(), end, atol=1e-8)


def test_the_first_moments_follow_the_ode():
    circuit, drive, _ = made()
    w, x = circuit.weight.numpy(), drive[0].numpy()
    fine = GainModulatedCircuit(circuit.weight, dt=1e-5)
    y, _ = fine(drive[:1].expand(500, 1, CELLS))
    flow = solve_ivp(lambda t, r: (-r + x + w @ r) / 0.01, (0, 5e-3), np.zeros(CELLS), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(y[-1, 0].detach().numpy(), flow.y[:, -1], rtol=2e-3)


def test_what_is_lost_is_what_recurrence_no_longer_carries():
    circuit, drive, often = made()
    with torch.no_grad():
        circuit.gain.copy_(torch.linspace(0.4, 1.2, CELLS))
    r = circuit.steady(drive)
    lost = often @ ((circuit.gain - 1) * r @ circuit.weight.mT).square().sum(-1)
    torch.testing.assert_close(coding_loss(circuit, drive, often, cost=0, restraint=0), lost)


@pytest.mark.parametrize("place", ["recurrent", "output"])
def test_at_no_cost_nothing_adapts(place):
    circuit, drive, often = made(place)
    before = circuit.steady(drive)
    assert coding_loss(circuit, drive, often, cost=0, restraint=1).item() == pytest.approx(0, abs=1e-20)
    torch.testing.assert_close(settled(circuit, drive, often, cost=0, restraint=0.1), torch.ones(CELLS, dtype=torch.float64))
    torch.testing.assert_close(circuit.steady(drive), before)
    assert (settled(circuit, drive, often, cost=0.3, restraint=0.1) - 1).abs().max() > 0.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c, x, p: GainModulatedCircuit(torch.zeros(2, 3)), "one row a cell"),
        (lambda c, x, p: GainModulatedCircuit(torch.zeros(2, 2), place="input"), "'recurrent' or 'output'"),
        (lambda c, x, p: GainModulatedCircuit(torch.zeros(2, 2), dt=0.02), "shorter steps"),
        (lambda c, x, p: coding_loss(c, x, p[1:], cost=1, restraint=1), "divide by the sum"),
        (lambda c, x, p: coding_loss(c, x, 2 * p, cost=1, restraint=1), "divide by the sum"),
        (lambda c, x, p: coding_loss(c, x, p, cost=-1, restraint=1), "0 or more"),
        (lambda c, x, p: adapt_gains(c, lambda: (c.gain - 9).square().sum()), "without a rest"),
        (lambda c, x, p: settled(GainModulatedCircuit(c.weight, gain=0.0), x, p, cost=1, restraint=1), "begin at 1"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call(*made())
