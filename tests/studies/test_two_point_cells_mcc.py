import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.cells import kay_phillips
from neuropil.studies.cells import two_point_cells_mcc as mcc
from neuropil.studies.cells.two_point_cells_mcc import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return mcc.settings(Settings(name, {**study.arms[name], **changed}))


def nets(name, **changed):
    return mcc.TwoStreams(arm(name, **changed), (5, 7), width=4, classes=3, nets=2, generator=torch.Generator().manual_seed(0))


def views(items=6):
    draws = torch.Generator().manual_seed(1)
    return torch.randn(items, 5, generator=draws), torch.randn(items, 7, generator=draws)


def test_the_two_streams_are_their_equations():
    net = nets("two_point")
    sound, image = views()
    first, other, *_ = net.layers(sound, image)
    r, c = sound @ net.drive[0][1] + net.bias[0][1], image @ net.context[0][1]
    torch.testing.assert_close(first.output[1], kay_phillips(r, c, limit=0.5).relu())
    above = net.layers(sound, image)[3]
    r, c = other.output[1] @ net.drive[3][1], first.output[1] @ net.context[3][1]
    torch.testing.assert_close(above.output[1], kay_phillips(r, c, limit=0.5).relu())


def test_without_context_a_stream_does_not_hear_the_other_and_has_no_synapses_for_it():
    net = nets("alone")
    sound, image = views()
    before, after = net.layers(sound, image), net.layers(sound, image.flip(0))
    assert torch.equal(before[2].output, after[2].output)
    assert net.fan_out == (4, 3)
    assert nets("additive").fan_out == (8, 3)


def test_energy_counts_each_output_that_is_not_0_times_its_synapses():
    net = nets("signed")
    sound, image = views()
    part = (sound, image, torch.zeros(6, dtype=torch.long))
    _, energy = mcc.judge(net, part, torch.zeros(4, 2, 1, 1))
    assert energy.tolist() == [2 * 4 * 8 + 2 * 4 * 3] * 2
    _, energy = mcc.judge(net, part, torch.full((4, 2, 1, 1), 1e9))
    assert energy.tolist() == [0, 0]
    alive = [torch.tensor([1.0, 0, 0, 0])] * 4
    _, energy = mcc.judge(net, part, torch.zeros(4, 2, 1, 1), alive=alive)
    assert energy.tolist() == [2 * 8 + 2 * 3] * 2


def test_nets_of_one_batch_learn_as_each_would_alone():
    data = mcc.task(SMOKE, Seed(1000))
    both = mcc.learn(arm("two_point"), SMOKE, data, Seed(1000), (0.0, 3.0)).net
    alone = mcc.learn(arm("two_point"), SMOKE, data, Seed(1000), (3.0,)).net
    torch.testing.assert_close(both.drive[0][1], alone.drive[0][0], rtol=1e-4, atol=1e-6)
    assert (both.drive[0][0] != both.drive[0][1]).any()


@pytest.mark.parametrize(("most", "expected"), [(0.1, None), (0.2, (0, 0)), (0.3, (1, 0)), (0.4, (1, 1))])
def test_the_cheapest_that_is_good_enough(most, expected):
    found = mcc.Sweep(torch.tensor([[0.15, 0.25], [0.28, 0.35]]), torch.tensor([[9.0, 7.0], [6.0, 5.0]]))
    assert mcc.cheapest(found, most) == expected


@pytest.mark.parametrize(("most", "expected"), [(4, (1, 1)), (6, (1, 0)), (7, (0, 1)), (10, (0, 0))])
def test_the_best_that_is_cheap_enough(most, expected):
    found = mcc.Sweep(torch.tensor([[0.15, 0.25], [0.28, 0.35]]), torch.tensor([[9.0, 7.0], [6.0, 5.0]]))
    assert mcc.best_within(found, most) == expected


def test_parts_are_disjoint_and_pairs_are_of_one_digit():
    task = mcc.task(SMOKE, Seed(1001))
    assert [len(part[2]) for part in task] == [600, 400, 797]
    (sounds, images), *_ = mcc.split_views(SMOKE, Seed(1001))
    first, second = mcc.pair_by_class(sounds.label, images.label, torch.Generator().manual_seed(0), repeats=2)
    assert (sounds.label[first] == images.label[second]).all()
    assert first.bincount().tolist() == [2] * 600
    silent = mcc.task(SMOKE, Seed(1001), heard=False)
    assert (silent.test[0] == 0).all()
    assert torch.equal(silent.test[1], task.test[1])


def test_levels_set_the_limit_or_the_scale_of_the_context():
    assert arm("two_point", level=0).limit == 0.1
    assert arm("two_point", level=0).strength == 1
    assert arm("additive", level=4).strength == 3
    assert arm("alone", level=4).strength == 0
    assert arm("off", level=4).strength == 0


def test_permuting_context_at_test_costs_and_leaves_learning_alone():
    budget = Settings("longer", {**SMOKE, "epochs": 30, "sound_noise": 0.0, "image_noise": 0.0})
    whole, permuted = (study.compute(arm(name), budget, [Seed(1002)])[0] for name in ("two_point", "permuted"))
    assert whole["learning"] == permuted["learning"]
    assert permuted["plain_error"] - whole["plain_error"] > 0.05
    assert whole["gain_follows_agreement"] > 0.9


def test_off_is_the_net_without_context_and_the_seed_decides_everything():
    off, alone = (study.compute(arm(name), SMOKE, [Seed(1003)])[0] for name in ("off", "alone"))
    for name, value in alone.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], rel=1e-9)
    one, two = study.compute(arm("two_point"), SMOKE, [Seed(1003), Seed(1004)])
    assert one == study.compute(arm("two_point"), SMOKE, [Seed(1003)])[0]
    assert one["early_error"] != two["early_error"]


def test_figures_draw_from_stored_results():
    table = Table([1005], {name: study.compute(arm(name), SMOKE, [Seed(1005)]) for name in ("two_point", "additive", "alone", "permuted")})
    for _, draw in study.figures.values():
        draw(table)
