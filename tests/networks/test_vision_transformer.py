from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neuropil.learning import Replicas
from neuropil.networks import VisionTransformer
from neuropil.networks.vision_transformer import patches


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sharp(layers: int = 3) -> VisionTransformer:
    """A net in float64 whose weights are large enough for attention to choose."""
    net = VisionTransformer(8, 5, patch=4, width=12, heads=3, layers=layers, generator=seeded()).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=seeded(parameter.numel()), dtype=torch.float64) * 0.3)
    return net


def pictures(count: int = 6, side: int = 8) -> torch.Tensor:
    return torch.randn(count, side, side, generator=seeded(1), dtype=torch.float64)


def test_the_whole_is_an_encoder_on_patches_averaged() -> None:
    """Against the house's Transformer, whose blocks are tested against torch's own encoder layer."""
    net, x = sharp(), pictures()
    torch.testing.assert_close(net(x), net.net(patches(x, 4)).mean(1))
    x4 = torch.randn(3, 8, 8, 2, generator=seeded())
    assert VisionTransformer(8, 5, patch=2, channels=2)(x4).shape == (3, 5)


def test_patches_are_torchs_unfold() -> None:
    x = pictures()
    torch.testing.assert_close(patches(x, 4), nn.functional.unfold(x[:, None], 4, stride=4).mT)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_cut_net_is_the_whole_on_the_same_parameters(n: int) -> None:
    net, x = sharp(), pictures()
    lower, upper = net.cut(n)
    assert len(lower.blocks) == n
    assert lower(x).shape == (6, 4, 12)
    torch.testing.assert_close(upper(lower(x)), net(x), rtol=0, atol=0)
    assert {id(one) for part in (lower, upper) for one in part.parameters()} == {id(one) for one in net.parameters()}
    torch.testing.assert_close(upper.readout(upper.features(lower(x))), net(x), rtol=0, atol=0)


def test_noise_is_added_to_attention_weights_after_the_softmax() -> None:
    """One block in NumPy, head by head."""
    net, x = sharp(1), pictures(2)
    lower, upper = net.cut(0)
    noise = torch.randn(2, 1, 3, 4, 4, generator=seeded(2), dtype=torch.float64)
    block, h = upper.blocks[0], lower(x).detach().numpy()
    weights = {name: one.detach().numpy() for name, one in block.named_parameters()}

    def norm(z: np.ndarray, name: str) -> np.ndarray:
        z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5)
        return z * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    q, k, v = np.split(norm(h, "norm1") @ weights["attn.qkv.weight"].T + weights["attn.qkv.bias"], 3, -1)
    mixed = np.zeros_like(q)
    for item in range(2):
        for head in range(3):
            own = slice(4 * head, 4 * head + 4)
            scores = q[item, :, own] @ k[item, :, own].T / 2
            attention = np.exp(scores) / np.exp(scores).sum(1, keepdims=True) + noise[item, 0, head].numpy()
            mixed[item, :, own] = attention @ v[item, :, own]
    h = h + mixed @ weights["attn.out.weight"].T + weights["attn.out.bias"]
    hidden = torch.from_numpy(norm(h, "norm2") @ weights["up.weight"].T + weights["up.bias"])
    h = h + nn.functional.gelu(hidden).numpy() @ weights["down.weight"].T + weights["down.bias"]
    y = net.net.readout(net.net.norm(torch.from_numpy(h))).mean(1)
    torch.testing.assert_close(upper(lower(x), noise), y)


def test_no_noise_is_the_plain_net_and_noise_reaches_its_items_alone() -> None:
    net, x = sharp(), pictures()
    lower, upper = net.cut(1)
    h = lower(x)
    noise = torch.zeros(6, 2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(upper(h, noise), upper(h), rtol=0, atol=0)
    noise[2] = 1.0
    changed = (upper(h, noise) - upper(h)).abs().amax(1) > 1e-6
    assert changed.tolist() == [False, False, True, False, False, False]


def test_replicas_of_its_parts_are_each_alone() -> None:
    uppers = [VisionTransformer(8, 5, patch=4, width=12, heads=3, generator=seeded(k)).cut(1)[1] for k in range(3)]
    h, noise = torch.randn(3, 2, 4, 12, generator=seeded()), torch.randn(3, 2, 2, 3, 4, 4, generator=seeded(1))
    y = Replicas(uppers)(h, noise)
    torch.testing.assert_close(y, torch.stack([one(own, its) for one, own, its in zip(uppers, h, noise, strict=True)]))


def test_it_learns_where_a_bar_is() -> None:
    net, draws = VisionTransformer(8, 4, patch=2, layers=2, generator=seeded()), seeded(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(60):
        label = torch.randint(4, (32,), generator=draws)
        x = torch.randn(32, 8, 8, generator=draws) * 0.3
        x[torch.arange(32), 2 * label] += 1.0
        loss = nn.functional.cross_entropy(net(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((net(x).argmax(1) == label).double().mean()) > 0.9


def test_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the patch"):
        VisionTransformer(10, 5, patch=4)
    with pytest.raises(ValueError, match="cut after 0 to 3 blocks, 4"):
        sharp().cut(4)
    with pytest.raises(ValueError, match="multiples of 4"):
        patches(torch.zeros(2, 10, 10), 4)
