"""The ELM neuron against a forward pass in numpy, synapse by synapse, and against closed forms of its traces."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neuropil.cells import LI, ExpressiveLeakyMemory, log_spaced

T, N, DT = 40, 7, 1e-3


def cell(**changed):
    generator = torch.Generator().manual_seed(3)
    made = ExpressiveLeakyMemory(N, **{"memory": 5, "outputs": 2, "dt": DT, "generator": generator} | changed).double()
    with torch.no_grad():
        made.weight.copy_(torch.randn(made.weight.shape, generator=generator))
    return made


def sequence(seed=0):
    return torch.rand(T, 3, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_numpy(cell, x):
    """The published equations on their own terms: a trace a synapse, summed over its branch afterwards; one sample after another."""
    weight, u, v = (tensor.detach().numpy() for tensor in (cell.weight, cell.integrate.weight, cell.propose.weight))
    a, c = cell.integrate.bias.detach().numpy(), cell.propose.bias.detach().numpy()
    read, e = cell.read.weight.detach().numpy(), cell.read.bias.detach().numpy()
    d, d_s = np.exp(-DT / cell.decay.tau.detach().numpy()), math.exp(-DT / float(cell.decay_synapse.tau))
    out = np.zeros((*x.shape[:2], len(read)))
    for sample in range(x.shape[1]):
        s, m = np.zeros(weight.shape), np.zeros(len(v))
        for t in range(len(x)):
            for j in range(weight.shape[0]):
                for k in range(weight.shape[1]):
                    place = j * cell.stride + k
                    arriving = max(weight[j, k], 0) * x[t, sample, place] if place < N else 0.0
                    s[j, k] = d_s * s[j, k] + arriving
            hidden = np.maximum(u @ np.concatenate([s.sum(1), d * m]) + a, 0)
            m = d * m + 5.0 * (1 - d) * 1.7159 * np.tanh(2 / 3 * (v @ hidden + c))
            out[t, sample] = read @ m + e
    return out


@pytest.mark.parametrize("routing", [{}, {"branches": 3}, {"branches": 3, "branch_size": 5}, {"branches": 1}])
def test_it_is_the_published_equations(routing):
    made, x = cell(**routing), sequence()
    expected = in_numpy(made, x.numpy())
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-3
    for y in (made(x)[0], torch.stack(list(steps(made, x)))):
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def steps(cell, x):
    s = None
    for moment in x:
        y, s = cell.step(moment, s)
        yield y


def test_the_trace_of_one_input_decays_as_its_time_constant_says():
    made, x = cell(), torch.zeros(T, 1, N, dtype=torch.float64)
    x[0] = 1.0
    _, s = made(x)
    expected = made.weight[:, 0].relu() * math.exp(-(T - 1) * DT / 0.005)
    torch.testing.assert_close(s.trace[0], expected)


def test_a_held_proposal_fills_each_memory_as_the_membrane_equation_says():
    # With U = V = 0 the dendrites propose f(c) for ever: tau dm/dt = -m + scale f(c), from 0.
    tau = log_spaced(2e-3, 0.5, 5)
    made = cell(tau=tau, outputs=None)
    with torch.no_grad():
        for layer in (made.integrate, made.propose):
            layer.weight.zero_()
        made.propose.bias.copy_(torch.linspace(-2, 2, 5))
    y, _ = made(sequence())
    held = 5 * 1.7159 * torch.tanh(torch.linspace(-2, 2, 5, dtype=torch.float64) * 2 / 3)
    for moments in (1, 10, T):
        flow = solve_ivp(lambda t, m: (held.numpy() - m) / tau.numpy(), (0, moments * DT), np.zeros(5), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(y[moments - 1, 0].detach().numpy(), flow.y[:, -1], rtol=1e-6, atol=1e-9)


def test_without_dendrites_each_memory_is_a_leaky_integrator_of_its_own():
    made = cell(tau=log_spaced(2e-3, 0.5, 5), outputs=None)
    with torch.no_grad():
        made.integrate.weight[:, made.branches :] = 0  # memories do not hear one another
    x = sequence()
    y, _ = made(x)
    traces = torch.stack([made(x[: t + 1])[1].trace for t in range(T)])
    hidden = torch.relu(traces @ made.integrate.weight[:, : made.branches].mT + made.integrate.bias)
    written = 5 * 1.7159 * torch.tanh(2 / 3 * made.propose(hidden))
    leaky = LI(5, tau=log_spaced(2e-3, 0.5, 5), dt=DT).double()
    torch.testing.assert_close(y, leaky((1 - leaky.decay()) * written)[0])


def test_time_constants_are_log_spaced_from_a_step_to_a_thousand():
    times = ExpressiveLeakyMemory(4, memory=7, dt=DT).decay.tau
    torch.testing.assert_close(times, torch.tensor([1e-3 * 10 ** (k / 2) for k in range(7)]))
    assert log_spaced(0.02, 0.02, 3).tolist() == pytest.approx([0.02] * 3)
    with pytest.raises(ValueError, match="the shorter first"):
        log_spaced(1.0, 0.1, 3)


def test_time_constants_are_learned_where_they_are_asked_to_be():
    for learnable in (True, False):
        made = cell(learnable=learnable)
        made(sequence())[0].square().sum().backward()
        assert (getattr(made.decay.log_tau, "grad", None) is not None) == learnable


def test_branch_neurons_have_fewer_parameters():
    def count(made):
        return sum(p.numel() for p in made.parameters())

    assert count(cell(branches=1)) < count(cell(branches=3)) < count(cell())


def test_a_memory_tells_a_synapse_what_it_holds():
    x = sequence()
    x[10:] = 0
    made = cell(tau=1.0)
    before = made(x)[0][-1]
    x[3] += 1
    assert (made(x)[0][-1] - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"memory": 0}, "memory of an"),
        ({"hidden": 1.5}, "hidden of an"),
        ({"outputs": True}, "outputs of an"),
        ({"branches": 3, "branch_size": 2}, "do not fit 7 inputs"),
        ({"branches": 6}, "do not fit 7 inputs"),
        ({"scale": 0.0}, "the authors take 5"),
        ({"tau": 5e-4}, "dt is at most tau"),
        ({"tau": [0.1, 0.2]}, "tau of shape"),
    ],
)
def test_what_it_cannot_be_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        cell(**wrong)
