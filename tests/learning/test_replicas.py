from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.cells import LIF
from neuropil.dynamics import Chain
from neuropil.learning import Backprop, CheckpointError, ForwardForward, ForwardForwardLayer, History, LabelStrip, Replicas, fit
from neuropil.learning.replicas import MANY, SMALL, pays
from neuropil.networks import MLP, ConvNet, SpikingNet
from neuropil.observe import observe

SEEDS = [3, 11, 4]
ADAM = Backprop(lambda p: torch.optim.Adam(p, lr=0.01), F.cross_entropy)


class Listener(nn.Module):
    """A spiking net on batches [B, T, N], read out by its mean potential."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.net = SpikingNet([6, 8, 4], dt=1e-3, tau=0.005, max_delay=2, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.net(x.transpose(0, 1))
        return y.mean(0)


MAKE: dict[str, Callable[[torch.Generator], nn.Module]] = {
    "mlp": lambda g: MLP([12, 8, 4], nn.Tanh, generator=g),
    "spiking": Listener,
    "conv": lambda g: ConvNet(1, 8, 4, (3, 5), 6, generator=g),
    "norm": lambda g: nn.Sequential(MLP([12, 8], bias=False, generator=g), nn.BatchNorm1d(8), nn.ReLU(), MLP([8, 4], generator=g)),
}
SHAPES = {"mlp": (12,), "spiking": (20, 6), "conv": (1, 8, 8), "norm": (12,)}


def models(kind: str = "norm", count: int = 3, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    return [MAKE[kind](torch.Generator().manual_seed(k)).to(dtype) for k in range(count)]


def problem(kind: str = "norm", n: int = 29, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *SHAPES[kind], generator=generator, dtype=torch.float64)
    return (x > 0.5).double() * 1.5 if kind == "spiking" else x, torch.randint(4, (n,), generator=generator)


def assert_close(a: nn.Module, b: nn.Module, **tolerance: float) -> None:
    assert a.state_dict().keys() == b.state_dict().keys()
    for name, ours in a.state_dict().items():
        torch.testing.assert_close(
            ours, b.state_dict()[name], **(tolerance or {"atol": 1e-11, "rtol": 1e-9}), msg=lambda m, n=name: f"{n}: {m}"
        )


def assert_same(a: nn.Module, b: nn.Module) -> None:
    assert_close(a, b, atol=0, rtol=0)


def alone(rule: Backprop, kind: str, data: list[Any], **settings: Any) -> tuple[list[nn.Module], list[History]]:
    found = models(kind)
    return found, [fit(one, own, rule, seed=s, **settings) for one, own, s in zip(found, data, SEEDS, strict=True)]


def assert_same_histories(a: list[History], b: list[History]) -> None:
    for ours, theirs in zip(a, b, strict=True):
        assert (ours.best_epoch, ours.stopped_early, len(ours)) == (theirs.best_epoch, theirs.stopped_early, len(theirs))
        for one, other in zip(ours.epochs, theirs.epochs, strict=True):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-11, nan_ok=True)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_statistics_are_each_models_own(kind: str, training: bool) -> None:
    each = [one.train(training) for one in models(kind)]
    together = Replicas(copy.deepcopy(each))
    x = torch.stack([problem(kind, 7, k)[0] for k in range(3)])
    weights = torch.randn(3, 7, 4, dtype=torch.float64)
    y = together(x)
    (y * weights).sum().backward()
    for k, one in enumerate(each):
        torch.testing.assert_close(y[k], own := one(x[k]), atol=1e-12, rtol=1e-10)
        (own * weights[k]).sum().backward()
        for (name, mine), its in zip(together.model.named_parameters(), one.parameters(), strict=True):
            assert (mine.grad is None) == (its.grad is None)
            if mine.grad is not None:
                torch.testing.assert_close(mine.grad[k], its.grad, atol=1e-12, rtol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
        assert_close(together[k], one)


def test_states_and_time_have_the_replicas_in_front() -> None:
    each = [Chain(nn.Linear(3, 4), LIF(4, dt=1e-3)) for _ in range(2)]
    with torch.no_grad():
        for parameter in (one for net in each for one in net.parameters()):
            parameter.copy_((8 * parameter).round() / 8)  # eighths, whose products and sums are exact in any order
    together, x = Replicas(each), torch.randint(13, (2, 9, 5, 3)) / 4
    y, state = together(x[:, :4])
    rest, state = together(x[:, 4:], state)
    for k, one in enumerate(each):
        whole, last = one(x[k])
        assert torch.equal(torch.cat([y, rest], 1)[k], whole)
        assert torch.equal(state.layers[1].v[k], last.layers[1].v)
    assert state.layers[0] is None


def test_a_replica_is_a_view_and_unstacking_copies() -> None:
    together = Replicas(models())
    copies, view = together.unstack(), together[1]
    assert len(list(together)) == len(together) == len(copies) == 3
    with torch.no_grad():
        view[0].layers.linear1.weight.fill_(7.0)
    assert (together.model[0].layers.linear1.weight[1] == 7).all()
    assert not (together.model[0].layers.linear1.weight[0] == 7).any()
    for copied, original in zip(copies, models(), strict=True):
        assert_same(copied, original)
    assert isinstance(view[0].layers.linear1.weight, nn.Parameter)
    assert view[0].layers.linear1.weight.requires_grad
    with pytest.raises(IndexError, match="There are 3 replicas, number 3 was asked for; the last is 2"):
        together[3]


def test_the_models_given_stay_as_they_are_and_states_round_trip() -> None:
    given = models()
    together, other = Replicas(given), Replicas(models(count=6)[3:])
    fit(together, problem(), ADAM, epochs=1, seeds=SEEDS, batch_size=8, together=True)
    for one, original in zip(given, models(), strict=True):
        assert_same(one, original)
    assert [name for name, _ in together.named_parameters()] == [f"model.{name}" for name, _ in given[0].named_parameters()]
    other.load_state_dict(together.state_dict())
    assert_same(other, together)


def test_what_two_models_share_is_shared_by_each_replica() -> None:
    def tied() -> nn.Module:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].weight = model[0].weight
        return model

    each = [tied() for _ in range(2)]
    together, x = Replicas(each), torch.randn(2, 5, 4)
    assert together.model[1].weight is together.model[0].weight
    one = together[1]
    assert one[1].weight is one[0].weight
    torch.testing.assert_close(together(x), torch.stack([one(own) for one, own in zip(each, x, strict=True)]))


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("own", [False, True], ids=["shared data", "own data"])
def test_learning_together_equals_learning_alone(kind: str, own: bool) -> None:
    rule = Backprop(lambda p: torch.optim.Adam(p, lr=0.01), F.cross_entropy, max_norm=0.5)
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 8}
    data = [problem(kind, seed=k if own else 0) for k in range(3)]
    expected, histories = alone(rule, kind, data, **settings)
    together = Replicas(models(kind))
    got = fit(together, data if own else data[0], rule, seeds=SEEDS, together=True, **settings)
    assert_same_histories(got, histories)
    for mine, one in zip(together, expected, strict=True):
        assert_close(mine, one)


@pytest.mark.parametrize("rule", ["Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD", "AdamW"])
def test_every_accepted_optimiser_keeps_replicas_apart(rule: str) -> None:
    teach = Backprop(lambda p: getattr(torch.optim, rule)(p, lr=0.01), F.cross_entropy)
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 8}
    expected, _ = alone(teach, "norm", [problem()] * 3, **settings)
    together = Replicas(models())
    fit(together, problem(), teach, seeds=SEEDS, together=True, **settings)
    for mine, one in zip(together, expected, strict=True):
        assert_close(mine, one)


@pytest.mark.parametrize("together", [True, False])
def test_patience_ends_each_run_where_it_would_end_alone(together: bool) -> None:
    data, held = [problem(seed=k) for k in range(3)], problem(seed=9, n=40)
    rule = Backprop(lambda p: torch.optim.SGD(p, lr=0.05), F.cross_entropy)
    settings: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 8,
        "patience": 2,
        "validation": lambda m: F.cross_entropy(m(held[0]), held[1]).item(),
        "after_epoch": lambda e, m, r: {"twice": 2 * r["validation"], "noise": torch.rand(()).item(), "mode": float(m.training)},
    }
    expected, histories = alone(rule, "norm", data, **settings)
    assert len({len(history) for history in histories}) > 1  # or this test shows nothing
    replicas = Replicas(models())
    assert_same_histories(fit(replicas, data, rule, seeds=SEEDS, together=together, **settings), histories)
    for mine, one in zip(replicas, expected, strict=True):
        assert_close(mine, one)


def test_functions_after_a_step_see_and_change_each_replica_as_alone() -> None:
    def shake(step: int, model: nn.Module, metrics: Any) -> None:
        with torch.no_grad():
            model[0].layers.linear1.weight.add_(0.01 * float(metrics["loss"]) * torch.randn(8, 12, dtype=torch.float64)).clamp_(-0.3, 0.3)

    settings: dict[str, Any] = {"epochs": 2, "batch_size": 8, "after_step": shake}
    expected, _ = alone(ADAM, "norm", [problem()] * 3, **settings)
    replicas = Replicas(models())
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fit(replicas, problem(), ADAM, seeds=SEEDS, together=True, **settings)
    assert torch.equal(torch.random.get_rng_state(), before)
    for mine, one in zip(replicas, expected, strict=True):
        assert_close(mine, one)
        assert mine[0].layers.linear1.weight.abs().max() <= 0.3


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("k", [1, 5])
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path: Path, together: bool, k: int) -> None:
    held = problem(seed=9, n=40)
    rule = Backprop(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.1), F.cross_entropy)
    settings: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 8,
        "patience": 2,
        "seeds": SEEDS,
        "together": together,
        "validation": lambda m: F.cross_entropy(m(held[0]), held[1]).item(),
    }
    whole, halved, resumed = (Replicas(models()) for _ in range(3))
    expected = fit(whole, problem(), rule, **settings)
    assert len({len(history) for history in expected}) > 1
    calls = itertools.count()

    def crash(epoch: int, model: nn.Module, record: dict[str, float]) -> None:
        if next(calls) == 3 * k:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(halved, problem(), rule, checkpoint=tmp_path / "c", after_epoch=crash, **settings)
    for _ in range(2):  # resumed, then asked again when all is done
        assert fit(resumed, problem(), rule, checkpoint=tmp_path / "c", **settings) == expected
        assert_same(resumed, whole)
    if together:
        with pytest.raises(CheckpointError, match=r"seed \[3, 11, 4\], now \[3, 11, 5\]"):
            fit(resumed, problem(), rule, checkpoint=tmp_path / "c", **(settings | {"seeds": [3, 11, 5]}))


@pytest.mark.parametrize("kind", MAKE)
def test_nan_in_one_replicas_data_stays_there(kind: str) -> None:
    data = [problem(kind, seed=k) for k in range(3)]
    settings: dict[str, Any] = {"epochs": 2, "seeds": SEEDS, "batch_size": 8, "together": True}
    rule = Backprop(lambda p: torch.optim.Adam(p, lr=0.01), F.cross_entropy, max_norm=0.5)
    clean, touched = Replicas(models(kind)), Replicas(models(kind))
    fit(clean, data, rule, **settings)
    data[1] = (torch.full_like(data[1][0], torch.nan), data[1][1])
    histories = fit(touched, data, rule, **settings)
    assert np.isnan(histories[1].series("loss")).all()
    for k in (0, 2):
        assert_same(touched[k], clean[k])
        assert np.isfinite(histories[k].series("loss")).all()


def test_gradient_clipping_is_torchs_and_a_long_gradient_shortens_no_other() -> None:
    rule = Backprop(lambda p: torch.optim.SGD(p, lr=1.0), lambda y, t: ((y - t) ** 2).mean(), max_norm=0.1)
    each = [nn.Linear(3, 2).double() for _ in range(2)]
    together, x = Replicas(each), torch.randn(2, 5, 3, dtype=torch.float64)
    y = torch.stack([1000 * torch.ones(5, 2, dtype=torch.float64), each[1](x[1]).detach() + 1e-4])
    rule.step(together, (x, y), rule.init(together))
    for one, mine, inputs, target in zip(each, together, x, y, strict=True):
        rule.loss(one(inputs), target).backward()
        norm = nn.utils.clip_grad_norm_(one.parameters(), 0.1)
        torch.optim.SGD(one.parameters(), lr=1.0).step()
        assert_close(mine, one, atol=1e-9, rtol=1e-6)
    assert norm < 0.1
    with pytest.raises(ValueError, match="max_norm is above 0, 0 was given"):
        Backprop(rule.optimizer, rule.loss, max_norm=0)


class Draws(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + torch.rand(3)


class Branches(Draws):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight if x.sum() > 0 else x


class Holds(Draws):
    def __init__(self) -> None:
        super().__init__()
        self.noise = torch.Generator()


class Loose(Draws):
    def __init__(self) -> None:
        super().__init__()
        self.other = torch.ones(3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (list, "none was given"),
        (lambda: [nn.Linear(2, 2), nn.Linear(2, 3)], "model 1 differs from model 0 in the attribute 'out_features'"),
        (lambda: [nn.Linear(2, 2), nn.Linear(2, 2, bias=False)], r"in its tensors \(bias\)"),
        (lambda: [nn.Linear(2, 2), nn.Linear(2, 2).double()], "in the dtype of 'weight'"),
        (lambda: [nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)], "in the requires_grad of 'weight'"),
        (lambda: [nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh())], r"in the class of '0' \(Tanh, not ReLU\)"),
        (lambda: [nn.Sequential(nn.ReLU()), nn.Sequential()], r"in its parts \(0\)"),
        (lambda: [nn.Linear(2, 2), nn.Linear(2, 2).eval()], "in the attribute 'training'"),
        (lambda: [LIF(3, tau=0.01, dt=1e-3), LIF(3, tau=0.01, dt=1e-4)], "in the attribute 'dt'"),
        (lambda: [nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))], "A Dropout drops at random"),
        (lambda: [SpikingNet([4, 3, 2], dt=1e-3, dropout=0.2)], "A Dropout drops at random"),
        (lambda: [nn.MultiheadAttention(4, 2, dropout=0.1)], "A MultiheadAttention drops at random"),
        (lambda: [Holds()], "A Holds holds a generator of random numbers, 'noise'"),
        (lambda: [Loose(), Loose()], "in the attribute 'other', a tensor that is neither parameter nor buffer"),
    ],
)
def test_models_that_cannot_be_replicas_get_one_sentence(make: Callable[[], list[nn.Module]], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Replicas(make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "x", "words"),
    [
        (Draws, torch.ones(2, 3), "Draws draws random numbers"),
        (Branches, torch.ones(2, 3), "Branches cannot be computed for replicas at once"),
        (Draws, torch.ones(3, 3), r"2 replicas take inputs \[2, ...\], \[3, 3\] was given"),
        (Draws, torch.tensor(1.0), r"2 replicas take inputs \[2, ...\], \[\] was given"),
    ],
)
def test_calls_that_cannot_be_made_get_one_sentence(make: Callable[[], nn.Module], x: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Replicas([make(), make()])(x)
    assert "\n" not in str(caught.value)


def test_other_errors_are_the_models_own() -> None:
    with pytest.raises(ValueError, match="This MLP takes inputs"):
        Replicas([MLP([3, 2]), MLP([3, 2])])(torch.ones(2, 5, 4))
    with pytest.raises(RuntimeError, match="size"):
        Replicas([nn.Linear(3, 2), nn.Linear(3, 2)])(torch.ones(2, 5, 4))


def test_a_replica_can_be_observed_and_the_batch_says_why_not() -> None:
    each = [Chain(lif=LIF(4, dt=1e-3)) for _ in range(2)]
    together, x = Replicas(each), torch.rand(2, 9, 5, 4)
    one = together[1]
    with observe(one, "lif.v") as seen:
        one(x[1])
    assert seen["lif.v"].shape == (9, 5, 4)
    with pytest.raises(ValueError, match=r"cannot be observed inside torch.vmap"), observe(together.model, "lif.v"):
        together(x)


def test_rules_and_optimisers_that_would_mix_replicas_learn_one_after_another_or_are_refused() -> None:
    settings: dict[str, Any] = {"epochs": 1, "seeds": [0, 1], "batch_size": 8}
    stacks = [nn.Sequential(ForwardForwardLayer(14, 5)) for _ in range(2)]
    local, data = ForwardForward(LabelStrip(4)), (torch.rand(20, 10), torch.randint(4, (20,)))
    with pytest.raises(ValueError, match="ForwardForward teaches one model at a time"):
        fit(Replicas(stacks), data, local, together=True, **settings)
    replicas = Replicas(stacks)
    histories = fit(replicas, data, local, **settings)
    assert [len(history.series("goodness_gap")) for history in histories] == [1, 1]
    assert not torch.equal(replicas[0][0].weight, stacks[0][0].weight)
    plain = Replicas([nn.Linear(3, 2, bias=False) for _ in range(2)])
    for optimizer, words in (
        (lambda p: torch.optim.Muon(p, lr=0.1), "Muon is none of the optimisers"),
        (lambda p: torch.optim.LBFGS(p), "LBFGS is none of the optimisers"),
        (lambda p: torch.optim.SGD([{"params": [w for w in p if w.ndim == 2], "lr": 0.1}, {"params": []}]), "set up by the shapes"),
    ):
        with pytest.raises(ValueError, match=f"cannot learn together: .*{words}"):
            fit(plain, (torch.rand(5, 3), torch.rand(5, 2)), Backprop(optimizer, F.mse_loss), together=True, **settings)
        with pytest.raises(ValueError, match=words):
            Backprop(optimizer, F.mse_loss).init(plain)
    fit(plain, (torch.rand(5, 3), torch.rand(5, 2)), Backprop(lambda p: torch.optim.Muon(p, lr=0.1), F.mse_loss), **settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": [1, 2]}, "2 seeds and 3 replicas were given"),
        ({"seed": 1}, "either seed=, or seeds="),
        ({"seeds": None}, "either seed=, or seeds="),
        ({"seeds": None, "seed": 1}, "give seeds= instead of seed="),
        ({"model": nn.Linear(2, 2)}, "3 seeds and a Linear were given"),
        ({"data": [problem()] * 2}, "were given for 3 seeds"),
        ({"data": [problem(), problem(), problem(n=5)]}, r"\[\[5, 12\], \[5\]\]\] were given for 3 seeds"),
        ({"data": ()}, "tuple of tensors"),
        ({"data": problem()[0]}, "wrap a single tensor"),
        ({"rule": Backprop(ADAM.optimizer, lambda y, t: (y - t[:, None]) ** 2)}, r"one of shape \[8, 4\] came back"),
        ({"rule": Backprop(ADAM.optimizer, lambda y, t: y.mean() * torch.rand(()))}, "The loss draws random numbers"),
    ],
)
def test_unusable_arguments_get_one_sentence(changes: dict[str, Any], words: str) -> None:
    usual = {"model": Replicas(models()), "data": problem(), "rule": ADAM, "epochs": 1, "seeds": SEEDS, "batch_size": 8, "together": True}
    with pytest.raises(ValueError, match=words) as caught:
        fit(**(usual | changes))
    assert "\n" not in str(caught.value)


def test_one_batch_is_chosen_for_many_small_models_on_vectors() -> None:
    small, large = MLP([12, 8, 4]), MLP([784, 256, 10])
    threads, vector = torch.get_num_threads(), torch.Size([12])
    many = Replicas([small] * MANY * threads)
    assert pays(many, vector, 32)
    assert not pays(Replicas([small] * (MANY * threads - 1)), vector, 32)
    assert not pays(many, torch.Size([50, 12]), 32)
    assert not pays(many, vector, SMALL)
    assert not pays(Replicas([large] * MANY * threads), torch.Size([784]), 128)
    seen: list[bool] = []

    class Watch(Backprop):
        def step(self, model: nn.Module, *rest: Any) -> Any:
            seen.append(isinstance(model, Replicas))
            return super().step(model, *rest)

    x, y = problem()
    for replicas in (many, Replicas([small] * 2)):
        seeds = list(range(len(replicas)))
        fit(replicas, (x.float(), y), Watch(ADAM.optimizer, ADAM.loss), epochs=1, seeds=seeds, batch_size=29)
    assert seen == [True] + [False] * 2
