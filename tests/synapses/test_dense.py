"""Dense against numpy's product, and its start against the variance it promises."""

import numpy as np
import pytest
import torch

from neuropil.synapses import Dense


def test_it_is_the_matrix_product():
    synapse = Dense(5, 3)
    x = torch.rand(7, 2, 5)
    expected = np.einsum("tbn,mn->tbm", x.numpy().astype(float), synapse.weight.detach().numpy().astype(float))
    torch.testing.assert_close(synapse(x).detach().double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_currents_are_as_large_whatever_the_number_of_inputs(gain):
    for size in (20, 500):
        generator = torch.Generator().manual_seed(0)
        y = Dense(size, 400, gain=gain, generator=generator)(torch.randn(200, size, generator=generator))
        assert float(y.detach().std()) == pytest.approx(gain, rel=0.05)


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_sizes_are_whole_and_positive(size):
    with pytest.raises(ValueError, match="whole number, 1 or more"):
        Dense(size, 3)


def test_dtypes_are_mixed_by_autocast_only():
    synapse, x = Dense(5, 3), torch.rand(2, 5, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="convert one with"):
        synapse(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert synapse(x).dtype == torch.bfloat16
