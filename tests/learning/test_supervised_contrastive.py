import math

import numpy as np
import pytest
import torch

from neuropil.learning import nt_xent, supervised_contrastive


def written_out(features, labels, temperature):
    """The definition, anchor by anchor and positive by positive, in NumPy."""
    z = features / np.linalg.norm(features, axis=1, keepdims=True)
    losses = []
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            below = sum(math.exp(z[i] @ z[k] / temperature) for k in others)
            losses.append(-sum(math.log(math.exp(z[i] @ z[p] / temperature) / below) for p in positives) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_it_is_its_definition(temperature):
    draws = np.random.default_rng(0)
    features, labels = draws.normal(size=(3, 20, 7)), draws.integers(0, 6, (3, 20))
    labels[0, :5] = [50, 51, 52, 53, 50]
    found = supervised_contrastive(torch.from_numpy(features), torch.from_numpy(labels), temperature=temperature)
    np.testing.assert_allclose(found, [written_out(f, y, temperature) for f, y in zip(features, labels, strict=True)], rtol=1e-10)


def test_of_two_a_class_it_is_nt_xent_of_two_views():
    views = torch.randn(2, 16, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = supervised_contrastive(views.flatten(0, 1), torch.arange(16).repeat(2), temperature=0.2)
    torch.testing.assert_close(found, nt_xent(views, temperature=0.2))


def test_vectors_all_alike_are_at_chance_and_classes_apart_at_zero():
    labels = torch.arange(4).repeat_interleave(5)
    assert float(supervised_contrastive(torch.ones(20, 3), labels)) == pytest.approx(math.log(19), rel=1e-6)
    apart = torch.eye(4).repeat_interleave(5, 0)
    assert float(supervised_contrastive(apart, labels, temperature=0.01)) == pytest.approx(math.log(4), rel=1e-6)


def test_without_a_pair_of_one_class_it_is_zero_and_gradients_are_finite():
    x = torch.randn(4, 3, requires_grad=True, generator=torch.Generator().manual_seed(0))
    supervised_contrastive(x, torch.arange(4)).backward()
    assert float(x.grad.abs().max()) == 0
    y = torch.randn(6, 3, requires_grad=True, generator=torch.Generator().manual_seed(1))
    supervised_contrastive(y, torch.tensor([0, 0, 1, 1, 2, 3])).backward()
    assert bool(y.grad.isfinite().all())
    assert float(y.grad.abs().max()) > 0


def test_gradients_are_those_of_differences():
    x = torch.randn(8, 4, requires_grad=True, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda given: supervised_contrastive(given, torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])), (x,))


@pytest.mark.parametrize(
    ("features", "labels", "temperature", "said"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.long), 0.1, "two things or more"),
        (torch.zeros(1, 3), torch.zeros(1, dtype=torch.long), 0.1, "two things or more"),
        (torch.zeros(4, 3), torch.zeros(3, dtype=torch.long), 0.1, r"labels i64 \[..., N\]"),
        (torch.zeros(4, 3), torch.zeros(4), 0.1, "torch.float32"),
        (torch.zeros(4, 3), torch.zeros(4, dtype=torch.long), 0.0, "temperature is above 0"),
    ],
)
def test_what_it_cannot_take_is_refused(features, labels, temperature, said):
    with pytest.raises(ValueError, match=said):
        supervised_contrastive(features, labels, temperature=temperature)
