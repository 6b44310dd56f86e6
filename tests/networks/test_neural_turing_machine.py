"""A Neural Turing Machine: a program set by hand copies at any length its memory has places for; the controller against torch's own LSTM."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from neuropil.dynamics import Cell
from neuropil.learning import Backprop, Replicas
from neuropil.memory import NeuralTuringMemory
from neuropil.networks import LSTMController, NeuralTuringMachine

BITS, PLACES = 3, 40
CERTAIN = 40.0


class Latch(Cell):
    """Says what it hears, and from the moment after the last channel was 1 on, that it was."""

    class State(NamedTuple):
        """``gone`` [..., 1]."""

        gone: Tensor

    def __init__(self, size):
        super().__init__(size)
        self.out_size = size + 1

    def initial(self, *leading, device=None, dtype=None):
        return self.State(torch.zeros(*leading, 1, device=device, dtype=dtype))

    def step(self, x, s=None):
        return torch.cat((x, s.gone), -1), self.State(torch.maximum(s.gone, x[..., BITS + 1 : BITS + 2]))


def copier():
    """The write head moves on and writes while vectors are shown; after the signal the read head moves on. Nobody looks by content."""
    memory = NeuralTuringMemory(PLACES, BITS)
    heard = BITS + 2 + BITS
    machine = NeuralTuringMachine(BITS + 2, BITS, controller=Latch(heard), memory=memory)
    shown, gone = BITS, heard
    look, reader, writer = BITS + 6, 0, BITS + 6
    gate, stay, ahead, sharpening = BITS + 1, BITS + 3, BITS + 4, BITS + 5
    with torch.no_grad():
        for parameter in (machine.ask.weight, machine.ask.bias, machine.say.weight, machine.say.bias):
            parameter.zero_()
        for head, moves in ((reader, gone), (writer, shown)):
            machine.ask.bias[head + gate] = -CERTAIN
            machine.ask.bias[head + sharpening] = CERTAIN
            machine.ask.bias[head + ahead] = -CERTAIN
            machine.ask.weight[head + ahead, moves] = 2 * CERTAIN
            machine.ask.bias[head + stay] = 0.0
        erase, add = 2 * look, 2 * look + BITS
        machine.ask.bias[erase:add] = -CERTAIN
        machine.ask.weight[erase:add, shown] = 2 * CERTAIN
        machine.ask.weight[add : add + BITS, shown] = -CERTAIN
        machine.ask.weight[add : add + BITS, :BITS] = 2 * CERTAIN * torch.eye(BITS)
        machine.ask.bias[[head + back for head in (reader, writer) for back in (BITS + 2,)]] = -2 * CERTAIN
        machine.say.weight[:, -BITS:] = 10 * torch.eye(BITS)
    return machine


def sequence(length, gap, items, seed=0):
    """Vectors with a channel that says so, a gap, a signal, and as many empty moments; what is to be said in these."""
    vectors = torch.randint(2, (length, items, BITS), generator=torch.Generator().manual_seed(seed)).float()
    x = torch.zeros(2 * length + gap + 1, items, BITS + 2)
    x[:length, :, :BITS], x[:length, :, BITS], x[length + gap, :, BITS + 1] = vectors, 1.0, 1.0
    return x, vectors


@pytest.mark.parametrize("length", [1, 5, PLACES])
@pytest.mark.parametrize("gap", [0, 9])
def test_a_program_copies_exactly_up_to_the_number_of_places(length, gap):
    x, vectors = sequence(length, gap, 6)
    y, s = copier()(x)
    assert_close((y[-length:] > 0).float(), vectors)
    assert (y[-length:].abs() > 9.9).all()
    assert_close(s.memory.weights.argmax(-1), torch.full((6, 2), length % PLACES))


def test_beyond_its_places_it_loses_what_was_written_first():
    x, vectors = sequence(PLACES + 1, 0, 40)
    right = ((copier()(x)[0][-PLACES - 1 :] > 0).float() == vectors).float().mean((1, 2))
    assert right[0] < 0.8
    assert (right[1:] == 1).all()


def test_heads_that_must_stay_copy_nothing():
    machine = copier()
    with torch.no_grad():
        machine.ask.weight[BITS + 4] = 0.0
    x, vectors = sequence(12, 3, 40)
    right = ((machine(x)[0][-12:] > 0).float() == vectors).float().mean()
    assert 0.35 < right < 0.65


def test_the_controller_is_torchs_lstm():
    ours, theirs = LSTMController(5, 4, generator=torch.Generator().manual_seed(0)), nn.LSTM(5, 4)
    order = torch.cat([torch.arange(4) + 4 * k for k in (1, 0, 2, 3)])
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.weight[order, :5])
        theirs.weight_hh_l0.copy_(ours.weight[order, 5:])
        theirs.bias_ih_l0.copy_(ours.bias[order])
        theirs.bias_hh_l0.zero_()
    x = torch.randn(7, 3, 5, generator=torch.Generator().manual_seed(1))
    y, s = ours(x)
    expected, (h, c) = theirs(x)
    assert_close(y, expected)
    assert_close(s.h, h[0])
    assert_close(s.c, c[0])


def machine(seed):
    generator = torch.Generator().manual_seed(seed)
    memory = NeuralTuringMemory(6, 4, reads=2)
    controller = LSTMController(5 + memory.read_size, 8, generator=generator)
    return NeuralTuringMachine(5, 3, controller=controller, memory=memory, generator=generator)


def test_steps_are_the_sequence_and_samples_do_not_touch():
    net, x = machine(0), torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(1))
    y, s = net(x)
    assert y.shape == (6, 3, 3)
    now, ys = None, []
    for moment in x:
        one, now = net.step(moment, now)
        ys.append(one)
    assert_close(torch.stack(ys), y)
    assert_close(now.memory.contents, s.memory.contents)
    assert_close(net(x[:, [1]])[0], y[:, [1]])


def test_replicas_learn_side_by_side_and_every_parameter_learns():
    class Said(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x)[0]

    replicas = Replicas([Said(machine(seed)) for seed in (0, 1)])
    before = {name: tensor.clone() for name, tensor in replicas.named_parameters()}
    rule = Backprop(lambda own: torch.optim.Adam(own, lr=0.01), nn.functional.binary_cross_entropy_with_logits, max_norm=10.0)
    state = rule.init(replicas)
    x = torch.randint(2, (2, 5, 4, 5), generator=torch.Generator().manual_seed(0)).float()
    losses = [rule.step(replicas, (x, x[..., :3]), state)[1]["loss"] for _ in range(20)]
    assert (losses[-1] < losses[0]).all()
    for name, tensor in replicas.named_parameters():
        assert (tensor != before[name]).any(), name


def test_a_controller_that_does_not_fit_is_named():
    memory = NeuralTuringMemory(6, 4)
    with pytest.raises(ValueError, match="takes 5 features and 4 that are read"):
        NeuralTuringMachine(5, 3, controller=LSTMController(5, 8), memory=memory)
    with pytest.raises(ValueError, match="units"):
        LSTMController(5, 0)
