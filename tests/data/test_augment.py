import colorsys

import pytest
import torch

from neuropil.data import colour_distortion, random_resized_crop


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_whole_picture_comes_back_unchanged_and_a_part_is_stretched_to_it():
    x = torch.rand(4, 3, 8, 8, generator=generator())
    torch.testing.assert_close(random_resized_crop(x, scale=(1.0, 1.0), ratio=(1.0, 1.0), generator=generator(1)), x, atol=1e-6, rtol=1e-5)
    ramp = torch.linspace(0, 1, 64).expand(500, 1, 64, 64)
    cut = random_resized_crop(ramp, scale=(0.25, 0.25), ratio=(1.0, 1.0), generator=generator(2))
    slope = cut[:, 0, 5, 40] - cut[:, 0, 5, 20]
    torch.testing.assert_close(slope, torch.full((500,), 20 * 0.5 / 63), atol=1e-4, rtol=0)
    middle = cut[:, 0].mean((1, 2))
    assert abs(middle.mean() - 0.5) < 0.02
    assert 0.24 < middle.min() < 0.28
    assert 0.72 < middle.max() < 0.76


def test_one_picture_in_five_is_grey_and_colours_stay_within_bounds():
    x = torch.tensor([1.0, 0.5, 0.0])[None, :, None, None].expand(2000, 3, 2, 2)
    y = colour_distortion(x, generator=generator())
    assert y.min() >= 0
    assert y.max() <= 1
    grey = (y[:, 0] == y[:, 1]).all((1, 2)) & (y[:, 1] == y[:, 2]).all((1, 2))
    assert grey.float().mean().item() == pytest.approx(0.2, abs=0.03)
    same = (y == x).all((1, 2, 3))
    assert same.float().mean().item() == pytest.approx(0.2 * 0.8, abs=0.03)


def test_strength_0_changes_nothing_but_greys_and_hue_turns_the_way_of_the_wheel():
    x = torch.tensor([0.6, 0.3, 0.3])[None, :, None, None].expand(400, 3, 1, 1)
    y = colour_distortion(x, strength=0.0, generator=generator())
    coloured = (y[:, 0] != y[:, 1]).flatten()
    torch.testing.assert_close(y[coloured], x[coloured])
    y = colour_distortion(x, generator=generator())[:, :, 0, 0]
    hues = torch.tensor([colorsys.rgb_to_hsv(*colour)[0] for colour in y.tolist()])
    turned = torch.where(hues > 0.5, hues - 1, hues)
    assert turned.abs().max() < 0.13
    assert turned.std() > 0.03
