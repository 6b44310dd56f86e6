"""Legendre memory against scipy's zero-order hold, against an ODE solver, and by what of a delayed window can be read."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.signal import cont2discrete
from scipy.special import eval_sh_legendre

from neuropil.cells import LI, LegendreMemory, leaky_matrices, legendre_matrices, log_spaced, shifted_legendre

THETA = 50.0


def published(order):
    """The continuous matrices, entry by entry as they are printed."""
    a, b = np.zeros((order, order)), np.zeros(order)
    for i in range(order):
        b[i] = (2 * i + 1) * (-1) ** i
        for j in range(order):
            a[i, j] = (2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1))
    return a, b


def slow(steps, seed=0, fastest=3.0):
    """Sums of sines with at most ``fastest`` periods a window."""
    draws, t = np.random.default_rng(seed), np.arange(steps)
    waves = [np.sin(2 * np.pi * f * t / THETA + p) for f, p in zip(draws.uniform(0, fastest, 6), draws.uniform(0, 6.3, 6), strict=True)]
    return torch.from_numpy(np.sum(waves, 0) / 6)


@pytest.mark.parametrize("order", [1, 2, 6, 12])
def test_matrices_are_scipys_zero_order_hold(order):
    a, b = published(order)
    hold = cont2discrete((a / THETA, b[:, None] / THETA, np.eye(order), np.zeros((order, 1))), dt=1.0, method="zoh")
    A, B = legendre_matrices(order, THETA)
    np.testing.assert_allclose(A.numpy(), hold[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(B.numpy(), hold[1][:, 0], rtol=1e-9, atol=1e-12)


def test_the_memory_follows_its_differential_equation():
    order, x = 4, slow(30)
    a, b = published(order)
    y, _ = LegendreMemory(1, order=order, theta=THETA).double()(x[:, None])
    m = np.zeros(order)
    for moment in x.tolist():
        flow = solve_ivp(lambda t, m, moment=moment: (a @ m + b * moment) / THETA, (0, 1), m, rtol=1e-10, atol=1e-12)
        m = flow.y[:, -1]
    np.testing.assert_allclose(y[-1].numpy(), m, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 7])
def test_polynomials_are_scipys(order):
    share = torch.linspace(0, 1, 11, dtype=torch.float64)
    expected = np.stack([eval_sh_legendre(i, share.numpy()) for i in range(order)], -1)
    np.testing.assert_allclose(shifted_legendre(order, share).numpy(), expected, atol=1e-12)


def missed(order, **changed):
    """The share of variance that the memory misses of its input, by lag."""
    x = slow(2000)
    memory = LegendreMemory(1, **{"order": order, "theta": THETA} | changed).double()
    lags = torch.arange(int(THETA))
    found = memory.read(memory(x[:, None])[0], lags)[:, 0]
    rest = [(found[200:, k] - x[200 - lag : len(x) - lag]).square().mean() / x.var() for k, lag in enumerate(lags.tolist())]
    return torch.stack(rest)


def test_a_delayed_window_is_read_from_a_few_numbers():
    rest = {order: missed(order) for order in (4, 8, 12)}
    assert rest[12].max() < 0.005
    assert rest[12].mean() < rest[8].mean() < rest[4].mean()
    assert rest[12].mean() < 0.05 * rest[4].mean()


def test_a_window_forgets():
    # An input that ended more than a window ago has left the memory; a leaky trace of the same length keeps more than a tenth of it.
    x = torch.zeros(200, 1, dtype=torch.float64)
    x[:100] = 1
    for matrices, low, high in ((legendre_matrices, -0.05, 0.05), (leaky_matrices, 0.1, 0.3)):
        memory = LegendreMemory(1, order=12, theta=THETA, matrices=matrices).double()
        y, _ = memory(x)
        assert low < float(y[-1, -1 if matrices is leaky_matrices else 0]) < high
        assert float(y[99, -1 if matrices is leaky_matrices else 0]) == pytest.approx(1.0, abs=0.15)


def test_leaky_traces_are_leaky_integrators():
    x = torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, _ = LegendreMemory(2, order=5, theta=THETA, matrices=leaky_matrices).double()(x)
    for k, tau in enumerate(log_spaced(1.0, THETA, 5).tolist()):
        leaky = LI(2, tau=tau, dt=1.0).double()
        torch.testing.assert_close(y.unflatten(-1, (2, 5))[..., k], leaky((1 - leaky.decay()) * x)[0], rtol=1e-5, atol=1e-6)


def test_channels_do_not_meet():
    x = torch.rand(20, 3, dtype=torch.float64)
    memory = LegendreMemory(3, order=4, theta=10.0).double()
    alone = LegendreMemory(1, order=4, theta=10.0).double()
    torch.testing.assert_close(memory(x)[0].unflatten(-1, (3, 4))[:, 1], alone(x[:, 1:2])[0])


@pytest.mark.parametrize(("wrong", "said"), [({"order": 0}, "The order of a memory"), ({"theta": 0.0}, "above 0 steps")])
def test_what_it_cannot_be_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        LegendreMemory(2, **{"order": 3, "theta": 8.0} | wrong)
