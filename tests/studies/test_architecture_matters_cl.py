import math

import pytest
import torch
from torch import nn

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data import RotatedStream, draw_pictures
from neuropil.networks import MLP
from neuropil.studies.continual import architecture_matters_cl as am
from neuropil.studies.continual.architecture_matters_cl import study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(("inputs", "weights"), [(196, 60_000), (64, 5000), (784, 200_000)])
def test_nets_of_all_depths_have_as_many_weights(depth, inputs, weights):
    net = am.net_of(Settings("net", {"depth": depth}), inputs, weights, torch.Generator())
    assert sum(isinstance(layer, nn.Linear) for layer in net.modules()) == depth + 1
    assert sum(one.numel() for one in net.parameters()) == pytest.approx(weights, rel=0.02)


def test_the_desks_widths():
    assert [am.width_of(depth, 196, 60_000) for depth in (1, 2, 5)] == [290, 162, 99]
    assert 290 / 99 >= 2.5


def test_skips_add_what_a_layer_gets():
    """Silent later layers (weights 0) leave the first layer's activity; one that doubles it adds it twice more."""
    net = am.ResidualMLP([6, 5, 5, 3], torch.Generator().manual_seed(0))
    first, second, readout = (layer for layer in net.layers if isinstance(layer, nn.Linear))
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    h = torch.relu(first(x))
    for weight, times in ((torch.zeros(5, 5), 1), (2 * torch.eye(5), 3)):
        with torch.no_grad():
            second.weight.copy_(weight)
        torch.testing.assert_close(net(x), readout(times * h))
    plain = MLP([6, 5, 5, 3], generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain.layers[0].weight, first.weight)


def test_the_stream_is_the_rotated_one_flattened():
    x, y = draw_pictures("digits", (20, 5, 5), SEED.numpy("data")).train
    flat, rotated = (kind(x, y, setting="domain", angles=am.ANGLES) for kind in (am.Flat, RotatedStream))
    assert torch.equal(flat[2].inputs, rotated[2].inputs.flatten(1))
    assert torch.equal(flat[0].labels, y)
    assert not torch.equal(flat[0].inputs, flat[4].inputs)


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    assert set(found) == set(study.metrics)
    assert all(math.isfinite(value) for value in found.values())


def test_arms_learn_from_the_same_and_differ_in_their_nets(outcomes):
    same = [name for name in study.arms if "joint" not in name]
    assert len({outcomes[name]["steps"] for name in same}) == len({outcomes[name]["samples"] for name in same}) == 1
    assert outcomes["joint_wide"]["steps"] == 3 * outcomes["wide"]["steps"]
    for name in ("two", "deep", "deep_residual", "deep_ewc"):
        assert outcomes[name]["parameters"] == pytest.approx(outcomes["wide"]["parameters"], rel=0.02)
    assert outcomes["half"]["width"] == pytest.approx(outcomes["wide"]["width"] / 2, abs=0.5)
    assert outcomes["deep"]["widening"] == 1
    assert outcomes["wide"]["widening"] > 2
    assert numbers(outcomes["off"]) == numbers(outcomes["deep"])


def test_the_score_asks_for_learning_before_it_asks_for_keeping():
    slow, fast = (study.compute(arm("wide", rate=rate), SMOKE, [SEED])[0] for rate in (0.001, 0.1))
    assert slow["forgetting"] < fast["forgetting"]
    assert slow["learning_accuracy"] < 0.5 < fast["learning_accuracy"]
    assert slow["score"] > fast["score"]


def test_a_net_that_diverged_stops_nothing():
    wild = study.compute(arm("deep", rate=1e4), SMOKE, [SEED])[0]
    assert wild["moved"] > 10
    assert wild["accuracy"] < 0.3


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("wide", "deep")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
