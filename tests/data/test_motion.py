"""Motion of pictures: scipy's cosine transform, gratings in closed form, events by hand, and movies whose motion is measured back."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from neuropil.data import MotionMovies, cosines, glimpses, gradient_events, space_time_patches, whiten


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cosines_are_scipys_transform():
    x = torch.rand(8, 6, dtype=torch.float64, generator=draws())
    rows, columns = (cosines(torch.arange(n, dtype=torch.float64), n) for n in x.shape)
    np.testing.assert_allclose((rows.mT @ x @ columns).numpy(), dctn(x.numpy(), norm="ortho"), atol=1e-12)


def test_whitening_is_the_published_filter_on_scipys_spectrum():
    x = torch.rand(2, 16, 12, generator=draws())
    f = np.hypot(np.arange(16)[:, None] / 32, np.arange(12) / 24)
    expected = idctn(dctn(x.numpy(), norm="ortho", axes=(1, 2)) * f * np.exp(-((f / 0.4) ** 4)), norm="ortho", axes=(1, 2))
    expected /= expected.std(axis=(1, 2), keepdims=True, ddof=1)
    np.testing.assert_allclose(whiten(x).numpy(), expected, atol=1e-4)


def test_whitening_flattens_a_spectrum_that_falls_with_frequency_and_leaves_grey_grey():
    noise = torch.randn(64, 32, 32, generator=draws())
    f = np.hypot(np.arange(32)[:, None], np.arange(32)) / 64
    natural = torch.from_numpy(idctn(dctn(noise.numpy(), norm="ortho", axes=(1, 2)) / np.maximum(f, 1 / 64), norm="ortho", axes=(1, 2)))
    power = (dctn(whiten(natural.float()).numpy(), norm="ortho", axes=(1, 2)) ** 2).mean(0)
    low, high = power[(f > 0.05) & (f < 0.1)].mean(), power[(f > 0.2) & (f < 0.25)].mean()
    assert high / low == pytest.approx(1, abs=0.2)
    assert not whiten(torch.full((1, 8, 8), 3.0)).any()


def test_a_view_between_pixels_of_what_the_pixels_resolve_is_exact():
    at = torch.arange(24, dtype=torch.float64)
    wave = torch.cos(math.pi * 5 * (at[:, None] + 0.5) / 24) * torch.cos(math.pi * 3 * (at + 0.5) / 24)
    corner = torch.tensor([[[2.37, 7.81], [4.0, 0.0]]], dtype=torch.float64)
    seen = glimpses(wave[None], corner, 9)[0]
    pixels = torch.arange(9, dtype=torch.float64)
    y, x = 2.37 + pixels, 7.81 + pixels
    torch.testing.assert_close(seen[0], torch.cos(math.pi * 5 * (y[:, None] + 0.5) / 24) * torch.cos(math.pi * 3 * (x + 0.5) / 24))
    torch.testing.assert_close(seen[1], wave[4:13, :9])


def test_events_by_hand():
    change = [0.0, 3.0, 3.0, 1.5, -3.0, 0.0]
    movie = torch.tensor([0.0, *change]).cumsum(0).reshape(7, 1, 1, 1)
    threshold = torch.tensor(change).std().item()
    events = gradient_events(movie, selectivity=2 / threshold)  # a threshold of 2
    # 3 > 2: ON; 3 - 2 = 1: none; 1.5: none, what was left is forgotten; -3: OFF; 0 + 2: not above
    assert events[:, 0, 1, 0, 0].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert events[:, 0, 0, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_each_movie_has_its_own_threshold():
    movie = torch.randn(12, 2, 5, 5, generator=draws())
    scaled = movie * torch.tensor([1.0, 100.0])[:, None, None]
    assert torch.equal(gradient_events(movie), gradient_events(scaled))


def test_pictures_move_as_the_labels_say():
    pictures = whiten(torch.rand(40, 48, 48, generator=draws()))
    task = MotionMovies(directions=4, speed=1.0, steps=9, view=20, block=None, noise=0.0)
    labels, path = task.paths(40, draws(1))
    assert (labels == labels[0]).all()
    assert set(labels[0].tolist()) == {0, 1, 2, 3}
    unit = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -1.0]])  # up, right, down, left
    torch.testing.assert_close(path, unit[labels[0]][:, None] * torch.arange(9.0)[:, None], atol=1e-5, rtol=0)
    events, drawn = task.sample(pictures, draws(1))
    assert torch.equal(drawn, labels)
    for n in range(40):  # with whole steps each frame's events are the last one's, moved
        dy, dx = unit[labels[0, n]].int().tolist()
        later, before = events[5:, n], events[4:-1, n].roll((dy, dx), (2, 3))
        inner = slice(1, -1)
        agree = (later * before)[..., inner, inner].sum() / later[..., inner, inner].sum()
        opposed = (later * events[4:-1, n].roll((-dy, -dx), (2, 3)))[..., inner, inner].sum() / later[..., inner, inner].sum()
        assert agree > opposed + 0.1


def test_motions_last_as_long_as_asked_and_every_view_stays_inside():
    task = MotionMovies(steps=200, speed=0.01, view=8, block=10.0, margin=2)
    labels, path = task.paths(300, draws())
    turned = (labels[1:] != labels[:-1]).float().mean().item()
    assert turned == pytest.approx(0.1 * 7 / 8, abs=0.005)
    assert labels.float().mean().item() == pytest.approx(3.5, abs=0.1)
    torch.testing.assert_close(path.diff(dim=1), task.velocities()[labels[1:]].movedim(0, 1), atol=1e-5, rtol=0)
    ramp = torch.arange(24.0).expand(5, 24, 24)
    with pytest.raises(ValueError, match="do not fit pictures of"):
        MotionMovies(speed=1.0, steps=20, view=12, block=None).sample(ramp, draws())


def test_patches_are_what_a_neuron_hears():
    events = torch.arange(6 * 2 * 2 * 5 * 5).reshape(6, 2, 2, 5, 5)
    at = torch.tensor([[3, 1, 2, 0], [5, 0, 1, 2]])
    patches = space_time_patches(events, at, delays=3, window=3)
    assert patches.shape == (2, 2, 3, 3, 3)
    for p, (t, n, row, column) in enumerate(at.tolist()):
        for d in range(3):
            assert torch.equal(patches[p, :, d], events[t - d, n, :, row : row + 3, column : column + 3])
    for bad in ([1, 0, 0, 0], [3, 0, 3, 0], [3, 0, 0, -1]):
        with pytest.raises(ValueError, match="reaches outside the movie"):
            space_time_patches(events, torch.tensor([bad]), delays=3, window=3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"directions": 1}, "directions is at least 2"),
        ({"block": 0.5}, "block is a mean number of frames"),
        ({"noise": -0.1}, "noise is 0 or more"),
        ({"speed": 0.0}, "speed is a finite number"),
    ],
)
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        MotionMovies(**settings)


def test_bad_forms():
    with pytest.raises(ValueError, match=r"Pictures are \[N, H, W\]"):
        whiten(torch.rand(4, 4))
    with pytest.raises(ValueError, match=r"corners are \[N, T, 2\]"):
        glimpses(torch.rand(2, 4, 4), torch.rand(3, 1, 2), 2)
    with pytest.raises(ValueError, match="two frames or more"):
        gradient_events(torch.rand(1, 1, 4, 4))
