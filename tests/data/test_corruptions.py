"""Corruptions: scipy's blur, the moments of a disc, shares of noise, ranges, and that severity is severity."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from neuropil.data import STRENGTHS, corrupt
from neuropil.data.corruptions import disc, haze


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=300, side=28):
    return torch.rand(n, side, side, generator=generator(5), dtype=torch.float64)


def test_gaussian_blur_is_scipys():
    x = pictures(4, 56)
    for severity, sd in enumerate(STRENGTHS["gaussian_blur"], 1):
        found = corrupt(x, "gaussian_blur", severity=severity, generator=generator())
        expected = [gaussian_filter(one, sd / 4, mode="nearest", truncate=4.0) for one in x.numpy()]
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-4 if sd < 4 else 1e-10)


@pytest.mark.parametrize("radius", [0.4, 1.25, 3.0])
def test_a_disc_has_the_variance_of_a_disc(radius):
    """``r^2 / 4`` along an axis, and 1/12 for the pixels that it is sampled by; a disc of a pixel's inside is a point."""
    kernel = disc(radius)
    assert kernel.sum().item() == pytest.approx(1)
    at = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
    if radius < 0.5:
        assert kernel.max() == 1
    else:
        assert ((at**2) * kernel.sum(0)).sum().item() == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.08)


def test_noise_has_its_declared_size():
    flat = torch.full((400, 28, 28), 0.5, dtype=torch.float64)
    mild = corrupt(flat, "gaussian_noise", severity=1, generator=generator()) - 0.5
    assert mild.std().item() == pytest.approx(0.08, rel=0.01)
    speckle = corrupt(flat, "speckle_noise", severity=1, generator=generator()) - 0.5
    assert speckle.std().item() == pytest.approx(0.075, rel=0.01)
    uniform = corrupt(flat, "uniform_noise", severity=3, generator=generator()) - 0.5
    assert uniform.abs().max().item() == pytest.approx(0.35, rel=0.001)
    assert uniform.std().item() == pytest.approx(0.35 / 3**0.5, rel=0.01)
    impulse = corrupt(flat, "impulse_noise", severity=5, generator=generator())
    assert (impulse == 0).double().mean().item() == pytest.approx(0.135, abs=0.003)
    assert (impulse == 1).double().mean().item() == pytest.approx(0.135, abs=0.003)
    assert (corrupt(torch.zeros(9, 28, 28), "speckle_noise", severity=5, generator=generator()) == 0).all()


@pytest.mark.parametrize("decay", [1.4, 2.0])
def test_haze_has_the_spectrum_of_its_decay(decay):
    """Amplitude ``f^-(1 + log2 decay)``, read off as the slope of the mean log power over frequency."""
    clouds = haze((200, 64, 64), decay, generator())
    assert clouds.amin((1, 2)).max() == 0
    assert clouds.amax((1, 2)).min() == 1
    power = torch.fft.rfft2(clouds - clouds.mean((1, 2), keepdim=True)).abs().square().mean(0)[0, 1:32]
    slope = np.polyfit(np.log(np.arange(1, 32)), np.log(power.numpy()), 1)[0]
    assert slope == pytest.approx(-2 * (1 + np.log2(decay)), rel=0.06)


def test_fog_lies_between_the_haze_and_the_picture():
    x = pictures(3)
    top = x.amax((1, 2), keepdim=True)
    clouds = haze(x.shape, 1.4, generator())
    torch.testing.assert_close(corrupt(x, "fog", severity=5, generator=generator()), (x + 3 * clouds) * top / (top + 3))
    assert (corrupt(torch.zeros(2, 28, 28), "fog", severity=5, generator=generator()) == 0).all()


def test_contrast_brightness_and_pixels_by_hand():
    x = pictures(5)
    mean = x.mean((1, 2), keepdim=True)
    torch.testing.assert_close(corrupt(x, "contrast", severity=5, generator=generator()), mean + 0.05 * (x - mean))
    torch.testing.assert_close(corrupt(x, "brightness", severity=3, generator=generator()), (x + 0.3).clamp(max=1))
    blocks = x.reshape(5, 7, 4, 7, 4).mean((2, 4))
    torch.testing.assert_close(
        corrupt(x, "pixelate", severity=5, generator=generator()), blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    )


@pytest.mark.parametrize("kind", STRENGTHS)
def test_every_severity_stays_in_range_and_changes_more_than_the_one_before(kind):
    x = torch.from_numpy(gaussian_filter(pictures(100, 56).numpy(), (0, 2, 2)))
    x = ((x - 0.5) * 4 + 0.3).clamp(0, 1)
    change = []
    for severity in range(1, 6):
        y = corrupt(x, kind, severity=severity, generator=generator())
        assert y.shape == x.shape
        assert 0 <= y.min() <= y.max() <= 1
        change.append(float((y - x).square().mean()))
    if kind not in ("fog", "pixelate"):  # whose severities change two things, or do not fit the pixels
        assert change == sorted(change)
    assert change[-1] > change[0] > 0
    again = corrupt(x, kind, severity=5, generator=generator())
    assert (again == y).all()


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="no corruption 'frost'"):
        corrupt(pictures(1), "frost", severity=1, generator=generator())
    with pytest.raises(ValueError, match="from 1 to 5, 6"):
        corrupt(pictures(1), "contrast", severity=6, generator=generator())
    with pytest.raises(ValueError, match="from 0 to 1"):
        corrupt(255 * pictures(1), "contrast", severity=1, generator=generator())
