"""A liquid run event by event: what a spike does not touch costs nothing, though every sample has weights of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Places = NDArray[np.uint32]


class Wires(NamedTuple):
    """Synapses in the order of their presynaptic cell, of K inputs and M cells.

    ``start`` [K + M + 1]: where each cell's begin; ``ends`` [E]: target, plus M where the synapse is slow. The same by target: ``arrives`` [M + 1], ``into`` [E]: which synapse, ``begins`` [E]: its cell,
    plus K + M where it is slow. ``low``, ``high``, ``inhibits`` [K + M]: bounds of the weights of a cell, and whether it inhibits.
    """

    start: Places
    ends: Places
    arrives: Places
    into: Places
    begins: Places
    low: Reals
    high: Reals
    inhibits: NDArray[np.bool_]


def spread(
    inputs: NDArray[np.uint8],
    wires: tuple[Any, ...],
    weight: Reals,
    keeps: bool,
    plastic: bool,
    numbers: tuple[float, ...],
    counts: Reals,
    astrocyte: Reals,
    spikes: NDArray[np.uint8],
) -> None:
    """Run samples ``inputs`` [S, T, K] one after the other from rest; fill ``counts`` [S, M], ``astrocyte`` [S, T] and, for the first samples, ``spikes`` [R, T, M].

    With ``keeps`` every sample begins with the weights that the last one left in ``weight`` [E]; without, with those given, which are then put back.
    """
    start, ends, arrives, into, begins, low, high, inhibits = wires
    leak, threshold, refractory, decay0, decay1, unit0, unit1, decay_trace, amplitude, potentiation, gain, baseline, share, fade = numbers
    k, m = inputs.shape[2], counts.shape[1]
    n = k + m
    given = weight.copy()
    fired, who = np.zeros(n, np.bool_), np.empty(n, np.uint32)
    v, rest, trace, after = np.empty(m), np.empty(m), np.empty(n), np.empty(m)
    current, change, left = np.empty(2 * m), np.zeros(2 * m), np.empty(2 * n)
    for b in range(inputs.shape[0]):
        if not keeps:
            weight[:] = given
        v[:], rest[:], trace[:], after[:], current[:], left[:] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        a, scale = baseline, 1.0
        for t in range(inputs.shape[1]):
            count = 0
            for j in range(k):
                if inputs[b, t, j] != 0:
                    who[count] = j
                    fired[j] = True
                    count += 1
            came = count
            for i in range(m):
                if v[i] >= threshold and rest[i] <= 0.0:
                    v[i], rest[i] = 0.0, refractory
                    counts[b, i] += 1.0
                    who[count] = k + i
                    fired[k + i] = True
                    count += 1
                    if b < spikes.shape[0]:
                        spikes[b, t, i] = 1
                else:
                    rest[i] -= 1.0
            up, down = scale * potentiation, -a
            for c in range(count):
                j = who[c]
                fresh0, fresh1 = unit0 - left[j], unit1 - left[n + j]
                left[j], left[n + j] = unit0, unit1
                early, late = (up, down * trace[j]) if inhibits[j] else (down, up * trace[j])
                lowest, highest = low[j], high[j]
                for e in range(start[j], start[j + 1]):
                    end, old = ends[e], weight[e]
                    quick = end < m
                    current[end] += old * (fresh0 if quick else fresh1)
                    if plastic:
                        i = end if quick else end - np.uint32(m)
                        dw = early * after[i] + (late if fired[np.uint32(k) + i] else 0.0)
                        new = min(max(old + dw, lowest), highest)
                        change[end] += (new - old) * (unit0 if quick else unit1)
                        weight[e] = new
            for i in range(m):
                v[i] += current[i] + current[m + i] - leak * v[i]
            astrocyte[b, t] = a
            if plastic:
                for c in range(came, count):
                    i = who[c] - np.uint32(k)
                    total0, total1 = 0.0, 0.0
                    for place in range(arrives[i], arrives[i + 1]):
                        begin = begins[place]
                        quick = begin < n
                        j = begin if quick else begin - np.uint32(n)
                        if not fired[j]:
                            e = into[place]
                            old = weight[e]
                            dw = (down if inhibits[j] else up) * trace[j]
                            new = min(max(old + dw, low[j]), high[j])
                            weight[e] = new
                            moved = (new - old) * left[begin]
                            total0 += moved if quick else 0.0
                            total1 += 0.0 if quick else moved
                    change[i] += total0
                    change[np.uint32(m) + i] += total1
                for j in range(n):
                    trace[j] = decay_trace * (trace[j] + amplitude * fired[j])
                after[:] = trace[k:]
                drive = scale * (gain * (count - 2.0 * came) + baseline)
                a = fade * (a + share * (drive - a))
                scale *= fade
            for i in range(m):
                current[i] = decay0 * (current[i] + change[i])
                current[m + i] = decay1 * (current[m + i] + change[m + i])
                change[i], change[m + i] = 0.0, 0.0
            for j in range(n):
                left[j] *= decay0
                left[n + j] *= decay1
            for c in range(count):
                fired[who[c]] = False
    if not keeps:
        weight[:] = given


@cache
def compiled() -> Callable[..., None]:
    """``spread`` compiled by Numba, or itself where Numba is not installed (slow, and the same numbers)."""
    try:
        import numba
    except ImportError:
        return spread
    made: Callable[..., None] = numba.njit(cache=True, error_model="numpy")(spread)
    return made
