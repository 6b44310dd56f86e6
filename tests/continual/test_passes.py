"""Passes of examples through a network are counted, however they are asked for, and nothing else changes."""

import copy

import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from neuropil.continual.passes import counted_passes
from neuropil.networks import MLP


def test_passes_are_counted_under_vmap_in_copies_and_change_nothing():
    generator = torch.Generator().manual_seed(0)
    model = MLP((4, 5, 3), generator=generator)
    bare = copy.deepcopy(model)
    x, y = torch.randn(7, 4, generator=generator), torch.randint(3, (7,), generator=generator)
    with counted_passes(model) as tally:
        cross_entropy(model(x), y).backward()
        assert vars(tally) == {"forward": 7, "backward": 7}
        wanted = torch.autograd.grad(cross_entropy(bare(x), y), list(bare.parameters()))
        for one, gradient in zip(model.parameters(), wanted, strict=True):
            assert torch.equal(one.grad, gradient)

        def loss(parameters, example, label):
            return cross_entropy(functional_call(model, parameters, (example[None],)), label[None])

        each = vmap(grad(loss), (None, 0, 0))(dict(model.named_parameters()), x, y)
        assert vars(tally) == {"forward": 14, "backward": 14}
        for found, gradient in zip(each.values(), wanted, strict=True):
            torch.testing.assert_close(found.mean(0), gradient)
        with torch.no_grad():
            copy.deepcopy(model)(x)
        assert vars(tally) == {"forward": 21, "backward": 14}
    model(x)
    assert vars(tally) == {"forward": 21, "backward": 14}
