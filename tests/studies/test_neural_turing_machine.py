import math

import pytest
import torch

from neuropil.atlas import Curve, Matrix, Seed, Settings, Table
from neuropil.data import Copying
from neuropil.studies.memory import neural_turing_machine as ntm
from neuropil.studies.memory.neural_turing_machine import study

SMOKE = Settings("smoke", study.budgets["smoke"])
DESK = Settings("desk", study.budgets["desk"])
SEED = Seed(1000)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def net(name, budget=SMOKE, seed=SEED, **changed):
    return ntm.Copier(arm(name, **changed), budget, seed.torch("init"))


def numbers(outcome):
    return {name: value for name, value in outcome.items() if not isinstance(value, Curve | Matrix)}


@pytest.fixture(scope="module")
def outcomes():
    return {name: study.compute(arm(name), SMOKE, [SEED])[0] for name in study.arms}


@pytest.mark.parametrize("name", list(study.arms))
def test_every_arm_returns_its_metrics(outcomes, name):
    found = numbers(outcomes[name])
    heads, lags = {"by_place", "advances"}, {"on_lag", "on_lag_double"}
    missing = heads | lags if name in ("lstm", "deaf", "off") else heads if name == "appended" else lags
    assert set(found) == set(study.metrics) - missing
    assert all(math.isfinite(value) for value in found.values())


def test_arms_differ_in_the_memory_alone(outcomes):
    sizes = {name: outcome["parameters"] for name, outcome in outcomes.items()}
    assert sizes["ntm"] == sizes["content_only"] == sizes["appended"] + 2 * 27  # where its two heads begin
    assert sizes["lstm"] > 2 * sizes["ntm"]
    layer = 4 * 64 * (SMOKE.bits + 2 + 64 + 1) + (64 + 1) * SMOKE.bits
    assert sizes["lstm"] == layer
    with torch.no_grad():
        first = {name: net(name).state_dict() for name in ("ntm", "appended")}
    for key, tensor in first["appended"].items():
        assert torch.equal(first["ntm"][key], tensor)
    assert numbers(outcomes["ntm"]) != numbers(outcomes["appended"])


def test_off_is_the_network_without_a_memory(outcomes):
    off, deaf = (numbers(outcomes[name]) for name in ("off", "deaf"))
    assert off == deaf
    assert deaf["validation_loss"] != outcomes["appended"]["validation_loss"]


def test_the_lesion_is_the_trained_net_with_heads_that_stay(outcomes):
    for name in ("loss", "parameters", "samples"):
        assert outcomes["stays"][name] == outcomes["ntm"][name]
    whole, still = net("ntm"), net("content_only")
    still.load_state_dict(whole.state_dict())
    asked = torch.randn(5, whole.machine.memory.asked, generator=torch.Generator().manual_seed(0))
    (moves, *rest), (stays, *same) = (one.machine.memory.aim(asked) for one in (whole, still))
    assert (stays.shift == torch.tensor([0.0, 1.0, 0.0])).all()
    assert not torch.equal(moves.shift, stays.shift)
    assert torch.equal(moves.gate, stays.gate)
    assert all(torch.equal(*pair) for pair in zip(rest, same, strict=True))


def test_a_seed_learns_the_same_alone_and_in_company(outcomes):
    together = study.compute(arm("ntm"), SMOKE, [Seed(1001), SEED])[1]
    for name in ("validation_loss", "double_error", "by_place"):
        assert together[name] == pytest.approx(outcomes["ntm"][name], abs=1e-5)


@pytest.mark.parametrize("name", list(study.budgets))
def test_lags_of_the_test_occur_in_training(name):
    budget = Settings(name, study.budgets[name])
    trained = {length + gap + 1 for length in range(1, budget.longest + 1) for gap in range(budget.gap + 1)}
    for length in range(1, 3 * budget.longest + 1):
        first, last = ntm.early(budget, length)
        wanted = {length + gap + 1 for gap in range(first, last + 1)}
        assert wanted <= trained
        assert max(wanted) <= budget.places
        assert first == 0
    assert ntm.early(budget, 2 * budget.longest)[1] == budget.gap - budget.longest


def test_where_the_control_must_look_is_counted_from_the_answer():
    given = Copying(2).draw(torch.tensor([2, 3]), torch.tensor([3, 0]), torch.Generator().manual_seed(0))
    needed = torch.tensor([6, 4])
    looks = torch.nn.functional.one_hot((needed - 1).expand(len(given.x), 2), 9).float()
    assert ntm.on_lag(looks, given) == 1
    looks[-1, 1] = looks[-1, 1].roll(1)
    looks[-1, 0] = looks[-1, 0].roll(1)
    asked = given.asked[-1].sum().item()
    assert ntm.on_lag(looks, given) == pytest.approx(1 - asked / 5)


def test_errors_by_answer_are_in_order():
    class Right(torch.nn.Module):
        def forward(self, x):
            return self.said

    given = ntm.tested(SMOKE, 3, (0, 2), torch.Generator().manual_seed(0))
    net = Right()
    net.said = given.target * 2 - 1
    assert ntm.error(net, given) == 0
    second = torch.cumsum(given.asked, 0) == 2
    net.said = torch.where((second & given.asked).unsqueeze(2), -net.said, net.said)
    assert list(ntm.by_answer(net, given, 3).y) == [0, 1, 0]
    assert ntm.error(net, given) == pytest.approx(1 / 3)


def test_trained_sequences_have_all_lengths_and_gaps_and_nothing_longer():
    given = ntm.trained_sequences(DESK, 2000, torch.Generator().manual_seed(0))
    shown = given.x[..., DESK.bits].sum(0)
    signal = given.x[..., -1].argmax(0)
    assert shown.unique().tolist() == [1, 2, 3, 4]
    assert (signal - shown).unique().tolist() == list(range(9))
    assert len(given.x) == 17


def test_the_loss_is_the_mean_over_what_is_asked():
    given = Copying(2).draw(torch.tensor([1, 2]), torch.tensor([1, 0]), torch.Generator().manual_seed(0))
    logits = torch.randn(given.target.shape, generator=torch.Generator().manual_seed(1))
    found = ntm.loss(logits, torch.cat((given.target, given.asked.unsqueeze(2)), 2))
    right = logits[given.asked].sigmoid().where(given.target[given.asked] == 1, 1 - logits[given.asked].sigmoid())
    assert found.item() == pytest.approx(-right.log().mean().item(), rel=1e-5)


def test_advances_counts_steps_of_one_around_the_ring():
    asked = torch.tensor([[False], [True], [True], [True], [True]])
    looks = torch.nn.functional.one_hot(torch.tensor([[0], [3], [4], [0], [2]]), 5).float()
    assert ntm.advances(looks, asked) == pytest.approx(2 / 3)
    assert ntm.advances(looks.flip(2), asked) == pytest.approx(2 / 3)
    assert ntm.advances(looks[[0, 1, 2, 1, 2]], asked) == pytest.approx(2 / 3)
    assert ntm.advances(looks[[0, 1, 1, 1, 1]], asked) == 0


def test_what_is_watched_is_what_the_net_does():
    given = ntm.tested(SMOKE, 3, (0, 1), torch.Generator().manual_seed(0))
    for name in ("ntm", "appended", "content_only"):
        one = net(name)
        looks, places = ntm.watched(one, given.x)
        assert looks.shape == (len(given.x), SMOKE.tested, SMOKE.places)
        torch.testing.assert_close(looks.sum(2), torch.ones(looks.shape[:2]))
        assert ((places >= 0) & (places <= 1)).all()
    with torch.no_grad():
        machine = net("appended").machine
        looks, _ = ntm.watched(net("appended"), given.x)
        s, read = None, []
        for moment, look in zip(given.x, looks, strict=True):
            contents = machine.memory.initial(SMOKE.tested).contents if s is None else s.memory.contents
            _, s = machine.step(moment, s)
            read.append(s.read)
            torch.testing.assert_close((look.unsqueeze(1) @ contents).squeeze(1), s.read)


def test_figures_draw_from_results_alone(outcomes):
    from matplotlib.figure import Figure

    table = Table([1000], {name: [outcome] for name, outcome in outcomes.items()})
    few = Table([1000], {name: [outcomes[name]] for name in ("ntm", "appended")})
    for _, draw in study.figures.values():
        for rows in (table, few):
            assert isinstance(draw(rows), Figure)
    moments = 4 * SMOKE.longest + 1 + ntm.early(SMOKE, 2 * SMOKE.longest)[1]
    for ax in ntm.heads_figure(table).axes:
        (left, right, low, high) = ax.images[0].get_extent()
        assert (left, low, high) == (0.5, 0.5, SMOKE.places + 0.5)
        assert right <= moments + 0.5
