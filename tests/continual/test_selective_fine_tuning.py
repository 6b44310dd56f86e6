import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from neuropil.continual import fine_tune_modules
from neuropil.networks import BatchNormConvNet

DRAWS = torch.Generator().manual_seed(0)
X, Y = torch.randn(40, 1, 8, 8, generator=DRAWS), torch.arange(40) % 10


def net():
    return BatchNormConvNet(size=8, widths=(4, 6), kernels=(3, 3), generator=torch.Generator().manual_seed(1))


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1)


def tuned(model, modules, steps=5, batch_size=16, seed=2, **options):
    return fine_tune_modules(
        model, X, Y, modules, sgd, steps=steps, batch_size=batch_size, generator=torch.Generator().manual_seed(seed), **options
    )


def test_a_read_out_on_frozen_features_descends_as_the_closed_form_does():
    """Squared error in a linear layer: ``w_k = w* + (1 - rate H)^k (w_0 - w*)``, H and w* of the normal equations."""
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x, y = torch.randn(30, 3, dtype=torch.float64, generator=DRAWS), torch.randn(30, 1, dtype=torch.float64, generator=DRAWS)
    f = model[:2](x).detach().numpy()
    f1 = np.concatenate([f, np.ones((30, 1))], 1)
    start = np.concatenate([model[2].weight.detach().numpy()[0], model[2].bias.detach().numpy()])
    hessian, best = 2 * f1.T @ f1 / 30, np.linalg.lstsq(f1, y.numpy()[:, 0], rcond=None)[0]
    losses = fine_tune_modules(model, x, y, ["2"], sgd, steps=7, batch_size=30, loss=mse_loss)
    steps = [best + np.linalg.matrix_power(np.eye(6) - 0.1 * hessian, k) @ (start - best) for k in range(8)]
    found = torch.cat([model[2].weight[0], model[2].bias]).detach().numpy()
    np.testing.assert_allclose(found, steps[7], rtol=1e-9)
    np.testing.assert_allclose(losses.numpy(), [((f1 @ w - y.numpy()[:, 0]) ** 2).mean() for w in steps[:7]], rtol=1e-5)


@pytest.mark.parametrize("modules", [["blocks.norm1", "readout"], ["blocks.conv2"], ["blocks.norm2"], [], None])
def test_named_modules_move_and_the_rest_stays(modules):
    model = net()
    before = copy.deepcopy(dict(model.named_parameters()))
    tuned(model, modules)
    for name, one in model.named_parameters():
        named = modules is None or name.rpartition(".")[0] in modules
        assert torch.equal(one, before[name]) != named
        assert one.requires_grad
        assert one.grad is None or named


def test_all_modules_by_name_are_none_and_are_plain_training():
    everything, named, plain = net(), net(), net()
    tuned(everything, None)
    tuned(named, ["blocks.conv1", "blocks.norm1", "blocks.conv2", "blocks.norm2", "readout"])
    descent, draws = sgd(plain.parameters()), torch.Generator().manual_seed(2)
    for _ in range(5):
        batch = torch.randperm(40, generator=draws)[:16]
        descent.zero_grad()
        nn.functional.cross_entropy(plain(X[batch]), Y[batch]).backward()
        descent.step()
    for other in (named, plain):
        for a, b in zip(everything.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_without_modules_running_statistics_become_the_examples_by_the_norms_own_law():
    model = net()
    inside = nn.functional.conv2d(X, model.blocks.conv1.weight, stride=2, padding=1).detach().numpy()
    model.eval()
    tuned(model, [], steps=6, batch_size=40)
    kept = 0.9**6
    mean, variance = inside.mean((0, 2, 3)), inside.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(model.blocks.norm1.running_mean.numpy(), (1 - kept) * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.blocks.norm1.running_var.numpy(), (1 - kept) * variance + kept, rtol=1e-4)
    assert not model.training


def test_what_required_no_gradient_requires_none_afterwards():
    model = net()
    model.readout.requires_grad_(False)
    before = model.readout.weight.clone()
    tuned(model, ["readout"])
    assert not torch.equal(model.readout.weight, before)
    assert not model.readout.weight.requires_grad
    assert model.blocks.conv1.weight.requires_grad
    assert model.training


def test_a_loss_that_fails_leaves_the_model_as_it_was():
    def fails(output, labels):
        raise RuntimeError("no loss")

    model = net().eval()
    with pytest.raises(RuntimeError, match="no loss"):
        tuned(model, ["readout"], loss=fails)
    assert all(one.requires_grad for one in model.parameters())
    assert not model.training


def test_each_batch_has_different_examples_and_a_batch_too_large_has_all():
    seen = []
    model = nn.Linear(1, 1)
    model.register_forward_hook(lambda _, given, __: seen.append(given[0].flatten().tolist()))
    x = torch.arange(9.0)[:, None]
    for batch_size in (4, 20):
        fine_tune_modules(model, x, x, [], sgd, steps=50, batch_size=batch_size, loss=mse_loss)
    assert all(len(batch) == len(set(batch)) == 4 for batch in seen[:50])
    assert all(sorted(batch) == x.flatten().tolist() for batch in seen[50:])
    assert {one for batch in seen[:50] for one in batch} == set(x.flatten().tolist())
    assert tuned(net(), None, steps=0).shape == (0,)


def test_what_it_cannot_take_is_refused():
    with pytest.raises(ValueError, match=r"blocks.conv1, .*readout here; blocks, head was asked for"):
        tuned(net(), ["head", "blocks"])
    for inputs, labels, steps, batch_size in ((X, Y[:3], 1, 1), (X[:0], Y[:0], 1, 1), (X, Y, -1, 1), (X, Y, 1, 0)):
        with pytest.raises(ValueError, match=f"{len(inputs)} inputs, {len(labels)} labels, {steps} and {batch_size} were given"):
            fine_tune_modules(net(), inputs, labels, None, sgd, steps=steps, batch_size=batch_size)
