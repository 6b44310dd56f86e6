import pytest
import torch
from torch.testing import assert_close

from neuropil.plasticity import HomeostaticLearningRate, HomeostaticState, after_update, lookahead


def state(*eta):
    return HomeostaticState(torch.tensor(eta, dtype=torch.float64))


def test_proposal_worked_by_hand():
    rule = HomeostaticLearningRate(step=0.02)
    proposed = rule.propose(state(0.1, 0.1, 0.1, 0.01), torch.tensor([4, 5, 9, 0]))
    assert_close(proposed, torch.tensor([0.08, 0.12, 0.12, 1e-8], dtype=torch.float64), rtol=1e-12, atol=0)


def test_ingest_follows_the_true_class_and_only_where_taken():
    rule = HomeostaticLearningRate(step=0.02)
    moved = rule.ingest(state(0.1, 0.1, 0.1), torch.tensor([7, 2, 7]), torch.tensor([True, True, False]))
    assert_close(moved.eta, torch.tensor([0.12, 0.08, 0.1], dtype=torch.float64), rtol=1e-12, atol=0)


def test_a_misperceived_class_moves_the_rate_the_wrong_way():
    rule, before = HomeostaticLearningRate(step=0.02), state(0.1)
    guess, label = torch.tensor([8]), torch.tensor([1])
    assert rule.propose(before, guess) > before.eta
    assert rule.ingest(before, label, torch.tensor([True])).eta < before.eta


def test_the_midpoint_is_the_lowest_class_that_raises():
    assert HomeostaticLearningRate(step=0.1, midpoint=3).direction(torch.tensor([2, 3, 4])).tolist() == [-1, 1, 1]


def test_a_tie_leaves_the_sample():
    rule = HomeostaticLearningRate(step=0.1)
    assert rule.decide(torch.tensor([10, 10, 10]), torch.tensor([9, 10, 11])).tolist() == [False, False, True]


def test_at_step_zero_the_rate_is_constant_exactly():
    rule, now = HomeostaticLearningRate(step=0.0), HomeostaticLearningRate(step=0.0).initial(0.1, replicas=3)
    for label in range(10):
        guess = torch.full((3,), label)
        assert torch.equal(rule.propose(now, guess), now.eta)
        now = rule.ingest(now, guess, torch.tensor([True, False, True]))
    assert now.eta.tolist() == [0.1, 0.1, 0.1]


def test_state_goes_in_and_comes_out_untouched():
    rule, before = HomeostaticLearningRate(step=0.02), state(0.1)
    rule.ingest(before, torch.tensor([9]), torch.tensor([True]))
    assert before.eta.item() == 0.1


def test_lookahead_on_a_linear_classifier_worked_by_hand():
    # Scores are (w, 0); the gradient of w is 1. Memory x = 1, -1, 2, all of class 0, is right where x w > 0.
    # After a step of eta = 0.5 from w = 1: w = 0.5, right are 1 and 2. After eta = 3: w = -2, right is -1 alone.
    weights, gradient = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[1.0], [0.0]]])
    memory = torch.tensor([[[1.0], [-1.0], [2.0]]])
    after = after_update(lambda p, x: x @ p[0].mT, [weights], [gradient], memory)
    right = lookahead(after, torch.tensor([[0.5, 3.0]]), torch.zeros(1, 3, dtype=torch.long))
    assert right.tolist() == [[2, 1]]


def test_replicas_look_ahead_on_their_own():
    generator = torch.Generator().manual_seed(0)
    weights, gradient = (torch.randn(4, 3, 5, generator=generator) for _ in range(2))
    memory, labels = torch.randn(4, 6, 5, generator=generator), torch.randint(3, (4, 6), generator=generator)
    etas = torch.rand(4, 2, generator=generator)

    def forward(p, x):
        return x @ p[0].mT

    together = lookahead(after_update(forward, [weights], [gradient], memory), etas, labels)
    for r in range(4):
        for c in range(2):
            moved = weights[r] - etas[r, c] * gradient[r]
            assert together[r, c] == ((memory[r] @ moved.T).argmax(1) == labels[r]).sum()


@pytest.mark.parametrize(
    ("arguments", "said"), [({"step": -0.1}, "step"), ({"step": float("nan")}, "step"), ({"step": 0.1, "floor": 0.0}, "floor")]
)
def test_settings_without_sense_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        HomeostaticLearningRate(**arguments)


def test_a_first_rate_below_the_floor_is_refused():
    with pytest.raises(ValueError, match="at least the floor"):
        HomeostaticLearningRate(step=0.1).initial(0.0)


def test_replicas_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="same R"):
        lookahead(lambda etas: etas, torch.zeros(2, 2), torch.zeros(3, 4))
