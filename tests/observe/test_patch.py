"""Activation patching against compositions of modules and against the other run itself."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, Chain, Circuit, Decay, FastSigmoid
from neuropil.observe import observe, patch


class LIF(Cell):
    emits = "spikes"

    class State(NamedTuple):
        v: Tensor

    def __init__(self, size):
        super().__init__(size, dt=1e-3)
        self.decay = Decay(0.02, dt=1e-3)
        self.surrogate = FastSigmoid()

    def update(self, s, x):
        v = self.decay() * s.v + x
        spike = self.surrogate(v - 1.0)
        return self.State(v - spike), spike


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))


def spiking(seed=0):
    torch.manual_seed(seed)
    return Chain(nn.Linear(3, 6), hidden=LIF(6), out=nn.Linear(6, 6), last=LIF(6))


generator = torch.Generator().manual_seed(1)
CLEAN, CORRUPT = (torch.randn(30, 5, 3, generator=generator) * 2 for _ in range(2))


def test_all_layers_patched_is_the_other_run():
    net = mlp()
    names = [str(k) for k in range(5)]
    with observe(net, *names, "output") as clean:
        net(CLEAN)
    with patch(net, *names, source=clean):
        assert torch.equal(net(CORRUPT), clean["output"])
    assert not torch.equal(net(CORRUPT), clean["output"])


def test_one_layer_patched_runs_on_from_there():
    net = mlp()
    with patch(net, "1", source=(net, CLEAN)), observe(net, "0") as seen:
        y = net(CORRUPT)
    assert torch.equal(y, net[2:](net[:2](CLEAN)))
    assert torch.equal(seen["0"], net[0](CORRUPT))


def test_one_position_patched_leaves_the_rest():
    net = mlp()
    mixed = net[:2](CORRUPT).detach()
    mixed[:, 3] = net[:2](CLEAN)[:, 3].detach()
    for names in (["1"], ["1[:, 3]"], ["1.output"], ["1[..., 0]", "1"]):
        with observe(net, *names) as seen:
            net(CLEAN)
        with patch(net, "1[:, 3]", source=seen):
            assert torch.equal(net(CORRUPT), net[2:](mixed))


@pytest.mark.parametrize("names", [["hidden"], ["hidden.spikes"], ["hidden.v", "hidden.spikes"], ["out"], ["last"]])
def test_spiking_layers_replay_moment_by_moment(names):
    net = spiking()
    with observe(net, *names, "output") as clean:
        net(CLEAN)
    with patch(net, *names, source=clean), observe(net, *names) as seen:
        assert torch.equal(net(CORRUPT)[0], clean["output"])
        assert torch.equal(net(CORRUPT)[0], clean["output"])
    assert all(torch.equal(seen[name], clean[name]) for name in names)


def test_a_run_stepped_by_hand_and_a_circuit_take_a_sequence():
    net = spiking()
    with observe(net, "hidden", "output") as clean:
        net(CLEAN)
    with patch(net, "hidden", source=clean):
        s, steps = None, []
        for x in CORRUPT:
            y, s = net.step(x, s)
            steps.append(y)
    assert torch.equal(torch.stack(steps), clean["output"])
    ring = Circuit({"e": LIF(3), "i": LIF(3)}, [("input", "e"), ("e", "i"), ("i", "e", 1)], output="i")
    with observe(ring, "e", "e.v", "output") as clean:
        ring(CLEAN)
    with patch(ring, "e", "e.v", source=clean):
        assert torch.equal(ring(CORRUPT)[0], clean["output"])


def test_another_model_is_a_source_weights_included():
    net, other = mlp(), mlp(seed=7)
    with patch(net, "0", "4.weight", "4.bias", source=(other, (CLEAN,))):
        y = net(CORRUPT)
    assert torch.equal(y, other[4](net[1:4](other[0](CLEAN))))

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Identity()

        def forward(self, x, *, by):
            return self.body(x * by)

    scaled = Scaled()
    with patch(scaled, "body", source=(scaled, {"x": CLEAN, "by": 2.0})):
        assert torch.equal(scaled(CORRUPT, by=1.0), 2 * CLEAN)


def test_a_source_with_its_graph_gets_gradients():
    net = mlp()
    x = CLEAN.clone().requires_grad_()
    with observe(net, "1", detach=False) as clean:
        net(x)
    with patch(net, "1", source=clean):
        net(CORRUPT).sum().backward()
    y = CLEAN.clone().requires_grad_()
    mlp()(y).sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


def test_sentences():
    net, deep = mlp(), spiking()
    with observe(net, "1") as seen:
        net(CLEAN)
    for names, source, given, error, sentence in [
        ([], seen, CORRUPT, ValueError, "patch was given no name"),
        (["3"], seen, CORRUPT, ValueError, "The source of a patch has not seen '3' but 1; observe that name in the other run"),
        (["7"], seen, CORRUPT, ValueError, "Sequential has nothing named '7'"),
        (
            ["1"],
            CLEAN,
            CORRUPT,
            TypeError,
            r"The source of a patch was a Tensor; accepted is what observe gave, or a pair \(model, input\)",
        ),
        (
            ["1"],
            seen,
            CORRUPT[:, :2],
            ValueError,
            r"'1' was to be held at a value of shape \[30, 5, 4\]; accepted is what broadcasts to \[30, 2, 4\]",
        ),
    ]:
        with pytest.raises(error, match=sentence), patch(net, *names, source=source):
            net(given)
    with observe(deep, "hidden.v") as short:
        deep(CLEAN[:9])
    with (
        pytest.raises(ValueError, match=r"'hidden.v' is held along 9 moments and the model runs longer"),
        patch(deep, "hidden.v", source=short),
    ):
        deep(CORRUPT)
    with pytest.raises(ValueError, match="'1' never ran while patched"), patch(net, "1", source=seen):
        pass
