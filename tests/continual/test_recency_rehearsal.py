import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import cross_entropy

from neuropil.continual import RecencyRehearsal, Scenario, exponential_law, learn, power_law
from neuropil.continual.recency_rehearsal import share_out
from neuropil.data import PermutedStream
from neuropil.networks import MLP


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.05)


def rehearsal(seed=0, **options):
    return RecencyRehearsal(sgd, generator=torch.Generator().manual_seed(seed), **{"ratio": 0.3} | options)


def model():
    return MLP([8, 16, 4], generator=torch.Generator().manual_seed(0))


def task(k, n=100):
    """Examples that say which they are: the first number is the task, the second the place in it."""
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(k))
    x[:, 0], x[:, 1] = k, torch.arange(n)
    return x, torch.arange(n) % 4


class Watched(RecencyRehearsal):
    """Notes all inputs that are learned."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen = []
        self.loss = self.watch

    def watch(self, outputs, target):
        return cross_entropy(outputs, target)

    def run(self, tasks, n=100, batch=7, passes=1):
        """Rows (time, task, place) of all that was shown."""
        net, rows = model(), []
        net.register_forward_hook(lambda _, given, __: rows.append(given[0][:, :2].clone()))
        state, times = self.init(net), []
        for k in range(tasks):
            x, y = task(k, n)
            state = self.begin(net, (x, y), state)
            for index in [part for _ in range(passes) for part in torch.arange(n).split(batch)]:
                state, said = self.step(net, (x[index], y[index]), state)
            times.append((torch.cat(rows), {name: float(value) for name, value in said.items()}))
            rows.clear()
            state = self.end(net, (x, y), state)
        return times, state


def watched(**options):
    return Watched(sgd, generator=torch.Generator().manual_seed(0), **{"ratio": 0.3} | options)


@pytest.mark.parametrize(
    ("law", "known"),
    [
        (power_law(1.0), stats.zipfian(1.0, 9)),
        (power_law(0.5), stats.zipfian(0.5, 9)),
        (power_law(2.0), stats.zipfian(2.0, 9)),
        (exponential_law(0.4), stats.boltzmann(0.4, 9, loc=1)),
    ],
)
def test_shares_are_those_of_the_named_distributions_over_the_lag(law, known):
    """Zipf's law over nine lags and the truncated geometric (discrete exponential) distribution, as SciPy has them."""
    counts = rehearsal(law=law).allot(60_000, 9, [])
    expected = 60_000 * known.pmf(np.arange(9, 0, -1))
    assert int(counts.sum()) == 60_000
    np.testing.assert_allclose(counts.numpy(), expected, atol=1)
    lag = float((counts * (9 - torch.arange(9))).sum()) / 60_000
    assert lag == pytest.approx(known.mean(), abs=1e-3)


def test_largest_remainders_are_a_known_election():
    """Hamilton's method on 100 seats: 47,000, 16,000, 15,900, 12,000, 6,000 and 3,100 votes."""
    votes = torch.tensor([47_000, 16_000, 15_900, 12_000, 6_000, 3_100], dtype=torch.float64)
    assert share_out(10, votes).tolist() == [5, 2, 1, 1, 1, 0]
    assert share_out(100, votes).tolist() == [47, 16, 16, 12, 6, 3]
    assert share_out(7, torch.ones(3, dtype=torch.float64)).tolist() == [3, 2, 2]


def test_recurring_tasks_are_drawn_one_after_the_other_by_their_weights():
    """The chance that a task is among two drawn without replacement is p_i + sum_j p_j p_i / (1 - p_j)."""
    rule, draws = rehearsal(recurring=2), 4000
    found = torch.stack([rule.allot(30, 4, []) for _ in range(draws)])
    assert (found.sum(1) == 30).all()
    assert ((found > 0).sum(1) == 2).all()
    assert set(found[found > 0].tolist()) == {15}
    p = np.array([1 / 4, 1 / 3, 1 / 2, 1.0])
    p /= p.sum()
    chance = p.copy()
    for i, j in itertools.permutations(range(4), 2):
        chance[i] += p[j] * p[i] / (1 - p[j])
    seen = (found > 0).double().mean(0).numpy()
    assert (np.abs(seen - chance) < 4 * np.sqrt(chance * (1 - chance) / draws)).all()


def test_a_lag_counts_from_introduction_or_from_the_last_practice():
    far = rehearsal(recurring=1, since="practice", law=power_law(50.0))
    assert far.allot(10, 4, [3, 1, 2, 0]).tolist() == [10, 0, 0, 0]
    assert rehearsal(recurring=1, law=power_law(50.0)).allot(10, 4, [3, 1, 2, 0]).tolist() == [0, 0, 0, 10]


def test_each_time_shows_all_new_examples_once_and_exactly_the_allotted_old_ones():
    rule = watched(law=power_law(1.0))
    times, state = rule.run(5)
    for now, (rows, said) in enumerate(times):
        new, old = rows[rows[:, 0] == now], rows[rows[:, 0] != now]
        assert sorted(new[:, 1].tolist()) == list(range(100))
        assert len(old) == (30 if now else 0)
        assert len({tuple(row) for row in old.tolist()}) == len(old)
        if now:
            counts = old[:, 0].long().bincount(minlength=now)
            assert counts.tolist() == rule.allot(30, now, []).tolist()
            assert said["lag"] == pytest.approx(float((now - old[:, 0]).mean()))
            assert said["fewest"] == counts.min()
    assert state["practised"] == [4] * 5
    assert rule.stored(state) == 5 * 100 * (8 + 1) + 30


def test_old_examples_are_spread_over_the_time_and_come_again_in_a_second_pass():
    rule = watched(ratio=0.3)
    times, _ = rule.run(2, batch=10, passes=2)
    places = (times[1][0][:, 0] == 0).reshape(-1, 13)
    assert places[:, 10:].all()
    assert not places[:, :10].any()
    old = times[1][0][times[1][0][:, 0] == 0][:, 1]
    assert sorted(old[:30].tolist()) == sorted(old[30:].tolist())
    assert old[:30].tolist() != old[30:].tolist()


def test_more_than_a_task_has_is_shown_again_evenly():
    times, _ = watched(ratio=2.5).run(2, n=20)
    counts = times[1][0][times[1][0][:, 0] == 0][:, 1].long().bincount()
    assert counts.sum() == 50
    assert set(counts.tolist()) == {2, 3}


def test_what_is_not_practised_is_remembered_as_such():
    _, state = watched(recurring=1, law=lambda lag: (lag == lag.max()).double(), since="practice").run(4)
    assert sorted(state["practised"][:2]) == [2, 3]  # task 0 comes back at 1, one of the two at 2, and the other, longer ago, at 3
    assert state["practised"][2:] == [2, 3]


def test_a_step_descends_the_mean_over_new_and_old():
    rule, net = rehearsal(ratio=1.0), model()
    first, second = task(0, 10), task(1, 10)
    state = rule.end(net, first, rule.begin(net, first, rule.init(net)))
    state = rule.begin(net, second, state)
    loss, said = rule.objective(net, second, state)
    both = [torch.cat(pair) for pair in zip(first, second, strict=True)]
    torch.testing.assert_close(loss, cross_entropy(net(both[0]), both[1]))
    assert said["replayed"] == 0.5


def test_rehearsal_keeps_old_tasks():
    y = torch.arange(600) % 4
    x = torch.randn(4, 30, generator=torch.Generator().manual_seed(1))[y] + torch.randn(600, 30, generator=torch.Generator().manual_seed(2))
    tasks = PermutedStream(x, y, tasks=3, setting="domain", generator=np.random.default_rng(2))
    kept = {}
    for ratio in (0.0, 1.0):
        course = learn(
            MLP([30, 16, 4], generator=torch.Generator().manual_seed(0)),
            tasks,
            rehearsal(ratio=ratio),
            Scenario("domain"),
            epochs=10,
            batch_size=20,
            generator=torch.Generator().manual_seed(4),
            progress=False,
        )
        kept[ratio] = course.metrics.average_accuracy
    assert kept[1.0] > kept[0.0] + 0.02


def test_what_cannot_be_done_is_refused_in_a_sentence():
    for options, said in (
        ({"ratio": -0.1}, "finite ratio from 0"),
        ({"recurring": 0}, "recurring from 1"),
        ({"since": "birth"}, "introduction or practice"),
        ({"since": "practice"}, "uniform under every law; give recurring="),
    ):
        with pytest.raises(ValueError, match=said):
            rehearsal(**options)
    for law in (lambda lag: -lag, lambda lag: 0 * lag, lambda lag: lag / 0, lambda lag: lag.sum()):
        with pytest.raises(ValueError, match="A law gives a finite weight from 0 for each of 3 lags"):
            rehearsal(law=law).allot(10, 3, [])
    for law in (power_law, exponential_law):
        with pytest.raises(ValueError, match="finite"):
            law(float("inf"))
