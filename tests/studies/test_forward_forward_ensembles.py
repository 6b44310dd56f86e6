import math

import pytest
import torch
from torch.testing import assert_close

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.learning import LabelStrip, activities
from neuropil.studies.learning import forward_forward_ensembles as ensembles
from neuropil.studies.learning.forward_forward_ensembles import Net, accuracy, set_thresholds, shuffle_weights, study, wall

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(Settings(name, arm), SMOKE, [SEED])[0] for name, arm in study.arms.items()}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.mark.parametrize("arm", list(study.arms))
def test_every_arm_returns_the_declared_metrics(outcomes, arm):
    found = numbers(outcomes[arm])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_the_untrained_net_exactly(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["untrained"])
    assert numbers(outcomes["forward_forward"]) != numbers(outcomes["untrained"])


def test_arms_differ_and_are_matched(outcomes):
    hoyer = {name: outcomes[name]["hoyer_neutral"] for name in study.arms if name != "off"}
    assert len(set(hoyer.values())) == len(hoyer)
    first, control = outcomes["forward_forward"], outcomes["cross_entropy"]
    assert first["steps"] == control["steps"] == SMOKE.steps
    assert first["samples"] == control["samples"] == 2 * SMOKE.batch * SMOKE.steps
    desk = Settings("desk", study.budgets["desk"])
    sizes = [
        sum(p.numel() for p in part.parameters())
        for net in [Net(arm_of("cross_entropy"), desk, 196, LabelStrip(), torch.Generator())]
        for part in (net.stack, net)
    ]
    assert 1 < sizes[1] / sizes[0] < 1.05


def arm_of(name, **settings):
    return Settings(name, {**study.arms[name], **settings})


def net_of(name, inputs=12, seed=0):
    budget = Settings("tiny", {"width": 16, "depth": 2})
    return Net(arm_of(name), budget, inputs, LabelStrip(), torch.Generator().manual_seed(seed))


def test_the_neutral_strip_carries_no_label():
    """Whatever the labels are, all inputs are the same, and each label's unit in the strip is as far from it as any other's."""
    strip, x = LabelStrip(), torch.rand(4, 12)
    neutral = strip.neutral(x)[:, :10]
    assert torch.equal(neutral, neutral[:1, :1].expand(4, 10))
    distance = torch.stack([(strip.write(x, torch.full((4,), c))[:, :10] - neutral).norm(dim=1) for c in range(10)])
    assert_close(distance, distance[:1, :1].expand(10, 4))


def test_sparsity_under_the_neutral_strip_ignores_labels():
    net, x = net_of("forward_forward"), torch.rand(30, 12)
    y = torch.arange(30) % 10
    first, second = (ensembles.measure(net, LabelStrip(), x, labels, SEED) for labels in (y, (y + 3) % 10))
    assert first["hoyer_neutral"] == second["hoyer_neutral"]
    assert first["hoyer_true"] != second["hoyer_true"]


def test_arms_share_their_first_weights_and_data():
    for name in study.arms:
        assert torch.equal(net_of(name).stack[1].weight, net_of("untrained").stack[1].weight)
    one, two = (ensembles.task(SMOKE, seed) for seed in (SEED, Seed(1001)))
    assert torch.equal(one.train[0], ensembles.task(SMOKE, SEED).train[0])
    assert not torch.equal(one.test[0], two.test[0])
    rows = [tuple(row) for part in one for row in part[0].tolist()]
    assert len(rows) == sum(SMOKE.splits)
    assert all(float(part[0].min()) >= 0 and float(part[0].max()) <= 1 for part in one)


def test_shuffled_weights_keep_each_units_values():
    stack, before = net_of("forward_forward").stack, net_of("forward_forward").stack
    shuffle_weights(stack, torch.Generator().manual_seed(0))
    for layer, was in zip(stack, before, strict=True):
        assert torch.equal(layer.weight.sort(dim=1).values, was.weight.sort(dim=1).values)
        assert torch.equal(layer.bias, was.bias)
        moved = (layer.weight != was.weight).float().mean(dim=1)
        assert moved.min() > 0.5  # every unit; a permutation of n leaves one of n in place on average
        # units are permuted independently: no column went to the same place in all of them
        places = [(layer.weight[:, None, k] == was.weight[:, :]).float().argmax(dim=1) for k in range(3)]
        assert all(len(place.unique()) > 3 for place in places)


def test_thresholds_alone_are_put_back():
    stack, other = net_of("forward_forward").stack, net_of("forward_forward", seed=1).stack
    set_thresholds(stack, [layer.bias.detach() for layer in other])
    for layer, was, first in zip(stack, net_of("forward_forward").stack, other, strict=True):
        assert torch.equal(layer.bias, first.bias)
        assert torch.equal(layer.weight, was.weight)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        set_thresholds(stack, [stack[0].bias.detach()])


def test_lesions_are_made_after_the_training_that_forward_forward_gets(outcomes):
    intact = outcomes["forward_forward"]
    for name in ("shuffled_weights", "first_thresholds"):
        assert outcomes[name]["steps"] == intact["steps"]
        assert outcomes[name]["samples"] == intact["samples"]
        assert {**study.arms[name], "lesion": None} == {**study.arms["forward_forward"], "lesion": None}
    shuffled = study.compute(arm_of("shuffled_weights", learning_rate=None), SMOKE, [SEED])[0]
    unlearned = study.compute(arm_of("first_thresholds", learning_rate=None), SMOKE, [SEED])[0]
    assert numbers(shuffled) != numbers(outcomes["untrained"])
    assert numbers(unlearned) == numbers(outcomes["untrained"])  # thresholds that nothing moved are the first ones


def test_contrasts_on_sparsity_ask_for_live_units():
    for contrast in study.secondary:
        asked = {f"{arm}.dead_share <= 0.5" for arm in (contrast.a, contrast.b)}
        assert set(contrast.gate) == (asked if contrast.on.startswith("hoyer") else set())


def test_accuracy_by_head_reads_the_neutral_strip():
    net = net_of("cross_entropy")
    x = torch.rand(40, 12)
    by_hand = net.head(torch.nn.functional.normalize(activities(net.stack, LabelStrip().neutral(x))[-1], dim=1)).argmax(1)
    assert accuracy(net, arm_of("cross_entropy"), LabelStrip(), (x, by_hand)) == 1.0
    assert accuracy(net, arm_of("cross_entropy"), LabelStrip(), (x, (by_hand + 1) % 10)) == 0.0


def test_the_sparse_control_is_sparser(outcomes):
    """With ten times the penalty a few steps are enough: the positive control lies well above cross-entropy's."""
    sparse = study.compute(arm_of("cross_entropy_l1", sparseness=0.05), SMOKE, [SEED])[0]
    assert sparse["hoyer_neutral"] > outcomes["cross_entropy"]["hoyer_neutral"] + 0.05


def test_wall_sorts_images_by_class_and_units_by_preference():
    y = torch.tensor([2, 0, 1, 2, 0, 1])
    h = torch.zeros(6, 4)
    h[y == 2, 0] = 1.0
    h[y == 0, 3] = 2.0
    h[y == 1, 1] = 3.0
    picture = wall(h, y, 3, rows=2)
    assert picture.values == [[1, 0, 0, 0]] * 2 + [[0, 1, 0, 0]] * 2 + [[0, 0, 1, 0]] * 2


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {arm: [outcome] for arm, outcome in outcomes.items()})
    few = Table([1000], {arm: [outcomes[arm]] for arm in ("forward_forward", "cross_entropy")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
