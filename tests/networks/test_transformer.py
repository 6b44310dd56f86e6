from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from neuropil.networks import Transformer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def twins(causal: bool) -> tuple[nn.Module, nn.TransformerEncoderLayer, Tensor | None]:
    """One of our blocks and torch's own layer with the same, not at all special, weights."""
    net = Transformer(5, vocabulary=7, width=12, heads=3, layers=1, causal=causal).double()
    ours = net.blocks[0]
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded(parameter.numel())) * 0.4)
    theirs = nn.TransformerEncoderLayer(12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True).double()
    pairs = {
        "self_attn.in_proj_weight": "attn.qkv.weight",
        "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj.weight": "attn.out.weight",
        "self_attn.out_proj.bias": "attn.out.bias",
        "linear1.weight": "up.weight",
        "linear1.bias": "up.bias",
        "linear2.weight": "down.weight",
        "linear2.bias": "down.bias",
    }
    state = ours.state_dict()
    theirs.load_state_dict({name: state[pairs.get(name, name)] for name in theirs.state_dict()})
    mask = nn.Transformer.generate_square_subsequent_mask(9, dtype=torch.float64) if causal else None
    return ours, theirs, mask


@pytest.mark.parametrize("causal", [False, True])
def test_a_block_is_torchs_encoder_layer(causal: bool) -> None:
    ours, theirs, mask = twins(causal)
    x = torch.randn(4, 9, 12, generator=seeded(), dtype=torch.float64)
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.testing.assert_close(ours(one), theirs(two, src_mask=mask))
    ours(one).pow(3).sum().backward()
    theirs(two, src_mask=mask).pow(3).sum().backward()
    torch.testing.assert_close(one.grad, two.grad)
    torch.testing.assert_close(ours.attn.qkv.weight.grad, theirs.self_attn.in_proj_weight.grad)
    torch.testing.assert_close(ours.attn.out.bias.grad, theirs.self_attn.out_proj.bias.grad)
    torch.testing.assert_close(ours.up.weight.grad, theirs.linear1.weight.grad)
    torch.testing.assert_close(ours.norm1.weight.grad, theirs.norm1.weight.grad)


def test_no_position_of_a_decoder_sees_a_later_one() -> None:
    net = Transformer(5, inputs=3, width=16, heads=2, layers=3, generator=seeded()).double()
    x = torch.randn(1, 8, 3, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    for t in range(8):
        (gradient,) = torch.autograd.grad(net(x)[0, t].sum(), x)
        reached = gradient[0].abs().amax(-1) > 0
        assert reached.tolist() == [True] * (t + 1) + [False] * (7 - t)


def test_every_position_of_an_encoder_sees_every_other() -> None:
    net = Transformer(5, inputs=3, width=16, heads=2, causal=False, generator=seeded()).double()
    x = torch.randn(1, 8, 3, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[0, 0].sum(), x)
    assert bool((gradient[0].abs().amax(-1) > 0).all())


def test_without_positions_an_encoder_does_not_know_order() -> None:
    net = Transformer(5, vocabulary=11, width=16, causal=False, generator=seeded()).double()
    tokens = torch.randint(11, (2, 6), generator=seeded(1))
    swapped = tokens.flip(1)
    assert not torch.allclose(net(swapped), net(tokens).flip(1), atol=1e-6)
    nn.init.zeros_(net.positions)
    torch.testing.assert_close(net(swapped), net(tokens).flip(1))


def test_the_whole_is_embedding_blocks_norm_and_readout() -> None:
    net = Transformer(5, vocabulary=11, width=8, heads=2, layers=2, context=6, generator=seeded())
    tokens = torch.tensor([[3, 0, 10]])
    h = nn.functional.one_hot(tokens, 11).float() @ net.embed.weight + net.positions[:3]
    h = net.blocks[1](net.blocks[0](h))
    h = (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(net(tokens), h @ net.readout.weight.T)
    assert net(tokens).shape == (1, 3, 5)


def test_initial_deviations_follow_the_declared_law() -> None:
    net = Transformer(64, vocabulary=64, width=64, layers=8, generator=seeded())
    for name, parameter in net.named_parameters():
        if "norm" in name or name.endswith("bias"):
            assert torch.equal(parameter, torch.full_like(parameter, float("norm" in name and name.endswith("weight")))), name
            continue
        std = 0.02 / 4 if name.endswith(("attn.out.weight", "down.weight")) else 0.02
        n = parameter.numel()
        # of n normal numbers the deviation has standard deviation std / sqrt(2 n); five of them
        assert abs(parameter.std().item() - std) < 5 * std / math.sqrt(2 * n), name


def test_an_untrained_model_predicts_near_chance() -> None:
    net = Transformer(65, vocabulary=65, generator=seeded())
    tokens = torch.randint(65, (4, 64), generator=seeded(1))
    loss = nn.functional.cross_entropy(net(tokens).flatten(0, 1), tokens.flatten())
    assert loss.item() == pytest.approx(math.log(65), rel=0.02)


def test_it_learns_to_copy_from_the_past() -> None:
    """Induction: the second half repeats the first, which only attention to the past can tell; chance is log 8 = 2.08."""
    net = Transformer(8, vocabulary=8, width=32, heads=2, layers=2, context=16, generator=seeded())
    generator = seeded(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(300):
        half = torch.randint(8, (32, 6), generator=generator)
        tokens = torch.cat([half, half], 1)
        loss = nn.functional.cross_entropy(net(tokens[:, :-1])[:, 5:].flatten(0, 1), tokens[:, 6:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3


def test_the_generator_alone_decides() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    tokens = torch.tensor([[1, 2, 3]])
    first, again, other = (Transformer(5, vocabulary=7, generator=seeded(seed))(tokens) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "give vocabulary= or inputs="),
        ({"vocabulary": 3, "inputs": 3}, "exactly one"),
        ({"vocabulary": 3, "width": 10, "heads": 4}, "multiple of the heads, 10 and 4"),
        ({"vocabulary": 3, "layers": 0}, "from 1 up"),
        ({"vocabulary": 0}, "from 1 up"),
        ({"inputs": 0}, "from 1 up"),
    ],
)
def test_unusable_settings(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Transformer(2, **settings)


def test_inputs_of_another_shape() -> None:
    tokens, vectors = Transformer(2, vocabulary=3, context=4), Transformer(2, inputs=3)
    with pytest.raises(ValueError, match="1 to 4 positions, 5 were given"):
        tokens(torch.zeros(1, 5, dtype=torch.long))
    with pytest.raises(ValueError, match=r"tokens \[B, T\] as whole numbers"):
        tokens(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"vectors \[B, T, 3\]"):
        vectors(torch.zeros(1, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_it_computes_the_same() -> None:
    net = Transformer(5, vocabulary=11, generator=seeded()).double()
    tokens = torch.randint(11, (2, 20), generator=seeded(1))
    torch.testing.assert_close(net.to("cuda")(tokens.cuda()).cpu(), net.to("cpu")(tokens))
