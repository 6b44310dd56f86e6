import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.cells import sfq_neuromorphic as sfq
from neuropil.studies.cells.sfq_neuromorphic import study

SMOKE = Settings("smoke", study.budgets["smoke"])
BENCH = sfq.Bench(60.0, 0.08)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def knobs(picohenries, first, second, out, a, b):
    return sfq.Knobs(*(torch.tensor(value, dtype=torch.float64) for value in (picohenries, first, second, out, a, b)))


def test_input_lines_pass_one_quantum_to_their_stores_whatever_the_bias_of_the_rest():
    net = sfq.whole(None, knobs(20.0, 0.0, 0.0, 0.5, 0.0, 0.0), strength=0.0, idle=False)
    assert max(net.inputs) < sfq.SOURCES == net.probes["decision"] - 1
    counts = sfq.slips(net, BENCH, (0.0, 1.0, 1.6))
    assert (counts[..., net.probes["a"]] == torch.tensor([0.0, 0.0, 1.0, 1.0])).all()
    assert (counts[..., net.probes["b"]] == torch.tensor([0.0, 1.0, 0.0, 1.0])).all()
    assert (counts[..., net.read] == 0).all()


def test_one_loop_that_answers_flux_periodically_does_xor_with_two_inputs_of_one_sign():
    # Found by random search on another seed: each input moves half a quantum through a loop that is smaller than one.
    net = sfq.whole(None, knobs(8.9, 0.43, 0.92, 0.36, 0.57, 0.62), strength=0.0, idle=False)
    good = sfq.right(sfq.slips(net, BENCH, sfq.scales_of(0.1))[..., net.read], sfq.TRUTH["xor"], exact=False)
    assert good.sum() >= 2


def test_right_and_its_two_readings():
    counts = torch.tensor([[0.0, 1, 1, 0], [0, 5, 1, 0], [0, -1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]])
    assert sfq.right(counts, sfq.TRUTH["xor"], exact=False).tolist() == [True, True, True, False, False]
    assert sfq.right(counts, sfq.TRUTH["xor"], exact=True).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("good", "width", "middle", "around"),
    [
        ([0, 0, 0, 0, 0], 0.0, 1.0, 0.0),
        ([0, 1, 1, 1, 0], 0.6, 1.0, 60.0),
        ([0, 0, 0, 1, 1], 0.4 / 1.3, 1.3, 0.0),
        ([1, 1, 0, 1, 0], 0.4 / 0.7, 0.7, 0.0),
        ([1, 1, 1, 1, 1], 1.0, 1.0, 100.0),
    ],
)
def test_windows(good, width, middle, around):
    scales = [0.6, 0.8, 1.0, 1.2, 1.4]
    found = sfq.window(torch.tensor(good, dtype=torch.bool), scales)
    assert found == pytest.approx((width, middle))
    assert sfq.around_design(torch.tensor(good, dtype=torch.bool), 0.2) == pytest.approx(around)


def test_the_single_neuron_has_the_same_junctions_and_unwound_ones_change_nothing():
    out = knobs(10.5, 0.87, 0.43, 0.69, 0.55, 0.47)
    with_idle, without = (sfq.whole(None, out, strength=0.0, idle=idle) for idle in (True, False))
    both = sfq.whole((out, out), out, strength=1.0)
    assert len(with_idle.list.critical) == len(both.list.critical)
    assert len(without.list.critical) == len(both.list.critical) - 10
    counts = [sfq.slips(net, BENCH, (0.9, 1.1))[..., net.read] for net in (with_idle, without)]
    assert torch.equal(*counts)


def test_an_uninhibited_net_lacks_one_winding():
    out = knobs(20.0, 0.5, 0.5, 0.5, 0.4, -0.3)
    nets = [sfq.whole((out, out), out, strength=1.0, inhibition=inhibition) for inhibition in (1.0, 0.0)]
    changed = [k for k, (one, other) in enumerate(zip(*(net.list.couplings for net in nets), strict=True)) if one[2] != other[2]]
    assert len(changed) == 1


def test_designs_are_drawn_and_changed_within_one_range():
    drawn = sfq.draw_knobs((3000,), Seed(1000).torch("hidden"))
    near = sfq.changed(drawn, Seed(1000).torch("steps"))
    for one in (drawn, near, sfq.alike(drawn)):
        assert one.picohenries.min() >= 6
        assert one.picohenries.max() <= 60
        assert one.first.min() >= -0.2
        assert one.second.max() <= 0.95
        assert one.out.min() >= 0.3
        assert (one.a.square() + one.b.square()).max() < 0.847
    assert abs(drawn.picohenries.log().mean().exp() - 360**0.5) < 1
    same = torch.stack([(x == y).double().mean() for x, y in zip(drawn[:4], near[:4], strict=True)])
    assert ((same > 0.4) & (same < 0.65)).all()
    both = sfq.alike(drawn)
    assert torch.equal(both.a, both.b)
    torch.testing.assert_close(torch.hypot(both.a, both.b), torch.hypot(drawn.a, drawn.b))
    assert drawn.pick(torch.tensor([2, 0])).first.tolist() == [drawn.first[2], drawn.first[0]]


def test_designs_that_are_right_at_more_biases_come_first_and_then_those_that_are_more_right():
    right, half, constant = [0.0, 1, 1, 0], [0.0, 1, 0, 0], [1.0, 1, 1, 1]
    counts = torch.tensor([[right, constant], [right, half], [right, right], [constant, constant]], dtype=torch.float64)
    scores = sfq.graded(counts, sfq.TRUTH["xor"], exact=True)
    assert scores.argsort(descending=True).tolist() == [2, 1, 0, 3]
    assert scores.tolist() == pytest.approx([1.75, 1.875, 3, 0.5])


def test_searches_find_and_neurons_with_a_window_each_for_itself():
    size = Settings("some", {**study.budgets["desk"], "generations": 2, "kept": 4})
    draws = Seed(1006).torch("and")
    ran = []

    def nets_of(knobs, behind):
        ran.append(knobs)
        return sfq.one_neuron(sfq.alike(knobs.flat()))

    best, behind = sfq.evolve(nets_of, sfq.TRUTH["and"], size, draws, searches=2, designs=48, exact=True)
    assert [knobs.a.shape for knobs in ran] == [(2, 24), (2, 24)]
    assert best.a.shape == (2, 4)
    assert behind.shape == (2, 4, 2)
    for own, other in ((0, 1), (1, 0)):
        tried = [torch.cat([knobs.a[k] for knobs in ran]) for k in (own, other)]
        assert torch.isin(best.a[own], tried[0]).all()
        assert not torch.isin(best.a[own], tried[1]).any()
    good = sfq.scanned(sfq.one_neuron(sfq.alike(best.flat())), size, sfq.TRUTH["and"], exact=True)
    widths = torch.tensor([sfq.around_design(one, size.scan) for one in good]).unflatten(0, (2, 4))
    assert (widths.max(1).values >= 20).all()


def test_each_process_draw_is_of_its_own_searchs_design_at_its_own_middle():
    out = knobs([10.5, 20.0], [0.87, 0.5], [0.43, 0.5], [0.69, 0.5], [0.55, 0.4], [0.47, -0.3])
    found = sfq.Found(None, out, torch.tensor([1.0, 0.8], dtype=torch.float64), 0)
    drawn = found.variants(3)
    assert drawn.out.picohenries.tolist() == [10.5] * 3 + [20.0] * 3
    assert drawn.middle.tolist() == [1.0] * 3 + [0.8] * 3
    together = sfq.slips(sfq.netlist(found, arm("single")), BENCH, found.middle[:, None] * torch.tensor([0.9, 1.1]))
    for k, middle in enumerate((1.0, 0.8)):
        alone = sfq.netlist(sfq.Found(None, out.pick(k), found.middle[k], 0), arm("single"))
        assert torch.equal(together[k], sfq.slips(alone, BENCH, (0.9 * middle, 1.1 * middle)))


def test_off_is_the_single_neuron_and_the_seed_decides_everything():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1003)])[0] for name in ("off", "single", "two_layer")}
    for name, value in found["single"].items():
        if isinstance(value, float):
            assert value == pytest.approx(found["off"][name], rel=1e-6), name
    again = study.compute(arm("two_layer"), SMOKE, [Seed(1003)])[0]
    assert again == found["two_layer"]
    assert again["turns"] != study.compute(arm("two_layer"), SMOKE, [Seed(1004)])[0]["turns"]


def test_figures_draw_from_stored_results():
    names = ("two_layer", "single", "uninhibited")
    table = Table([1005], {name: study.compute(arm(name), SMOKE, [Seed(1005)]) for name in names})
    for _, draw in study.figures.values():
        draw(table)
