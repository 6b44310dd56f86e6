"""An append-only memory: reading against loops in NumPy and torch's attention, rows in the order they were written, exact recall by lag."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention, softplus
from torch.testing import assert_close

from neuropil.memory import AppendedMemory, NeuralTuringMemory

N, W, H = 6, 4, 2
DOUBLE = torch.float64


def drawn(seed=0, lead=(3,)):
    generator = torch.Generator().manual_seed(seed)
    memory = AppendedMemory(N, W, reads=H).double()
    contents = torch.randn(*lead, N, W, generator=generator, dtype=DOUBLE)
    return memory, torch.randn(*lead, memory.asked, generator=generator, dtype=DOUBLE), memory.State(contents)


def told(memory, asked):
    """What was asked, cut by hand: keys, strengths and lags of heads, and the row."""
    each = W + 1 + N
    heads = [asked[..., h * each : (h + 1) * each] for h in range(H)]
    return [(head[..., :W], head[..., W], head[..., W + 1 :]) for head in heads], asked[..., H * each :]


def test_reading_is_that_of_loops_over_items_heads_and_lags():
    memory, asked, s = drawn()
    read, after = memory.step(asked, s)
    heads, row = told(memory, asked)
    for item in range(3):
        for h, (key, strength, lag) in enumerate(heads):
            k, m = np.tanh(key[item].numpy()), s.contents[item].numpy()
            score = [
                np.log1p(np.exp(float(strength[item]))) * (k @ m[i]) / np.sqrt((k @ k) * (m[i] @ m[i])) + float(lag[item, i])
                for i in range(N)
            ]
            weights = np.exp(score) / np.exp(score).sum()
            assert_close(read[item, h * W : (h + 1) * W], torch.from_numpy(weights @ m))
    assert_close(after.contents, torch.cat((row.tanh().unsqueeze(1), s.contents[:, :-1]), 1))


def test_it_is_torchs_attention_over_unit_rows_with_a_bias_of_positions():
    memory, asked, s = drawn(1)
    heads, _ = told(memory, asked)
    keys = torch.nn.functional.normalize(s.contents, dim=-1)
    for h, (key, strength, lag) in enumerate(heads):
        query = torch.nn.functional.normalize(key.tanh(), dim=-1) * softplus(strength).unsqueeze(-1)
        expected = scaled_dot_product_attention(query.unsqueeze(1), keys, s.contents, attn_mask=lag.unsqueeze(1), scale=1.0)
        assert_close(memory.step(asked, s)[0][:, h * W : (h + 1) * W], expected.squeeze(1))


@pytest.mark.parametrize("lag", [1, 3, N])
def test_by_lag_alone_it_is_a_delay_line(lag):
    memory = AppendedMemory(N, W)
    rows = torch.randn(20, 5, W, generator=torch.Generator().manual_seed(lag)).clamp(-2, 2)
    s, heard = memory.initial(5), []
    for row in rows:
        looks = torch.zeros(5, W + 1 + N)
        looks[:, W], looks[:, W + lag] = -40.0, 60.0
        read, s = memory.step(torch.cat((looks, row), 1), s)
        heard.append(read)
    assert_close(torch.stack(heard[lag:]), rows[:-lag].tanh())
    assert torch.stack(heard[:lag]).abs().max() < 1e-5


def test_by_content_alone_lags_do_not_matter():
    memory, asked, s = drawn(2)
    asked[:, W + 1 : W + 1 + N] = asked[:, 2 * W + 2 + N : 2 * W + 2 + 2 * N] = 0.7
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    assert_close(memory.step(asked, memory.State(s.contents[:, order]))[0], memory.step(asked, s)[0])


def test_gradients_by_finite_differences():
    memory, asked, s = drawn(3, (1,))
    torch.autograd.gradcheck(
        lambda a, m: (lambda out: (out[0], out[1].contents))(memory.step(a, memory.State(m))),
        (asked.requires_grad_(), s.contents.requires_grad_()),
    )


def test_what_does_not_fit_is_said():
    memory = AppendedMemory(N, W)
    with pytest.raises(ValueError, match=f"asked by {W + 1 + N + W} numbers a moment, \\[2, 3\\] was given"):
        memory.step(torch.zeros(2, 3), memory.initial(2))
    with pytest.raises(TypeError, match="its own State"):
        memory.step(torch.zeros(2, memory.asked), NeuralTuringMemory(N, W).initial(2))
    with pytest.raises(ValueError, match="places of AppendedMemory"):
        AppendedMemory(0, W)
    assert "reads=2" in repr(AppendedMemory(N, W, reads=2))
