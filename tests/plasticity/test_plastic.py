"""What plastic synapses share: mixed dtypes are for autocast, as in the synapses that do not learn."""

import pytest
import torch
from torch import nn

from neuropil.plasticity import STDP, Oja


@pytest.mark.parametrize("synapse", [Oja(4, 3), STDP(4, 3, dt=1e-3)], ids=lambda synapse: type(synapse).__name__)
def test_right_after_a_linear_dtypes_are_mixed_by_autocast_only(synapse):
    torch.manual_seed(0)
    linear, x = nn.Linear(5, 4), torch.rand(6, 2, 5)
    post = torch.ones(6, 2, 3)
    expected, plain = synapse(linear(x), post=post)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        current = linear(x)
        assert current.dtype == torch.bfloat16
        y, s = synapse(current, post=post)
    assert y.dtype == torch.bfloat16
    assert {field.dtype for field in s} == {torch.float32}
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(s.w, plain.w, rtol=0.02, atol=1e-3)
    assert not torch.equal(s.w[0], synapse.weight)
    with pytest.raises(
        TypeError, match=r"weights of torch.float32 and was given an input of torch.bfloat16; convert one with .to\(dtype\)"
    ):
        synapse(current)
