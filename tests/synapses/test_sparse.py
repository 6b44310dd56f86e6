"""Sparse: the wiring promised, kept under training; the product of what is wired only, by scipy's sparse matrices."""

import pytest
import scipy.sparse
import torch

from neuropil.synapses import Sparse


def test_every_neuron_hears_the_same_number():
    synapse = Sparse(40, 30, density=0.15, generator=torch.Generator().manual_seed(0))
    assert synapse.mask.sum(-1).tolist() == [6] * 30
    assert len({tuple(row.tolist()) for row in synapse.mask}) > 20
    assert Sparse(4, 3, density=0.01).mask.sum(-1).tolist() == [1, 1, 1]


def test_it_is_the_sparse_product():
    synapse = Sparse(40, 30, density=0.15).double()
    rows, columns = synapse.mask.nonzero().T.numpy()
    matrix = scipy.sparse.csr_matrix((synapse.weight.detach().numpy()[rows, columns], (rows, columns)), shape=(30, 40))
    x = torch.rand(6, 40, dtype=torch.float64)
    torch.testing.assert_close(synapse(x).detach(), torch.from_numpy((matrix @ x.numpy().T).T), rtol=1e-12, atol=1e-14)


def test_absent_connections_stay_absent_under_adam_with_weight_decay():
    synapse = Sparse(10, 8, density=0.3, generator=torch.Generator().manual_seed(1))
    before = synapse.weight.detach().clone()
    optimizer = torch.optim.AdamW(synapse.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        (synapse(torch.rand(4, 10)) - 1).square().mean().backward()
        optimizer.step()
    assert (synapse.effective()[~synapse.mask] == 0).all()
    assert (synapse.weight.grad[~synapse.mask] == 0).all()
    assert ((synapse.weight - before)[synapse.mask] != 0).all()


def test_currents_are_as_large_whatever_the_density():
    for density in (0.05, 0.5):
        generator = torch.Generator().manual_seed(0)
        y = Sparse(400, 400, density=density, generator=generator)(torch.randn(200, 400, generator=generator))
        assert float(y.detach().std()) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"density": 0.0}, "above 0"),
        ({"density": 1.5}, "at most 1"),
        ({"mask": torch.ones(3, 4)}, "bool"),
        ({"mask": torch.ones(4, 3, dtype=torch.bool)}, r"bool \[3, 4\]"),
        ({"mask": torch.zeros(3, 4, dtype=torch.bool)}, "leaves neuron 0 without input"),
    ],
)
def test_bad_wiring(settings, says):
    with pytest.raises(ValueError, match=says):
        Sparse(4, 3, **settings)
