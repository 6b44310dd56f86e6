"""FastLSTM: torch's own cell while it does not move, and autograd's descent of every weight when it does."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neuropil.networks import FastLSTM


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def lstm(size=3, units=4, seed=0):
    return FastLSTM(size, units, generator=draws(seed)).double()


def given(moments=5, batch=2):
    return torch.randn(moments, batch, 3, generator=draws(1)).double(), torch.randn(moments, batch, 4, generator=draws(2)).double()


def test_without_steps_it_is_torchs_own_cell():
    part, own = lstm(), nn.LSTMCell(3, 4).double()
    rows = torch.arange(16).view(4, 4)[[1, 0, 2, 3]].flatten()  # torch's order is i, f, g, o
    with torch.no_grad():
        for target, source in (
            (own.weight_ih, part.slow.weight[:, :3]),
            (own.weight_hh, part.slow.weight[:, 3:]),
            (own.bias_ih, part.slow.bias),
        ):
            target.copy_(source[rows])
        own.bias_hh.zero_()
    x, g = given()
    s, state = part.initial(2), None
    for moment, gradient in zip(x, g, strict=True):
        h, s = part.step(moment, s)
        s = part.learned(s, gradient, 0.0)
        state = own(moment, state)
        assert_close(h, state[0])
        assert_close(s.c, state[1])
    assert not part.change(s).any()


def test_every_step_is_descent_of_the_whole_matrix_through_one_moment():
    part, (x, g), step = lstm(), given(), 0.3
    s = part.initial(2)
    weight, bias = (one.detach().clone().expand(2, *one.shape).clone() for one in (part.slow.weight, part.slow.bias))
    h, c = torch.zeros(2, 4).double(), torch.zeros(2, 4).double()
    for moment, gradient in zip(x, g, strict=True):
        weight, bias = (one.detach().requires_grad_() for one in (weight, bias))
        a = (weight @ torch.cat((moment, h), 1)[..., None])[..., 0] + bias
        f, i, n, o = a.chunk(4, 1)
        c = f.sigmoid() * c.detach() + i.sigmoid() * n.tanh()
        h = o.sigmoid() * c.tanh()
        down = torch.autograd.grad((h * gradient).sum(), (weight, bias))
        said, s = part.step(moment, s)
        assert_close(said.detach(), h.detach())
        s = part.learned(s, gradient, step)
        weight, bias = weight - step * down[0], bias - step * down[1]
        h, c = h.detach(), c.detach()
    moved = torch.cat((weight - part.slow.weight, (bias - part.slow.bias)[..., None]), 2).flatten(1).norm(dim=1)
    size = torch.cat((part.slow.weight, part.slow.bias[:, None]), 1).norm()
    assert_close(part.change(s), (moved / size).detach())
    assert part.change(s).min() > 0.01


def test_slow_weights_take_no_gradient_through_the_changes():
    part, (x, g) = lstm(), given(2)
    _, s = part.step(x[0], part.initial(2))
    s = part.learned(s, g[0].requires_grad_(), 0.5)
    assert not s.blames.requires_grad
    assert not s.inputs.requires_grad
    part.step(x[1], s)[0].sum().backward()
    assert g[0].grad is None
    assert part.slow.weight.grad.norm() > 0


def test_items_move_apart_and_numbers_are_checked():
    part, (x, g) = lstm(), given(1)
    _, s = part.step(x[0], part.initial(2))
    s = part.learned(s, g[0] * torch.tensor([[1.0], [0.0]]), 1.0)
    assert part.change(s)[0] > 0 == part.change(s)[1]
    with pytest.raises(ValueError, match="units"):
        FastLSTM(3, 0)
