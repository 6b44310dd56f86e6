"""SignConstrained: signs never flip, whatever the gradient asks for; the start is balanced."""

import pytest
import torch

from neuropil.synapses import SignConstrained


def test_signs_never_flip_over_two_hundred_adam_steps_that_pull_against_them():
    synapse = SignConstrained(10, 6, excitatory=0.7, generator=torch.Generator().manual_seed(0))
    signs = torch.tensor([1.0] * 7 + [-1.0] * 3)
    optimizer = torch.optim.Adam(synapse.parameters(), lr=0.05)
    crossed = False
    for _ in range(200):
        optimizer.zero_grad()
        (synapse.effective() + signs).square().sum().backward()  # asks for exactly the opposite signs
        optimizer.step()
        assert (synapse.effective() * signs >= 0).all()
        crossed |= bool((synapse.weight < 0).any())
    assert crossed  # the parameters themselves did cross zero
    assert synapse.effective().abs().max() < 0.1


def test_a_synapse_that_shrank_can_grow_again():
    synapse = SignConstrained(1, 1, excitatory=1.0)
    synapse.weight.data.fill_(-1e-3)
    optimizer = torch.optim.SGD(synapse.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        (synapse(torch.ones(1)) - 2).square().sum().backward()
        optimizer.step()
    assert float(synapse.effective().detach()) == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("excitatory", [0.8, 0.5])
def test_the_start_is_balanced(excitatory):
    generator = torch.Generator().manual_seed(0)
    synapse = SignConstrained(200, 3000, excitatory=excitatory, generator=generator)
    y = synapse(torch.ones(200)).detach()
    excitation = float(synapse.effective().detach().clamp(min=0).sum(-1).mean())
    assert excitation > 3
    assert abs(float(y.mean())) < 0.02 * excitation


def test_the_variance_of_the_start_is_as_promised():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 200, generator=generator)
    y = SignConstrained(200, 300, gain=1.5, generator=generator)(x)
    assert float(y.detach().std()) == pytest.approx(1.5, rel=0.05)


def test_given_signs():
    synapse = SignConstrained(3, 2, signs=torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(synapse.effective().sign(), torch.tensor([[1.0, -1.0, -1.0]] * 2))
    with pytest.raises(ValueError, match=r"\+1 and -1"):
        SignConstrained(3, 2, signs=torch.tensor([1.0, 0.0, -1.0]))
    with pytest.raises(ValueError, match="share from 0 to 1"):
        SignConstrained(3, 2, excitatory=1.2)
