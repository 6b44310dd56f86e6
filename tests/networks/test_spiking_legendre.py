"""The spiking Legendre memory unit against its published equations in numpy, neuron by neuron, and by what its memory holds."""

import numpy as np
import pytest
import torch

from neuropil.cells import LegendreMemory, leaky_matrices, legendre_matrices
from neuropil.dynamics import Arctan
from neuropil.learning import Replicas, ridge
from neuropil.networks import SpikingLegendreMemoryUnit

T, N = 30, 3


def unit(**changed):
    generator = torch.Generator().manual_seed(3)
    settings = {"memory": 4, "order": 3, "hidden": 5, "theta": 8.0, "beta": 0.8, "threshold": 0.4, "generator": generator}
    made = SpikingLegendreMemoryUnit(N, **settings | changed).double()
    with torch.no_grad():
        made.encode_memory.copy_(0.3 * torch.randn(made.encode_memory.shape, generator=generator))
        made.threshold.copy_(torch.tensor([0.4, 0.3, 0.5]))
    return made


def sequence():
    return torch.randn(T, 2, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def in_numpy(unit, x, A, B):
    """One sample after another, one neuron of a pair after the other."""
    p = {name: tensor.detach().numpy() for name, tensor in unit.named_parameters()}
    beta, out = 1 / (1 + np.exp(-p["beta_logit"])), []
    signs = (1, -1) if unit.signed else (1,)

    class Neurons:
        def __init__(self, shape, which):
            self.v, self.s, self.which = np.zeros(shape), np.zeros(shape), which

        def __call__(self, current):
            threshold = p["threshold"][self.which]
            self.v = beta[self.which] * self.v + current - threshold * self.s
            self.s = (self.v >= threshold).astype(float)
            return self.s

    for sample in range(x.shape[1]):
        u, m = ([Neurons(shape, k) for _ in signs] for k, shape in enumerate(((4,), (4, 3))))
        h, s_m, s_h = Neurons((5,), 2), np.zeros((4, 3)), np.zeros(5)
        for t in range(T):
            current = p["encode_input"] @ x[t, sample] + p["encode_hidden"] @ s_h + p["encode_memory"] @ s_m.ravel()
            s_u = sum(sign * one(sign * current) for sign, one in zip(signs, u, strict=True))
            written = np.stack([A @ s_m[k] + B * s_u[k] for k in range(4)])
            s_m = sum(sign * one(sign * written) for sign, one in zip(signs, m, strict=True))
            s_h = h(p["input"] @ x[t, sample] + p["recurrent"] @ s_h + p["read"] @ s_m.ravel())
            out.append(s_h)
    return np.stack(out).reshape(x.shape[1], T, 5).swapaxes(0, 1)


@pytest.mark.parametrize("matrices", [legendre_matrices, leaky_matrices])
@pytest.mark.parametrize("signed", [True, False])
def test_it_is_the_published_equations(signed, matrices):
    made, x = unit(signed=signed, matrices=matrices), sequence()
    expected = in_numpy(made, x.numpy(), made.A.numpy(), made.B.numpy())
    assert 0.1 < expected.mean() < 0.9
    y, s = made(x)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    stepped = None
    for t, moment in enumerate(x):
        one, stepped = made.step(moment, stepped)
        assert torch.equal(one, y[t])
    torch.testing.assert_close(stepped, s)
    assert set(made.coefficients(s).unique().tolist()) <= ({-1.0, 0.0, 1.0} if signed else {0.0, 1.0})


def held(signed, matrices=legendre_matrices, lag=25):
    """How much of a slow input ``lag`` steps ago a linear reading of the last ten steps' memory spikes explains, in new sequences."""
    draws, steps, each = np.random.default_rng(0), 50, 300
    frequency, phase = draws.uniform(0, 3 / steps, (2 * each, 4, 1)), draws.uniform(0, 6.3, (2 * each, 4, 1))
    x = torch.from_numpy(np.sin(2 * np.pi * frequency * np.arange(steps) + phase).mean(1).T)
    made = SpikingLegendreMemoryUnit(
        1, memory=8, order=6, hidden=2, theta=50.0, signed=signed, matrices=matrices, beta=0.9, threshold=0.7
    ).double()
    with torch.no_grad():
        made.encode_hidden.zero_()
        made.encode_input.copy_(torch.linspace(0.5, 1.5, 8)[:, None])
        s, seen = None, []
        for moment in x:
            _, s = made.step(moment[:, None], s)
            seen.append(made.coefficients(s).flatten(1))
        memory, then = torch.stack(seen[-10:]).mean(0), x[-1 - lag][:, None]
        weight, bias = ridge(memory[:each], then[:each], 3.0)
        return 1 - float((then[each:] - memory[each:] @ weight.mT - bias).square().mean() / then[each:].var())


def test_spikes_need_signs_to_hold_a_window():
    assert held(signed=True) > 0.25
    assert held(signed=True) > held(signed=False) + 0.1


def test_without_spikes_it_is_the_linear_memory():
    # With thresholds out of reach the memory is silent; with identical A and B the linear cell is what is spiked about.
    made, x = unit(threshold=0.4), sequence()
    with torch.no_grad():
        made.threshold.fill_(1e9)
    y, s = made(x)
    assert not y.any()
    assert not made.coefficients(s).any()
    linear = LegendreMemory(4, order=3, theta=8.0).double()
    torch.testing.assert_close(linear.A, made.A)
    torch.testing.assert_close(linear.B, made.B)


def test_replicas_and_gradients():
    made = [unit(generator=torch.Generator().manual_seed(seed)).float() for seed in (0, 1)]
    x = sequence().float()
    both = Replicas(made)(x.expand(2, *x.shape))[0]
    for k, one in enumerate(made):
        torch.testing.assert_close(both[k], one(x)[0])
    made[0](x)[0].mean().backward()
    for name, parameter in made[0].named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name  # noqa: PT018


def test_the_surrogate_is_snntorchs():
    # snnTorch's ATan(alpha): alpha / 2 / (1 + (pi / 2 alpha u)^2), alpha 2 unless given.
    u = torch.linspace(-2, 2, 9)
    surrogate = unit().surrogate
    assert isinstance(surrogate, Arctan)
    torch.testing.assert_close(surrogate.derivative(u), 1 / (1 + (torch.pi * u) ** 2))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"memory": 0}, "memory of a"),
        ({"hidden": 2.0}, "hidden of a"),
        ({"beta": 1.0}, "beta lies between"),
        ({"threshold": 0.0}, "threshold is above"),
        ({"order": 0}, "order of a memory"),
    ],
)
def test_what_it_cannot_be_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        unit(**wrong)
