"""A cochlea: sound into the firing of an array of auditory-nerve fibres, from low to high frequency.

Equations, channel by channel, all at the sampling rate:
1. basilar membrane: gammatone filter ``g(t) = A t^3 exp(-2 pi b t) cos(2 pi f t)``, ``b = 1.019 ERB(f)``, ``ERB(f) = 24.7 (4.37 f / 1000 + 1)``;
   centres ``f`` equally spaced on ``E(f) = 21.4 log10(4.37 f / 1000 + 1)``; ``A`` for a gain of about 1 at ``f``
2. half-wave rectification and compression: ``u = max(g * x, 0) ** exponent``
3. loss of phase locking: ``order`` one-pole low-passes in a row, ``v <- a v + (1 - a) u``, ``a = exp(-2 pi cutoff / rate)``
4. adaptation: ``drive = max(v - adaptation m, 0)``, ``m`` the running mean of ``v`` over ``adaptation_time``; after an onset the drive
   falls to the share ``1 - adaptation`` (less far where it follows single cycles, whose troughs cannot pass 0)
5. firing rate ``max_rate drive``, then spikes.

Sources: patterson1992, slaney1993 (gammatone bank), glasberg1990 (ERB), palmer1986 (phase locking, second-order low-pass near 1 kHz).
Differs from hair-cell models with a transmitter pool in that compression is a memoryless power and adaptation is subtractive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import ModuleType

import numpy as np
import numpy.typing as npt

from neuropil.data.checks import positive, whole
from neuropil.data.content import Array, DataError

Floats = npt.NDArray[np.float64]


def erb(frequency: float | Floats) -> Floats:
    """Equivalent rectangular bandwidth in hertz of the human auditory filter at ``frequency`` in hertz: ``24.7 (4.37 f / 1000 + 1)``. Source: glasberg1990."""
    return np.asarray(24.7 * (4.37e-3 * np.asarray(frequency, np.float64) + 1))


def erb_number(frequency: float | Floats) -> Floats:
    """How many ERBs lie below ``frequency`` in hertz: ``21.4 log10(4.37 f / 1000 + 1)``. Source: glasberg1990."""
    return np.asarray(21.4 * np.log10(4.37e-3 * np.asarray(frequency, np.float64) + 1))


@dataclass(frozen=True)
class Cochlea:
    """An array of ``channels`` gammatone filters from ``low`` to ``high`` hertz, each with a hair cell; equations at the head of its file.

    ``rate``: samples a second; ``high``: 0.45 rate unless given; ``exponent`` in (0, 1], 1 is linear; ``cutoff`` in hertz and ``order`` of the
    low-pass; ``adaptation`` in [0, 1), 0 is none; ``adaptation_time`` in seconds; ``max_rate``: spikes a second at drive 1.

    ``cochlea(audio, bin=0.01)`` is the mean drive f32 [T, channels], ``cochlea.spikes(...)`` the spike counts, ``bin`` in seconds,
    an incomplete last bin dropped. Audio is [samples], i16 (full scale 1) or floating point. Needs scipy (extra ``atlas``).

    Raises ``TypeError`` or ``ValueError`` in one sentence for settings out of range, for audio of another rank or dtype, with NaN, or shorter
    than a bin, for a bin that is no whole number of samples, and for a generator that is not numpy's; ``DataError`` without scipy.
    """

    rate: float
    channels: int = 40
    low: float = 100.0
    high: float | None = None
    exponent: float = 0.3
    cutoff: float = 1000.0
    order: int = 2
    adaptation: float = 0.5
    adaptation_time: float = 0.05
    max_rate: float = 200.0

    def __post_init__(self) -> None:
        for name in ("channels", "order"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        for name, unit in (("rate", "hertz"), ("cutoff", "hertz"), ("adaptation_time", "seconds"), ("max_rate", "hertz")):
            object.__setattr__(self, name, positive(name, getattr(self, name), unit))
        if self.high is None:
            object.__setattr__(self, "high", 0.45 * self.rate)
        if not 0 < self.low <= self._high < self.rate / 2:
            raise ValueError(
                f"Centre frequencies lie above 0 and below half the sampling rate, {self.rate / 2:g} Hz, low first; "
                f"{self.low} to {self._high} Hz was given."
            )
        if not 0 < self.exponent <= 1:
            raise ValueError(f"exponent lies above 0 and is at most 1 (linear), {self.exponent} was given.")
        if not 0 <= self.adaptation < 1:
            raise ValueError(f"adaptation is at least 0 (none) and below 1, {self.adaptation} was given.")

    @property
    def centres(self) -> Floats:
        """Centre frequencies in hertz [channels], low to high, equally spaced in ERBs."""
        steps = np.linspace(erb_number(self.low), erb_number(self._high), self.channels)
        return np.asarray((10 ** (steps / 21.4) - 1) / 4.37e-3)

    def impulse_response(self) -> Floats:
        """The gammatone filters f64 [channels, samples], until the slowest has fallen to less than 1e-8 of its peak."""
        width = 2 * np.pi * 1.019 * erb(self.centres)[:, None]
        t = np.arange(int(np.ceil(29 / width.min() * self.rate)))[None] / self.rate
        return np.asarray(width**4 / 3 / self.rate * t**3 * np.exp(-width * t) * np.cos(2 * np.pi * self.centres[:, None] * t))

    def motion(self, audio: Array) -> Floats:
        """Basilar-membrane motion f64 [samples, channels]: the audio through the gammatone filters."""
        return self._filtered(audio).T

    def drive(self, audio: Array) -> Floats:
        """Hair-cell drive f64 [samples, channels], at least 0; with full-scale sound below 1, or little above."""
        return self._drive(audio).T

    def __call__(self, audio: Array, *, bin: float) -> npt.NDArray[np.float32]:
        """Mean drive f32 [T, channels] in bins of ``bin`` seconds."""
        total, edges = self._cumulated(audio, bin)
        return np.asarray(np.diff(total[:, edges]).T / np.diff(edges)[:, None], np.float32)

    def spikes(self, audio: Array, *, bin: float, generator: np.random.Generator | None = None) -> npt.NDArray[np.float32]:
        """Spike counts f32 [T, channels] in bins of ``bin`` seconds, of fibres that fire at ``max_rate drive``; locked to phase at low frequencies.

        Without a generator a fibre fires each time its integrated rate passes a whole number: no noise, counts within 1 of their mean.
        With a generator it is a Poisson process.
        """
        if not (generator is None or isinstance(generator, np.random.Generator)):
            raise TypeError(f"A cochlea draws from a numpy generator, {type(generator).__name__} was given; use numpy.random.default_rng.")
        total, edges = self._cumulated(audio, bin)
        expected = total[:, edges] * (self.max_rate / self.rate)
        if generator is None:
            return np.asarray(np.diff(np.floor(expected)).T, np.float32)
        return np.asarray(generator.poisson(np.diff(expected).T.clip(0)), np.float32)

    def recordings(
        self, audio: Array, offsets: Array, *, bin: float, steps: int, generator: np.random.Generator | None = None
    ) -> npt.NDArray[np.float32]:
        """Spike counts f32 [steps, B, channels] of many recordings that lie one after the other: number ``i`` is ``audio[offsets[i]:offsets[i + 1]]``.

        Each is cut, or followed by silence, to ``steps`` bins of ``bin`` seconds; the silence tells how long a recording was. Otherwise as ``spikes``.
        """
        whole("steps", steps, 1)
        samples = self._bin(bin) * steps
        ends = np.asarray(offsets)
        if ends.dtype.kind not in "iu":
            raise TypeError(f"offsets are whole numbers of samples, {ends.dtype} was given; convert them with astype(int).")
        if ends.ndim != 1 or len(ends) < 2 or (np.diff(ends) < 1).any() or ends[0] < 0 or ends[-1] > len(audio):
            raise ValueError(f"offsets rise from recording to recording and end within the {len(audio)} samples of audio; these do not.")
        counts = np.empty((steps, len(ends) - 1, self.channels), np.float32)
        for i, (start, end) in enumerate(pairwise(ends.tolist())):
            sound = audio[start : min(end, start + samples)]
            counts[:, i] = self.spikes(np.pad(sound, (0, samples - len(sound))), bin=bin, generator=generator)
        return counts

    @property
    def _high(self) -> float:
        return 0.45 * self.rate if self.high is None else self.high

    def _filtered(self, audio: Array) -> Floats:
        sound = np.asarray(audio)
        if sound.ndim != 1 or not (sound.dtype == np.int16 or np.issubdtype(sound.dtype, np.floating)):
            raise TypeError(f"A cochlea takes audio [samples], i16 or floating point, {sound.dtype} {list(sound.shape)} was given.")
        if len(sound) == 0 or not np.isfinite(sound).all():
            raise ValueError("A cochlea takes at least one sample, all finite; the audio is empty or holds NaN or infinity.")
        sound = sound / 32768.0 if sound.dtype == np.int16 else sound.astype(np.float64)
        reach = int(np.ceil(29 / (2 * np.pi * 1.019 * float(erb(self.low))) * self.rate))
        length = 1 << (len(sound) + reach - 1).bit_length()
        spectrum = np.fft.rfft(sound, length)
        return np.asarray(np.fft.irfft(spectrum * _transfer(self, length), length)[:, : len(sound)])

    def _drive(self, audio: Array) -> Floats:
        signal = _scipy_signal()
        rectified = np.maximum(self._filtered(audio), 0)
        drive = rectified if self.exponent == 1 else rectified**self.exponent
        pole = np.exp(-2 * np.pi * self.cutoff / self.rate)
        for _ in range(self.order):
            drive = signal.lfilter([1 - pole], [1, -pole], drive)
        if self.adaptation:
            slow = np.exp(-1 / (self.adaptation_time * self.rate))
            drive = np.maximum(drive - self.adaptation * signal.lfilter([1 - slow], [1, -slow], drive), 0)
        return np.asarray(drive)

    def _cumulated(self, audio: Array, bin: float) -> tuple[Floats, npt.NDArray[np.int64]]:
        samples = self._bin(bin)
        drive = self._drive(audio)
        if len(audio) < samples:
            raise ValueError(f"The audio lasts {len(audio) / self.rate:g} s, less than a bin of {bin} s; shorten the bin or pad the audio.")
        total = np.concatenate([np.zeros((self.channels, 1)), np.cumsum(drive, 1)], 1)
        return total, np.arange(0, len(audio) + 1, samples)

    def _bin(self, bin: float) -> int:
        samples = positive("bin", bin, "seconds") * self.rate
        if abs(samples - round(samples)) > 1e-6 * samples or round(samples) < 1:
            near = max(1, round(samples)) / self.rate
            raise ValueError(f"A bin is a whole number of samples at {self.rate:g} Hz, {bin} s is {samples:g}; take {near:g} s.")
        return round(samples)


@lru_cache(maxsize=8)
def _transfer(cochlea: Cochlea, length: int) -> npt.NDArray[np.complex128]:
    return np.asarray(np.fft.rfft(cochlea.impulse_response(), length))


def _scipy_signal() -> ModuleType:
    try:
        import scipy.signal as signal
    except ImportError:
        raise DataError('The cochlea filters with scipy, which is not installed; run pip install "neuropil[atlas]".') from None
    return signal  # type: ignore[no-any-return]
