import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.learning import Replicas
from neuropil.networks import DisinhibitoryNet
from neuropil.studies.plasticity import disinhibitory_plasticity as dis
from neuropil.studies.plasticity.disinhibitory_plasticity import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def net(seed=0):
    return DisinhibitoryNet((64, 8, 8, 10), generator=torch.Generator().manual_seed(seed))


def batch(items=50):
    part = dis.task(SMOKE, Seed(1000)).train
    return part[0][:items], dis.targets(part[1][:items])


def test_targets_are_shares_and_images_are_disjoint():
    target = dis.targets(torch.tensor([3, 9]))
    torch.testing.assert_close(target.sum(1), torch.ones(2))
    assert target[0, 3] == pytest.approx(0.99)
    task = dis.task(SMOKE, Seed(1001))
    assert [len(x) for x, _ in task] == [400, 200, 400]
    rows = torch.cat([x for x, _ in task])
    assert len(torch.unique(rows, dim=0)) >= 0.98 * len(rows)
    assert rows.max() == 1


def test_feedback_is_the_authors_silent_or_another_cells():
    one = net()
    rest = one.rest(batch()[0])
    own, none, other = (dis.FEEDBACK[name](one, rest) for name in ("authors", "none", "shuffled"))
    for a, b, c in zip(own, none, other, strict=True):
        assert not b.any()
        assert torch.equal(c[..., 4:], a[..., :4])
        assert (a - c).abs().max() > 0.01


def test_the_exact_rule_climbs_the_gradient_and_the_linear_one_needs_its_feedback():
    found = {name: dis.alignments(dis.control(arm(name), torch.optim.Adam), net(), batch()) for name in ("exact", "unheard", "linear")}
    assert min(found["exact"]) > 0.8
    assert found["exact"][0] > found["linear"][0] > found["unheard"][0] + 0.1


def test_backprop_moves_hidden_layers_at_their_own_rate():
    task = dis.task(SMOKE, Seed(1002))
    taught = Replicas([net()])
    dis.learn(arm("backprop", hidden_lr=0.0), SMOKE, taught, [task], [Seed(1002)])
    (one,) = taught
    assert torch.equal(one.weights[0], net().weights[0])
    assert torch.equal(one.biases[1], net().biases[1])
    assert (one.weights[2] - net().weights[2]).abs().max() > 0.01


def test_read_errors_are_exact_where_the_rule_is():
    exact, linear, constant = map(torch.tensor, dis.errors(net(), batch()).values)
    assert exact.abs().max() > 0
    assert (linear <= exact + 1e-3).all(), "a tangent to the inverse lies above it"
    assert (constant - exact).abs().mean() > (linear - exact).abs().mean()


def test_off_is_the_constant_threshold_and_seeds_side_by_side_are_seeds_alone():
    off, constant = (study.compute(arm(name), SMOKE, [Seed(1005)])[0] for name in ("off", "constant"))
    for name, value in constant.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], rel=1e-6)
    many = study.compute(arm("linear"), SMOKE, [Seed(1005), Seed(1006)])
    (alone,) = study.compute(arm("linear"), SMOKE, [Seed(1006)])
    assert many[1]["alignment"] == pytest.approx(alone["alignment"], abs=1e-3)
    assert many[0]["alignment"] != many[1]["alignment"]


def test_a_net_that_diverged_is_a_bad_one_and_not_an_error():
    (found,) = study.compute(arm("constant", lr=10.0, hidden_lr=100.0), SMOKE, [Seed(1003)])
    assert found["accuracy"] < 0.5
    assert max(found["loss_by_epoch"].y) <= 100
    assert found["alignment"] == found["alignment"]


def test_figures_draw_from_stored_results():
    table = Table([1007], {name: study.compute(arm(name), SMOKE, [Seed(1007)]) for name in ("linear", "readout", "backprop")})
    for _, draw in study.figures.values():
        draw(table)
    assert table.matrix("linear", "errors").values
