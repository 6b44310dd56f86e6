"""EventUnit against its equations in plain numpy, gradient included, and against its limits."""

import math

import numpy as np
import pytest
import torch

from neuropil.cells import EventUnit, LeakyRate


def numpy_unit(x, gate, threshold, weight):
    """Outputs, and the gradient of ``sum(weight * y)`` with respect to ``x`` by hand: the chain rule with the pseudo-derivative."""
    c, moments, y = 0.0, [], []
    for now in x:
        candidate = np.tanh(now)
        c = gate * c + (1 - gate) * candidate
        event = float(c - threshold >= 0)
        y.append(event * c)
        moments.append((candidate, c, event))
        c = c - event * threshold
    gradient, carried = [], 0.0
    for (candidate, c, event), w in zip(reversed(moments), reversed(weight), strict=True):
        pseudo = 0.7 * max(0.0, 1 - abs(c - threshold))
        of_c = w * (event + c * pseudo) + carried * (1 - threshold * pseudo)
        gradient.append(of_c * (1 - gate) * (1 - candidate**2))
        carried = of_c * gate
    return np.array(y), np.array(gradient[::-1])


@pytest.mark.parametrize(("gate", "threshold"), [(0.5, 0.3), (0.9, 0.1), (0.2, 0.7)])
def test_outputs_and_gradients_are_the_equations_in_numpy(gate, threshold):
    generator = np.random.default_rng(0)
    x, weight = generator.normal(0.4, 1.0, 60), generator.normal(size=60)
    y, gradient = numpy_unit(x, gate, threshold, weight)
    assert 0.05 < (y > 0).mean() < 0.95
    given = torch.tensor(x[:, None], requires_grad=True)
    found, _ = EventUnit(1, gate=torch.tensor(gate, dtype=torch.float64), threshold=torch.tensor(threshold, dtype=torch.float64))(given)
    (found[:, 0] * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(found[:, 0].detach().numpy(), y, atol=1e-12)
    np.testing.assert_allclose(given.grad[:, 0].numpy(), gradient, atol=1e-12)


def test_a_strong_held_input_gives_an_event_at_every_step_of_the_closed_form_size():
    gate, threshold, x = 0.8, 0.1, 2.0
    y, _ = EventUnit(1, gate=gate, threshold=threshold)(torch.full((200, 1), x, dtype=torch.float64))
    # c <- gate (c - threshold) + (1 - gate) tanh(x) has one fixed point
    assert y[-1].item() == pytest.approx(math.tanh(x) - gate / (1 - gate) * threshold, rel=1e-5)


def test_without_memory_it_is_a_tanh_that_is_silent_below_threshold():
    x = torch.linspace(-3, 3, 501, dtype=torch.float64)[:, None]
    y, _ = EventUnit(1, gate=1e-12, threshold=0.3)(x)
    torch.testing.assert_close(y, torch.where(torch.tanh(x) >= 0.3, torch.tanh(x), 0.0), rtol=1e-9, atol=1e-9)


def test_it_speaks_at_the_closed_form_interval_and_is_exactly_0_between():
    # From 0, c climbs as h (1 - gate^n) with h = tanh(x), and is back near 0 after an event: the interval is log(1 - threshold / h) / log(gate).
    gate, x = math.exp(-1e-3), 1.0
    gate, held = torch.tensor(gate, dtype=torch.float64), torch.full((4000, 3), x, dtype=torch.float64)
    y, _ = EventUnit(3, gate=gate, threshold=[0.1, 0.3, 0.6]).use(backend="torch")(held)
    for spoken, threshold in zip(y.T, (0.1, 0.3, 0.6), strict=True):
        intervals = spoken.nonzero()[:, 0].diff().double()
        assert intervals.mean().item() == pytest.approx(math.log(1 - threshold / math.tanh(x)) / math.log(gate), rel=0.01)
    silent, _ = EventUnit(3, gate=gate, threshold=0.8).use(backend="torch")(held)
    assert (silent == 0).all()  # 0.8 is above tanh(1)


def test_without_a_threshold_it_is_a_leaky_rate_unit_with_a_rectified_readout():
    x = torch.randn(200, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gate = torch.tensor([0.4, 0.7, 0.95], dtype=torch.float64)
    y, _ = EventUnit(3, gate=gate, threshold=0.0).use(backend="torch")(x)
    rate, _ = LeakyRate(3, tau=-1 / gate.log(), dt=1.0, activation=torch.relu).use(backend="torch")(torch.tanh(x))
    assert 0.2 < (y > 0).double().mean() < 0.8
    torch.testing.assert_close(y, rate)


def test_gates_and_thresholds_of_each_neuron_can_be_learned():
    cell = EventUnit(2, gate=[0.3, 0.6], threshold=[0.2, 0.4], learnable=True)
    torch.testing.assert_close(cell.gate, torch.tensor([0.3, 0.6]))
    cell(torch.ones(8, 3, 2))[0].sum().backward()
    assert {name for name, p in cell.named_parameters() if (p.grad != 0).all()} == {"threshold", "gate_logit"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"gate": 1.0}, "gate is between 0 and 1"), ({"threshold": -0.1}, "threshold is at least 0"), ({"threshold": [0.1, 1.0]}, r"\[0\.1")],
)
def test_bad_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        EventUnit(2, **settings)
