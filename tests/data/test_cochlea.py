import sys

import numpy as np
import pytest
from scipy.signal import freqz, gammatone
from scipy.special import gamma

from neuropil.data import Cochlea, DataError, erb, erb_number
from neuropil.data.cochlea import _transfer

RATE = 48_000.0


def tone(frequency, seconds=0.25, rate=RATE, level=1.0):
    t = np.arange(int(seconds * rate)) / rate
    ramp = np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
    return level * ramp * np.sin(2 * np.pi * frequency * t)


def one(frequency, **options):
    """A cochlea of one channel."""
    return Cochlea(**{"rate": RATE, "channels": 1, "low": frequency, "high": frequency, "adaptation": 0.0} | options)


def vector_strength(rate_function, frequency, rate=RATE):
    phase = np.exp(2j * np.pi * frequency * np.arange(len(rate_function)) / rate)
    return abs((rate_function * phase).sum()) / rate_function.sum()


@pytest.mark.parametrize(
    ("frequency", "bandwidth", "number"),
    # ERB = 24.7 (4.37 F + 1) and E = 21.4 log10(4.37 F + 1), F in kHz (glasberg1990, equations 3 and 4), worked by hand.
    [(100, 35.494, 3.3696), (500, 78.670, 10.7656), (1000, 132.639, 15.6215), (4000, 456.456, 27.1075), (8000, 888.212, 33.2944)],
)
def test_bandwidths_are_glasberg_and_moores(frequency, bandwidth, number):
    assert erb(frequency) == pytest.approx(bandwidth, abs=1e-3)
    assert erb_number(frequency) == pytest.approx(number, abs=1e-3)


def test_centres_are_equally_spaced_in_erbs_and_each_filter_peaks_at_its_own():
    made = Cochlea(RATE, channels=16, low=100.0, high=8000.0)
    centres = made.centres
    assert (centres[0], centres[-1]) == (pytest.approx(100), pytest.approx(8000))
    np.testing.assert_allclose(np.diff(21.4 * np.log10(0.00437 * centres + 1)), (33.2944 - 3.3696) / 15, rtol=1e-4)
    for centre, response in zip(centres, made.impulse_response(), strict=True):
        grid = np.linspace(0.8 * centre, 1.2 * centre, 401)
        gain = abs(freqz(response, worN=grid, fs=RATE)[1])
        assert grid[gain.argmax()] == pytest.approx(centre, rel=1e-3)
        assert gain.max() == pytest.approx(1, rel=1e-3)


def test_measured_rectangular_bandwidths_are_the_formulas():
    made = Cochlea(RATE, channels=8, low=200.0, high=6000.0)
    for centre, response in zip(made.centres, made.impulse_response(), strict=True):
        grid = np.linspace(0, 3 * centre, 6000)
        power = abs(freqz(response, worN=grid, fs=RATE)[1]) ** 2
        assert np.trapezoid(power, grid) / power.max() == pytest.approx(24.7 * (0.00437 * centre + 1), rel=0.01)


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 3000.0])
def test_impulse_responses_are_scipys_gammatone(frequency):
    click = np.zeros(1500)
    click[0] = 1
    taps = gammatone(frequency, "fir", order=4, numtaps=1500, fs=RATE)[0]
    np.testing.assert_allclose(one(frequency).motion(click)[:, 0], taps, atol=2e-3 * abs(taps).max())


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 3000.0])
def test_the_filter_passes_what_slaneys_recursive_filter_passes(frequency):
    # At 16 kHz: its single section of eighth order loses digits where the pole lies near 1 (10 % at 300 Hz and 48 kHz).
    b, a = gammatone(frequency, "iir", fs=16_000.0)
    grid = np.linspace(0.7, 1.4, 29) * frequency
    ours = one(frequency, rate=16_000.0).impulse_response()[0]
    theirs, gain = (abs(freqz(*filters, worN=grid, fs=16_000.0)[1]) for filters in ((b, a), (ours,)))
    np.testing.assert_allclose(gain, theirs, atol=1e-3)


def test_filtering_is_plain_convolution():
    made = Cochlea(8000.0, channels=5)
    noise = np.random.default_rng(0).normal(size=3000)
    expected = np.stack([np.convolve(noise, response)[:3000] for response in made.impulse_response()], 1)
    np.testing.assert_allclose(made.motion(noise), expected, atol=1e-10)
    assert made.motion(noise[:700]).shape == (700, 5)
    np.testing.assert_allclose(made.motion(noise[:700]), expected[:700], atol=1e-10)


@pytest.mark.parametrize("exponent", [1.0, 0.3])
def test_phase_locking_follows_its_closed_form(exponent):
    # A rectified, compressed sine has vector strength integral(cos^(c+1)) / integral(cos^c) over half a turn; each low-pass takes its gain off.
    rectified = gamma(exponent / 2 + 1) ** 2 / (gamma((exponent + 1) / 2) * gamma((exponent + 3) / 2))
    seen, fine = [], 384_000.0  # so fine that the harmonics of rectification do not fold back
    for frequency in (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0):
        sound = tone(frequency, rate=fine)
        rate_function = one(frequency, rate=fine, exponent=exponent).drive(sound)[38_400:61_440, 0]  # whole cycles of every frequency
        seen.append(vector_strength(rate_function, frequency, fine))
        pole = np.exp(-2 * np.pi * 1000 / fine)
        gain = abs((1 - pole) / (1 - pole * np.exp(-2j * np.pi * frequency / fine))) ** 2
        assert seen[-1] == pytest.approx(rectified * gain, rel=0.01)
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > 0.6
    assert seen[-1] < 0.07


@pytest.mark.parametrize("generator", [None, np.random.default_rng(4)])
def test_spikes_lock_to_low_tones_and_not_to_high_ones(generator):
    def locking(frequency):
        made = one(frequency, max_rate=2000.0)
        spikes = made.spikes(tone(frequency, 1.0), bin=1 / RATE, generator=generator)[4800:43200, 0]
        assert spikes.sum() > 200
        return vector_strength(spikes, frequency)

    low, high = locking(200.0), locking(5000.0)
    assert low > 0.55
    assert high < 0.2


@pytest.mark.parametrize("exponent", [1.0, 0.5, 0.3])
def test_output_grows_by_the_exponent_in_decibels(exponent):
    levels = np.array([-60.0, -40.0, -20.0, 0.0])
    made = one(1000.0, exponent=exponent, adaptation=0.5)
    output = [made(tone(1000.0, level=10 ** (level / 20)), bin=0.01)[10:20].mean() for level in levels]
    slope = np.polyfit(levels, 20 * np.log10(output), 1)[0]
    assert slope == pytest.approx(exponent, rel=1e-4)


@pytest.mark.parametrize("adaptation", [0.0, 0.4, 0.8])
def test_an_onset_fades_to_the_declared_share(adaptation):
    sound = tone(8000.0, 1.0)  # high enough that the drive does not follow single cycles
    adapted = one(8000.0, adaptation=adaptation, adaptation_time=0.06)(sound, bin=0.01)[:, 0]
    plain = one(8000.0)(sound, bin=0.01)[:, 0]
    assert adapted[60:90].mean() / plain[60:90].mean() == pytest.approx(1 - adaptation, rel=0.01)
    if adaptation:
        assert adapted[2:5].mean() > 1.2 * adapted[60:90].mean()
        # what is still to fade falls by a factor of e in the declared 60 ms, six bins
        fading = adapted - adapted[60:90].mean()
        assert fading[4:8].sum() / fading[10:14].sum() == pytest.approx(np.e, rel=0.02)


def test_a_tone_drives_its_own_channel_most():
    made = Cochlea(16_000.0, channels=30)
    for channel in (3, 12, 22):
        drive = made(tone(made.centres[channel], rate=16_000.0), bin=0.05)
        assert drive.mean(0).argmax() == channel


def test_spikes_without_noise_keep_the_integral_and_poisson_spikes_its_law():
    made = Cochlea(8000.0, channels=20)
    sound = np.random.default_rng(1).normal(0, 0.1, 16_000)
    expected = made(sound, bin=0.02) * 0.02 * made.max_rate
    regular = made.spikes(sound, bin=0.02)
    assert (abs(regular.cumsum(0) - expected.cumsum(0, dtype=np.float64)) < 1 + 1e-3).all()
    counts = made.spikes(sound, bin=0.02, generator=np.random.default_rng(2))
    z = (counts - expected).sum() / expected.sum() ** 0.5
    assert abs(z) < 4
    dispersion = ((counts - expected) ** 2 / expected)[5:].mean()
    assert dispersion == pytest.approx(1, abs=0.15)
    assert not np.array_equal(counts, made.spikes(sound, bin=0.02, generator=np.random.default_rng(3)))
    np.testing.assert_array_equal(counts, made.spikes(sound, bin=0.02, generator=np.random.default_rng(2)))


def test_bins_average_whole_samples_and_drop_an_incomplete_one():
    made = Cochlea(8000.0, channels=6)
    sound = tone(500.0, 0.1, rate=8000.0)[:790]
    binned = made(sound, bin=0.01)
    assert binned.shape == (9, 6)
    np.testing.assert_allclose(binned, made.drive(sound)[:720].reshape(9, 80, 6).mean(1), rtol=1e-5)


def test_sixteen_bits_are_full_scale():
    made = Cochlea(8000.0, channels=6)
    pcm = (tone(500.0, 0.1, rate=8000.0) * 30_000).astype(np.int16)
    np.testing.assert_array_equal(made.drive(pcm), made.drive(pcm / 32_768.0))


def test_recordings_are_cut_or_followed_by_silence():
    made = Cochlea(8000.0, channels=6, max_rate=1000.0)
    audio = (np.random.default_rng(0).normal(0, 3000, 5000)).astype(np.int16)
    counts = made.recordings(audio, np.array([0, 1000, 5000]), bin=0.01, steps=30)
    assert counts.shape == (30, 2, 6)
    np.testing.assert_array_equal(counts[:, 1], made.spikes(audio[1000:3400], bin=0.01))
    np.testing.assert_array_equal(counts[:12, 0], made.spikes(audio[:1000], bin=0.01))
    assert counts[:12, 0].sum() > 10
    assert counts[20:, 0].sum() == 0


def test_without_scipy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(DataError, match=r"pip install \"neuropil\[atlas\]\""):
        Cochlea(8000.0)(np.zeros(800), bin=0.01)


def test_silence_stays_silent_and_nothing_sounds_ahead_of_its_cause():
    made = Cochlea(8000.0, channels=6)
    assert made.spikes(np.zeros(8000), bin=0.01).sum() == 0
    late = np.concatenate([np.zeros(4000), np.random.default_rng(0).normal(size=4000)])
    assert made.drive(late)[:4000].max() < 1e-3
    assert _transfer(made, 8192).shape == (6, 4097)


def test_settings_may_be_numpy_numbers():
    sound = np.random.default_rng(0).normal(size=800)
    made = Cochlea(np.int64(8000), channels=np.int64(3), cutoff=np.float32(500.0))
    assert np.array_equal(made(sound, bin=np.float64(0.01)), Cochlea(8000.0, channels=3, cutoff=500.0)(sound, bin=0.01))


QUIET = np.zeros(800)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: Cochlea(-8000.0), ValueError, "rate is a finite number of hertz above 0"),
        (lambda: Cochlea(None), TypeError, "rate is a number in hertz"),
        (lambda: Cochlea(8000.0, channels=0), ValueError, "channels"),
        (lambda: Cochlea(8000.0, high=4000.0), ValueError, "below half the sampling rate, 4000 Hz"),
        (lambda: Cochlea(8000.0, low=0.0), ValueError, "Centre frequencies"),
        (lambda: Cochlea(8000.0, exponent=0.0), ValueError, "exponent"),
        (lambda: Cochlea(8000.0, exponent=float("nan")), ValueError, "exponent"),
        (lambda: Cochlea(8000.0, adaptation=1.0), ValueError, "adaptation"),
        (lambda: Cochlea(8000.0, cutoff=-1.0), ValueError, "cutoff"),
        (lambda: Cochlea(8000.0)(np.zeros((2, 800)), bin=0.01), TypeError, r"audio \[samples\]"),
        (lambda: Cochlea(8000.0)(np.zeros(800, np.uint8), bin=0.01), TypeError, "uint8"),
        (lambda: Cochlea(8000.0)(np.full(800, np.nan), bin=0.01), ValueError, "NaN"),
        (lambda: Cochlea(8000.0)(np.zeros(0), bin=0.01), ValueError, "at least one sample"),
        (lambda: Cochlea(8000.0)(QUIET[:40], bin=0.01), ValueError, "less than a bin"),
        (lambda: Cochlea(8000.0)(QUIET, bin=0.00019), ValueError, "take 0.00025 s"),
        (lambda: Cochlea(8000.0)(QUIET, bin=0.0), ValueError, "bin"),
        (lambda: Cochlea(8000.0)(QUIET, bin=None), TypeError, "bin is a number in seconds"),
        (lambda: Cochlea(8000.0).recordings(QUIET, np.array([0, 900]), bin=0.01, steps=3), ValueError, "within the 800 samples"),
        (lambda: Cochlea(8000.0).recordings(QUIET, np.array([0.0, 800.0]), bin=0.01, steps=3), TypeError, "offsets are whole numbers"),
        (lambda: Cochlea(8000.0).spikes(QUIET, bin=0.01, generator=7), TypeError, "draws from a numpy generator, int was given"),
        (lambda: Cochlea(8000.0).recordings(QUIET, np.array([0, 800]), bin=0.01, steps=0), ValueError, "steps"),
    ],
)
def test_bad_input_is_one_sentence(call, error, said):
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
