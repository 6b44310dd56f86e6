import pytest
import torch

from neuropil.synapses import ExcitatoryInhibitory


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_cell_has_its_synapses_and_its_balance():
    synapse = ExcitatoryInhibitory(100, 40, inputs=20, gain=3.0, inhibition=1.5, generator=generator())
    w = synapse.effective().detach()
    assert ((w[:, :80] > 0).sum(1) == 16).all()
    assert ((w[:, 80:] < 0).sum(1) == 4).all()
    assert (w[:, :80] >= 0).all()
    assert (w[:, 80:] <= 0).all()
    torch.testing.assert_close(w[:, :80].sum(1), torch.full((40,), 3.0))
    torch.testing.assert_close(w[:, 80:].sum(1), torch.full((40,), -4.5))
    assert synapse.inhibitory.sum() == 20


def test_balanced_inputs_of_equal_rates_cancel_and_fluctuations_are_as_computed():
    """Of independent inputs the current's variance is the sum of squared weights times theirs; both kinds have one sum and different numbers of synapses."""
    synapse = ExcitatoryInhibitory(200, 60, inputs=50, gain=2.0, generator=generator())
    x = 1 + 0.3 * torch.randn(4000, 200, generator=generator(1))
    with torch.no_grad():
        y = synapse(x)
        expected = 0.3 * synapse.effective().square().sum(1).sqrt()
    assert y.mean().abs() < 0.02
    torch.testing.assert_close(y.std(0), expected, rtol=0.06, atol=0)


def test_one_number_a_cell_is_a_parameter_and_signs_stay():
    synapse = ExcitatoryInhibitory(10, 3, inputs=5, excitatory=0.6, inhibition=torch.tensor([0.0, 1.0, 2.0]), generator=generator())
    w = synapse.effective()
    assert w[0, 6:].abs().sum() == 0
    torch.testing.assert_close(w[2, 6:].sum(), -torch.tensor(2.0))
    with torch.no_grad():
        synapse.weight.sub_(5)
    assert (synapse.effective()[:, :6] >= 0).all()
    assert "inhibition" in dict(synapse.named_parameters())


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"excitatory": 1.0}, "leaves some of either kind"),
        ({"inputs": 1}, "from 2 to 10"),
        ({"inputs": 11}, "from 2 to 10"),
        ({"gain": 0.0}, "above 0"),
    ],
)
def test_impossible_networks_are_refused(changed, error):
    with pytest.raises(ValueError, match=error):
        ExcitatoryInhibitory(10, 3, **{"inputs": 5, **changed})


@pytest.mark.parametrize(("size", "inputs", "excitatory"), [(10, 10, 0.8), (10, 2, 0.8), (4, 3, 0.5), (5, 5, 0.2)])
def test_all_inputs_are_used_at_the_ends(size, inputs, excitatory):
    w = ExcitatoryInhibitory(size, 6, inputs=inputs, excitatory=excitatory, generator=generator()).effective()
    assert ((w != 0).sum(1) == inputs).all()
    assert ((w > 0).any(1) & (w < 0).any(1)).all()
