import copy

import pytest
import torch

from neuropil.atlas import Seed, Settings
from neuropil.learning import adapt
from neuropil.studies.plasticity import neuromodulated_hebbian_tta as adaptation
from neuropil.studies.plasticity.neuromodulated_hebbian_tta import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def moved(name):
    """Which parameters an arm moves on a stream."""
    given, net = adaptation.prepared(SMOKE, Seed(1000))
    model = copy.deepcopy(net)
    x, y = given.streams["clean"]
    stream = (x[:, None], y) if name == "labelled" else (x[:, None],)
    adapt(model, stream, adaptation.rule_of(arm(name), model), batch_size=50)
    return {key for key, value in model.named_parameters() if not torch.equal(value, net.get_parameter(key))}


def test_each_arm_moves_what_it_says_and_the_classifier_stays():
    gains = {"blocks.norm1.weight", "blocks.norm1.bias"}
    assert moved("neuromodulated") == {"blocks.conv1.weight", *gains}
    assert moved("modulator") == moved("off") == gains
    assert moved("tent") == gains | {"blocks.norm2.weight", "blocks.norm2.bias"}
    assert moved("hebbian") == {"blocks.conv1.weight"}
    assert moved("labelled") == {"blocks.conv1.weight", *gains}
    assert moved("statistics") == set()


def test_pictures_of_training_and_streams_are_disjoint_and_shared_by_the_arms():
    given, _ = adaptation.prepared(SMOKE, Seed(1001))
    rows = torch.cat([given.train[0], *(x for x, _ in given.streams.values())]).flatten(1)
    assert len(rows) == 300 + 3 * 100
    assert len(torch.unique(rows, dim=0)) >= 0.98 * len(rows)
    assert rows.min() == 0
    assert rows.max() == 1
    assert adaptation.prepared(SMOKE, Seed(1001))[1] is adaptation.prepared(SMOKE, Seed(1001))[1]
    held = Settings("smoke", {**SMOKE, "kinds": adaptation.HELD_OUT})
    again, _ = adaptation.prepared(held, Seed(1001))
    assert torch.equal(again.train[0], given.train[0])
    assert not set(adaptation.HELD_OUT) & set(adaptation.TESTED)


def test_a_stream_leaves_the_source_network_as_it_was_and_labels_help():
    seed = Seed(1002)
    _, net = adaptation.prepared(SMOKE, seed)
    before = copy.deepcopy(net.state_dict())
    told = adaptation.run(arm("labelled", lr=0.03), SMOKE, seed, "gaussian_noise")
    still = adaptation.run(arm("statistics"), SMOKE, seed, "gaussian_noise")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert told.missed.float().mean() < still.missed.float().mean()
    assert told.change > 0
    assert still.change == 0


def test_a_trial_returns_every_metric_of_the_contrasts():
    outcome = study.compute(arm("neuromodulated"), SMOKE, [Seed(1000)])[0]
    assert set(study.metrics) <= set(outcome)
    assert outcome["error"] == pytest.approx(sum(outcome["by_kind"].y) / 2)
    assert outcome["weight_change"] > 0
    assert outcome["samples"] == 200
