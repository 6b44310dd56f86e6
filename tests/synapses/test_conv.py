"""Conv against scipy's correlation; leading axes; bad sizes."""

import pytest
import torch
from scipy.signal import correlate

from neuropil.synapses import Conv


@pytest.mark.parametrize("dims", [1, 2])
def test_it_is_scipys_correlation_summed_over_channels(dims):
    synapse = Conv(3, 2, 3, dims=dims).double()
    x = torch.rand(4, 2, 3, *[6, 7][:dims], dtype=torch.float64)
    y = synapse(x).detach()
    for t in range(4):
        for b in range(2):
            for m in range(2):
                parts = [correlate(x[t, b, n].numpy(), synapse.weight[m, n].detach().numpy(), mode="same") for n in range(3)]
                torch.testing.assert_close(y[t, b, m], torch.from_numpy(sum(parts)), rtol=1e-10, atol=1e-12)


def test_stride_and_padding_by_hand():
    synapse = Conv(1, 1, 2, dims=1, stride=2, padding=0)
    synapse.weight.data[:] = torch.tensor([1.0, 10.0])
    assert synapse(torch.tensor([[1.0, 2, 3, 4, 5]])).tolist() == [[21.0, 43.0]]


@pytest.mark.parametrize("kernel", [1, 5])
def test_currents_are_as_large_whatever_the_kernel(kernel):
    generator = torch.Generator().manual_seed(0)
    y = Conv(16, 64, kernel, padding=0, generator=generator)(torch.randn(20, 16, 12, 12, generator=generator))
    assert float(y.detach().std()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.rand(2, 5, 5), "takes 3 features"),
        (torch.rand(5, 5), "accepted is"),
        (torch.rand(3, 2, 2), "kernel of 5 and was given space"),
    ],
)
def test_bad_inputs(x, says):
    with pytest.raises(ValueError, match=says):
        Conv(3, 2, 5, padding=1)(x)


@pytest.mark.parametrize("settings", [{"dims": 3}, {"padding": -1}, {"stride": 0}])
def test_bad_settings(settings):
    with pytest.raises(ValueError, match="of a Conv is"):
        Conv(3, 2, **settings)
