import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.cells import leaky_matrices, legendre_matrices
from neuropil.networks import SpikingLegendreMemoryUnit
from neuropil.studies.cells import l2mu
from neuropil.studies.cells.l2mu import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def shown(name, seeds=(1000,), **changed):
    return study.compute(Settings(name, study.arms[name]), Settings("smoke", {**SMOKE, **changed}), [Seed(seed) for seed in seeds])


def net(name, **changed):
    return l2mu.Net(Settings(name, {**study.arms[name], **changed}), SMOKE, Seed(1000).torch("init"))


def unit():
    return SpikingLegendreMemoryUnit(2, memory=3, order=4, hidden=5, theta=8.0, threshold=0.4, generator=torch.Generator().manual_seed(0))


def test_blends_end_at_the_two_memories():
    for blend, matrices in ((0.0, leaky_matrices), (1.0, legendre_matrices)):
        for found, expected in zip(l2mu.blended(blend, 4, 9.0), matrices(4, 9.0), strict=True):
            torch.testing.assert_close(found, expected)


def test_arms_differ_in_their_matrices_alone():
    legendre, leaky = net("legendre").state_dict(), net("leaky").state_dict()
    assert {name for name in legendre if not torch.equal(legendre[name], leaky[name])} == {"cell.A", "cell.B"}


def test_the_memoryless_net_answers_to_the_moment_alone():
    cell = net("memoryless").cell
    x = torch.rand(6, 4, 10, generator=torch.Generator().manual_seed(0)) * 5
    y, _ = cell(x)
    assert y.any()
    held_back = torch.cat([torch.zeros_like(y[:1]), y[:-1]]) * cell.threshold[2]  # the reset of the last spike is all that is left of it
    torch.testing.assert_close(y, (x @ cell.input.mT - held_back - cell.threshold[2] >= 0).float())


def test_permuted_orders_stay_in_their_unit_and_the_memory_runs_on():
    before, after = unit(), unit()
    x = torch.rand(12, 3, 2, generator=torch.Generator().manual_seed(1))
    l2mu.permute_orders(after, torch.Generator().manual_seed(2))
    for k in range(3):
        mine = slice(4 * k, 4 * k + 4)
        assert sorted(map(tuple, before.read.T[mine].tolist())) == sorted(map(tuple, after.read.T[mine].tolist()))
    assert not torch.equal(before.read, after.read)
    for cell in (before, after):
        with torch.no_grad():
            cell.encode_hidden.zero_()
    torch.testing.assert_close(l2mu.inside(before, x)[1], l2mu.inside(after, x)[1])


def test_a_window_is_what_was_heard_that_long_ago():
    generator = torch.Generator().manual_seed(0)
    fitted, tested = (3 * torch.randn(1, n, 2, generator=generator).repeat(9, 1, 1) for n in (400, 300))
    held, recent, said = l2mu.window(unit(), fitted, tested)
    assert len(held) == len(recent) == 9 - l2mu.SMOOTH + 1
    assert recent[0] > 0.9  # the newest input tells itself
    assert held[0] > 0.3  # an input that does not change is held at every lag
    assert 0.3 < said["speaking"] <= 1
    assert said["spikes"] > 0
    noise = [3 * torch.randn(9, n, 2, generator=generator) for n in (400, 300)]
    assert l2mu.window(unit(), noise[0], noise[1])[0][-1] < held[-1]


def test_the_lesion_is_the_trained_net_read_otherwise():
    legendre, permuted = shown("legendre")[0], shown("permuted")[0]
    assert permuted["parameters"] == legendre["parameters"]
    assert shown("legendre")[0] == legendre  # the lesion left the trained nets as they were


def test_off_is_the_control():
    off, control = shown("off")[0], shown("leaky")[0]
    for name, value in control.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], abs=1e-6)


def test_every_arm_returns_what_its_contrasts_ask_for_and_learns():
    for name in study.arms:
        found = shown(name)[0]
        assert {"accuracy", "known_accuracy", "steps", "samples", "parameters"} <= found.keys()
    assert shown("rate", steps=120)[0]["known_accuracy"] > 0.5


def test_figures_draw_from_stored_results():
    table = Table([1000], {name: shown(name) for name in study.arms})
    for _, draw in study.figures.values():
        draw(table)


def test_while_settings_are_chosen_nothing_is_said_of_who_is_tested():
    assert set(shown("legendre", validate=True)[0]) == {"validation_accuracy"}
    assert shown("legendre", validate=True)[0]["validation_accuracy"] == shown("legendre")[0]["known_accuracy"]
