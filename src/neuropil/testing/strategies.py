"""Checks of strategies of continual learning: they act, can be switched off, repeat themselves, go on from a checkpoint, and refuse what they cannot do."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.continual.fine_tuning import FineTuning
from neuropil.continual.learn import Course, as_batch, learn
from neuropil.continual.scenario import Boundaries, Scenario
from neuropil.continual.strategy import State, Strategy
from neuropil.data.task_streams import PermutedStream, Setting, SplitStream, TaskStream
from neuropil.dynamics.registry import Part
from neuropil.learning import load_checkpoint, restore, save_checkpoint
from neuropil.networks import MLP, MultiHead
from neuropil.testing.refusals import refused
from neuropil.testing.stating import asked, require, same

SETTINGS = {str(setting): setting for setting in Setting}
UNTOLD = {str(boundaries): boundaries for boundaries in (Boundaries.ABSENT, Boundaries.BLURRED)}


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """The optimiser of all checks."""
    return torch.optim.SGD(parameters, 0.05)


class StrategyBench:
    """Teaches a small network two or three tasks of four noisy clusters in eight dimensions: ``make`` a strategy, ``taught`` by it."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def make(self, *, seed: int | None = 5, **changed: Any) -> Any:
        """A small strategy, arguments named here changed, with a generator of its own (none where ``seed`` is None)."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        made = {name: value() if callable(value) else value for name, value in self.part.example.items()}
        return self.part.make(sgd, generator=generator, **{**made, **changed})

    def stream(self, setting: Setting, dtype: torch.dtype = torch.float32) -> TaskStream:
        """Domain-incrementally three permutations, otherwise two pairs of the clusters."""
        labels = torch.arange(240) % 4
        centres = torch.randn(4, 8, generator=torch.Generator().manual_seed(9)) * 1.5
        points = (centres[labels] + torch.randn(240, 8, generator=torch.Generator().manual_seed(0)) * 0.6).to(dtype)
        if setting is Setting.DOMAIN:
            return PermutedStream(points, labels, tasks=3, setting=setting, generator=np.random.default_rng(1))
        return SplitStream(points, labels, setting=setting, classes=[(0, 1), (2, 3)])

    def network(self, stream: TaskStream, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A network for the stream, always the same."""
        generator = torch.Generator().manual_seed(3)
        if stream.task_known:
            return MultiHead(MLP([8, 16], generator=generator), 16, len(stream), stream.outputs, generator).to(dtype)
        return MLP([8, 16, stream.outputs], generator=generator).to(dtype)

    def taught(
        self, strategy: Strategy, scenario: Scenario, *, epochs: int = 2, dtype: torch.dtype = torch.float32
    ) -> tuple[nn.Module, Course]:
        """The network after all tasks, and the course that it took."""
        stream = self.stream(Setting(scenario.setting), dtype)
        model = self.network(stream, dtype)
        order = torch.Generator().manual_seed(4)
        return model, learn(model, stream, strategy, scenario, epochs=epochs, batch_size=20, generator=order, progress=False)

    def scenario(self) -> Scenario:
        """One that this strategy can run in: announced tasks, class-incrementally if it can."""
        possible = [Scenario(setting) for setting in (Setting.CLASS, *Setting) if not self.make().hindrance(Scenario(setting))]
        require(possible, f"{self.part.name} can run in no setting, though tasks are announced and come offline.")
        return possible[0]


def weights(model: nn.Module) -> Tensor:
    """All parameters as one vector."""
    return torch.cat([one.detach().reshape(-1) for one in model.parameters()])


@asked(cases=SETTINGS, kind="strategy")
def it_acts_or_refuses_and_is_off_as_declared(bench: StrategyBench, setting: Setting) -> None:
    """It learns what fine-tuning does not, and switched off it takes the steps of its ``like``; or it refuses this setting in a sentence."""
    scenario = Scenario(setting)
    if bench.make().hindrance(scenario):
        refused(ValueError, lambda: bench.taught(bench.make(), scenario), f"A {scenario} scenario")
        return
    plain, _ = bench.taught(FineTuning(sgd), scenario)
    model, course = bench.taught(bench.make(), scenario)
    require(bool(course.accuracy.isfinite().all()) and bool(weights(model).isfinite().all()), "Weights or accuracies are not finite.")
    require(course.stored >= 0, f"It says that it keeps {course.stored} numbers.")
    baseline = issubclass(FineTuning, bench.part.make) if isinstance(bench.part.make, type) else False
    require(baseline or float((weights(model) - weights(plain)).norm()) > 1e-3, "It ends in the weights of fine-tuning: it does not act.")
    if bench.part.off is not None and bench.part.like is not None:
        strategy = bench.make(**bench.part.off)
        off, _ = bench.taught(strategy, scenario)
        wanted, _ = bench.taught(Like(strategy, bench.part.like(strategy)), scenario)
        torch.testing.assert_close(weights(off), weights(wanted), rtol=0, atol=1e-6)


class Like(FineTuning):
    """Takes the steps that a registration says a switched-off strategy takes, on the examples that it is given."""

    def __init__(self, off: Strategy, like: Any) -> None:
        super().__init__(off.optimizer, off.loss)
        self.like = like

    def step(self, model: nn.Module, batch: Any, state: State) -> tuple[State, dict[str, Tensor]]:
        """One step of ``like``."""
        stepped: tuple[State, dict[str, Tensor]] = self.like(model, batch, state)
        return stepped


@asked(kind="strategy")
def its_generator_decides_everything(bench: StrategyBench) -> None:
    """Two instances with equal generators end in the same weights, taught one after the other or turn by turn; torch's own generator is left alone."""
    scenario = bench.scenario()
    before = torch.get_rng_state()
    first, again = (weights(bench.taught(bench.make(), scenario)[0]) for _ in range(2))
    require(torch.equal(torch.get_rng_state(), before), "It draws from torch's own generator though it was given one.")
    same(first, again)
    stream = bench.stream(Setting(scenario.setting))
    batches = [as_batch(task, stream) for task in stream]
    pair = [(bench.network(stream), bench.make()) for _ in range(2)]
    states = [strategy.init(model) for model, strategy in pair]
    for batch in batches:
        for k, (model, strategy) in enumerate(pair):
            states[k] = strategy.begin(model, batch, states[k])
            states[k], _ = strategy.step(model, batch, states[k])
            states[k] = strategy.end(model, batch, states[k])
    alone, strategy = bench.network(stream), bench.make()
    state = strategy.init(alone)
    for batch in batches:
        state = strategy.end(alone, batch, strategy.step(alone, batch, strategy.begin(alone, batch, state))[0])
    for model, _ in pair:
        same(weights(model), weights(alone))


@asked(kind="strategy")
def it_goes_on_from_a_checkpoint(bench: StrategyBench) -> None:
    """What is in its state after a task, written and read, makes it go on as if nothing had been."""
    stream = bench.stream(Setting(bench.scenario().setting))
    first, second = (as_batch(stream[k], stream) for k in range(2))
    model, strategy = bench.network(stream), bench.make()
    state = strategy.end(model, first, strategy.step(model, first, strategy.begin(model, first, strategy.init(model)))[0])
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "state", {"model": model.state_dict(), "state": state})
        saved = load_checkpoint(Path(folder) / "state")
    other, again = bench.network(stream), bench.make()
    other.load_state_dict(saved["model"])
    resumed = restore(copy.deepcopy(state), saved["state"])
    for one, rule, now in ((model, strategy, state), (other, again, resumed)):
        rule.generator.manual_seed(8)
        if "buffer" in now:
            now["buffer"].generator = rule.generator
        now["optimizer"] = rule.optimizer(one.parameters())
        rule.step(one, second, rule.begin(one, second, now))
    same(weights(model), weights(other))


@asked(cases=UNTOLD, kind="strategy")
def tasks_that_are_not_announced_are_learned_or_refused(bench: StrategyBench, boundaries: Boundaries) -> None:
    """Who needs to be told when a task begins says so in a sentence; the others take every step."""
    scenario = Scenario(bench.scenario().setting, boundaries, online=True, blur=0.2 if boundaries is Boundaries.BLURRED else 0.0)
    if bench.make().hindrance(scenario):
        refused(ValueError, lambda: bench.taught(bench.make(), scenario, epochs=1), f"A {scenario} scenario")
    else:
        require(not bench.part.make.needs_boundaries, "It says that it needs boundaries, and hinders nobody to go without.")  # type: ignore[attr-defined]
        require(bench.taught(bench.make(), scenario, epochs=1)[1].steps > 0, "It took no step.")


@asked(kind="strategy")
def online_it_learns_from_what_comes_once_or_refuses(bench: StrategyBench) -> None:
    """Where no task is handed over as a whole and every example comes in one batch, it does what it does offline in one pass; who goes over a task once more refuses."""
    offline = bench.scenario()
    online = Scenario(offline.setting, online=True)
    strategy = bench.make()
    if strategy.hindrance(online):
        refused(ValueError, lambda: bench.taught(strategy, online, epochs=1), f"A {online} scenario")
        return
    require(not (strategy.revisits or strategy.sees_all), "It says that it goes over a task once more, and hinders nobody to go online.")
    model, course = bench.taught(strategy, online, epochs=1)
    examples = sum(len(task) for task in bench.stream(Setting(online.setting)))
    require(course.examples == examples, f"Of {examples} examples, {course.examples} were given.")
    same(weights(model), weights(bench.taught(bench.make(), offline, epochs=1)[0]))


@asked(kind="strategy")
def nothing_given_is_changed(bench: StrategyBench) -> None:
    """Examples stay as they were."""
    stream = bench.stream(Setting(bench.scenario().setting))
    model, strategy = bench.network(stream), bench.make()
    state = strategy.init(model)
    for task in stream:
        batch = as_batch(task, stream)
        kept = [part.clone() for part in batch]
        state = strategy.begin(model, batch, state)
        state, _ = strategy.step(model, batch, state)
        state = strategy.end(model, batch, state)
        for part, was in zip(batch, kept, strict=True):
            same(part, was)


@asked(kind="strategy")
def kinds_of_numbers(bench: StrategyBench) -> None:
    """It teaches networks of float64, which end near those of float32."""
    scenario = bench.scenario()
    single, double = (bench.taught(bench.make(), scenario, epochs=1, dtype=dtype)[0] for dtype in (torch.float32, torch.float64))
    require(weights(double).dtype == torch.float64, "A network of float64 holds other numbers after it was taught.")
    torch.testing.assert_close(weights(double), weights(single).double(), rtol=1e-3, atol=1e-3)


@asked(kind="strategy")
def what_it_reports_are_numbers(bench: StrategyBench) -> None:
    """Each step reports its loss and whatever else as single finite numbers."""
    _, course = bench.taught(bench.make(), bench.scenario(), epochs=1)
    require(all("loss" in said for said in course.said), "A step reports no loss.")
    wrong = sorted({name for said in course.said for name, value in said.items() if not np.isfinite(value)})
    require(not wrong, f"It reports {', '.join(wrong)} that are not finite.")


@asked(kind="strategy")
def bad_input_is_one_sentence(bench: StrategyBench) -> None:
    """A model that cannot learn, and a batch without its target."""
    stream = bench.stream(Setting(bench.scenario().setting))
    model, strategy = bench.network(stream), bench.make()
    refused(ValueError, lambda: strategy.init(nn.ReLU()), "A model without parameters")
    state = strategy.init(model)
    refused(ValueError, lambda: strategy.step(model, (stream[0].inputs,), state), "A batch without target")
