"""Clamps and lesions against hand-edited copies and gradients worked by hand."""

import copy
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell, Chain, Decay, FastSigmoid
from neuropil.observe import clamp, lesion, observe


class LIF(Cell):
    emits = "spikes"

    class State(NamedTuple):
        v: Tensor
        count: Tensor

    def __init__(self, size=None):
        super().__init__(size, dt=1e-3)
        self.decay = Decay(0.02, dt=1e-3)
        self.surrogate = FastSigmoid()

    def resting(self):
        return {"v": 0.3}

    def update(self, s, x):
        v = self.decay() * s.v + x
        spike = self.surrogate(v - 1.0)
        return self.State(v - spike, s.count + spike), spike


def spiking():
    torch.manual_seed(0)
    return Chain(nn.Linear(3, 6), hidden=LIF(6), readout=nn.Linear(6, 2))


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


X = torch.randn(30, 5, 3, generator=torch.Generator().manual_seed(1)) * 2
D = math.exp(-1 / 20)


def test_a_held_membrane_makes_spikes_depend_on_the_present_input_alone():
    net = spiking()
    with clamp(net, {"hidden.v": 0.5}), observe(net, "0", "hidden.v", "hidden.spikes") as seen:
        _, s = net(X)
    assert (seen["hidden.v"] == 0.5).all()
    assert torch.equal(seen["hidden.spikes"].bool(), 0.5 * D + seen["0"] >= 1)
    assert torch.equal(s.layers[1].count, seen["hidden.spikes"].sum(0))


def test_what_is_held_is_held_from_the_first_moment_and_a_function_acts_once_a_moment():
    cell, x = LIF(1), torch.full((4, 1), 0.6)
    with clamp(cell, {"v": 0.5}):
        assert cell(x)[0].flatten().tolist() == [1, 1, 1, 1]  # 0.5 d + 0.6 is above 1, and 0.3 d + 0.6, from rest, is not
        assert cell.step(x[0])[0].item() == 1
    with clamp(cell, {"v": lambda v: 0.5 * v}), observe(cell, "v") as seen:
        cell(x / 10)
        v, by_hand = 0.3, []
        for _ in range(4):
            v = 0.5 * (D * v + 0.06)
            by_hand.append(v)
        assert seen["v"].flatten().tolist() == pytest.approx(by_hand, rel=1e-6)


def test_one_held_neuron_leaves_the_others_alone():
    net = spiking()
    with observe(net, "hidden.v") as free:
        net(X)
    with clamp(net, {"hidden.v[..., 2]": 0.5}), observe(net, "hidden.v") as held:
        net(X)
    others = [0, 1, 3, 4, 5]
    assert torch.equal(held["hidden.v"][..., others], free["hidden.v"][..., others])
    assert (held["hidden.v"][..., 2] == 0.5).all()


def test_a_state_follows_a_trajectory_or_a_function():
    net, path = spiking(), torch.rand(30, 5, 6)
    with clamp(net, {"hidden.v": path}), observe(net, "hidden.v", "hidden.spikes", "0") as seen:
        net(X)
        net(X)
    assert torch.equal(seen["hidden.v"], path)
    assert torch.equal(seen["hidden.spikes"][1:].bool(), path[:-1] * net.get_submodule("hidden").decay().detach() + seen["0"][1:] >= 1)
    with clamp(net, {"hidden.v": lambda v: v.clamp(max=0.1)}), observe(net, "hidden.v") as seen:
        net(X)
    assert seen["hidden.v"].max() == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"'hidden.v' is held along 30 moments and the model runs longer"), clamp(net, {"hidden.v": path}):
        net(torch.cat([X, X]))


def test_moments_stepped_by_hand_are_held_the_same():
    net, path = spiking(), torch.rand(30, 5, 6).round()
    for value in (0.5, path, lambda v: 0.5 * v):
        for name in ("hidden.v", "hidden.spikes", "hidden.spikes[:, :6]"):
            with clamp(net, {name: value}):
                whole, _ = net(X)
            with clamp(net, {name: value}):
                s, steps = None, []
                for x in X:
                    y, s = net.step(x, s)
                    steps.append(y)
            assert torch.allclose(whole, torch.stack(steps), atol=1e-6)


def test_forced_spikes_are_what_the_next_layer_hears():
    net, spikes = spiking(), torch.rand(30, 5, 6).round()
    with clamp(net, {"hidden.spikes": spikes}):
        y, _ = net(X)
    assert torch.equal(y, net.get_submodule("readout")(spikes))


@pytest.mark.parametrize(
    ("name", "index"), [("0.weight", ...), ("0.weight[1]", 1), ("0.weight[:, [0, 2]]", (slice(None), [0, 2])), ("2.bias", ...)]
)
def test_a_held_parameter_equals_a_hand_edited_copy(name, index):
    net = mlp()
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.get_parameter(name.partition("[")[0])[index] = 0.7
    before = net(X)
    with clamp(net, {name: 0.7}):
        assert torch.equal(net(X), twin(X))
        assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), mlp().state_dict().values(), strict=True))
        assert [type(p) for p in net.parameters()] == [nn.Parameter] * 4
    assert torch.equal(net(X), before)
    assert type(net[0]._parameters) is dict


def test_training_around_a_held_weight_has_the_gradient_worked_by_hand():
    net = mlp()
    with clamp(net, {"0.weight[1]": 0.7, "1[..., 2]": 0.25}):
        loss = net(X).square().sum()
    loss.backward()
    w1, b1, w2, b2 = (p.detach().clone() for p in mlp().parameters())
    w1[1] = 0.7
    hidden = torch.tanh(X @ w1.T + b1)
    hidden[..., 2] = 0.25
    out = hidden @ w2.T + b2
    delta = (2 * out @ w2) * (1 - hidden**2)
    delta[..., 2] = 0.0
    by_w1 = torch.einsum("tbh,tbi->hi", delta, X)
    by_w1[1] = 0.0
    by_w2 = torch.einsum("tbo,tbh->oh", 2 * out, hidden)
    for parameter, expected in zip(net.parameters(), (by_w1, delta.sum((0, 1)), by_w2, 2 * out.sum((0, 1))), strict=True):
        assert torch.allclose(parameter.grad, expected, rtol=1e-4, atol=1e-4)


def test_a_held_weight_rests_while_an_optimiser_moves_the_others():
    net = mlp()
    with clamp(net, {"0.weight[1]": 0.0}):
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        for _ in range(5):
            optimiser.zero_grad()
            net(X).square().mean().backward()
            optimiser.step()
            assert (net[0].weight[1] == 0).all()
    assert torch.equal(net[0].weight[1], mlp()[0].weight[1])
    assert not torch.isclose(net[0].weight[[0, 2, 3]], mlp()[0].weight[[0, 2, 3]]).any()


def test_gradients_flow_into_what_is_held_where_it_asks_for_them():
    net, drive = mlp(), torch.zeros(4, requires_grad=True)
    with clamp(net, {"1": drive}):
        net(X).sum().backward()
    assert torch.allclose(drive.grad, 150 * net[2].weight.detach().sum(0), rtol=1e-4)
    assert net[0].weight.grad is None


def test_holding_a_state_cuts_time_for_the_gradient():
    net = spiking()
    x = X.clone().requires_grad_()
    with clamp(net, {"hidden.v": 0.9}):
        y, _ = net(x)
    (gradient,) = torch.autograd.grad(y[10].sum(), x)
    assert gradient[10].abs().sum() > 0
    assert gradient[:10].abs().sum() == 0


def test_tied_weights_are_held_together_and_functions_and_buffers_too():
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3)).eval()
    net[1].weight = net[0].weight
    x = torch.randn(4, 3)
    with clamp(net, {"1.weight": torch.eye(3), "2.running_mean": 1.0}):
        assert torch.allclose(net(x), (x - 1) / math.sqrt(1 + 1e-5))
    with clamp(net, {"0.weight": lambda w: -w}):
        assert torch.allclose(net(x), x @ net.state_dict()["0.weight"].T @ net.state_dict()["0.weight"].T / math.sqrt(1 + 1e-5), atol=1e-6)
    assert net[1].weight is net[0].weight


def test_functional_calls_inside_are_held_and_leave_the_parameters_true():
    net = mlp()
    true = net[0].weight
    other = {name: torch.randn_like(p) for name, p in net.named_parameters()}
    expected = torch.func.functional_call(net, {**other, "0.weight": torch.zeros(4, 3)}, X)
    with clamp(net, {"0.weight": 0.0}):
        assert torch.equal(torch.func.functional_call(net, other, X), expected)
    assert net[0].weight is true


def test_recurrent_layers_of_pytorch_that_keep_a_list_of_their_weights():
    lstm = nn.LSTM(3, 4)
    twin = copy.deepcopy(lstm)
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
    before = lstm(X)[0]
    with lesion(lstm, "weight_hh_l0"):
        assert torch.equal(lstm(X)[0], twin(X)[0])
    assert torch.equal(lstm(X)[0], before)


def test_outputs_of_every_form():
    lstm = nn.LSTM(3, 4)
    with clamp(lstm, {"output[0]": 2.0}):
        out, (h, _) = lstm(X)
    assert (out[0] == 2).all()
    assert torch.equal(h[0], out[-1])

    class Named(nn.Module):
        def forward(self, x):
            return {"logits": x, "rest": x + 1}

    with clamp(net := Named(), {"output": 1.0}):
        given = net(X)
    assert (given["logits"] == 1).all()
    assert torch.equal(given["rest"], X + 1)


def test_nested_holds_and_exceptions_put_everything_back():
    net = spiking()
    before, parameters = net(X)[0], dict(net.named_parameters())
    with clamp(net, {"hidden.v": 0.1, "0.weight": 0.0}):
        with clamp(net, {"0.weight[0]": 1.0}), lesion(net, "readout.bias"):
            assert net.get_submodule("0").weight.sum() == 3
            net(X)
        assert net.get_submodule("0").weight.sum() == 0
        net(X)

    def stop():
        with clamp(net, {"hidden.v": 0.1, "0.weight": 0.0, "readout": 0.0}):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop()
    with pytest.raises(ValueError, match="nothing named 'nowhere'"), clamp(net, {"0.weight": 0.0, "nowhere": 0.0}):
        pass
    assert torch.equal(net(X)[0], before)
    assert all(dict(net.named_parameters())[name] is p for name, p in parameters.items())


def test_zero_lesions():
    net, m = spiking(), mlp()
    with lesion(net, "hidden"):
        assert torch.equal(net(X)[0], net.get_parameter("readout.bias").expand(30, 5, 2))
    with lesion(net, "hidden.v"), observe(net, "hidden.v") as seen:
        net(X)
    assert seen["hidden.v"].abs().max() == 0
    twin = copy.deepcopy(m)
    with torch.no_grad():
        twin[2].weight[:, 1] = 0
    with lesion(m, "1[..., 1]"):
        assert torch.allclose(m(X), twin(X), atol=1e-6)


def test_frozen_parts():
    net, m = spiking(), mlp()
    with lesion(net, "hidden.v", mode="freeze"), observe(net, "hidden.v") as seen:
        net(X)
        assert (seen["hidden.v"] == 0.3).all()
        s = net.State((None, LIF.State(torch.full((5, 6), 0.8), torch.zeros(5, 6)), None))
        net(X, s)
        assert (seen["hidden.v"] == 0.8).all()
    with lesion(net, "hidden.spikes", mode="freeze"), observe(net, "hidden.spikes") as seen:
        net(X)
    assert (seen["hidden.spikes"] == seen["hidden.spikes"][0]).all()
    with lesion(m, "0.weight", mode="freeze"):
        m(X).sum().backward()
        held = m[0].weight.clone()
    assert torch.equal(held, mlp()[0].weight)
    assert m[0].weight.grad is None
    assert m[2].weight.grad is not None


@pytest.mark.parametrize(
    ("held", "error", "sentence"),
    [
        ({}, ValueError, "clamp was given nothing to hold"),
        ({"hidden.w": 0.0}, ValueError, "Chain has nothing named 'hidden.w'; nearest are 'hidden.v'"),
        ({"hidden.v": "high"}, TypeError, "'hidden.v' was to be held at a str; accepted are numbers, tensors and functions"),
        (
            {"hidden.v": torch.zeros(7)},
            ValueError,
            r"'hidden.v' was to be held at a value of shape \[7\]; accepted is what broadcasts to \[5, 6\] \(or one more",
        ),
        ({"hidden": torch.zeros(7)}, ValueError, r"shape \[7\]; accepted is what broadcasts to \[5, 6\]"),
        ({"0.weight": torch.zeros(2)}, ValueError, r"shape \[2\]; accepted is what broadcasts to \[6, 3\]\."),
        ({"hidden.v[:, 17]": 0.0}, ValueError, r"The index of 'hidden.v\[:, 17\]' does not fit a tensor of shape \[5, 6\]"),
        ({"0.attention": 0.0}, ValueError, "'0.attention' can be observed only, .*; hold '0'"),
        ({"readout.weight": lambda w: None}, TypeError, "The function that holds 'readout.weight' gave a NoneType; accepted are"),
    ],
)
def test_sentences(held, error, sentence):
    net = spiking()
    with pytest.raises(error, match=sentence), clamp(net, held):
        net(X)
    net(X)


def test_a_part_that_never_ran_is_said():
    net = spiking()
    with pytest.raises(ValueError, match=r"'hidden.v' never ran while clamped"), clamp(net, {"hidden.v": 0.0}):
        pass
    with pytest.raises(ValueError, match=r"'2.weight' never ran while lesioned"), lesion(m := mlp(), "0.weight", "2.weight"):
        m[0](X)
    with pytest.raises(ValueError, match="A lesion is 'zero' or 'freeze', 'burn' was given"), lesion(net, "hidden", mode="burn"):
        pass
    with pytest.raises(ValueError, match="lesion was given no name"), lesion(net):
        pass
