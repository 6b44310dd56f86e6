import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.cells import quadratic_neurons_relinear as quadratic
from neuropil.studies.cells.quadratic_neurons_relinear import study
from neuropil.synapses import Quadratic

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def count(net):
    return sum(one.numel() for one in net.parameters())


@pytest.mark.parametrize("sizes", [[196, 16, 16, 10], [64, 8, 8, 10], [2, 2, 2]])
def test_parameters_are_counted_and_the_widened_net_has_nearest_as_many(sizes):
    own, wide = (quadratic.network(quadratic.settings(arm(name)), sizes, Seed(1000), 0) for name in ("relinear", "widened"))
    assert count(own) == quadratic.parameters(sizes, 3)
    assert count(wide) == quadratic.parameters(quadratic.widen(sizes), 1)
    if sizes[0] > 2:
        assert count(wide) == pytest.approx(count(own), rel=0.02)
    width = quadratic.widen(sizes)[1]
    for other in (width - 1, width + 1):
        miss = quadratic.parameters([sizes[0], *[other] * (len(sizes) - 2), sizes[-1]], 1) - count(own)
        assert abs(miss) >= abs(count(wide) - count(own))


def test_arms_begin_with_the_same_linear_weights():
    nets = [
        quadratic.network(quadratic.settings(arm(name)), [64, 6, 6, 10], Seed(1000), 0) for name in ("relinear", "random", "conventional")
    ]
    for name in ("layer1", "layer2"):
        first, *others = [getattr(net.layers, name).weight for net in nets]
        assert all((other == first).all() for other in others)
    assert all((net.layers.readout.weight == nets[0].layers.readout.weight).all() for net in nets)
    other = quadratic.network(quadratic.settings(arm("relinear")), [64, 6, 6, 10], Seed(1000), 1)
    assert (other.layers.layer1.weight != nets[0].layers.layer1.weight).any()


def test_levels_set_gamma_or_decay_and_nothing_where_an_arm_has_none():
    assert quadratic.settings(arm("relinear", level=3)).gamma == 0.1
    assert quadratic.settings(arm("relinear", level=3)).decay == 1e-4
    assert quadratic.settings(arm("widened", level=3)).decay == 0.01
    assert quadratic.settings(arm("off", level=3)).gamma == 0
    assert quadratic.settings(arm("unrestrained", level=1)).gamma == 1


def test_images_are_disjoint_and_rings_are_what_they_say():
    task = quadratic.images(SMOKE, Seed(1001))
    assert [len(x) for x, _ in task] == [300, 200, 400]
    rows = torch.cat([x for x, _ in task])
    assert len(torch.unique(rows, dim=0)) >= 0.98 * len(rows)
    assert rows.min() == 0
    assert rows.max() == 1
    rings = quadratic.rings(SMOKE, Seed(1001))
    x, y = torch.cat([x for x, _ in rings]), torch.cat([y for _, y in rings])
    radius = (x - torch.tensor([0.5, -0.3])).norm(dim=1)
    assert radius[y == 0].max() <= 1.0001
    assert 1.1999 <= radius[y == 1].min() <= radius.max() <= 2.0001
    assert y.float().mean() == pytest.approx(0.5, abs=0.01)


def test_a_net_that_diverged_is_a_collapsed_one_and_not_an_error():
    (found,) = study.compute(arm("random_bare", lr=1e6), SMOKE, [Seed(1002)])
    assert found["collapsed"] == 1
    assert found["logit_change"] == found["logit_change"]


def test_resetting_costs_what_was_quadratic_and_leaves_what_was_linear():
    net = quadratic.network(quadratic.settings(arm("random")), [4, 3, 2], Seed(1003), 0)
    x = torch.randn(9, 4)
    before = quadratic.outputs(net, x)
    quadratic.reset(net)
    layer = net.layers.layer1
    assert isinstance(layer, Quadratic)
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)
    assert (quadratic.outputs(net, x) - before).abs().max() > 0.01


def test_the_rate_falls_to_a_hundredth():
    rates = []
    net = quadratic.network(quadratic.settings(arm("conventional")), [64, 6, 6, 10], Seed(1004), 0)
    step = torch.optim.SGD.step

    class Watched(torch.optim.SGD):
        def step(self, *given):
            rates.append(self.param_groups[0]["lr"])
            return step(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "SGD", Watched)
        quadratic.learn(quadratic.settings(arm("conventional")), net, quadratic.images(SMOKE, Seed(1004)), Seed(1004), epochs=8, batch=300)
    assert rates == pytest.approx([0.03] * 4 + [0.003] * 2 + [0.0003] * 2)


def test_off_is_the_conventional_net_and_the_seed_decides_everything():
    off, plain = (study.compute(arm(name), SMOKE, [Seed(1005)])[0] for name in ("off", "conventional"))
    for name, value in plain.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], rel=1e-9)
    one, two = study.compute(arm("relinear"), SMOKE, [Seed(1005), Seed(1006)])
    assert one == study.compute(arm("relinear"), SMOKE, [Seed(1005)])[0]
    assert one["accuracy"] != two["accuracy"]


def test_figures_draw_from_stored_results():
    names = ("relinear", "widened", "conventional", "reset", "unrestrained_bare")
    table = Table([1007], {name: study.compute(arm(name), SMOKE, [Seed(1007)]) for name in names})
    for _, draw in study.figures.values():
        draw(table)
    assert table.matrix("relinear", "plane").values
