import pytest
import torch

from neuropil.plasticity import InhibitoryHomeostasis


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_linear_cell_comes_to_rest_at_its_target_with_the_weight_of_the_closed_form():
    """``post = excitation - w x`` with one active input: ``w* = (excitation - target) / x``, approached by a factor ``1 - rate x^2`` a step."""
    excitation, x, target, rate = 2.0, torch.tensor([0.8], dtype=torch.float64), 0.3, 0.1
    synapse = InhibitoryHomeostasis(1, 1, rate=rate, target=target, weight=torch.zeros(1, 1)).double()
    s, distances = synapse.initial()._replace(w=torch.zeros(1, 1, dtype=torch.float64)), []
    post = torch.tensor([excitation], dtype=torch.float64)
    for _ in range(200):
        with torch.no_grad():
            y, s = synapse.step(x, s, post=post)
        post = excitation - x @ s.w.mT
        distances.append(float(s.w) - (excitation - float(synapse.target)) / 0.8)
    assert y <= 0
    factor = 1 - float(synapse.rate) * 0.64
    assert distances[20] / distances[10] == pytest.approx(factor**10, rel=1e-6)
    assert float(post) == pytest.approx(float(synapse.target), abs=1e-4)


def test_many_cells_of_a_saturating_population_reach_different_targets():
    drawn = generator()
    target = torch.tensor([0.1, 0.2, 0.4, 0.6])
    synapse = InhibitoryHomeostasis(12, 4, rate=0.02, target=target, weight=torch.rand(4, 12, generator=drawn))
    s, rates = synapse.initial(), []
    post = torch.full((4,), 0.5)
    for _ in range(6000):
        x = torch.rand(12, generator=drawn)
        y, s = synapse.step(x, s, post=post)
        post = torch.sigmoid(2 + 0.3 * torch.randn(4, generator=drawn) + y)
        rates.append(post)
    torch.testing.assert_close(torch.stack(rates[3000:]).mean(0), target, atol=0.02, rtol=0)


def test_weights_stay_at_0_or_above_and_where_there_is_no_synapse():
    connected = torch.tensor([[1.0, 0.0, 1.0]])
    synapse = InhibitoryHomeostasis(3, 1, rate=1.0, target=0.5, weight=torch.full((1, 3), 0.2), connected=connected)
    assert synapse.weight.tolist() == [[pytest.approx(0.2), 0, pytest.approx(0.2)]]
    _, low = synapse.step(torch.ones(3), post=torch.zeros(1))
    assert low.w.tolist() == [[0, 0, 0]]
    _, high = synapse.step(torch.tensor([1.0, 1.0, 0.0]), post=torch.ones(1))
    torch.testing.assert_close(high.w, torch.tensor([[0.7, 0.0, 0.2]]))
    _, same = synapse.step(torch.ones(3))
    assert (same.w == synapse.weight).all()


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="weight lies in the bounds"):
        InhibitoryHomeostasis(2, 1, weight=-torch.ones(1, 2))
    with pytest.raises(ValueError, match="connected is"):
        InhibitoryHomeostasis(2, 1, connected=torch.ones(2, 1))
