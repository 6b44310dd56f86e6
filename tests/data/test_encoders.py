import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import binom, chisquare, poisson

from neuropil import data
from neuropil.data import delta_decode, delta_encode, latency, latency_encode, rate_encode


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_data_sets_load_without_torch_and_every_public_name_is_there():
    code = (
        "import sys, neuropil.data\nassert 'torch' not in sys.modules\n"
        "neuropil.data.Cochlea(8000.0)\nassert 'torch' not in sys.modules\n"
        "assert all(getattr(neuropil.data, name) for name in neuropil.data.__all__)\nassert 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'rate_decode'; it has STRENGTHS, Cochlea, ContextRecall, Copied, Copying, Data"):
        data.rate_decode  # noqa: B018


@pytest.mark.parametrize(
    ("law", "exact"), [("bernoulli", lambda k, p: binom.pmf(k, 20, p)), ("poisson", lambda k, p: poisson.pmf(k, 20 * p))]
)
def test_counts_of_a_rate_code_follow_the_exact_law(law, exact):
    # 5,000 counts over 20 steps at p = 0.5 x 0.25 against the exact distribution; level 0.001 for each of the two laws, one fixed seed.
    x = torch.full((5000,), 0.5, dtype=torch.float64)
    counts = rate_encode(x, steps=20, dt=0.005, max_rate=50.0, generator=generator(1), law=law).sum(0)
    p = 0.5 * 50.0 * 0.005
    right, wrong = (np.array([exact(k, q) for k in range(7)]) for q in (p, 1.1 * p))
    seen = np.bincount(counts.long().clamp(max=7), minlength=8)
    assert chisquare(seen, 5000 * np.append(right, 1 - right.sum())).pvalue > 0.001
    assert chisquare(seen, 5000 * np.append(wrong, 1 - wrong.sum())).pvalue < 1e-6


def test_spikes_of_a_rate_code_are_independent_in_time_and_over_channels():
    spikes = rate_encode(torch.full((100,), 0.3), steps=4000, dt=0.001, max_rate=1000.0, generator=generator(2))
    centred = spikes - 0.3
    for other in (centred.roll(1, 0), centred.roll(1, 1)):
        correlation = (centred * other).mean() / (0.3 * 0.7)
        assert abs(correlation) < 4 / math.sqrt(400_000)


def test_certain_and_impossible_spikes():
    spikes = rate_encode(torch.tensor([0.0, 1.0]), steps=500, dt=0.002, max_rate=500.0, generator=generator())
    assert spikes.sum(0).tolist() == [0, 500]
    assert spikes.shape == (500, 2)
    assert rate_encode(torch.rand(3, 4, 5), steps=7, dt=0.001, max_rate=10.0, generator=generator()).shape == (7, 3, 4, 5)


def test_a_rate_code_depends_on_the_generator_alone():
    x = torch.rand(6, generator=generator(9))
    one, two, other = (rate_encode(x, steps=50, dt=0.01, max_rate=50.0, generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("x", [0.25, 0.5, 0.8, 1.0])
def test_latency_is_when_the_charging_circuit_crosses(x):
    def crossing(_, v):
        return v[0] - 0.2

    crossing.terminal = True
    solved = solve_ivp(lambda _, v: (x - v) / 0.01, (0, 1), [0.0], events=crossing, rtol=1e-10, atol=1e-12)
    given = latency(torch.tensor([x], dtype=torch.float64), tau=0.01, threshold=0.2)
    assert given.item() == pytest.approx(solved.t_events[0][0], rel=1e-7)


def test_what_does_not_reach_the_threshold_never_fires():
    x = torch.tensor([0.0, 0.1, 0.2])
    assert latency(x, tau=0.01, threshold=0.2).tolist() == [math.inf] * 3
    assert latency_encode(x, steps=100, dt=0.001, tau=0.01, threshold=0.2).sum() == 0


def test_a_latency_code_is_one_spike_in_the_bin_of_its_latency():
    # By hand, tau = 10 ms, threshold 0.5: x = 1 gives 10 ln 2 = 6.93 ms; x = 2/3 gives 10 ln 4 = 13.86 ms; x = 0.51 gives 39.3 ms, too late.
    spikes = latency_encode(torch.tensor([1.0, 2 / 3, 0.51]), steps=30, dt=0.001, tau=0.01, threshold=0.5)
    assert spikes.nonzero().tolist() == [[6, 0], [13, 1]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_latency_code_in_half_precision_is_the_same_spike(dtype):
    # tau ln(1 / (1 - 0.01 / x)), x exact in either: 0.5 gives 404.05 steps of 10 us, 0.25 gives 816.4, 0.125 gives 1667.6.
    spikes = latency_encode(torch.tensor([0.5, 0.25, 0.125], dtype=dtype), steps=2000, dt=1e-5, tau=0.2)
    assert spikes.dtype == dtype
    assert spikes.nonzero().tolist() == [[404, 0], [816, 1], [1667, 2]]


def test_a_ramp_gives_an_event_at_each_level_it_crosses():
    # x = t / 4 crosses 1, 2, 3 at t = 4, 8, 12; falling, -1 at t = 4.
    ramp = torch.arange(13.0)[:, None] / 4 * torch.tensor([1.0, -1.0])
    events = delta_encode(ramp, threshold=1.0)
    assert events[:, 0].nonzero().flatten().tolist() == [4, 8, 12]
    assert torch.equal(events[:, 1], -events[:, 0])


def test_a_signal_is_rebuilt_within_the_threshold():
    x = torch.randn(400, 3, 5, dtype=torch.float64, generator=generator(5)).cumsum(0)
    events = delta_encode(x, threshold=0.7)
    assert torch.equal(events, events.round())
    rebuilt = delta_decode(events, x[0], threshold=0.7)
    error = (rebuilt - x).abs().max()
    assert error < 0.7 + 1e-9
    assert error > 0.6
    assert delta_encode(torch.ones(9, 2), threshold=0.1).abs().sum() == 0


RATE = {"steps": 5, "dt": 0.001, "max_rate": 100.0, "generator": torch.Generator()}
LATENCY = {"steps": 5, "dt": 0.001, "tau": 0.01, "threshold": 0.1}
HALF = torch.tensor([0.5])


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: rate_encode(torch.tensor([1]), **RATE), TypeError, "floating-point tensor, torch.int64"),
        (lambda: rate_encode([0.5], **RATE), TypeError, "floating-point tensor, list"),
        (lambda: rate_encode(torch.tensor([float("nan")]), **RATE), ValueError, "NaN"),
        (lambda: rate_encode(torch.tensor([1.5]), **RATE), ValueError, "between 0 and 1, 1.5 to 1.5"),
        (lambda: rate_encode(HALF, **RATE | {"dt": -0.001}), ValueError, "dt is a finite number of seconds above 0, -0.001"),
        (lambda: rate_encode(HALF, **RATE | {"dt": None}), TypeError, "dt is a number in seconds, None"),
        (lambda: rate_encode(HALF, **RATE | {"steps": 0}), ValueError, "steps is at least 1"),
        (lambda: rate_encode(HALF, **RATE | {"steps": 2.5}), TypeError, "steps is a whole number"),
        (lambda: rate_encode(HALF, **RATE | {"max_rate": 2000.0}), ValueError, "shorten dt or use law='poisson'"),
        (lambda: rate_encode(HALF, **RATE | {"generator": None}), TypeError, "torch.Generator"),
        (lambda: rate_encode(torch.empty(1, device="meta"), **RATE), ValueError, "x is on meta, the generator on cpu"),
        (lambda: rate_encode(HALF, **RATE | {"law": "gamma"}), ValueError, "'gamma'"),
        (lambda: latency_encode(HALF, **LATENCY | {"tau": 0}), ValueError, "tau"),
        (lambda: latency_encode(HALF, **LATENCY | {"threshold": 1.0}), ValueError, "threshold lies between 0 and 1"),
        (lambda: latency_encode(HALF, **LATENCY | {"dt": float("nan")}), ValueError, "dt"),
        (lambda: latency_encode([0.5], **LATENCY), TypeError, "list"),
        (lambda: delta_encode(torch.tensor(1.0), threshold=1.0), ValueError, "time first"),
        (lambda: delta_encode(torch.tensor([1.0, float("nan")]), threshold=1.0), ValueError, "NaN"),
        (lambda: delta_encode(HALF, threshold=0.0), ValueError, "threshold"),
        (lambda: delta_decode(torch.zeros(3, 2), torch.zeros(3), threshold=1.0), ValueError, "equal axes"),
    ],
)
def test_bad_input_is_one_sentence(call, error, said):
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
