import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.memory import RelevanceGate
from neuropil.studies.plasticity import synaptic_resonance as resonance
from neuropil.studies.plasticity.synaptic_resonance import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def test_arms_begin_alike_outside_their_memories():
    nets = [dict(resonance.network(arm(name), SMOKE, Seed(1000)).named_parameters()) for name in study.arms]
    for name, value in nets[0].items():
        if ".gate." not in name and ".memory." not in name and not name.endswith(("beta", "rate")):
            assert all(torch.equal(value, net[name]) for net in nets), name


def test_only_full_attention_sees_beyond_the_window():
    task = resonance.recall(Settings("desk", study.budgets["desk"]))
    reach = 2 * (study.arms["plain"]["window"] - 1)
    assert task.gap >= reach
    assert study.arms["full_window"]["window"] >= task.steps
    net = resonance.network(arm("plain"), SMOKE, Seed(1005))
    assert len(resonance.layers(net)) == 2
    x = resonance.recall(SMOKE).draw(3, torch.Generator().manual_seed(0)).x
    told = slice(1, 1 + SMOKE.pairs)
    other = x.clone()
    other[:, told] = other[:, told].flip(0)
    answers = [resonance.answers(net(one), SMOKE) for one in (x, other)]
    torch.testing.assert_close(*answers)


def test_what_is_looked_at_is_what_ran():
    net = resonance.network(arm("gated"), SMOKE, Seed(1001))
    x = resonance.recall(SMOKE).draw(3, torch.Generator().manual_seed(0)).x
    gates, share = resonance.seen(net, x, SMOKE.asked)
    layer = resonance.layers(net)[0]
    q, k, _ = (part.unflatten(-1, (2, -1)).transpose(-3, -2) for part in layer.qkv(net.blocks[0]["norm1"](net.embed(x))).chunk(3, -1))
    expected = layer.gates(*(torch.nn.functional.normalize(one, dim=-1) for one in (q, k)))
    torch.testing.assert_close(gates[:2], expected.transpose(0, 1).detach())
    with torch.no_grad():
        for one in resonance.layers(net):
            one.beta.zero_()
    assert share > 0
    assert resonance.seen(net, x, SMOKE.asked)[1] == 0


def test_permuting_gates_moves_them_and_changes_what_is_recalled():
    inner, x = RelevanceGate(), torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    gate = resonance.Permuted(inner, torch.tensor([2, 0, 1]))
    assert torch.equal(gate(x), inner(x)[:, [2, 0, 1]])
    gated, permuted = (study.compute(arm(name), SMOKE, [Seed(1002)])[0] for name in ("gated", "permuted"))
    assert gated["gate_gap"] == permuted["gate_gap"]
    assert gated["loss"] == permuted["loss"]


def test_off_is_ungated():
    off, ungated = (study.compute(arm(name), SMOKE, [Seed(1003)])[0] for name in ("off", "ungated"))
    assert off["accuracy"] == pytest.approx(ungated["accuracy"], rel=1e-9)
    assert off["loss"].y == pytest.approx(ungated["loss"].y, rel=1e-6)


def test_figures_draw_from_stored_results():
    table = Table([1004], {name: study.compute(arm(name), SMOKE, [Seed(1004)]) for name in ("gated", "delta", "plain")})
    for _, draw in study.figures.values():
        draw(table)
    assert table.matrix("gated", "gates").values
