import math

import pytest
import torch
from torch.testing import assert_close

from neuropil.data import FewShotSequences
from neuropil.interpret import first_above, induction_strength, plateau_share, previous_token_strength
from neuropil.networks import AttentionOnlyTransformer
from neuropil.observe import clamp, observe

LABELS = (1, 3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def causal_uniform(length):
    mask = torch.ones(length, length).tril()
    return mask / mask.sum(1, keepdim=True)


def test_equal_attention_has_no_strength():
    pattern = causal_uniform(5).expand(3, 2, 5, 5)
    assert_close(induction_strength(pattern, torch.tensor([1, 3, 3]), LABELS), torch.zeros(3, 2))
    assert_close(previous_token_strength(pattern, LABELS), torch.zeros(3, 2))
    assert_close(previous_token_strength(pattern, range(1, 5)), torch.zeros(3, 2))


def test_all_attention_in_place_has_strength_one_and_elsewhere_less():
    match = torch.tensor([1, 3])
    right = torch.zeros(2, 1, 5, 5)
    right[0, 0, -1, 1] = right[1, 0, -1, 3] = 1
    assert_close(induction_strength(right, match, LABELS), torch.ones(2, 1))
    assert_close(induction_strength(right, torch.tensor([3, 1]), LABELS), -torch.ones(2, 1))
    elsewhere = torch.zeros(2, 1, 5, 5)
    elsewhere[..., -1, 0] = 1
    assert_close(induction_strength(elsewhere, match, LABELS), torch.zeros(2, 1))
    before = torch.eye(5)[[0, 0, 1, 2, 3]]
    assert_close(previous_token_strength(before, LABELS), torch.tensor(1.0))
    two_before = torch.eye(5)[[0, 1, 0, 1, 2]]
    assert_close(previous_token_strength(two_before, LABELS), torch.tensor((-1 / 1 - 1 / 3) / 2))


def test_strength_with_several_labels_by_hand():
    pattern = torch.zeros(1, 1, 7, 7)
    pattern[0, 0, -1] = torch.tensor([0.1, 0.4, 0.0, 0.2, 0.1, 0.1, 0.1])
    assert_close(induction_strength(pattern, torch.tensor([3]), (1, 3, 5)), torch.tensor([[0.2 - (0.4 + 0.1) / 2]]))


def induction_circuit(task, sharp=30.0):
    """Weights set by hand: the head of layer 1 looks one token back and writes what it held into a slot of its own; layer 2 matches, then copies.

    The stream holds [exemplar | label | what the token before held | a constant]; norms scale it, which a sharp softmax does not mind.
    """
    dim, labels = task.prototypes.shape[1], task.labels
    slot, constant = dim + labels, 2 * dim + labels
    # heads wide enough for an exemplar; a base so large that only the first pair of entries turns, by one radian a position
    net = AttentionOnlyTransformer(task.inputs, labels, width=constant + 1, heads=(1, 1), head_width=dim + 2, base=1e30)
    with torch.no_grad():
        for part in net.modules():
            if hasattr(part, "weight") and part.weight.ndim == 2:
                part.weight.zero_()
        net.embed.weight[:, : task.inputs] = torch.eye(task.inputs)
        net.embed.bias[0, constant] = 1.0
        first, second = net.layers
        # the key is the query turned by one position, so their product is largest one token back
        first.query.weight[constant, 0] = sharp
        first.key.weight[constant, 0], first.key.weight[constant, 1] = math.cos(1.0), math.sin(1.0)
        for i in range(dim):
            first.value.weight[i, 2 + i] = first.out.weight[2 + i, slot + i] = 1.0
            second.query.weight[i, 2 + i] = sharp
            second.key.weight[slot + i, 2 + i], second.key.weight[i, 2 + i] = 1.0, -1.0  # held by the token before, and not by this one
        for j in range(labels):
            second.value.weight[dim + j, 2 + j] = second.out.weight[2 + j, dim + j] = net.readout.weight[dim + j, j] = 1.0
    return net


def test_a_perfect_circuit_built_by_hand_solves_the_task():
    task = FewShotSequences(generator(), dim=32, classes=20, new_classes=20)
    net = induction_circuit(task)
    batch = task.sample(400, generator(1), new=True)
    with observe(net, "layers.0.pattern", "layers.1.pattern") as seen:
        assert (net(batch.tokens)[:, -1].argmax(1) == batch.target).all()
        assert_close(previous_token_strength(seen["layers.0.pattern"], LABELS), torch.ones(400, 1), atol=1e-3, rtol=0)
        assert_close(induction_strength(seen["layers.1.pattern"], batch.match, LABELS), torch.ones(400, 1), atol=1e-3, rtol=0)
        with clamp(net, {"layers.0.pattern": torch.eye(5)}):  # without the token before, there is nothing to match
            blind = net(batch.tokens)[:, -1].argmax(1) == batch.target
            assert_close(previous_token_strength(seen["layers.0.pattern"], LABELS), torch.full((400, 1), -2 / 3))
    assert blind.float().mean() < 0.6


def test_when_a_level_is_passed():
    assert first_above([0, 25, 50, 75], [0.5, 0.75, 0.76, 0.4], 0.75) == 50
    assert first_above([0, 25], [0.1, 0.2], 0.75) == math.inf
    with pytest.raises(ValueError, match="as many"):
        first_above([0], [0.1, 0.2], 0.75)


def test_plateau_share():
    steps, loss = [0, 25, 50, 75, 100], [1.6, 0.7, 0.69, 0.68, 0.1]
    assert plateau_share(steps, loss, 100, 0.66, 0.75) == 0.75
    assert plateau_share(steps, loss, math.inf, 0.66, 0.75) == 0.6
    assert plateau_share(steps, loss, 0, 0.66, 0.75) == 0.0


def test_refusals():
    pattern = torch.zeros(2, 1, 5, 5)
    with pytest.raises(ValueError, match="two at least"):
        induction_strength(pattern, torch.tensor([1, 1]), (1,))
    with pytest.raises(ValueError, match="position of a label"):
        induction_strength(pattern, torch.tensor([1, 2]), LABELS)
    for queries in ((0, 1), (5,), ()):
        with pytest.raises(ValueError, match="none before it"):
            previous_token_strength(pattern, queries)
