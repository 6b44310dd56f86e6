import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.plasticity import astro_snn_language as snn
from neuropil.studies.plasticity.astro_snn_language import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def compute(name, seed=1000, **changed):
    return study.compute(arm(name, **changed), SMOKE, [Seed(seed)])[0]


def test_spiking_arms_begin_with_the_same_weights():
    nets = [dict(snn.network(arm(name), SMOKE, Seed(1000)).named_parameters()) for name in ("astrocyte", "alif", "facilitated", "lif")]
    for net in nets[1:]:
        assert net.keys() == nets[0].keys()
        assert all((net[name] == nets[0][name]).all() for name in net)


def test_calcium_and_adaptation_have_the_same_time_constants():
    taus = [snn.cell_of(arm("astrocyte"), 8).decay_calcium.tau, snn.cell_of(arm("alif"), 8).decay_adapt.tau]
    torch.testing.assert_close(taus[0], taus[1])
    assert taus[0].tolist()[::7] == pytest.approx([0.02, 0.2], rel=1e-5)
    assert snn.spread(32).mean() > 0.04


def test_levels_set_strength_or_threshold():
    assert snn.cell_of(arm("astrocyte", level=0), 4).strength.item() == pytest.approx(0.6)
    assert snn.cell_of(arm("alif", level=1), 4).beta.item() == pytest.approx(0.1)
    assert snn.cell_of(arm("facilitated", level=2), 4).beta.item() == pytest.approx(-10.0)


def test_gains_are_those_of_the_run():
    net = snn.network(arm("astrocyte"), SMOKE, Seed(1001))
    x, _ = snn.task_of(SMOKE).draw(5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        gain, spikes = snn.gains(net, x)
        assert (spikes == net.hidden(net.synapse(x))[0]).all()
    first = 1 + 0.7 * torch.tanh(torch.tensor(-2.0))  # no calcium yet: a level of four widths below
    torch.testing.assert_close(gain[0], first.expand_as(gain[0]))
    assert gain.std(0).mean() > 0.01


def test_a_frozen_gain_is_the_mean_one_and_constant():
    net = snn.network(arm("astrocyte"), SMOKE, Seed(1001))
    x, _ = snn.task_of(SMOKE).draw(5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        held = snn.freeze(net, torch.full((8,), 0.5))
        gain, spikes = snn.gains(held, x)
        assert (gain == 1).all()
        plain = snn.network(arm("lif"), SMOKE, Seed(1001))
        for synapse in (plain.synapse, plain.hidden.synapse):
            synapse.weight.mul_(0.5)
        assert (plain.hidden(plain.synapse(x))[0] == spikes).all()
        assert (net.synapse.weight == 2 * held.synapse.weight).all()


def test_the_lesioned_arm_is_the_trained_one():
    whole, frozen = compute("astrocyte"), compute("frozen")
    assert frozen["validation_accuracy"] == whole["validation_accuracy"]
    assert frozen["gain_spread"] == whole["gain_spread"]


def test_off_is_the_plain_layer_and_the_seed_decides_everything():
    off, lif = compute("off", 1004), compute("lif", 1004)
    for name, value in lif.items():
        assert value == pytest.approx(off[name], abs=1e-9)
    snn._learned.cache_clear()
    assert compute("lif", 1004) == lif
    assert compute("lif", 1005) != lif


def test_seeds_side_by_side_learn_what_each_learns_alone():
    for name in ("astrocyte", "gru"):
        both = snn.learned(arm(name), SMOKE, [Seed(1000), Seed(1001)])
        assert [len(nets) for nets in both] == ([1, 1] if name == "gru" else [2, 2])
        for models, value in zip(both, (1000, 1001), strict=True):
            (alone,) = snn.learned(arm(name), SMOKE, [Seed(value)])
            for net, (one, other) in enumerate(zip(models, alone, strict=True)):
                begun = snn.network(arm(name), SMOKE, Seed(value), net).state_dict()
                for key, tensor in other.state_dict().items():
                    torch.testing.assert_close(one.state_dict()[key], tensor, rtol=1e-3, atol=1e-4)
                assert any((tensor != begun[key]).any() for key, tensor in other.state_dict().items())


def test_the_outcome_of_a_seed_is_the_mean_of_its_nets():
    (nets,) = snn.learned(arm("astrocyte"), SMOKE, [Seed(1003)])
    one, other = (snn.measure(arm("astrocyte"), SMOKE, Seed(1003), net) for net in nets)
    found = compute("astrocyte", 1003)
    assert one["gain_spread"] != other["gain_spread"]
    assert found["gain_spread"] == pytest.approx((one["gain_spread"] + other["gain_spread"]) / 2)
    assert found["gain"].y[5] == pytest.approx((one["gain"].y[5] + other["gain"].y[5]) / 2)


def test_arms_report_what_their_contrasts_need():
    found = {name: compute(name) for name in study.arms}
    for contrast in study.contrasts:
        for match in contrast.matches:
            assert found[contrast.a][match.metric] == found[contrast.b][match.metric]
        assert contrast.on in found[contrast.a]
    assert all(dose.metric in found["astrocyte"] for dose in study.doses)


def test_figures_draw_from_stored_results():
    table = Table([1006], {name: [compute(name, 1006)] for name in study.arms})
    for _, draw in study.figures.values():
        draw(table)
    assert len(table.curves("astrocyte", "gain")[0].x) == snn.task_of(SMOKE).steps
