"""EventGRU against torch's GRU, its equations in numpy with their gradient, the beta law, and where a copied sequence would break."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import nn

from neuropil.cells import EventGRU, beta_thresholds
from neuropil.dynamics import Triangular
from neuropil.observe import observe


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def cell(**settings):
    made = EventGRU(5, neurons=7, generator=draws(), **settings).double()
    for bias in (made.bias, made.recurrent_bias):
        nn.init.normal_(bias, std=0.3, generator=draws(1))
    return made


def sequence(steps=12, batch=3):
    return torch.randn(steps, batch, 5, dtype=torch.float64, generator=draws(2))


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def in_numpy(made, x, reset, slope):
    """Outputs, and the gradient of ``sum(y^2)`` by hand for the recurrent weights and the threshold: backpropagation through time."""
    W, V, b, a, th = (t.detach().numpy() for t in (made.weight, made.recurrent, made.bias, made.recurrent_bias, made.threshold))
    n = len(a)
    h = y = np.zeros((x.shape[1], n))
    moments = []
    for now in x:
        driven, heard = now @ W.T + b, y @ V.T
        u, r = sigmoid(driven[:, :n] + heard[:, :n]), sigmoid(driven[:, n : 2 * n] + heard[:, n : 2 * n])
        q = heard[:, 2 * n :] + a
        g = np.tanh(driven[:, 2 * n :] + r * q)
        c = u * h + (1 - u) * g
        e = (c >= th).astype(float)
        moments.append((y, h, u, r, q, g, c, e))
        y, h = e * c, c - e * th * reset
    dV, dth, dy, dh = np.zeros_like(V), np.zeros(n), 0.0, 0.0
    for before, h_before, u, r, q, g, c, e in reversed(moments):
        dy = dy + 2 * e * c
        pseudo = 0.7 * np.maximum(0, 1 - slope * np.abs(c - th))
        de = dy * c - dh * th * reset
        dc = dy * e + dh + de * pseudo
        dth += (-de * pseudo - dh * e * reset).sum(0)
        du, dg = dc * (h_before - g) * u * (1 - u), dc * (1 - u) * (1 - g**2)
        dr, dq = dg * q * r * (1 - r), dg * r
        back = np.concatenate((du, dr, dq), 1)
        dV += back.T @ before
        dy, dh = back @ V, dc * u
    return np.array([e * c for *_, c, e in moments]), dV, dth


@pytest.mark.parametrize("reset", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("slope", [1.0, 3.6])
def test_outputs_and_gradients_are_the_equations_in_numpy(reset, slope):
    threshold = torch.rand(7, dtype=torch.float64, generator=draws(3)) * 0.4
    made = cell(threshold=threshold, learnable=True, reset=reset, surrogate=Triangular(slope=slope, scale=0.7))
    x = sequence()
    y, _ = made(x)
    assert 0.1 < (y > 0).double().mean() < 0.9
    y.square().sum().backward()
    expected, dV, dth = in_numpy(made, x.numpy(), reset, slope)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(made.recurrent.grad.numpy(), dV, atol=1e-10)
    np.testing.assert_allclose(made.threshold.grad.numpy(), dth, atol=1e-10)


def test_without_threshold_and_reset_it_is_torchs_gru_with_its_gradients():
    made, gru = cell(threshold=-2.0, reset=0.0), nn.GRU(5, 7).double()
    with torch.no_grad():
        for theirs, mine in ((gru.weight_ih_l0, made.weight), (gru.weight_hh_l0, made.recurrent), (gru.bias_ih_l0, made.bias)):
            update, reset, candidate = mine.chunk(3)
            theirs.copy_(torch.cat((reset, update, candidate)))
        gru.bias_hh_l0.zero_()
        gru.bias_hh_l0[14:] = made.recurrent_bias
    x, other = sequence().requires_grad_(), sequence().requires_grad_()
    y, s = made(x)
    theirs, last = gru(other)
    torch.testing.assert_close(y, theirs)
    torch.testing.assert_close(s.h, last[0])
    y.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
    torch.testing.assert_close(made.recurrent.grad[7:14], gru.weight_hh_l0.grad[:7])


def test_silent_units_send_exact_zeros_and_speaking_costs_the_threshold():
    made = cell(threshold=0.2)
    x = sequence(40)
    y, _ = made(x)
    assert ((y == 0) | (y >= 0.2)).all()
    assert 0.05 < (y > 0).double().mean() < 0.95
    with observe(made, "h") as seen:
        made(x)
    spoke = y > 0
    torch.testing.assert_close(seen["h"][spoke], (y - 0.2)[spoke])


def test_events_are_where_something_is_said_and_carry_the_surrogates_gradient():
    made = cell(threshold=0.2)
    x = sequence(20).requires_grad_()
    y, events, s = made.speak(x)
    assert torch.equal(events.bool(), y != 0)
    assert torch.equal(y, made(x)[0])
    torch.testing.assert_close(s.y, y[-1])
    events.mean().backward()
    assert x.grad.abs().sum() > 0


def test_the_reset_makes_a_held_input_speak_less_often():
    held = torch.ones(200, 1, 5, dtype=torch.float64)
    rates = {reset: (cell(threshold=0.3, reset=reset)(held)[0] > 0).double().mean().item() for reset in (1.0, 0.0)}
    assert rates[1.0] < rates[0.0]


def test_thresholds_follow_the_beta_law():
    drawn = beta_thresholds(4000, mean=0.3, generator=draws())
    assert kstest(drawn.numpy(), beta(3 * 0.3 / 0.7, 3).cdf).pvalue > 0.01
    assert drawn.mean().item() == pytest.approx(0.3, abs=0.01)
    assert beta_thresholds(4000, mean=0.01, generator=draws()).mean().item() == pytest.approx(0.01, abs=0.002)
    with pytest.raises(ValueError, match="mean of thresholds"):
        beta_thresholds(3, mean=1.0, generator=draws())


def test_thresholds_are_kept_in_range():
    made = cell(threshold=0.5, learnable=True)
    made.threshold.data[:2] = torch.tensor([-0.3, 1.4])
    made.clamp_()
    assert made.threshold.detach()[:3].tolist() == [0.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"neurons": 0}, "neurons is how many"), ({"threshold": 1.0}, "A threshold is below 1"), ({"threshold": [0.1]}, "shape")],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        EventGRU(5, **{"neurons": 7, **settings})
