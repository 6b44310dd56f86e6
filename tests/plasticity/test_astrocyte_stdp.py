"""AstrocyteSTDP: its astrocyte is a leaky integrator, its window is STDP's with the astrocyte's depression, and roles swap for inhibition."""

import math

import pytest
import torch

from neuropil.plasticity import STDP, AstrocyteSTDP

DT = 1e-3


def rule(size=3, out_size=1, weight=1.0, **settings):
    begun = torch.full((out_size, size), weight, dtype=torch.float64)
    inhibitory = settings.get("inhibitory", 0)
    if inhibitory:
        begun[:, -inhibitory:] = -weight
    return AstrocyteSTDP(size, out_size, dt=DT, weight=begun, **settings).double()


def spikes(steps, size, *events):
    x = torch.zeros(steps, size, dtype=torch.float64)
    for t, j in events:
        x[t, j] = 1.0
    return x


def test_the_astrocyte_relaxes_to_its_fixed_point_as_a_leaky_integrator():
    synapse = rule(4, 2, inputs=1, gain=0.02, potentiation=0.1, baseline=0.3)
    x, z = torch.zeros(400, 4, dtype=torch.float64), torch.ones(400, 2, dtype=torch.float64)
    x[:, 0] = 1.0
    _, s = synapse(x, post=z)
    end, share = 0.3 + 0.02 * (2 - 1), DT / 0.1
    assert s.astrocyte.item() == pytest.approx(end + (0.3 - end) * (1 - share) ** 400, rel=1e-6)


def test_everything_that_learns_fades_together():
    synapse = rule(2, 1, potentiation=0.2, gain=0.0, fade=0.97)
    _, s = synapse(torch.zeros(50, 2, dtype=torch.float64))
    assert s.scale.item() == pytest.approx(0.97**50)
    assert s.astrocyte.item() == pytest.approx(0.2 * 0.97**50, rel=1e-6)


@pytest.mark.parametrize("lag", [1, 5, 20])
def test_pairs_move_the_weight_by_the_two_rates(lag):
    trace = 0.1 * math.exp(-lag * DT / 0.01)
    x, z = spikes(30, 3, (5, 0), (5 + lag, 1), (5, 2)), spikes(30, 1, (5 + lag, 0))
    synapse = rule(inhibitory=1, potentiation=0.15, baseline=0.4, gain=0.0)
    _, s = synapse(x, post=z)
    assert (s.w[0] - torch.tensor([1, 1, -1], dtype=torch.float64)).tolist() == pytest.approx([0.15 * trace, 0, -0.4 * trace], rel=1e-6)
    _, s = synapse(spikes(30, 3, (5 + lag, 0), (5 + lag, 2)), post=spikes(30, 1, (5, 0)))
    assert (s.w[0, [0, 2]] - torch.tensor([1, -1], dtype=torch.float64)).tolist() == pytest.approx([-0.4 * trace, 0.15 * trace], rel=1e-6)


def test_without_gain_it_is_stdp_of_pairs():
    generator = torch.Generator().manual_seed(0)
    x, z = ((torch.rand(200, n, generator=generator) < 0.1).double() for n in (4, 3))
    weight = torch.full((3, 4), 1.5, dtype=torch.float64)
    one = AstrocyteSTDP(4, 3, dt=DT, weight=weight, potentiation=0.05, baseline=0.06, gain=0.0).double()
    other = STDP(
        4, 3, dt=DT, weight=weight, potentiation=0.005, depression=0.006, tau_plus=0.01, tau_minus=0.01, bounds=(0.0, 3.0)
    ).double()
    torch.testing.assert_close(one(x, post=z)[1].w, other(x, post=z)[1].w, rtol=1e-5, atol=1e-8)


def test_more_spikes_than_the_input_has_weaken_synapses_and_fewer_strengthen_them():
    x, z = spikes(300, 3, *((t, 1) for t in range(0, 300, 10))), spikes(300, 1, *((t, 0) for t in range(5, 300, 10)))
    quiet, busy = (rule(inputs=1, gain=gain)(x, post=z)[1].w[0, 1] for gain in (0.0, 2.0))
    assert busy < quiet
    flooded = x.clone()
    flooded[:, 0] = 1.0
    assert rule(inputs=1, gain=2.0)(flooded, post=z)[1].w[0, 1] > quiet


def test_weights_keep_within_their_limit_and_sign_and_absent_ones_stay_absent():
    generator = torch.Generator().manual_seed(1)
    connected = torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    synapse = AstrocyteSTDP(
        4, 1, dt=DT, inputs=1, inhibitory=1, connected=connected, limit=0.5, potentiation=5.0, gain=0.5, generator=generator
    )
    assert (synapse.weight[0, 1:3] >= 0).all()
    _, s = synapse(
        (torch.rand(300, 1, 4, generator=generator) < 0.3).float(), post=(torch.rand(300, 1, 1, generator=generator) < 0.3).float()
    )
    low, high = torch.tensor([-0.5, 0.0, 0.0, -0.5]), torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert ((s.w[0, 0] >= low) & (s.w[0, 0] <= high)).all()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"inputs": 2, "inhibitory": 2}, "3 presynaptic cells hold 2 inputs and 2 inhibitory ones"),
        ({"limit": 0.0}, "limit is the largest size"),
        ({"fade": 0.0}, "factor a step"),
        ({"tau": 0.0}, "tau is above 0"),
        ({"connected": torch.ones(2, 2)}, "rows are postsynaptic"),
        ({"weight": 4.0}, "bounds"),
        ({"weight": -1.0}, "sign of its presynaptic cell"),
    ],
)
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        rule(**settings)
