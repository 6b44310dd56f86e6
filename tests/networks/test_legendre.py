"""The Legendre memory unit against its published equations in numpy, and its memory against the linear cell."""

import numpy as np
import pytest
import torch

from neuropil.cells import LegendreMemory, leaky_matrices, legendre_matrices
from neuropil.learning import Replicas
from neuropil.networks import LegendreMemoryUnit

T, N = 25, 3


def unit(**changed):
    generator = torch.Generator().manual_seed(3)
    made = LegendreMemoryUnit(N, **{"memory": 4, "order": 3, "hidden": 5, "theta": 8.0, "generator": generator} | changed).double()
    with torch.no_grad():
        made.encode_memory.copy_(0.2 * torch.randn(made.encode_memory.shape, generator=generator))
    return made


def sequence():
    return torch.randn(T, 2, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("matrices", [legendre_matrices, leaky_matrices])
def test_it_is_the_published_equations(matrices):
    made, x = unit(matrices=matrices), sequence()
    p, A, B = {name: tensor.detach().numpy() for name, tensor in made.named_parameters()}, made.A.numpy(), made.B.numpy()
    y, s = made(x)
    for sample in range(2):
        m, h = np.zeros((4, 3)), np.zeros(5)
        for t in range(T):
            u = p["encode_input"] @ x[t, sample].numpy() + p["encode_hidden"] @ h + p["encode_memory"] @ m.ravel()
            m = np.stack([A @ m[k] + B * u[k] for k in range(4)])
            h = np.tanh(p["input"] @ x[t, sample].numpy() + p["recurrent"] @ h + p["read"] @ m.ravel())
            np.testing.assert_allclose(y[t, sample].detach().numpy(), h, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(s.memory[sample].detach().numpy(), m, rtol=1e-9, atol=1e-12)
    stepped = None
    for moment in x:
        _, stepped = made.step(moment, stepped)
    torch.testing.assert_close(stepped, s)


def test_its_memory_is_the_linear_one():
    made, x = unit(), sequence()
    with torch.no_grad():
        for weight in (made.encode_hidden, made.encode_memory):
            weight.zero_()
    linear = LegendreMemory(4, order=3, theta=8.0).double()
    expected, _ = linear(x @ made.encode_input.mT)
    torch.testing.assert_close(made(x)[1].memory.flatten(-2), expected[-1])


def test_the_memory_starts_unheard_and_weights_have_their_variances():
    made = LegendreMemoryUnit(200, memory=50, order=4, hidden=300, generator=torch.Generator().manual_seed(0))
    assert not made.encode_memory.any()
    for weight, variance in ((made.encode_input, 1 / 200), (made.encode_hidden, 1 / 300), (made.read, 2 / 500), (made.recurrent, 2 / 600)):
        assert float(weight.detach().var()) == pytest.approx(variance, rel=0.05)


def test_replicas_are_each_alone():
    made = [unit(generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    both = Replicas(made)(sequence().expand(2, T, 2, N))[0]
    for k, one in enumerate(made):
        torch.testing.assert_close(both[k], one(sequence())[0])


@pytest.mark.parametrize(
    ("wrong", "said"), [({"memory": 0}, "memory of a"), ({"hidden": 2.0}, "hidden of a"), ({"order": 0}, "order of a memory")]
)
def test_what_it_cannot_be_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        unit(**wrong)
