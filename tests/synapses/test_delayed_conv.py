"""DelayedConv: scipy's correlation over space and time, single events, the coincidence of what moves, and why evidence is rectified before it is pooled."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from neuropil.observe import observe
from neuropil.synapses import DelayedConv


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("dims", [1, 2])
def test_it_is_scipys_correlation_over_past_and_space(dims):
    synapse = DelayedConv(2, 3, 3, max_delay=4, dims=dims, generator=generator()).double()
    x = torch.rand(9, 2, 2, *[6, 7][:dims], dtype=torch.float64, generator=generator())
    y = synapse(x)[0].detach()
    before = torch.zeros(4, *x.shape[1:], dtype=torch.float64)
    padded = torch.nn.functional.pad(torch.cat((before, x)), (1, 1) * dims)
    for b in range(2):
        for m in range(3):
            weight = synapse.weight[m].detach().flip(1)
            parts = [correlate(padded[:, b, n].numpy(), weight[n].numpy(), mode="valid") for n in range(2)]
            torch.testing.assert_close(y[:, b, m], torch.from_numpy(sum(parts)), rtol=1e-10, atol=1e-12)


def test_an_event_arrives_after_its_delay_at_every_place_of_the_window():
    synapse = DelayedConv(2, 1, 3, max_delay=5, generator=generator())
    x = torch.zeros(12, 2, 9, 9)
    x[3, 1, 4, 5] = 1.0
    y = synapse(x)[0].detach()
    expected = np.zeros((12, 1, 9, 9), np.float32)
    for d in range(6):
        for i in range(3):
            for j in range(3):  # what lies at an offset of (i - 1, j - 1) is heard from the place that is as far the other way
                expected[3 + d, 0, 4 - (i - 1), 5 - (j - 1)] = synapse.weight[0, 1, d, i, j].item()
    torch.testing.assert_close(y, torch.from_numpy(expected), atol=1e-7, rtol=0)


def test_what_moves_along_the_kernel_arrives_at_once_and_what_moves_against_it_does_not():
    synapse = DelayedConv(1, 1, 9, max_delay=4, dims=1)
    torch.nn.init.zeros_(synapse.weight)
    for d in range(5):
        synapse.weight.data[0, 0, d, 4 - d] = 1.0  # a step to the right a moment: the older, the further to the left
    right, left = torch.zeros(20, 1, 20), torch.zeros(20, 1, 20)
    for t in range(20):
        right[t, 0, t] = left[t, 0, 19 - t] = 1.0
    assert synapse(right)[0].max().item() == 5
    assert synapse(left)[0].max().item() == 1


def test_linear_evidence_summed_over_space_holds_event_counts_and_no_motion():
    synapse = DelayedConv(1, 4, 5, max_delay=3, padding=4, dims=1, generator=generator()).double()
    draws = generator()
    x = (torch.rand(10, 1, 12, dtype=torch.float64, generator=draws) < 0.2).double()
    scrambled = torch.stack([moment[:, torch.randperm(12, generator=draws)] for moment in x])
    one, other = synapse(x)[0].detach(), synapse(scrambled)[0].detach()
    assert not torch.allclose(one, other)
    torch.testing.assert_close(one.sum(-1), other.sum(-1))
    assert not torch.allclose(one.clamp(min=0).sum(-1), other.clamp(min=0).sum(-1))


def test_a_sequence_may_be_cut_and_its_buffer_observed():
    synapse = DelayedConv(2, 3, 3, max_delay=4, generator=generator()).double()
    x = torch.rand(9, 2, 2, 5, 5, dtype=torch.float64, generator=generator())
    whole, last = synapse(x)
    first, s = synapse(x[:2])
    second, s = synapse(x[2:], s)
    torch.testing.assert_close(torch.cat((first, second)), whole)
    torch.testing.assert_close(s.buffer, x[5:])
    with observe(synapse, "buffer") as seen:
        torch.testing.assert_close(synapse(x)[0], whole)
    assert seen["buffer"].shape == (9, 4, 2, 2, 5, 5)
    assert torch.equal(last.buffer, s.buffer)


@pytest.mark.parametrize("max_delay", [0, 7])
def test_currents_are_as_large_whatever_the_delays(max_delay):
    draws = generator()
    y = DelayedConv(4, 64, 3, max_delay=max_delay, padding=0, generator=draws)(torch.randn(30, 4, 12, 12, generator=draws))[0]
    assert float(y.detach()[max_delay:].std()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.rand(4, 2, 3, 5, 5), "takes 2 features"),
        (torch.rand(2, 5, 5), "accepted is"),
        (torch.rand(4, 2, 2, 2), "kernel of 5 and was given space"),
    ],
)
def test_bad_inputs(x, says):
    with pytest.raises(ValueError, match=says):
        DelayedConv(2, 2, 5, max_delay=2, padding=1)(x)


@pytest.mark.parametrize("settings", [{"dims": 3}, {"padding": -1}, {"kernel": 0}, {"max_delay": -1}, {"max_delay": 1.5}])
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=r"DelayedConv|max_delay is"):
        DelayedConv(3, 2, **{"max_delay": 2, **settings})


def test_further_inputs_are_refused():
    with pytest.raises(TypeError, match="takes x and a state"):
        DelayedConv(1, 1, max_delay=1)(torch.rand(3, 1, 4, 4), post=torch.rand(3, 1))
