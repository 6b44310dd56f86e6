import pytest
import torch
from scipy import stats

from neuropil.continual import attention_noise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_is_normal_on_half_of_items_and_blocks_and_none_on_the_others():
    noise = attention_noise(400, 2, 3, 4, deviation=1.5, generator=seeded())
    assert noise.shape == (400, 2, 3, 4, 4)
    reached = noise.flatten(2).abs().amax(2) > 0
    assert stats.binomtest(int(reached.sum()), 800, 0.5).pvalue > 0.001
    assert stats.binomtest(int((reached[:, 0] & reached[:, 1]).sum()), 400, 0.25).pvalue > 0.001
    assert stats.kstest(noise[reached].flatten().numpy(), "norm", (0, 1.5)).pvalue > 0.001


def test_strength_zero_is_none_and_strength_scales():
    assert not attention_noise(5, 2, 3, 4, deviation=0.0, generator=seeded()).any()
    assert not attention_noise(5, 2, 3, 4, deviation=1.0, share=0.0, generator=seeded()).any()
    one, two = (attention_noise(5, 2, 3, 4, deviation=d, share=1.0, generator=seeded()) for d in (1.0, 2.0))
    assert one.all()
    torch.testing.assert_close(2 * one, two)


def test_refused():
    with pytest.raises(ValueError, match="from 1 up"):
        attention_noise(0, 1, 1, 1, deviation=1.0)
    for bad in ({"deviation": -1.0}, {"deviation": float("nan")}, {"deviation": 1.0, "share": 1.5}):
        with pytest.raises(ValueError, match="deviation from 0 up"):
            attention_noise(1, 1, 1, 1, **bad)
