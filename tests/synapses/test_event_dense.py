"""EventDense against numpy's dense product, its gradients against torch's."""

import numpy as np
import pytest
import torch
from torch.func import grad, vmap

from neuropil.dynamics.kernels.events import event_product
from neuropil.synapses import Dense, EventDense

pytest.importorskip("numba", reason="Numba is not installed; pip install 'neuropil[fast]' runs these tests")


def spikes(*shape, share=0.1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    drawn = torch.rand(*shape, generator=generator, dtype=dtype)
    return torch.where(drawn < share, torch.randn(*shape, generator=generator, dtype=dtype), torch.zeros(shape, dtype=dtype))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(5,), (3, 40, 37), (300, 5), (2, 0, 6)])
def test_product_and_gradients_are_the_dense_ones(shape, share):
    x = spikes(*shape, share=share).requires_grad_()
    weight = torch.randn(130, shape[-1], dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y = event_product(x, weight)
    np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy() @ weight.detach().numpy().T, rtol=1e-12, atol=1e-12)
    gy = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad(y, (x, weight), gy)
    expected = torch.autograd.grad(torch.nn.functional.linear(x, weight), (x, weight), gy)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_nan_comes_through_and_silence_hides_what_is_not_finite():
    weight = torch.tensor([[1.0, torch.inf]]).expand(64, 2)
    assert (event_product(torch.tensor([2.0, 0.0]), weight) == 2.0).all()
    assert event_product(torch.tensor([torch.nan, 0.0]), weight).isnan().all()


def test_replicas_and_samples_under_vmap():
    x, weights = spikes(3, 6, 5), torch.randn(3, 70, 5, dtype=torch.float64)
    torch.testing.assert_close(vmap(event_product)(x, weights), x @ weights.mT)
    torch.testing.assert_close(vmap(event_product, in_dims=(1, None))(x, weights[0]), (x @ weights[0].mT).movedim(1, 0))
    of_one = grad(lambda weight, one: event_product(one, weight).square().sum())
    for dims, w in (((None, 0), weights[0]), ((0, 0), weights)):
        found = vmap(of_one, in_dims=dims)(w, x)
        expected = torch.stack([of_one(w if dims[0] is None else w[k], x[k]) for k in range(3)])
        torch.testing.assert_close(found, expected)


def test_the_number_of_threads_changes_no_bit():
    x, weight, before = spikes(400, 300, dtype=torch.float32), torch.randn(260, 300, requires_grad=True), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = event_product(x, weight)
            found.append((y.detach(), *torch.autograd.grad(y, weight, torch.ones_like(y))))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for each in found[1:] for one, other in zip(found[0], each, strict=True))


def test_it_starts_as_dense_and_has_first_derivatives_only():
    one, other = (kind(6, 65, generator=torch.Generator().manual_seed(3)) for kind in (Dense, EventDense))
    x = spikes(9, 6, dtype=torch.float32)
    assert torch.equal(one.weight, other.weight)
    torch.testing.assert_close(other(x), one(x))
    (first,) = torch.autograd.grad(other(x).square().sum(), other.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        first.sum().backward()
