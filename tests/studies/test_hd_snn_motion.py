import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.synapses import hd_snn_motion as hd
from neuropil.studies.synapses.hd_snn_motion import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def shown(name, **changed):
    return study.compute(arm(name, **changed), SMOKE, [Seed(1000)])[0]


def layer(name, **changed):
    return hd.learned(hd.frozen(arm(name, **changed), "lesion"), hd.frozen(SMOKE), Seed(1000))[0]


def test_photographs_are_kept_apart_and_tiles_are_theirs():
    picture = np.arange(64 * 70, dtype=np.int64).reshape(64, 70).astype(np.uint8)
    tiles = hd._tiles(picture)
    assert tiles.shape == (4, 32, 32)
    assert (tiles[3] == picture[32:, 32:64]).all()
    train, validation, test = hd.pictures(Settings("", {**SMOKE, "validation": 10}), Seed(1000))
    assert [len(part) for part in (train, validation, test)] == [40, 10, 20]
    assert not (train[:, None] == test).all((2, 3)).any()


def test_patches_and_labels_belong_together_and_judged_movies_have_one_motion():
    task = hd.examples(hd.frozen(SMOKE), Seed(1000))
    assert task.patches.shape == (400, 2, hd.DELAYS, hd.WINDOW, hd.WINDOW)
    assert task.labels.shape == (400,)
    events, labels = task.test
    assert (labels == labels[0]).all()
    assert events.shape[0] == hd.STEPS


@pytest.mark.parametrize("name", ["pruned", "short", "two_delays", "eight_delays", "random"])
def test_as_many_synapses_are_left_in_each(name):
    weight = layer(name).synapse.weight.detach()
    assert int((weight != 0).sum()) == hd.KEPT == 588


def test_compact_is_dense_and_nearly_as_large():
    assert shown("compact")["parameters"] == 576 + 8


def test_arms_begin_as_parts_of_one_kernel():
    whole = hd.begin(arm("full"), Seed(1000)).synapse.weight
    assert torch.equal(hd.begin(arm("short"), Seed(1000)).synapse.weight, whole[:, :, :4])
    assert torch.equal(hd.begin(arm("compact"), Seed(1000)).synapse.weight, whole[:, :, :4, 2:5, 2:5])
    free = hd.begin(arm("full", prior=0), Seed(1000)).synapse.weight
    assert (free[:, :, 0, 0, 0] != 0).all()
    assert (whole[:, :, 0, 0, 0] == 0).all()


def test_all_decide_at_the_same_places():
    events = hd.examples(hd.frozen(SMOKE), Seed(1000)).test[0]
    for name in ("full", "short", "compact", "collapsed"):
        settings, net = arm(name), hd.begin(arm(name), Seed(1000))
        seen = []
        net.register_forward_hook(lambda module, given, evidence, seen=seen: seen.append(evidence.shape))
        assert hd.decisions(net, settings, events).shape == (3, 20)
        assert seen[0] == (3, 20, 8, 7, 7)


def test_a_collapsed_layer_hears_the_sum_of_what_the_whole_hears():
    patches = hd.examples(hd.frozen(SMOKE), Seed(1000)).patches
    assert torch.equal(hd.hears(arm("collapsed"), patches)[:, :, 0], patches.sum(2))
    assert torch.equal(hd.hears(arm("compact"), patches), patches[:, :, :4, 2:5, 2:5])


def test_a_collapsed_layer_keeps_all_places_whatever_prior_tuning_chose():
    for prior in (0, 1):
        weight = hd.learned(hd.frozen(arm("collapsed", prior=prior)), hd.frozen(SMOKE), Seed(1000))[0].synapse.weight
        assert (weight.abs() > 1e-4).double().mean() > 0.95
    assert (layer("full", prior=1).synapse.weight[:, :, 0].abs() > 1e-4).double().mean() < 0.1


def test_lesions_reverse_and_cut():
    net = layer("pruned")
    weight = net.synapse.weight.detach()
    assert torch.equal(hd.lesioned(net, "reversed").synapse.weight.detach(), weight.flip(2))
    cut = hd.lesioned(net, "cut").synapse.weight.detach()
    assert torch.equal(cut[:, :, :4], weight[:, :, :4])
    assert not cut[:, :, 4:].any()
    assert (weight[:, :, 4:] != 0).any()


def test_reversed_delays_mirror_decisions_in_time():
    # an event stream played backwards, with ON and OFF exchanged, is what moves the other way: reversed delays then hear what the kernel hears
    net = hd.begin(arm("full", prior=0), Seed(1000))
    torch.nn.init.normal_(net.synapse.weight, generator=torch.Generator().manual_seed(0))
    events = (torch.rand(hd.DELAYS, 4, 2, 13, 13, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    with torch.no_grad():
        torch.testing.assert_close(hd.lesioned(net, "reversed")(events.flip(0)), net(events), atol=1e-4, rtol=1e-4)


def test_what_all_directions_share_has_no_delay():
    weight = torch.zeros(8, 2, 4, 3, 3)
    weight[:, :, 0] = 5.0
    weight[0, 0, 3, 1, 1] = 1.0
    by_delay = hd.specific(weight).sum((0, 1, 3, 4))
    assert by_delay[0] == 0
    assert by_delay[3] > 0


def test_off_is_the_short_control():
    off, control = shown("off"), shown("short")
    for name, value in control.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], rel=1e-6), name


def test_figures_draw_from_stored_results():
    table = Table([1000], {name: [shown(name)] for name in study.arms})
    for _, draw in study.figures.values():
        draw(table)
