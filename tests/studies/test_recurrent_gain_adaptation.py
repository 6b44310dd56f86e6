import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.networks import GainModulatedCircuit
from neuropil.studies.plasticity import recurrent_gain_adaptation as rga
from neuropil.studies.plasticity.recurrent_gain_adaptation import study

SMOKE = Settings("smoke", study.budgets["smoke"])
CIRCUIT = rga.Circuit(0.75, 300)


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def shown(name, **changed):
    return study.compute(arm(name, **changed), SMOKE, [Seed(1000)])[0]


def test_peaks_of_known_curves():
    where = torch.tensor([3.2, 90.0, 179.7], dtype=torch.float64)
    curves = rga.bump(rga.apart(torch.arange(180.0, dtype=torch.float64)[:, None], where), 2.0)
    torch.testing.assert_close(rga.apart(rga.peaks(curves), where), torch.zeros(3, dtype=torch.float64), atol=1e-3, rtol=0)


def test_away_is_away_on_either_side():
    at = torch.arange(180.0, dtype=torch.float64)[:, None]
    centres = torch.tensor([75.0, 105.0], dtype=torch.float64)
    moved = centres + torch.tensor([-2.0, 2.0], dtype=torch.float64)
    before, after = (rga.bump(rga.apart(at, c), 2.0) for c in (centres, moved))
    torch.testing.assert_close(rga.shifts(before, after), torch.full((2,), 2.0, dtype=torch.float64), atol=2e-3, rtol=0)


def test_contexts_are_probabilities():
    for often in (0.0, 0.4):
        assert rga.context(often).sum().item() == pytest.approx(1)
    assert rga.context(0.4)[rga.ADAPTER].item() == pytest.approx(0.4 + 0.6 / 60)


def test_synapses_have_their_radius_and_their_noise():
    for strength in (0.6, 0.9):
        w = rga.synapses(rga.Circuit(strength, 300))
        assert torch.linalg.eigvals(w).abs().max().item() == pytest.approx(strength)
    assert not torch.equal(rga.synapses(CIRCUIT), rga.synapses(rga.Circuit(0.75, 301)))


def test_homeostasis_equalises_and_is_matched():
    free = GainModulatedCircuit(rga.synapses(CIRCUIT), gain=rga.homeostatic(CIRCUIT, "recurrent", 0.4, 0.001))
    plain = GainModulatedCircuit(rga.synapses(CIRCUIT))
    target = rga.mean_rates(plain, 0.0)
    assert (rga.mean_rates(free, 0.4) - target).norm() < 0.2 * (rga.mean_rates(plain, 0.4) - target).norm()
    best, even = (rga.gains(arm(name), CIRCUIT) for name in ("efficient", "homeostatic"))
    torch.testing.assert_close(best.mean(), even.mean())
    torch.testing.assert_close(best.max() - best.min(), even.max() - even.min())
    assert (best - even).abs().max() > 1e-3


def test_permuted_gains_are_the_same_gains():
    best, permuted = (rga.gains(arm(name), CIRCUIT) for name in ("efficient", "permuted"))
    torch.testing.assert_close(best.sort().values, permuted.sort().values)
    assert not torch.equal(best, permuted)


def test_without_recurrence_nothing_shifts_and_the_adapter_repels_with_it():
    best, none = rga.gains(arm("efficient"), CIRCUIT), torch.zeros(36, 36, dtype=torch.float64)
    curves = [GainModulatedCircuit(none, gain=g, place="output").steady(rga.drive()).detach() for g in (torch.ones(36), best)]
    torch.testing.assert_close(rga.shifts(*curves), torch.zeros(36, dtype=torch.float64), atol=1e-6, rtol=0)
    assert shown("efficient")["repulsion"] > 0.2


def test_off_is_the_control_and_the_seed_changes_nothing():
    off, control = shown("off"), shown("homeostatic")
    for name, value in control.items():
        if isinstance(value, float):
            assert value == pytest.approx(off[name], rel=1e-9)
    assert study.compute(arm("efficient"), SMOKE, [Seed(1001)])[0] == shown("efficient")


def test_figure_draws_from_stored_results():
    table = Table([1000], {name: [shown(name)] for name in ("efficient", "homeostatic", "permuted")})
    for _, draw in study.figures.values():
        draw(table)
