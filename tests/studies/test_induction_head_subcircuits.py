import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data import FewShotBatch, FewShotSequences
from neuropil.networks import AttentionOnlyTransformer
from neuropil.observe import clamp, observe
from neuropil.studies.interpret import induction_head_subcircuits as circuits
from neuropil.studies.interpret.induction_head_subcircuits import LABELS, SOURCES, Now, Runs, held, injection, study

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)
DESK = Settings("desk", study.budgets["desk"])


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(Settings(name, arm), SMOKE, [SEED])[0] for name, arm in study.arms.items()}


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


def arm_of(name, **settings):
    return Settings(name, {**study.arms[name], **settings})


def task_and_batch(n=40):
    task = FewShotSequences(torch.Generator().manual_seed(0), classes=20, shared=0.5)
    return task, task.sample(n, torch.Generator().manual_seed(1))


def now_of(task, batch):
    return Now(batch.match, batch.tokens[..., LABELS, -task.labels :].argmax(-1))


def run_held(net, arm, task, batch, *names):
    """A plain network under the clamps of an arm: its output and what was seen."""
    with observe(net, "embed", "layers.0", "layers.1.scores", *names, detach=False) as seen:
        clamps = held(arm, now_of(task, batch), seen.__getitem__)
        if clamps:
            with clamp(net, clamps):
                return net(batch.tokens, last=True), dict(seen)
        return net(batch.tokens, last=True), dict(seen)


def plain(task, heads=1, seed=3):
    return AttentionOnlyTransformer(task.inputs, task.labels, heads=(8, heads), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("arm", list(study.arms))
def test_every_arm_returns_the_declared_metrics(outcomes, arm):
    found = numbers(outcomes[arm])
    only_eight = {"heads_sum", "strongest_head"}
    assert set(found) == set(study.metrics) - (only_eight if arm != "eight_heads" else set())
    assert all(math.isfinite(value) for name, value in found.items() if name != "steps_to_solve")


def test_off_is_free_training_and_the_others_are_not(outcomes):
    off, free = numbers(outcomes["off"]), numbers(outcomes["free"])
    assert off.keys() == free.keys()
    for name in off:
        assert off[name] == pytest.approx(free[name], rel=1e-6, abs=1e-6), name
    accuracies = {arm: (outcomes[arm]["accuracy"], outcomes[arm]["previous_token"]) for arm in study.arms if arm != "off"}
    assert len(set(accuracies.values())) == len(accuracies)


def test_arms_are_matched(outcomes):
    a, b, free = (outcomes[arm] for arm in ("previous_token", "random", "free"))
    assert a["injected_share"] == pytest.approx(1.0, abs=1e-5)
    assert b["injected_share"] == pytest.approx(1.0, abs=1e-5)
    assert free["injected_share"] == pytest.approx(0.0, abs=1e-6)
    assert a["injected_decodes"] == 1.0
    assert b["injected_decodes"] < 0.3
    assert outcomes["other_sequence"]["injected_share"] == pytest.approx(1.0, abs=1e-5)
    assert outcomes["other_sequence"]["injected_decodes"] < 0.3
    assert a["parameters"] == b["parameters"] == free["parameters"]
    net = plain(task_and_batch()[0])
    assert free["parameters"] == sum(p.numel() for p in net.parameters())
    assert a["batch_sequences"] == b["batch_sequences"] == SMOKE.batch


def test_injection_by_hand():
    rng = np.random.default_rng(0)
    stream, embedding = rng.normal(size=(2, 5, 6)), rng.normal(size=(2, 5, 6))
    for name, source in (("previous", (0, 1, 2)), ("before_previous", (1, 0, 1))):
        found = injection(torch.from_numpy(stream), torch.from_numpy(embedding), SOURCES[name], 0.5).numpy()
        expected = np.zeros_like(stream)
        for item in range(2):
            for position, origin in zip((1, 2, 3), source, strict=True):
                content = embedding[item, origin]
                expected[item, position] = 0.5 * content / np.linalg.norm(content) * np.linalg.norm(stream[item, position])
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert not injection(torch.from_numpy(stream), torch.from_numpy(embedding), SOURCES["previous"], 0.0).any()


def test_the_random_injection_tells_labels_nothing_of_exemplars():
    """Whatever the exemplars are, what labels get is the same; under the mechanism, and from the first exemplar, it is not."""
    task, batch = task_and_batch()
    net = plain(task)
    embedding = net.embed(batch.tokens)
    other = batch.tokens.clone()
    other[:, ::2] = other[:, ::2].roll(1, dims=0)
    moved = net.embed(other)
    for name, leaks in (("previous", True), ("before_previous", False), ("first_exemplar", True)):
        same = torch.equal(embedding[:, SOURCES[name]][:, LABELS], moved[:, SOURCES[name]][:, LABELS])
        assert same is not leaks, name


def test_injection_reaches_queries_and_keys_and_not_the_values():
    task, batch = task_and_batch()
    net = plain(task)
    parts = ("layers.1.query", "layers.1.key", "layers.1.value", "layers.1.value_input", "layers.1.pattern_input")
    _, free = run_held(net, arm_of("free"), task, batch, *parts)
    _, mechanism = run_held(net, arm_of("previous_token"), task, batch, *parts)
    assert torch.equal(free["layers.1.value"], mechanism["layers.1.value"])
    added = mechanism["layers.1.pattern_input"] - free["layers.1.pattern_input"]
    direction = torch.nn.functional.normalize(added[:, (1, 2, 3)], dim=-1)
    assert_close(direction, torch.nn.functional.normalize(free["embed"][:, (0, 1, 2)], dim=-1), atol=1e-4, rtol=0)
    assert not added[:, (0, 4)].any()
    assert torch.equal(free["layers.1.query"][:, -1], mechanism["layers.1.query"][:, -1])
    assert not torch.equal(free["layers.1.key"][:, LABELS], mechanism["layers.1.key"][:, LABELS])


def test_the_other_sequence_is_the_mechanism_with_a_neighbours_content():
    """As long, of the same kind of token, and silent on which exemplar of this sequence stands before which label."""
    task, batch = task_and_batch()
    net = plain(task)
    _, free = run_held(net, arm_of("free"), task, batch, "layers.1.pattern_input")
    _, other = run_held(net, arm_of("other_sequence"), task, batch, "layers.1.pattern_input")
    _, mechanism = run_held(net, arm_of("previous_token"), task, batch, "layers.1.pattern_input")
    added, own = (seen["layers.1.pattern_input"] - free["layers.1.pattern_input"] for seen in (other, mechanism))
    assert_close(added.norm(dim=-1), own.norm(dim=-1))
    neighbour = free["embed"][torch.arange(-1, 39)][:, (0, 1, 2)]
    assert_close(
        torch.nn.functional.normalize(added[:, (1, 2, 3)], dim=-1), torch.nn.functional.normalize(neighbour, dim=-1), atol=1e-4, rtol=0
    )
    assert {**study.arms["other_sequence"], "donor": None} == {**study.arms["previous_token"], "donor": None}


def test_what_the_clamp_is_worth_is_what_letting_go_costs(outcomes):
    for arm, outcome in outcomes.items():
        assert outcome["accuracy_by_clamp"] == pytest.approx(outcome["accuracy"] - outcome["accuracy_unclamped"]), arm
    for arm in ("free", "off", "released"):
        assert outcomes[arm]["accuracy_by_clamp"] == 0.0
    for arm in ("match", "copy", "layer_1_and_copy"):
        assert outcomes[arm]["accuracy_by_clamp"] != 0.0


def test_perfect_layer_1_is_the_authors_clamp():
    """Patterns from embeddings shifted by one (first token and query keep their own), values and stream from the embeddings themselves."""
    task, batch = task_and_batch()
    net = plain(task)
    found, _ = run_held(net, arm_of("perfect_layer_1"), task, batch)
    embedding = net.embed(batch.tokens)
    shifted = embedding.clone()
    shifted[:, 1:-1] = embedding[:, :-2]
    with clamp(net, {"layers.0": 0.0}), observe(net, "layers.1.pattern") as seen:
        with clamp(net, {"embed": shifted}):
            net(batch.tokens)
        with clamp(net, {"layers.1.pattern": seen["layers.1.pattern"]}):
            expected = net(batch.tokens, last=True)
    assert_close(found, expected)


def test_head_match_and_copy_clamps():
    task, batch = task_and_batch()
    net = plain(task)
    _, one = run_held(net, arm_of("one_head"), task, batch, "layers.0.pattern")
    before = torch.eye(5)[[0, 0, 1, 2, 3]]
    assert torch.equal(one["layers.0.pattern"][:, 0], before.expand(40, 5, 5))
    assert not torch.allclose(one["layers.0.pattern"][:, 1], before.expand(40, 5, 5))
    _, matched = run_held(net, arm_of("match"), task, batch, "layers.1.pattern")
    assert torch.equal(matched["layers.1.pattern"][:, 0, -1].argmax(-1), batch.match)
    assert_close(matched["layers.1.pattern"][:, 0, -1].amax(-1), torch.ones(40))
    logits, copied = run_held(net, arm_of("copy"), task, batch)
    shown = batch.tokens[:, LABELS, -5:].argmax(-1)
    for item in range(40):
        for place, position in enumerate(LABELS):
            assert logits[item, 0, shown[item, place]] == copied["layers.1.scores"][item, 0, -1, position]
        assert (logits[item, 0] == -1e9).sum() == 3


def test_seeds_side_by_side_are_seeds_alone():
    """What a seed returns does not depend on which others train beside it, nor on when they leave."""
    budget = Settings("tiny", {**study.budgets["smoke"], "steps": 30, "tail": 0})
    seeds = [Seed(1000), Seed(1001), Seed(1002)]
    for name in ("previous_token", "copy"):
        together = study.compute(arm_of(name), budget, seeds)
        for seed, many in zip(seeds, together, strict=True):
            (alone,) = study.compute(arm_of(name), budget, [seed])
            for key, value in numbers(many).items():
                assert value == pytest.approx(numbers(alone)[key], rel=1e-4, abs=1e-4), (name, key)


def test_networks_that_leave_take_their_own_state_along():
    runs = Runs(arm_of("free"), SMOKE, [Seed(s) for s in (1000, 1001, 1002)])
    runs.train()
    before = {name: p.detach().clone() for name, p in runs.net.named_parameters()}
    averages = [runs.optimizer.state[p]["exp_avg"].clone() for p in runs.net.parameters()]
    runs.keep([2, 0])
    assert runs.alive == [2, 0]
    for (name, p), average in zip(runs.net.named_parameters(), averages, strict=True):
        assert torch.equal(p, before[name][[2, 0]])
        assert torch.equal(runs.optimizer.state[p]["exp_avg"], average[[2, 0]])
    runs.train()


def test_arms_share_first_weights_sequences_and_tests():
    first, second = (Runs(arm_of(name), SMOKE, [SEED]) for name in ("previous_token", "random"))
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first.tests[0].tokens, second.tests[0].tokens)
    draws = [runs.tasks[0].sample(20, runs.streams[0]).tokens for runs in (first, second)]
    assert torch.equal(*draws)
    n = SMOKE.test_items
    test, validation = first.tests[0].tokens[:n], first.tests[0].tokens[n:]
    assert not torch.equal(test, validation)
    weight = first.net.embed.weight.detach()[0]
    embedded = (weight[-5:].std() / weight[:-5].std()).item()
    assert embedded == pytest.approx(0.02 * 0.88 * math.sqrt(69), rel=0.15)


def test_released_lets_go_when_it_should(outcomes):
    """Until then it is the mechanism, bit for bit; afterwards its layer 2 gets nothing any more."""
    rows = {}
    for name in ("previous_token", "released", "free"):
        runs = Runs(arm_of(name), Settings("tiny", {**study.budgets["smoke"], "steps": 40, "release": 20}), [SEED])
        runs.run()
        rows[name] = {row["step"]: row for row in runs.rows[0]}
    for step in (0, 10):
        assert rows["released"][step] == rows["previous_token"][step]
    # the updates up to step 20 are those of the mechanism, and from its evaluation on nothing is injected
    assert rows["released"][20]["previous_token"] == rows["previous_token"][20]["previous_token"]
    assert rows["released"][20]["injected_share"] == pytest.approx(0.0, abs=1e-6)
    assert rows["released"][40]["previous_token"] != rows["previous_token"][40]["previous_token"]
    assert {**study.arms["released"], "release": None} == {**study.arms["previous_token"], "release": None}


def test_effects_of_heads_add_up_in_a_linear_readout():
    """With the readout's norm out of the way, effects of heads on the logits are sums: the measure is 1 there."""
    runs = Runs(arm_of("eight_heads"), SMOKE, [SEED])
    tests = FewShotBatch(*(part[None] for part in runs.tests[0]))
    runs.net.norm.forward = lambda x: x
    with torch.no_grad():
        effects = runs.heads_alone(tests)
    assert effects.shape == (1, 8)
    assert_close(effects.sum(1), torch.ones(1), atol=1e-3, rtol=0)


def test_a_run_ends_a_while_after_it_is_solved():
    runs = Runs(arm_of("free"), Settings("tiny", {**study.budgets["smoke"], "steps": 100, "tail": 30}), [SEED])

    def rows(accuracies):
        return [{"step": 10.0 * k, "accuracy": a, "validation": a} for k, a in enumerate(accuracies)]

    assert not runs.is_over(rows([0.9, 0.5, 0.5]))  # before any training nothing counts
    assert not runs.is_over(rows([0.2, 0.8, 0.5, 0.5]))
    assert runs.is_over(rows([0.2, 0.8, 0.5, 0.5, 0.5]))
    assert runs.is_over(rows([0.2] * 11))
    more = {"loss": 0.7, "previous_token": 0.1, "induction": 0.0, "injected_share": 0.0, "injected_decodes": 0.0}
    found = runs.summary([row | more for row in rows([0.9, 0.5, 0.8])])
    assert found["steps_to_solve"] == 20
    assert found["plateau_share"] == 1.0
    assert found["solved"] == 1.0
    assert runs.summary([row | more for row in rows([0.2] * 11)])["log2_steps"] == math.log2(100)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {arm: [outcome] for arm, outcome in outcomes.items()})
    few = Table([1000], {arm: [outcomes[arm]] for arm in ("previous_token", "random")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)


def test_curves_of_runs_that_ended_count_with_their_last_value():
    x, y = circuits._held([Curve([0, 10], [1.0, 0.0], "x", "y"), Curve([0, 10, 20], [1.0, 1.0, 0.5], "x", "y")])
    assert x == [0, 10, 20]
    assert y == [1.0, 0.5, 0.25]
