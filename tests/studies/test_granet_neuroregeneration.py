import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.growth import SparseMask
from neuropil.networks import MLP
from neuropil.studies.growth import granet_neuroregeneration as granet
from neuropil.studies.growth.granet_neuroregeneration import as_many_others, cut, learn, paths, put_back, study, task

SMOKE = Settings("smoke", study.budgets["smoke"])
SEED = Seed(1000)


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(Settings(name, arm), SMOKE, [SEED])[0] for name, arm in study.arms.items()}


def arm_of(name, **settings):
    return Settings(name, {**study.arms[name], **settings})


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.mark.parametrize("arm", list(study.arms))
def test_every_arm_returns_the_declared_metrics(outcomes, arm):
    found = numbers(outcomes[arm])
    assert set(found) == set(study.metrics) - (set() if arm.startswith("probe") else {"plasticity"})
    assert all(math.isfinite(value) for value in found.values())


def test_off_is_gradual_pruning_exactly(outcomes):
    assert numbers(outcomes["off"]) == numbers(outcomes["gradual"])
    assert numbers(outcomes["granet"]) != numbers(outcomes["gradual"])


def test_the_same_seed_gives_the_same_bits(outcomes):
    assert study.compute(arm_of("granet"), SMOKE, [SEED])[0] == outcomes["granet"]
    assert study.compute(arm_of("random_regrowth"), SMOKE, [SEED])[0] == outcomes["random_regrowth"]


@pytest.mark.parametrize("contrast", study.contrasts, ids=str)
def test_what_contrasts_match_is_equal(outcomes, contrast):
    a, b = outcomes[contrast.a], outcomes[contrast.b]
    for match in contrast.matches:
        assert abs(a[match.metric] - b[match.metric]) <= (match.ratio or 0) * abs(b[match.metric]), match


def test_pruned_arms_have_the_same_density_at_every_update(outcomes):
    curves = [outcomes[arm]["density"] for arm in ("granet", "gradual", "random_regrowth", "off")]
    assert all(curve == curves[0] for curve in curves)
    assert curves[0].y[-1] == pytest.approx(SMOKE.density, abs=0.5 / (64 * 30 + 30 * 20 + 200))


def test_arms_share_first_weights_data_and_order():
    """Without an update, and at one rate, all arms are one net: their weights are the same bits."""
    data = task(SMOKE, SEED)
    short = Settings("smoke", {**SMOKE, "steps": 40, "every": 41})
    nets = [learn(arm_of(name, learning_rate=0.1), short, data, SEED).net for name in ("granet", "gradual", "random_regrowth", "dense")]
    for net in nets[1:]:
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), nets[0].parameters(), strict=True))
    other = task(SMOKE, Seed(1001))
    assert not torch.equal(data.test[0], other.test[0])
    rows = {tuple(row) for part in data for row in part[0].tolist()}
    assert len(rows) > 0.99 * sum(SMOKE.splits)  # disjoint parts, but for a few equal images
    assert all(float(part[0].min()) >= 0 and float(part[0].max()) <= 1 for part in data)


def test_training_is_clipped_nesterov_with_weight_decay_and_a_rate_that_rises_and_falls():
    """The dense arm beside the update written out: g <- g / max(1, |g|), v <- 0.9 v + g + wd w, w <- w - lr (g + wd w + 0.9 v)."""
    data = task(SMOKE, SEED)
    arm = arm_of("dense", learning_rate=0.1)
    made = learn(arm, SMOKE, data, SEED)
    peer = MLP((64, *SMOKE.hidden, 10), generator=SEED.torch("init"))
    weights, velocity = list(peer.parameters()), [torch.zeros_like(p) for p in peer.parameters()]
    order, queue = SEED.torch("order"), []
    for step in range(SMOKE.steps):
        if len(queue) < SMOKE.batch:
            queue = torch.randperm(900, generator=order).tolist()
        chosen, queue = queue[: SMOKE.batch], queue[SMOKE.batch :]
        loss = cross_entropy(peer(data.train[0][chosen]), data.train[1][chosen])
        rate = (0.025, 0.05, 0.075)[step] if step < 3 else 0.1 if step < 20 else 0.01 if step < 30 else 0.001
        with torch.no_grad():
            gradients = torch.autograd.grad(loss, weights)
            norm = float(torch.cat([g.flatten() for g in gradients]).norm())
            for w, v, g in zip(weights, velocity, gradients, strict=True):
                g = g / max(1.0, norm) + 5e-4 * w
                v.mul_(0.9).add_(g)
                w.sub_(rate * (g + 0.9 * v))
    for a, b in zip(made.net.parameters(), weights, strict=True):
        assert_close(a.detach(), b.detach(), atol=2e-5, rtol=1e-4)


def test_the_static_arm_keeps_its_drawn_mask_and_its_signal():
    data = task(SMOKE, SEED)
    wide = Settings("wide", {**SMOKE, "hidden": (400, 300), "density": 0.05, "steps": 0})
    net, dense = (learn(arm_of(name), wide, data, SEED).net for name in ("static", "dense"))
    spread = [float(one(data.train[0]).detach().std()) for one in (net, dense)]
    assert 0.6 < spread[0] / spread[1] < 1.7  # unscaled, it would be near 0.05
    made = learn(arm_of("static"), SMOKE, data, SEED)
    assert made.mask.density == pytest.approx(SMOKE.density, abs=2e-3)
    assert all(not made.mask.weight(name)[~made.mask[name]].any() for name in made.mask)


def test_paths_by_hand():
    """Two pixels, three hidden units, two outputs; the second pixel never varies, unit 1 leads nowhere, unit 2 hears only pixel 1."""
    net = MLP((2, 3, 2))
    mask = SparseMask(net)
    first, last = mask
    mask[first] = torch.tensor([[True, False], [True, False], [False, True]])
    mask[last] = torch.tensor([[True, False, False], [False, False, True]])
    assert paths(mask, torch.tensor([True, True])) == (4 / 5, 2 / 3)
    assert paths(mask, torch.tensor([True, False])) == (2 / 5, 1 / 3)


def test_the_lesion_removes_the_regrown_weights_and_nothing_else(outcomes):
    data = task(SMOKE, SEED)
    made = learn(arm_of("granet"), SMOKE, data, SEED)
    whole = {name: p.detach().clone() for name, p in made.net.named_parameters()}
    regrown = {name: made.rule.regrown(name) for name in made.mask}
    held = cut(made.net, made.mask, regrown)
    for name, p in made.net.named_parameters():
        wanted = whole[name] * ~regrown[name] if name in regrown else whole[name]
        assert torch.equal(p, wanted)
    assert granet.accuracy(made.net, data.test) == outcomes["regrown_cut"]["accuracy"]
    put_back(made.mask, held)
    assert all(torch.equal(p, whole[name]) for name, p in made.net.named_parameters())
    count = sum(int(new.sum()) for new in regrown.values())
    assert outcomes["granet"]["regrown_share"] == count / made.mask.active
    assert outcomes["granet"]["accuracy"] - outcomes["regrown_cut"]["accuracy"] == pytest.approx(outcomes["granet"]["cost_regrown"])
    others = as_many_others(made.mask, regrown, torch.Generator().manual_seed(0))
    for name, chosen in others.items():
        assert not (chosen & (regrown[name] | ~made.mask[name])).any()
        assert int(chosen.sum()) == min(int(regrown[name].sum()), int((made.mask[name] & ~regrown[name]).sum()))
    assert sum(made.survivors()) == count


def test_the_probe_prunes_once_and_goes_on(outcomes):
    for name in ("probe_regrown", "probe_pruned"):
        found = outcomes[name]
        assert found["steps"] == sum(SMOKE.probe)
        assert found["density"].x == [SMOKE.probe[0]]
        assert found["density"].y == [pytest.approx(SMOKE.probe_density, abs=1e-3)]
    data = task(SMOKE, SEED)
    until = Settings("until", {**SMOKE, "probe": (SMOKE.probe[0], 0)})
    unpruned = learn(arm_of("dense"), Settings("x", {**SMOKE, "probe": (0, 0)}), data, SEED)
    assert unpruned.unpruned is None
    made = learn(arm_of("probe_pruned"), until, data, SEED)
    regrown = learn(arm_of("probe_regrown"), until, data, SEED)
    assert made.unpruned == regrown.unpruned  # one net up to the pruning
    assert made.mask.active == regrown.mask.active


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {arm: [outcome] for arm, outcome in outcomes.items()})
    few = Table([1000], {arm: [outcomes[arm]] for arm in ("granet", "gradual")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
