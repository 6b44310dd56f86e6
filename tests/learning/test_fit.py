from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.learning import Backprop, CheckpointError, fit, load_checkpoint, save_checkpoint

ADAM = Backprop(lambda p: torch.optim.Adam(p, lr=0.01), F.mse_loss)
SGD = Backprop(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), F.mse_loss)


class InterruptedRunError(Exception):
    pass


def problem(n: int = 37) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator)
    return x, torch.sin(x @ torch.randn(3, 2, generator=generator))


def network(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 2))


def stop_at(k: int) -> Callable[[int, nn.Module, dict[str, float]], None]:
    def look(epoch: int, model: nn.Module, metrics: dict[str, float]) -> None:
        if epoch == k:
            raise InterruptedRunError

    return look


def assert_same(a: nn.Module, b: nn.Module) -> None:
    for (name, ours), theirs in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_least_squares_has_a_closed_form_and_fit_finds_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(64, 2, generator=generator, dtype=torch.float64)
    model = nn.Linear(5, 2, bias=False).double()
    history = fit(model, (x, y), Backprop(lambda p: torch.optim.SGD(p, lr=0.3), F.mse_loss), epochs=400, seed=0, batch_size=64)
    solution = torch.linalg.lstsq(x, y).solution
    torch.testing.assert_close(model.weight.data, solution.T, atol=1e-9, rtol=0)
    assert history.series("loss")[-1] == pytest.approx(F.mse_loss(x @ solution, y).item(), abs=1e-12)


def test_every_item_is_seen_once_an_epoch_in_an_order_of_the_seed() -> None:
    seen: list[list[int]] = []

    class Watch:
        def init(self, model: nn.Module) -> None: ...

        def step(self, model: nn.Module, batch: tuple[Tensor, ...], state: None) -> tuple[None, dict[str, float]]:
            seen.append(batch[0].tolist())
            return None, {"mean": batch[0].double().mean().item()}

    def order(seed: int) -> list[list[int]]:
        seen.clear()
        history = fit(nn.Identity(), (torch.arange(10),), Watch(), epochs=2, seed=seed, batch_size=4)
        assert history.series("mean") == [pytest.approx(4.5)] * 2  # the mean over items, not over batches of unequal size
        return list(seen)

    first = order(0)
    assert [len(batch) for batch in first] == [4, 4, 2] * 2
    epochs = [[i for batch in half for i in batch] for half in (first[:3], first[3:])]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert order(0) == first
    assert order(1) != first


@pytest.mark.parametrize("rule", [ADAM, SGD], ids=["adam", "momentum"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("k", [1, 3])
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path: Path, rule: Backprop, dropout: float, k: int) -> None:
    settings: dict[str, Any] = {"epochs": 5, "seed": 4, "batch_size": 8}
    whole, halved = network(dropout), network(dropout)
    expected = fit(whole, problem(), rule, **settings)
    with pytest.raises(InterruptedRunError):
        fit(halved, problem(), rule, checkpoint=tmp_path / "c", after_epoch=stop_at(k), **settings)
    torch.rand(100)  # the world goes on between
    resumed = network(dropout)
    epochs: list[int] = []
    got = fit(resumed, problem(), rule, checkpoint=tmp_path / "c", after_epoch=lambda e, m, r: epochs.append(e), **settings)
    assert epochs == list(range(k, 5))
    assert got == expected
    assert_same(resumed, whole)


def test_a_run_stopped_within_an_epoch_repeats_that_epoch(tmp_path: Path) -> None:
    def crash(step: int, model: nn.Module, metrics: object) -> None:
        if step == 12:
            raise InterruptedRunError

    settings: dict[str, Any] = {"epochs": 4, "seed": 4, "batch_size": 8}
    whole, halved, resumed = network(), network(), network()
    fit(whole, problem(), ADAM, **settings)
    with pytest.raises(InterruptedRunError):
        fit(halved, problem(), ADAM, checkpoint=tmp_path / "c", after_step=crash, **settings)
    fit(resumed, problem(), ADAM, checkpoint=tmp_path / "c", **settings)
    assert_same(resumed, whole)


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    whole, grown = network(), network()
    fit(whole, problem(), ADAM, epochs=4, seed=0, batch_size=8)
    fit(grown, problem(), ADAM, epochs=2, seed=0, batch_size=8, checkpoint=tmp_path / "c")
    fit(grown, problem(), ADAM, epochs=4, seed=0, batch_size=8, checkpoint=tmp_path / "c")
    assert_same(grown, whole)


def test_a_checkpoint_from_before_seeds_is_gone_on_with(tmp_path: Path) -> None:
    whole, resumed = network(), network()
    expected = fit(whole, problem(), ADAM, epochs=4, seed=0, batch_size=8)
    fit(network(), problem(), ADAM, epochs=2, seed=0, batch_size=8, checkpoint=tmp_path / "c")
    saved = load_checkpoint(tmp_path / "c")
    save_checkpoint(tmp_path / "c", saved | {"best": saved["best"][0], "history": saved["history"][0]})
    assert fit(resumed, problem(), ADAM, epochs=4, seed=0, batch_size=8, checkpoint=tmp_path / "c") == expected
    assert_same(resumed, whole)


class Slide:
    """A rule that moves one weight by -1 a step, so that validation by hand is possible."""

    def init(self, model: nn.Module) -> dict[str, int]:
        return {"steps": 0}

    def step(self, model: nn.Module, batch: tuple[Tensor, ...], state: dict[str, int]) -> tuple[dict[str, int], dict[str, float]]:
        with torch.no_grad():
            model.weight -= 1.0
        return {"steps": state["steps"] + 1}, {"steps": float(state["steps"] + 1)}


def scalar(value: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_patience_ends_learning_at_the_best_weights() -> None:
    model = scalar(5.0)
    history = fit(
        model, (torch.zeros(1, 1),), Slide(), epochs=50, seed=0, batch_size=1, validation=lambda m: m.weight.item() ** 2, patience=3
    )
    assert history.series("validation") == [16, 9, 4, 1, 0, 1, 4, 9]
    assert history.best_epoch == 4
    assert history.stopped_early
    assert model.weight.item() == 0.0


@pytest.mark.parametrize("k", [2, 6])
def test_patience_survives_an_interruption(tmp_path: Path, k: int) -> None:
    settings: dict[str, Any] = {
        "epochs": 50,
        "seed": 0,
        "batch_size": 1,
        "validation": lambda m: m.weight.item() ** 2,
        "patience": 3,
        "checkpoint": tmp_path / "c",
    }
    with pytest.raises(InterruptedRunError):
        fit(scalar(5.0), (torch.zeros(1, 1),), Slide(), after_epoch=stop_at(k), **settings)
    for _ in range(2):  # resumed, then asked again when all is done
        model = scalar(99.0)
        history = fit(model, (torch.zeros(1, 1),), Slide(), **settings)
        assert history.series("validation") == [16, 9, 4, 1, 0, 1, 4, 9]
        assert history.series("steps") == [1, 2, 3, 4, 5, 6, 7, 8]
        assert (history.best_epoch, history.stopped_early, model.weight.item()) == (4, True, 0.0)


def test_validation_is_in_evaluation_mode_and_without_gradients() -> None:
    modes: list[tuple[bool, bool]] = []

    def look(model: nn.Module) -> float:
        modes.append((model.training, torch.is_grad_enabled()))
        return 0.0

    model = network(0.5).eval()
    history = fit(model, problem(), ADAM, epochs=2, seed=0, batch_size=8, validation=look)
    assert modes == [(False, False)] * 2
    assert not model.training
    assert history.best_epoch == 0
    assert torch.is_grad_enabled()


def test_torchs_own_generator_is_left_alone_and_does_not_matter() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    first, second = network(0.5), network(0.5)
    torch.manual_seed(7)
    fit(first, problem(), ADAM, epochs=2, seed=0, batch_size=8)
    assert torch.equal(torch.rand(3), expected)
    fit(second, problem(), ADAM, epochs=2, seed=0, batch_size=8)
    assert_same(first, second)


def test_callbacks_see_every_step_and_add_to_the_history() -> None:
    steps: list[int] = []
    history = fit(
        network(),
        problem(20),
        ADAM,
        epochs=3,
        seed=0,
        batch_size=8,
        after_step=lambda step, model, metrics: steps.append(step),
        after_epoch=lambda epoch, model, metrics: {"double": 2 * metrics["loss"]},
    )
    assert steps == list(range(9))
    assert history.series("double") == [2 * loss for loss in history.series("loss")]
    with pytest.raises(ValueError, match=r"'accuracy' was not recorded .* recorded are loss, double"):
        history.series("accuracy")


def test_a_foreign_or_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 8, "checkpoint": tmp_path / "c"}
    fit(network(), problem(), ADAM, seed=0, **settings)
    with pytest.raises(CheckpointError, match="belongs to another run \\(seed 0, now 1\\)"):
        fit(network(), problem(), ADAM, seed=1, **settings)
    with pytest.raises(CheckpointError, match="rule 'Backprop', now 'Slide'"):
        fit(network(), problem(), Slide(), seed=0, **settings)
    with pytest.raises(CheckpointError, match="of another Linear"):
        fit(nn.Linear(3, 2), problem(), ADAM, seed=0, **settings)
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        fit(network(), problem(), ADAM, seed=0, **settings)
    save_checkpoint(tmp_path / "c", {"mine": 1})
    with pytest.raises(CheckpointError, match="was not written by fit"):
        fit(network(), problem(), ADAM, seed=0, **settings)


@pytest.mark.parametrize(
    ("data", "changes", "words"),
    [
        (torch.zeros(3, 3), {}, "wrap a single tensor"),
        ((), {}, "tuple of tensors"),
        ((torch.zeros(3, 3), torch.zeros(2, 2)), {}, r"lengths \[3, 2\]"),
        ((torch.zeros(0, 3), torch.zeros(0, 2)), {}, "N > 0"),
        (problem(), {"epochs": -1}, "epochs from 0"),
        (problem(), {"batch_size": 0}, "batch_size and patience from 1"),
        (problem(), {"patience": 2}, "give validation="),
    ],
)
def test_unusable_arguments_get_one_sentence(data: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit(network(), data, ADAM, **({"epochs": 1, "seed": 0, "batch_size": 8} | changes))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_an_interrupted_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 4, "seed": 4, "batch_size": 8}
    data = tuple(tensor.cuda() for tensor in problem())
    whole, halved, resumed = (network(0.5).cuda() for _ in range(3))
    fit(whole, data, ADAM, **settings)
    with pytest.raises(InterruptedRunError):
        fit(halved, data, ADAM, checkpoint=tmp_path / "c", after_epoch=stop_at(2), **settings)
    fit(resumed, data, ADAM, checkpoint=tmp_path / "c", **settings)
    assert_same(resumed, whole)
