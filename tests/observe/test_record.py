"""What is seen equals PyTorch's own hooks, a loop over steps, and numpy."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neuropil.dynamics import Cell, Chain, Circuit, Decay, FastSigmoid
from neuropil.observe import clamp, observe


class LIF(Cell):
    emits = "spikes"

    class State(NamedTuple):
        v: Tensor

    def __init__(self, size=None):
        super().__init__(size, dt=1e-3)
        self.decay = Decay(0.02, dt=1e-3)
        self.surrogate = FastSigmoid()

    def update(self, s, x):
        v = self.decay() * s.v + x
        spike = self.surrogate(v - 1.0)
        return self.State(v - spike), spike


class Duck(nn.Module):
    """A cell that knows nothing of neuropil: a running sum."""

    class State(NamedTuple):
        total: Tensor

    def step(self, x, s):
        s = self.State(s.total + x)
        return s.total, s

    def forward(self, x, s):
        ys = []
        for moment in x:
            y, s = self.step(moment, s)
            ys.append(y)
        return torch.stack(ys), s


def spiking():
    torch.manual_seed(0)
    return Chain(nn.Linear(3, 6), hidden=LIF(6), readout=nn.Linear(6, 2))


X = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(1)) * 2


def test_a_membrane_inside_a_sequence_is_the_recursion_in_numpy():
    net = spiking()
    with observe(net, "hidden.v", "hidden.spikes", "hidden.v[..., 4]") as seen:
        net(X)
    current = net.get_submodule("0")(X).detach().numpy()
    v = np.zeros((5, 6), dtype=np.float32)
    for t in range(40):
        v = np.float32(math.exp(-1 / 20)) * v + current[t]
        spike = v >= 1
        v = v - spike
        assert np.allclose(seen["hidden.v"][t], v, atol=1e-5)
        assert np.array_equal(seen["hidden.spikes"][t].numpy(), spike)
    assert seen["hidden.spikes"].sum() > 0
    assert torch.equal(seen["hidden.v[..., 4]"], seen["hidden.v"][..., 4])


def test_stepping_by_hand_is_seen_as_the_same_trajectory():
    net = spiking()
    names = ("hidden.v", "hidden.spikes", "hidden", "readout", "0")
    with observe(net, *names) as whole:
        y, _ = net(X)
    with observe(net, *names) as stepped:
        s = None
        for x in X:
            _, s = net.step(x, s)
    for name in names:
        assert torch.allclose(whole[name], stepped[name], atol=1e-6), name
        assert whole[name].shape == (40, 5, whole[name].shape[-1])
    assert torch.equal(whole["readout"], y)


def test_inside_a_circuit_and_of_the_whole():
    torch.manual_seed(0)
    net = Circuit({"e": LIF(3), "i": LIF(3)}, [("input", "e"), ("e", "i"), ("i", "e", 1, nn.Linear(3, 3))], output="e")
    with observe(net, "e.v", "i.spikes", "output", "i_to_e") as seen:
        y, s = net(X)
    assert torch.equal(seen["e.v"][-1], s.nodes["e"].v)
    assert torch.equal(seen["output"], y)
    assert torch.allclose(seen["i_to_e"][1:], net.get_submodule("i_to_e")(seen["i.spikes"][:-1]), atol=1e-6)


def test_a_cell_of_somebody_else():
    duck = Duck()
    with observe(duck, "total", "output") as seen:
        duck(X, Duck.State(torch.zeros(5, 3)))
    assert torch.allclose(seen["total"], X.cumsum(0), atol=1e-5)
    assert torch.equal(seen["output"], seen["total"])
    assert "step" not in vars(duck)


def test_modules_equal_pytorchs_own_hooks():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    caught = {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda module, _, output, name=name: caught.__setitem__(name or "output", output))
    with observe(net, "0", "1", "2", "2.0", "2.1", "output") as seen:
        net(X)
    assert all(torch.equal(seen[name], caught[name]) for name in caught)
    assert set(seen) == set(caught)


def test_attention_of_pytorchs_module():
    net = nn.MultiheadAttention(4, 2, batch_first=True)
    x = torch.randn(2, 5, 4)
    with observe(net, "attention", "output") as seen:
        out, pattern = net(x, x, x)
    assert torch.equal(seen["attention"], pattern)
    assert torch.equal(seen["output"], out)
    with pytest.raises(ValueError, match="the module returns no attention pattern"), observe(net, "attention"):
        net(x, x, x, need_weights=False)


def test_what_is_seen_later_changes_in_place_do_not_touch():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True))
    with observe(net, "0") as seen:
        net(X)
    assert torch.equal(seen["0"], nn.functional.linear(X, net[0].weight, net[0].bias))
    assert not seen["0"].requires_grad


def test_gradients_to_what_is_seen():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    with observe(net, "1", detach=False) as seen:
        loss = net(X).sum()
    (gradient,) = torch.autograd.grad(loss, seen["1"])
    assert torch.allclose(gradient, net[2].weight.expand(40, 5, 4))
    cell = LIF(3)
    x = X.clone().requires_grad_()
    with observe(cell, "v", detach=False) as seen:
        cell(x)
    assert torch.autograd.grad(seen["v"].sum(), x)[0].abs().sum() > 0


def test_each_call_begins_anew_and_runs_within_a_call_are_stacked():
    class Thrice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            return self.inner(self.inner(self.inner(x)))

    net = Thrice()
    with observe(net, "inner") as seen:
        net(X)
        first = seen["inner"]
        net(2 * X)
        assert seen["inner"].shape == (3, 40, 5, 3)
        assert not torch.equal(seen["inner"], first)
    assert torch.equal(seen["inner"][2], net(2 * X))
    assert len(seen.all("inner")) == 3
    pyramid = nn.Sequential(nn.Linear(3, 3))
    with observe(nn.ModuleList([pyramid]), "0") as seen:
        pyramid(X)
        pyramid(X[:1])
    with pytest.raises(ValueError, match=r"'0' ran with different shapes .* take them from seen.all\(name\)"):
        seen["0"]
    assert [len(one) for one in seen.all("0")] == [40, 1]


def test_parameters_are_seen_as_they_are_and_kept_as_they_were_at_the_end():
    net = nn.Linear(3, 1)
    with observe(net, "weight", "weight[0, 1:]") as seen:
        net(X)
        with torch.no_grad():
            net.weight += 1
        assert torch.equal(seen["weight"], net.weight)
    kept = net.weight.detach().clone()
    with torch.no_grad():
        net.weight += 1
    assert torch.equal(seen["weight"], kept)
    assert torch.equal(seen["weight[0, 1:]"], kept[0, 1:])


def test_observing_changes_nothing_and_leaves_nothing():
    net = spiking()
    before = net(X)[0]
    hooks = lambda: sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())  # noqa: E731
    with observe(net, "hidden.v", "hidden", "0"), observe(net, "hidden.v", "output"):
        assert torch.equal(net(X)[0], before)
        assert hooks() > 0
    assert hooks() == 0
    assert not any(set(vars(module)) & {"step", "_tap"} for module in net.modules())

    def stop():
        with observe(net, "hidden.v", "hidden"):
            net(X[..., :2])

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        stop()
    assert hooks() == 0
    assert torch.equal(net(X)[0], before)


def test_what_is_held_is_seen_as_held_whichever_came_first():
    net = spiking()
    with observe(net, "hidden.v", "0") as outer, clamp(net, {"hidden.v": 0.25, "0[..., 1]": 7.0}), observe(net, "hidden.v", "0") as inner:
        net(X)
    for seen in (outer, inner):
        assert (seen["hidden.v"] == 0.25).all()
        assert (seen["0"][..., 1] == 7).all()


def test_a_copy_made_inside_is_free():
    net = spiking()
    with observe(net, "hidden.v") as seen, clamp(net, {"hidden.v": 0.0, "0.weight": 0.0}):
        twin = copy.deepcopy(net)
        net(X)
        kept = seen["hidden.v"]
        y, _ = twin(X)
        assert torch.equal(seen["hidden.v"], kept)
    assert torch.equal(y, net(X)[0])
    assert torch.equal(twin(X)[0], y)


def test_two_models_in_two_threads():
    nets = [spiking() for _ in range(4)]
    alone = [net(X + k)[0] for k, net in enumerate(nets)]

    def work(k):
        for _ in range(5):
            with observe(nets[k], "output", "hidden.v") as seen:
                nets[k](X + k)
        return seen["output"]

    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(a, b) for a, b in zip(pool.map(work, range(4)), alone, strict=True))


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return {"wide": self.used(x)}


def test_an_index_addresses_one_moment_whatever_runs_the_sequence():
    net = spiking()
    names = ("hidden.v", "hidden.spikes", "hidden.v[1, 2]", "hidden.spikes[1, 2]", "hidden[1:3]")
    with observe(net, *names) as seen:
        net(X)
        assert torch.equal(seen["hidden.v[1, 2]"], seen["hidden.v"][:, 1, 2])
        assert torch.equal(seen["hidden.spikes[1, 2]"], seen["hidden.spikes"][:, 1, 2])
        assert torch.equal(seen["hidden[1:3]"], seen["hidden.spikes"][:, 1:3])


def test_a_call_that_fails_early_does_not_hide_the_steps_after_it():
    cell = LIF(3)
    with observe(cell, "spikes") as seen:
        cell(X[:, 0])
        handle = cell.register_forward_pre_hook(lambda *_: 1 / 0, prepend=True)
        with pytest.raises(ZeroDivisionError):
            cell(X[:, 0])
        handle.remove()
        before = len(seen.all("spikes"))
        cell.step(X[0])
        assert len(seen.all("spikes")) == before + 1


def test_a_parameter_keeps_the_value_it_had_at_the_end_also_after_an_exception():
    net = Branch()
    given = net.used.weight.detach().clone()
    with pytest.raises(RuntimeError, match="mine"), observe(net, "used.weight") as seen:
        raise RuntimeError("mine")
    with torch.no_grad():
        net.used.weight.zero_()
    assert torch.equal(seen["used.weight"], given)


@pytest.mark.parametrize("whole", [True, False])
def test_what_activation_checkpointing_runs_again_is_seen_once(whole):
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    x, expected = X.clone().requires_grad_(), net(X)
    if not whole:
        layer = net[0].forward
        net[0].forward = lambda x: checkpoint(layer, x, use_reentrant=False)
        net.forward = lambda x: checkpoint(lambda x: net[1](net[0](x)), x, use_reentrant=True)
    with observe(net, "output", "0") as seen:
        y = checkpoint(net, x, use_reentrant=False) if whole else net(x)
        y.sum().backward()
        assert torch.equal(seen["output"], expected)
        assert torch.equal(seen["0"].tanh(), expected)


def test_sentences():
    cell = LIF(3)
    with pytest.raises(ValueError, match=r"'v' cannot be observed inside torch.vmap; give the model"), observe(cell, "v"):
        torch.vmap(lambda x: cell(x)[0], in_dims=1)(X)
    net = Branch()
    with pytest.raises(ValueError, match="observe was given no name"), observe(net):
        pass
    with (
        pytest.raises(ValueError, match="'unused' never ran while observed; run the model inside the context"),
        observe(net, "used", "unused"),
    ):
        net(X)
    with pytest.raises(RuntimeError, match="mine"), observe(net, "unused"):
        raise RuntimeError("mine")
    with observe(net, "used") as seen:
        with pytest.raises(KeyError, match="'used' has not run in the last call"):
            seen["used"]
        net(X)
    with pytest.raises(KeyError, match="'unused' was not observed; these were: used"):
        seen["unused"]
    assert "used" in seen
    assert "unused" not in seen
    assert repr(seen) == "Seen(used: [40, 5, 3])"
    with (
        pytest.raises(ValueError, match=r"The index of 'used\[:, :, 9\]' does not fit a tensor of shape \[40, 5, 3\]"),
        observe(net, "used[:, :, 9]"),
    ):
        net(X)
    net.used.register_forward_hook(lambda *_: "text")
    with pytest.raises(TypeError, match="The output of 'used' holds no tensor in first place but a str"), observe(net, "used"):
        net(X)
    chain = spiking()
    with pytest.raises(TypeError, match="'layers' is a tuple, not a tensor"), observe(chain, "layers"):
        chain.step(X[0])
