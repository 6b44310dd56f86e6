import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from neuropil.atlas import Curve, Seed, Settings, Table
from neuropil.data import LabelSwapStream
from neuropil.plasticity import HomeostaticLearningRate, after_update, lookahead
from neuropil.studies.plasticity import homeostatic_nets as nets
from neuropil.studies.plasticity.homeostatic_nets import regulator, run_stream, study

SIZES = (6, 9, 7, 10)


def toy(seed, samples=400, swaps=10, epochs=1):
    """Ten noisy prototypes in six dimensions, a stream of them and a small net, all float64."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.arange(samples) % 10)
    pool = 2 * rng.standard_normal((10, SIZES[0]))[classes] + 0.3 * rng.standard_normal((samples, SIZES[0]))
    stream = LabelSwapStream(
        torch.from_numpy(classes),
        epochs=epochs,
        swaps_per_epoch=swaps,
        order=np.random.default_rng(seed + 1),
        swaps=np.random.default_rng(seed + 2),
    )
    weights = [rng.standard_normal((o, i + 1)) * np.sqrt(2 / i) for i, o in pairwise(SIZES)]
    return pool, classes, stream, weights


class Reference:
    """The paper's algorithm, one sample at a time in plain numpy; written from its equations."""

    def __init__(self, weights, eta, step, memory, ahead=0):
        self.w, self.eta, self.step, self.memory, self.ahead = [w.copy() for w in weights], eta, step, memory, ahead
        self.etas, self.right, self.clipped, self.misread, self.ingested = [], [], 0, 0, 0

    @staticmethod
    def activations(weights, x):
        acts, sums = [np.append(x, 1.0)], []
        for depth, w in enumerate(weights):
            sums.append(w @ acts[-1])
            if depth < 2:
                acts.append(np.append([v if v > 0 else math.exp(v) - 1 for v in sums[-1]], 1.0))
        return acts, sums

    def gradient(self, x, label):
        acts, sums = self.activations(self.w, x)
        soft = np.exp(sums[2] - sums[2].max())
        error = soft / soft.sum() - np.eye(10)[label]
        found = [np.outer(error, acts[2])]
        for depth in (1, 0):
            slope = np.where(sums[depth] > 0, 1.0, np.exp(sums[depth]))
            error = (self.w[depth + 1][:, :-1].T @ error) * slope
            found.insert(0, np.outer(error, acts[depth]))
        return found, int(sums[2].argmax())

    def accuracy(self, eta, grads, xs, labels):
        moved = [w - eta / 10 * g for w, g in zip(self.w, grads, strict=True)]
        return sum(self.activations(moved, x)[1][2].argmax() == y for x, y in zip(xs, labels, strict=True)) / len(labels)

    def foresee(self, total, xs, labels):
        leave, up, down = (self.accuracy(eta, total, xs, labels) for eta in (self.eta, self.move(True), self.move(False)))
        if max(up, down) > leave:
            self.ingested += 1
            self.eta = self.move(up > down)
            self.clipped += self.eta == 1e-8

    def move(self, up):
        moved = self.eta + self.step if up else self.eta - self.step
        return moved if moved >= 1e-8 else 1e-8

    def learn(self, pool, classes, stream):
        names, swaps = np.arange(10), dict(zip(stream.swap_at.tolist(), stream.swapped.tolist(), strict=True))
        order = stream.index.numpy()
        for start in range(0, len(order), 10):
            if start in swaps:
                a, b = swaps[start]
                names = np.array([b if n == a else a if n == b else n for n in names])
            total = [np.zeros_like(w) for w in self.w]
            for i in range(start, start + 10):
                label = names[classes[order[i]]]
                grads, guess = self.gradient(pool[order[i]], label)
                self.right.append(guess == label)
                total = [t + g for t, g in zip(total, grads, strict=True)]
                within = i % stream.per_epoch
                if within % 10 == 0 and within > self.memory and not self.ahead:
                    past = order[i - self.memory : i]
                    seen, called = pool[past], names[classes[past]]
                    leave = self.accuracy(self.eta, total, seen, called)
                    take = self.accuracy(self.move(guess >= 5), total, seen, called)
                    if take > leave:
                        self.ingested += 1
                        self.misread += (guess >= 5) != (label >= 5)
                        self.eta = self.move(label >= 5)
                        self.clipped += self.eta == 1e-8
            coming = np.arange(start + 10, start + 10 + self.ahead)
            if self.ahead and start % stream.per_epoch > self.memory and coming[-1] < len(order):
                shown = stream.maps.numpy()[stream.segment[coming], classes[order[coming]]]
                self.foresee(total, pool[order[coming]], shown)
            self.w = [w - self.eta / 10 * t for w, t in zip(self.w, total, strict=True)]
            self.etas.append(self.eta)
        return self


def ours(toys, eta, step, memory, policy="homeostatic", ahead=0):
    pool = torch.from_numpy(np.concatenate([t[0] for t in toys]))
    for k, t in enumerate(toys):
        t[2].index += k * len(t[0])
    weights = [torch.stack([torch.from_numpy(w) for w in layer]) for layer in zip(*[t[3] for t in toys], strict=True)]
    rule = HomeostaticLearningRate(step)
    coins = torch.zeros(len(toys), len(toys[0][2]), dtype=torch.bool)
    first = torch.full((len(toys),), eta, dtype=torch.float64)
    return run_stream(pool, [t[2] for t in toys], weights, first, rule, regulator(policy, rule, coins), memory, ahead)


@pytest.mark.parametrize(("eta", "step", "memory"), [(0.2, 0.02, 20), (0.3, 0.15, 20), (0.2, 0.1, 50)])
def test_the_run_is_the_papers_algorithm(eta, step, memory):
    seeds = (0, 10, 20)
    found = ours([toy(s, epochs=2) for s in seeds], eta, step, memory)
    clipped = misread = ingested = 0
    for k, seed in enumerate(seeds):
        pool, classes, stream, weights = toy(seed, epochs=2)
        expected = Reference(weights, eta, step, memory).learn(pool, classes, stream)
        assert_close(found.eta[k].numpy(), np.array(expected.etas), rtol=1e-9, atol=1e-15)
        assert found.correct[k].tolist() == expected.right
        for w, reference in zip(found.weights, expected.w, strict=True):
            assert_close(w[k].numpy(), reference, rtol=1e-8, atol=1e-10)
        assert found.ingested[k].sum() == expected.ingested
        assert found.agreed[k].sum() == expected.ingested - expected.misread
        clipped, misread, ingested = clipped + expected.clipped, misread + expected.misread, ingested + expected.ingested
    assert ingested > 5
    assert misread > 0
    assert clipped > 0 or step < 0.1


@pytest.mark.parametrize(("eta", "step", "ahead", "swaps"), [(0.2, 0.02, 20, 10), (0.3, 0.15, 30, 10), (0.2, 0.1, 20, 3)])
def test_the_oracle_sees_the_samples_to_come_with_the_labels_they_will_have(eta, step, ahead, swaps):
    seeds = (0, 10, 20)
    found = ours([toy(s, samples=370, swaps=swaps, epochs=2) for s in seeds], eta, step, 20, "oracle", ahead)
    up = down = 0
    for k, seed in enumerate(seeds):
        pool, classes, stream, weights = toy(seed, samples=370, swaps=swaps, epochs=2)
        expected = Reference(weights, eta, step, 20, ahead).learn(pool, classes, stream)
        assert_close(found.eta[k].numpy(), np.array(expected.etas), rtol=1e-9, atol=1e-15)
        assert found.correct[k].tolist() == expected.right
        assert found.ingested[k].sum() == expected.ingested
        assert not found.opportunity[-(ahead // 10) :].any()
        moves = np.diff(expected.etas)
        up, down = up + (moves > 0).sum(), down + (moves < 0).sum()
    assert up > 3
    assert down > 3


def test_one_update_follows_the_gradient_of_autograd():
    pool, classes, stream, weights = toy(3, samples=10, swaps=0)
    found = run_stream(
        torch.from_numpy(pool), [stream], [torch.from_numpy(w)[None] for w in weights], torch.tensor([0.5], dtype=torch.float64)
    )
    leaves = [torch.from_numpy(w).requires_grad_() for w in weights]
    h = torch.from_numpy(pool)
    for depth, w in enumerate(leaves):
        h = h @ w[:, :-1].T + w[:, -1]
        h = torch.nn.functional.elu(h) if depth < 2 else h
    torch.nn.functional.cross_entropy(h, torch.from_numpy(classes)).backward()
    for leaf, w in zip(leaves, found.weights, strict=True):
        assert_close((leaf.detach() - w[0]) / 0.5, leaf.grad)


@pytest.mark.parametrize("batch", [1, 10])
def test_the_low_rank_simulation_is_the_general_one(batch):
    generator = torch.Generator().manual_seed(0)
    w1, w2, w3 = (torch.randn(2, o, i + 1, generator=generator).double() for i, o in pairwise(SIZES))
    memory, sample = torch.randn(2, 20, 6, generator=generator).double(), torch.randn(2, batch, 6, generator=generator).double()
    labels, etas = torch.randint(10, (2, 20), generator=generator), torch.tensor([[0.5, 2.0], [1.0, 8.0]]).double()
    a1, slope1 = nets._elu(nets.pad(sample, (0, 1), value=1.0) @ w1.mT)
    a2, slope2 = nets._elu(a1 @ w2.mT)
    e3 = (a2 @ w3.mT).softmax(-1) - torch.eye(10).double()[labels[:, :batch]]
    e2 = e3 @ w3[..., :-1] * slope2
    e1 = e2 @ w2[..., :-1] * slope1
    wide = [nets.pad(v, (0, 1), value=1.0) for v in (memory, sample)]
    fast = nets._scores_after(wide[0] @ w1.mT, wide[0] @ wide[1].mT, w2, w3, a1, a2, e1, e2, e3, etas)

    def forward(p, x):
        for depth, w in enumerate(p):
            x = nets.pad(x, (0, 1), value=1.0) @ w.mT
            x = torch.nn.functional.elu(x) if depth < 2 else x
        return x

    gradients = [e.mT @ a / 10 for e, a in ((e1, wide[1]), (e2, a1), (e3, a2))]
    general = after_update(forward, [w1, w2, w3], gradients, memory)
    assert_close(fast, general(etas))
    assert torch.equal(lookahead(general, etas, labels), (fast.argmax(-1) == labels[:, None]).sum(-1))


def test_replicas_side_by_side_are_replicas_alone():
    together = ours([toy(s) for s in (0, 10)], 0.2, 0.05, 20)
    for k, seed in enumerate((0, 10)):
        alone = ours([toy(seed)], 0.2, 0.05, 20)
        assert_close(together.eta[k], alone.eta[0])
        assert torch.equal(together.correct[k], alone.correct[0])


def test_the_random_control_takes_in_at_its_moments_by_the_true_class():
    rule = HomeostaticLearningRate(0.05)
    state, moments = rule.initial(0.2), torch.tensor([[True, False]])
    policy = regulator("random", rule, torch.zeros(1, 2, dtype=torch.bool), moments)
    guess, label = torch.tensor([9]), torch.tensor([1])
    assert [t.item() for t in policy(0, state, guess, label, None)] == [-1.0, True, False]
    assert not policy(1, state, guess, label, None)[1].item()


@pytest.mark.parametrize("name", ["free", "oracle"])
@pytest.mark.parametrize(
    ("counts", "coin", "direction", "taken", "tied"),
    [
        ((5, 6, 4), 0, 1, True, False),
        ((5, 4, 6), 1, -1, True, False),
        ((5, 6, 6), 1, 1, True, False),
        ((5, 6, 6), 0, -1, True, False),
        ((5, 5, 5), 0, -1, False, True),
        ((5, 4, 5), 0, -1, False, False),
    ],
)
def test_free_choice_takes_the_better_side(name, counts, coin, direction, taken, tied):
    rule = HomeostaticLearningRate(0.05)
    policy = regulator(name, rule, torch.tensor([[bool(coin)]]))
    seen = []

    def look(etas):
        seen.append(etas)
        return torch.tensor([counts])

    found = policy(0, rule.initial(0.2), torch.tensor([9]), torch.tensor([1]), look)
    assert [t.item() for t in found] == [direction, taken, tied]
    assert_close(seen[0], torch.tensor([[0.2, 0.25, 0.15]]).double())


def run(arm, seeds=(1000,), **changes):
    budget = Settings("smoke", {**study.budgets["smoke"], **changes})
    return study.compute(Settings(arm, study.arms[arm]), budget, [Seed(s) for s in seeds])


@pytest.mark.parametrize("arm", study.arms)
def test_every_arm_returns_finite_metrics(arm):
    (outcome,) = run(arm)
    numbers = {name: value for name, value in outcome.items() if not isinstance(value, Curve)}
    assert set(study.metrics) - {"ties_per_1000"} <= set(numbers) <= set(study.metrics)
    assert all(math.isfinite(v) for v in numbers.values())
    curves = [value for value in outcome.values() if isinstance(value, Curve)]
    assert curves
    assert all(math.isfinite(v) and len(c.y) <= 100 for c in curves for v in c.y)


def test_off_is_the_constant_rate_exactly():
    (off,), (constant,) = run("off"), run("constant")
    assert {k: v for k, v in off.items() if k != "ties_per_1000"} == constant


def litter(arm, networks=3):
    budget = Settings("smoke", {**study.budgets["smoke"], "networks": networks})
    return nets._Litter(budget, [Seed(1000), Seed(1001)], 6, *nets._pool("digits")).run(Settings(arm, study.arms[arm]))


@pytest.mark.parametrize(("leader", "follower"), [("homeostatic", "yoked"), ("oracle", "oracle_yoked")])
def test_yoked_networks_replay_the_trace_of_the_next_of_their_litter(leader, follower):
    own, yoked = litter(leader).eta, litter(follower).eta
    assert own.std(1).min() > 0
    assert torch.equal(yoked, own[[1, 2, 0, 4, 5, 3]])
    assert not torch.equal(yoked, own)


def test_replaying_a_networks_own_trace_repeats_its_run():
    budget = Settings("smoke", study.budgets["smoke"])
    group = nets._Litter(budget, [Seed(1000)], 6, *nets._pool("digits"))
    own = group.run(Settings("homeostatic", study.arms["homeostatic"]))
    again = run_stream(group.pool, group.streams, group.weights, own.eta, memory=50)
    assert torch.equal(again.correct, own.correct)
    assert torch.equal(again.eta, own.eta)


def test_the_random_control_is_matched_in_ingests_and_the_constant_in_mean():
    own = litter("homeostatic")
    random, mean = litter("random_matched"), litter("constant_mean")
    assert torch.equal(random.ingested.sum(1), own.ingested.sum(1))
    assert not torch.equal(random.ingested, own.ingested)
    assert random.agreed.sum() < random.ingested.sum()
    assert_close(mean.eta[:, 0], own.eta.mean(1))


def test_the_lesioned_coin_agrees_with_the_proposal_half_the_time_and_acceptance_always_accepts():
    taken, agreed = 0, 0
    for seed in range(1000, 1004):
        budget = Settings("smoke", {**study.budgets["smoke"], "examples": 400, "epochs": 4, "networks": 4})
        found = nets._Litter(budget, [Seed(seed)], 20, *nets._pool("digits")).run(Settings("lesioned", study.arms["lesioned"]))
        taken, agreed = taken + int(found.ingested.sum()), agreed + int(found.agreed.sum())
    assert taken > 200
    assert abs(agreed - taken / 2) < 3 * math.sqrt(taken) / 2
    own = run("homeostatic", (1000, 1001, 1002, 1003), examples=400, swaps=20, epochs=4)
    assert all(0.5 < outcome["sign_agreement"] < 1.0 for outcome in own)
    assert run("always_accept")[0]["ingests_per_1000"] == 1000.0


def test_a_rate_below_a_hundredth_of_the_first_counts_as_stalled():
    budget = Settings("smoke", study.budgets["smoke"])
    group = nets._Litter(budget, [Seed(1000)], 6, *nets._pool("digits"))
    arm = Settings("yoked", study.arms["yoked"])
    eta = torch.full((2, len(group.streams[0])), 0.1, dtype=torch.float64)
    eta[0, :6], eta[1, 3] = 1e-8, 0.00099
    found = run_stream(group.pool, group.streams, group.weights, eta)
    assert nets._outcome(arm, group, found, slice(0, 2))["stalled_share"] == pytest.approx(7 / eta.numel())
    assert run("constant_tenth")[0]["stalled_share"] == 0.0


def test_a_batch_of_seeds_is_its_seeds_alone():
    for arm in ("homeostatic", "yoked", "free_choice", "oracle"):
        together = run(arm, (1000, 1001, 1002))
        alone = [run(arm, (s,))[0] for s in (1000, 1001, 1002)]
        for a, b in zip(together, alone, strict=True):
            shared = [name for name in study.metrics if name in a]
            assert [a[name] for name in shared] == pytest.approx([b[name] for name in shared], rel=1e-6, abs=1e-9)


def test_the_rates_of_the_figure_end_at_the_budgets():
    (outcome,) = run("homeostatic", rates=(0, 3))
    assert outcome["accuracy_by_rate"].x == [0, 3, 6]
    assert outcome["accuracy_by_rate"].y[2] == pytest.approx(outcome["online_accuracy"])


def test_a_litter_of_one_is_refused():
    with pytest.raises(ValueError, match="at least two networks"):
        run("homeostatic", networks=1)


def test_the_figures_are_drawn_from_results_and_leave_the_background_free():
    arms = ("homeostatic", "yoked", "constant", "random_matched")
    table = Table([1000, 1001], {arm: run(arm, (1000, 1001), rates=(0, 3)) for arm in arms})
    assert set(study.figures) == {"rates", "moments"}
    drawn = {name: draw(table) for name, (_, draw) in study.figures.items()}
    assert all(figure.patch.get_alpha() == 0 for figure in drawn.values())
    left, middle, right = drawn["rates"].axes
    assert len(left.lines) == 3
    assert [text.get_text() for text in middle.get_legend().get_texts()] == ["homeostatic", "yoked", "constant", "random matched"]
    assert {len(line.get_xdata()) for line in right.lines} == {3}
    gains = drawn["moments"].axes[0].collections[-1].get_offsets()[:, 0]
    accuracy = [table.values(arm, "online_accuracy") for arm in ("homeostatic", "yoked")]
    assert gains.tolist() == pytest.approx([a - b for a, b in zip(*accuracy, strict=True)])
