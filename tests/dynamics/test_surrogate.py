"""Surrogate gradients against numerical differentiation, numerical integration and the published formulas by hand."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from neuropil.dynamics import Arctan, FastSigmoid, Sigmoid, Surrogate, Triangular, heaviside, smoothed

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own, in forward mode
ALL = [FastSigmoid, Arctan, Triangular, Sigmoid]
U = torch.tensor([-3.0, -0.71, -0.2, -0.03, 0.04, 0.3, 0.66, 2.5], dtype=torch.float64)


@pytest.mark.parametrize("surrogate", ALL)
@pytest.mark.parametrize(("slope", "scale"), [(1.0, 1.0), (3.7, 0.3)])
def test_backward_is_the_true_gradient_of_the_antiderivative(surrogate, slope, scale):
    assert gradcheck(surrogate(slope, scale, smooth=True), U.clone().requires_grad_(), check_forward_ad=True)
    assert gradgradcheck(surrogate(slope, scale, smooth=True), U.clone().requires_grad_())


@pytest.mark.parametrize("surrogate", ALL)
def test_antiderivative_is_the_integral_of_the_derivative(surrogate):
    one = surrogate(2.3, 0.7)
    for low, high in ((-2.0, -0.1), (-0.4, 0.9), (0.05, 4.0)):
        area, _ = quad(lambda u: float(one.derivative(torch.tensor(u, dtype=torch.float64))), low, high, points=[-1 / 2.3, 0.0, 1 / 2.3])
        rise = one.antiderivative(torch.tensor([low, high], dtype=torch.float64)).diff()
        assert float(rise) == pytest.approx(area, abs=1e-8)


@pytest.mark.parametrize(
    ("surrogate", "expected"),
    [
        (FastSigmoid(10.0), 1 / 9),  # 1 / (1 + 10 * 0.2)^2
        (Arctan(2.0), 1 / (1 + (0.2 * math.pi) ** 2)),
        (Triangular(1.0, 0.3), 0.3 * 0.8),  # Bellec's 0.3 max(0, 1 - |u|)
        (Sigmoid(4.0), 4 / (math.exp(0.4) + math.exp(-0.4)) ** 2),  # 4 p (1 - p) = 4 / (2 cosh 0.4)^2
    ],
)
def test_derivative_is_the_published_one(surrogate, expected):
    u = torch.tensor(-0.2, dtype=torch.float64, requires_grad=True)
    spike = surrogate(u)
    (gradient,) = torch.autograd.grad(spike, u)
    assert spike == 0
    assert float(gradient) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("surrogate", ALL)
def test_the_forward_pass_is_a_step_that_spikes_exactly_at_threshold(surrogate):
    u = torch.tensor([-math.inf, -1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, math.inf])
    assert surrogate()(u).tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert heaviside(u).tolist() == surrogate()(u).tolist()


@pytest.mark.parametrize("surrogate", ALL)
def test_nan_gives_nan_and_stays_where_it_is(surrogate):
    u = torch.tensor([math.nan, 0.1, -math.inf, math.inf], requires_grad=True)
    spikes = surrogate()(u)
    spikes.sum().backward()
    assert spikes.isnan().tolist() == [True, False, False, False]
    assert u.grad.isnan().tolist() == [True, False, False, False]
    assert u.grad[2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("surrogate", ALL)
def test_function_transforms(surrogate):
    one = surrogate()
    expected = one.derivative(U)
    assert torch.equal(torch.vmap(torch.func.grad(one))(U), expected)
    assert torch.equal(torch.func.jacrev(one)(U), torch.diag(expected))
    assert torch.equal(torch.func.jacfwd(one)(U), torch.diag(expected))
    assert torch.equal(torch.vmap(one, in_dims=1, out_dims=1)(U.view(2, 4)), heaviside(U).view(2, 4))


@pytest.mark.parametrize("surrogate", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_is_kept(surrogate, dtype):
    u = U.to(dtype).requires_grad_()
    spikes = surrogate()(u)
    spikes.sum().backward()
    assert spikes.dtype == u.grad.dtype == dtype


def test_smoothed_reaches_every_surrogate_and_puts_it_back_after_an_exception():
    net = nn.Sequential(FastSigmoid(), nn.Sequential(Sigmoid(), Arctan(smooth=True)))
    states = []

    def stop():
        with smoothed(net):
            states.extend(module.smooth for module in net.modules() if isinstance(module, Surrogate))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop()
    assert states == [True, True, True]
    assert [module.smooth for module in net.modules() if isinstance(module, Surrogate)] == [False, False, True]


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_slope_and_scale_are_positive(bad):
    with pytest.raises(ValueError, match=r"The slope of a surrogate gradient is above 0 and finite, .* was given"):
        FastSigmoid(bad)
    with pytest.raises(ValueError, match="The scale"):
        Sigmoid(1.0, bad)


def test_a_surrogate_of_ones_own_takes_two_lines():
    class Flat(Surrogate):
        def derivative(self, u):
            return torch.ones_like(u)

    u = torch.tensor([-1.0, 1.0], requires_grad=True)
    Flat(1.0)(u).sum().backward()
    assert u.grad.tolist() == [1.0, 1.0]
    with pytest.raises(NotImplementedError, match=r"Flat does not state its antiderivative\(u\)"):
        Flat(1.0, smooth=True)(u)
