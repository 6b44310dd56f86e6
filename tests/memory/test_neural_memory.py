"""NeuralMemory against autograd moment by moment, the delta rule, linear attention within a chunk, and the numbers of a peer."""

import pytest
import torch
from torch.nn.functional import normalize, silu

from neuropil.memory import FastWeights, NeuralMemory

T, K, V = 11, 4, 3
F64 = torch.float64


def given(*leading, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q, k = (normalize(torch.randn(*leading, T, K, generator=generator, dtype=F64), dim=-1) for _ in range(2))
    v = torch.randn(*leading, T, V, generator=generator, dtype=F64)
    return q, k, v, *(0.4 * torch.rand(*leading, T, generator=generator, dtype=F64) for _ in range(3))


def made(hidden=(5,), chunk=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    memory = NeuralMemory(K, V, hidden=hidden, chunk=chunk, generator=generator).double()
    with torch.no_grad():
        memory.start[-1].normal_(generator=generator)
    return memory


def through(weights, x):
    for weight in weights[:-1]:
        x = silu(weight @ x)
    return weights[-1] @ x


@pytest.mark.parametrize("hidden", [(), (5,), (4, 6)])
@pytest.mark.parametrize("chunk", [1, 4, 16])
def test_a_sequence_at_once_is_autograd_moment_by_moment(hidden, chunk):
    memory = made(hidden, chunk)
    q, k, v, theta, eta, alpha = given()
    y, last = memory(q, k, v, theta, eta, alpha)
    weights = [one.detach().clone() for one in memory.start]
    surprise = [torch.zeros_like(one) for one in weights]
    for t in range(T):
        if t % chunk == 0:
            begun = [one.detach().clone().requires_grad_() for one in weights]
        slopes = torch.autograd.grad((through(begun, k[t]) - v[t]).square().sum(), begun)
        surprise = [eta[t] * s - theta[t] * slope for s, slope in zip(surprise, slopes, strict=True)]
        weights = [(1 - alpha[t]) * w + s for w, s in zip(weights, surprise, strict=True)]
        torch.testing.assert_close(y[t], through(weights, q[t]))
    for found, wanted in ((last.weights, weights), (last.surprise, surprise)):
        torch.testing.assert_close(list(found), wanted)
    torch.testing.assert_close(memory.read(last, q[0]), through(weights, q[0]))
    torch.testing.assert_close(memory.read(last, q), torch.stack([through(weights, one) for one in q]))


def test_gradients_are_autograds_through_all_that_was_written():
    memory = made((3,), chunk=4)
    inputs = [one[:, :6].clone().requires_grad_() for one in given(2)]
    assert torch.autograd.gradcheck(lambda *x: memory(*x)[0], inputs)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_sequence_in_pieces_of_whole_chunks_is_the_sequence(hidden):
    memory, sequence = made(hidden, chunk=4), given(2, 3)
    whole, last = memory(*sequence)
    first, s = memory(*(one[:, :, :8] for one in sequence[:3]), *(one[..., :8] for one in sequence[3:]))
    second, s = memory(*(one[:, :, 8:] for one in sequence[:3]), *(one[..., 8:] for one in sequence[3:]), s)
    torch.testing.assert_close(torch.cat((first, second), -2), whole)
    torch.testing.assert_close(s, last)


def test_one_matrix_without_momentum_and_forgetting_is_the_delta_rule():
    q, k, v, theta, *_ = given(2)
    y, last = NeuralMemory(K, V, chunk=1).double()(q, k, v, theta)
    fast = FastWeights(K, V, write="delta").double()
    s = fast.initial(2).__class__(torch.zeros(2, V, K, dtype=F64))
    for t in range(T):
        s = fast.write(s, k[:, t], v[:, t], 2 * theta[:, t])
        torch.testing.assert_close(y[:, t], fast.read(s, q[:, t]))
    torch.testing.assert_close(last.weights[0], s.F)
    half = torch.full_like(theta, 0.5)
    again = k[:, :1].expand_as(k)
    y, _ = NeuralMemory(K, V, chunk=1).double()(again, again, v, half)
    torch.testing.assert_close(y, v)


def test_within_a_chunk_an_empty_matrix_is_linear_attention():
    q, k, v, theta, *_ = given(2)
    y, _ = NeuralMemory(K, V, chunk=T).double()(q, k, v, theta)
    scores = torch.einsum("btk,bsk->bts", q, k).tril()
    torch.testing.assert_close(y, torch.einsum("bts,bs,bsv->btv", scores, 2 * theta, v))


def test_nothing_is_written_at_rate_zero_and_all_is_lost_where_all_is_forgotten():
    memory = made()
    q, k, v, theta, eta, alpha = given(2)
    y, s = memory(q, k, v, 0 * theta, eta)
    torch.testing.assert_close(y, memory.read(memory.initial(2), q))
    torch.testing.assert_close(s.weights, memory.initial(2).weights)
    assert not any(part.any() for part in s.surprise)
    torch.testing.assert_close(memory(q, k, v, 0 * theta, eta, torch.ones_like(alpha))[0], torch.zeros_like(v))
    one, zero = torch.ones_like(eta), torch.zeros_like(eta)
    torch.testing.assert_close(memory(q, k, v, theta, zero, zero), memory(q, k, v, theta))
    assert (memory(q, k, v, theta, one)[0] - y).abs().max() > 0.1


def test_a_new_memory_answers_zero_and_batches_do_not_touch():
    memory = NeuralMemory(K, V, hidden=(5,), generator=torch.Generator().manual_seed(0)).double()
    q, k, v, *rates = given(3)
    assert not memory.read(memory.initial(3), q).any()
    y, _ = memory(q, k, v, *rates)
    torch.testing.assert_close(y[1], memory(q[1], k[1], v[1], *(one[1] for one in rates))[0])
    assert memory.floats == 5 * (K + V)


PEER = [
    [0.14087695636745, 0.06561616615823, -0.18631987359668],
    [0.01959243796690, -0.03455019824986, -0.04055965620897],
    [-0.01867240709177, -0.00251328517940, -0.00121801134127],
    [-0.00597590779555, 0.00746131796289, 0.00418479927775],
    [-0.01127855430416, -0.03703794182626, -0.01154752081219],
    [-0.01817428513222, -0.08267383190821, -0.03635383122615],
    [-0.00118081097572, -0.00541457144243, -0.00255822299531],
]


def test_numbers_of_a_peer():
    """Frozen from titans-pytorch 0.5.5: ``NeuralMemory(dim=3, chunk_size=1, batch_size=3, model=M(), mem_model_norm_add_residual=False, pre_rmsnorm=False)`` in float64, ``M``: ``silu(x @ a) @ b`` with 4 hidden cells;
    every parameter was ``law(shape, place)``, its place in ``named_parameters()``, and the input ``law((1, 7, 3), 0.3)``. Its loss is a mean over 3 numbers, ours a sum, so ``theta`` is a third of its rate."""

    def law(shape, place):
        return 0.75 * torch.sin(torch.arange(torch.Size(shape).numel(), dtype=F64) * 1.7 + place).reshape(shape)

    x = law((7, 3), 0.3)
    q, k, v = (x @ law((3, 3), place).mT for place in (4, 5, 6))
    theta, eta, alpha = ((x @ law((1, 3), place).mT + law((1,), place + 1)).squeeze(-1).sigmoid() for place in (7, 9, 11))
    memory = NeuralMemory(3, 3, hidden=(4,), chunk=3).double()
    with torch.no_grad():
        memory.start[0].copy_(law((3, 4), 2).mT)
        memory.start[1].copy_(law((4, 3), 3).mT)
    y, _ = memory(q, k, v, theta / 3, eta, alpha)
    torch.testing.assert_close(y, torch.tensor(PEER, dtype=F64), rtol=1e-9, atol=1e-12)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="1 or more"):
        NeuralMemory(3, 0)
    with pytest.raises(ValueError, match="chunk of NeuralMemory"):
        NeuralMemory(3, 3, chunk=0)
    memory = made()
    q, k, v, theta, *_ = given()
    with pytest.raises(ValueError, match=r"takes q and k \[..., T, 4\]"):
        memory(q, k[:, :2], v, theta)
    with pytest.raises(ValueError, match="eta of NeuralMemory has a number a moment"):
        memory(q, k, v, theta, theta[:3])
