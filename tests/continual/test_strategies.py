"""What each strategy is by its equation; what all of them do is asked in tests/conformance."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from neuropil.continual import (
    AGEM,
    EWC,
    STRATEGIES,
    DarkExperienceReplay,
    ExperienceReplay,
    FineTuning,
    Joint,
    LwF,
    ReplayBuffer,
    Scenario,
    SynapticIntelligence,
    learn,
)
from neuropil.data.task_streams import PermutedStream, SplitStream
from neuropil.networks import MLP, MultiHead

PARTS = list(STRATEGIES)


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.05)


def points(n=240, seed=0):
    """Four noisy clusters in eight dimensions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    centres = torch.randn(4, 8, generator=torch.Generator().manual_seed(9)) * 1.5
    return centres[labels] + torch.randn(n, 8, generator=generator) * 0.6, labels


def stream(setting):
    x, y = points()
    if setting == "domain":
        return PermutedStream(x, y, tasks=3, setting=setting, generator=np.random.default_rng(1))
    return SplitStream(x, y, setting=setting, classes=[(0, 1), (2, 3)])


def network(tasks):
    generator = torch.Generator().manual_seed(3)
    if tasks.task_known:
        return MultiHead(MLP([8, 16], generator=generator), 16, len(tasks), tasks.outputs, generator)
    return MLP([8, 16, tasks.outputs], generator=generator)


def made(part, **changed):
    return part.make(sgd, generator=torch.Generator().manual_seed(5), **{**part.example, **changed})


def taught(strategy, setting="class", scenario=None, epochs=2, **options):
    tasks = stream(setting)
    model = network(tasks)
    options = {"epochs": epochs, "batch_size": 20, "generator": torch.Generator().manual_seed(4), "progress": False} | options
    return model, learn(model, tasks, strategy, scenario or Scenario(setting), **options)


def weights(model):
    return torch.cat([one.detach().reshape(-1) for one in model.parameters()])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
@pytest.mark.parametrize("boundaries", ["absent", "blurred"])
def test_who_needs_boundaries_refuses_to_go_without_and_the_others_run(part, boundaries):
    scenario = Scenario("class", boundaries, online=True, blur=0.2 if boundaries == "blurred" else 0)
    if part.make.needs_boundaries:
        with pytest.raises(ValueError, match=rf"{part.name} must be told.*this scenario is class-incremental, online"):
            taught(made(part), scenario=scenario, epochs=1)
    else:
        assert taught(made(part), scenario=scenario, epochs=1)[1].steps == 12


def test_scenarios_that_contradict_themselves_or_the_stream_are_refused():
    for wrong, said in (
        ({"setting": "all"}, "setting of a scenario is one of task, domain, class"),
        ({"setting": "class", "boundaries": "soft"}, "boundaries of a scenario is one of"),
        ({"setting": "class", "blur": 0.1}, "blur is above 0 where"),
        ({"setting": "class", "boundaries": "blurred"}, "blur is above 0 where"),
    ):
        with pytest.raises(ValueError, match=said):
            Scenario(**wrong)
    with pytest.raises(ValueError, match="The stream is class-incremental and the scenario domain-incremental"):
        taught(FineTuning(sgd), scenario=Scenario("domain"))
    with pytest.raises(ValueError, match="one epoch online"):
        taught(FineTuning(sgd), scenario=Scenario("class", online=True), epochs=2)


def test_blurred_tasks_mix_at_their_boundaries_and_every_example_comes_once():
    tasks = stream("class")
    seen = []

    class Watch(FineTuning):
        def step(self, model, batch, state):
            seen.append(batch[-1] // tasks.per_task)
            return super().step(model, batch, state)

    taught(Watch(sgd), scenario=Scenario("class", "blurred", blur=0.1), epochs=1)
    order = torch.cat(seen)
    assert order.bincount().tolist() == [120, 120]
    assert order[:60].sum() == 0
    assert order[-60:].sum() == 60
    assert 0 < order[:120].sum() < 40


class Listening(tuple):
    """Examples that say whether they were looked at."""

    looked = False

    def __iter__(self):
        self.looked = True
        return super().__iter__()

    def __getitem__(self, key):
        self.looked = True
        return super().__getitem__(key)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_who_looks_at_a_task_once_more_says_so_and_does_not_run_online(part):
    tasks = stream("class")
    model, rule = network(tasks), made(part)
    state, looked = rule.init(model), False
    for task in tasks:
        whole = Listening(task)
        state = rule.begin(model, whole, state)
        state, _ = rule.step(model, tuple(task), state)
        state = rule.end(model, whole, state)
        looked |= whole.looked
    assert looked == part.make.revisits
    reason = rule.hindrance(Scenario("class", online=True))
    assert (reason is not None) == (part.make.revisits or part.make.sees_all)
    if reason:
        with pytest.raises(
            ValueError, match=rf"{part.name} (goes over all examples of a task once more|learns old tasks again), which is not online"
        ):
            taught(rule, scenario=Scenario("class", online=True), epochs=1)


def test_online_every_example_is_given_once_and_no_task_as_a_whole():
    tasks, steps, told = stream("class"), [], []

    class Watch(AGEM):
        def begin(self, model, examples, state):
            told.append(examples)
            return super().begin(model, examples, state)

        def step(self, model, batch, state):
            steps.append(batch[0])
            return super().step(model, batch, state)

        def end(self, model, examples, state):
            told.append(examples)
            state = super().end(model, examples, state)
            passed = {tuple(row) for row in torch.cat(steps).tolist()}
            assert all(tuple(row) in passed for row in state["kept"][0].tolist())
            return state

    _, course = taught(Watch(sgd, per_task=10, draw=16), scenario=Scenario("class", online=True), epochs=1)
    shown = torch.cat(steps)
    assert told == [()] * 4
    assert shown.unique(dim=0).shape == shown.shape == torch.cat([task.inputs for task in tasks]).shape
    assert course.examples == len(shown)
    assert course.stored == 2 * 10 * 9 + 1


def test_a_course_counts_passes_of_learning_alone_and_all_that_joint_training_keeps():
    def more(k, model):
        model(stream("class")[k].inputs)

    for rule, forward, backward, stored in (
        (FineTuning(sgd), 240, 240, 0),
        (ExperienceReplay(sgd, capacity=8, draw=8), 240 + 11 * 8, 240 + 11 * 8, 8 * 9 + 1),
        (AGEM(sgd, per_task=16, draw=16), 240 + 6 * 16, 240 + 6 * 16, 2 * 16 * 9 + 1),
        (EWC(sgd, strength=1.0), 480, 480, 2 * 212),
        (LwF(sgd, strength=1.0), 360, 240, 212),
        (Joint(sgd), 360, 360, 240 * 9),
    ):
        model, course = taught(rule, epochs=1, after_task=more)
        assert (course.forward, course.backward, course.stored) == (forward, backward, stored), type(rule)
        assert not model._forward_hooks
    model, course = taught(LwF(sgd, strength=1.0), "task", epochs=1)
    assert (course.forward, course.backward) == (360, 240)
    assert "every" not in vars(model)


def test_joint_training_passes_over_all_tasks_so_far_and_is_the_ceiling():
    floor, ceiling = (taught(rule, epochs=10)[1] for rule in (FineTuning(sgd), Joint(sgd)))
    assert (floor.examples, ceiling.examples) == (2 * 1200, 3 * 1200)
    assert ceiling.metrics.average_accuracy > 0.9 > floor.metrics.average_accuracy + 0.1
    assert floor.metrics.forgetting > 0.3


def softmax_regression(strategy, x, y):
    model = nn.Linear(x.shape[1], 3)
    return model, strategy.importance(model, (x, y))


def test_fisher_information_of_softmax_regression_is_its_closed_form():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 4, generator=generator), torch.randint(3, (50,), generator=generator)
    model, found = softmax_regression(EWC(sgd, strength=1.0, batch_size=16), x, y)
    error = model(x).softmax(1) - nn.functional.one_hot(y, 3)
    torch.testing.assert_close(found["weight"], (error.square().T @ x.square() / 50).detach())
    torch.testing.assert_close(found["bias"], error.square().mean(0).detach())
    model, found = softmax_regression(EWC(sgd, strength=1.0, fisher="batches", batch_size=25), x, y)
    error = model(x).softmax(1) - nn.functional.one_hot(y, 3)
    halves = [(error[k : k + 25].T @ x[k : k + 25] / 25).square() for k in (0, 25)]
    torch.testing.assert_close(found["weight"], (sum(halves) / 2).detach())


def test_fisher_information_is_what_a_loop_over_examples_finds():
    x, y = points(30)
    model = MLP([8, 12, 4], generator=torch.Generator().manual_seed(0)).double()
    total = [torch.zeros_like(one) for one in model.parameters()]
    for row, label in zip(x.double(), y, strict=True):
        gradients = torch.autograd.grad(-model(row).log_softmax(-1)[label], list(model.parameters()))
        total = [one + gradient**2 for one, gradient in zip(total, gradients, strict=True)]
    found = EWC(sgd, strength=1.0, batch_size=7).importance(model, (x.double(), y))
    for one, value in zip(total, found.values(), strict=True):
        torch.testing.assert_close(value, one / 30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_quadratic_is_the_sum_of_the_tasks_penalties(dtype):
    """Its gradient and its value, also where the value is small: at the weights of the last of twenty tasks, ten thousandth parts apart."""
    model, rule = MLP([8, 12, 4], generator=torch.Generator().manual_seed(0)).to(dtype), EWC(sgd, strength=3.0)
    state, x, kept = rule.init(model), points(20)[0].to(dtype), []
    for k in range(20):
        examples = x, torch.full((20,), k % 4)
        kept.append((rule.importance(model, examples), {name: one.detach().clone() for name, one in model.named_parameters()}))
        state = rule.end(model, examples, state)
        with torch.no_grad():
            for one in model.parameters():
                one += 1e-4 * torch.randn(one.shape, generator=torch.Generator().manual_seed(k), dtype=dtype)
    wide = {name: one.detach().double().requires_grad_() for name, one in model.named_parameters()}
    separate = 3 / 2 * sum((f[name].double() * (wide[name] - was[name]).square()).sum() for f, was in kept for name in wide)
    separate.backward()
    penalty = rule.adjust(model, examples, state)["penalty"]
    rounding = 1e-12 if dtype == torch.float64 else 2e-3  # of weights near 1 that lie 1e-4 apart, float32 keeps three digits
    assert float(penalty) == pytest.approx(float(separate.detach()), rel=rounding)
    for name, one in model.named_parameters():
        scale = float(wide[name].grad.abs().max())
        torch.testing.assert_close(one.grad.double(), wide[name].grad, rtol=10 * rounding, atol=rounding * scale)


def test_what_holds_weights_keeps_and_handles_as_much_after_twenty_tasks_as_after_one():
    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        handled = 0

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            self.handled += 1
            return function(*arguments, **(options or {}))

    for rule, numbers in ((EWC(sgd, strength=1.0), 2), (SynapticIntelligence(sgd, strength=1.0), 3)):
        model, batch = MLP([8, 16, 4], generator=torch.Generator().manual_seed(0)), points(20)
        state, handled = rule.init(model), []
        for _ in range(20):
            state = rule.begin(model, batch, state)
            with Counting() as counting:
                state, _ = rule.step(model, batch, state)
            handled.append(counting.handled)
            state = rule.end(model, batch, state)
            assert rule.stored(state) == numbers * len(weights(model))
        assert handled[1] == handled[-1] < 3 * counted_operations(Counting, model, batch)


def counted_operations(counting, model, batch):
    rule = FineTuning(sgd)
    state = rule.init(model)
    with counting() as counter:
        rule.step(model, batch, state)
    return counter.handled


def test_importance_of_the_two_readings_differs_by_about_the_batch_size():
    x, y = points(400)
    model = MLP([8, 16, 4], generator=torch.Generator().manual_seed(0))
    for _ in range(200):
        loss = cross_entropy(model(x), y)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for one in model.parameters():
                one -= 0.2 * one.grad
    total = {}
    for fisher in ("samples", "batches"):
        found = EWC(sgd, strength=1.0, fisher=fisher, batch_size=20).importance(model, (x, y))
        total[fisher] = float(sum(value.sum() for value in found.values()))
    assert 10 < total["samples"] / total["batches"] < 40


def test_importance_leaves_running_statistics_and_training_mode_alone():
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4)).train()
    model(points()[0])
    before = copy.deepcopy(model.state_dict())
    EWC(sgd, strength=1.0).importance(model, points())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def test_the_path_of_synaptic_intelligence_adds_up_to_the_fall_of_the_loss():
    x, y = points()
    model = MLP([8, 16, 4], generator=torch.Generator().manual_seed(0)).double()
    rule = SynapticIntelligence(lambda parameters: torch.optim.SGD(parameters, 1e-3), strength=1.0)
    state, batch = rule.init(model), (x.double(), y)
    before = cross_entropy(model(batch[0]), y).item()
    for _ in range(500):
        state, _ = rule.step(model, batch, state)
    fall = before - cross_entropy(model(batch[0]), y).item()
    path = sum(float(value.sum()) for value in state["path"].values())
    assert fall > 0.05
    assert path == pytest.approx(fall, rel=2e-3)
    moved = {name: (one.detach() - state["anchor"][name]).square() for name, one in model.named_parameters()}
    wanted = {name: state["path"][name].clamp(min=0) / (moved[name] + 0.1) for name in moved}
    found = rule.end(model, batch, state)["importance"]
    assert all(torch.allclose(found[name], wanted[name]) for name in moved)


def test_synaptic_intelligence_counts_the_loss_alone_or_with_its_penalty_as_asked():
    x, y = points()
    paths = {}
    for total in (False, True):
        model = MLP([8, 4], generator=torch.Generator().manual_seed(0)).double()
        rule = SynapticIntelligence(lambda parameters: torch.optim.SGD(parameters, 1e-3), strength=5.0, total=total)
        state, first, second = rule.init(model), (x.double(), y), (x.double(), (y + 1) % 4)
        for _ in range(100):
            state, _ = rule.step(model, first, state)
        state = rule.end(model, first, state)
        before = cross_entropy(model(second[0]), second[1]).item()
        for _ in range(100):
            state, said = rule.step(model, second, state)
        assert said["penalty"] > 0
        fall = before - cross_entropy(model(second[0]), second[1]).item()
        paths[total] = sum(float(value.sum()) for value in state["path"].values()) / fall
    assert paths[False] == pytest.approx(1, rel=0.02)
    assert paths[True] < 0.98


def test_distillation_asks_the_old_network_about_old_labels_only():
    tasks = stream("class")
    model, rule = network(tasks), LwF(sgd, strength=0.7, temperature=3.0)
    first, second = tuple(tasks[0]), tuple(tasks[1])
    state = rule.begin(model, first, rule.init(model))
    assert rule.step(model, first, state)[1]["distillation"] == 0
    state = rule.begin(model, second, rule.end(model, first, state))
    assert state["old"] == [0, 1]
    rule.step(model, second, state)
    now, was = (net(second[0])[:, :2] for net in (model, state["teacher"]))
    p, q = ((z / 3).softmax(1) for z in (was, now))
    wanted = 0.7 * 9 * (p * (p / q).log()).sum(1).mean() + cross_entropy(model(second[0]), second[1])
    loss, said = rule.objective(model, second, state)
    assert said["distillation"] > 0
    torch.testing.assert_close(loss, wanted)


def test_distillation_by_task_asks_the_heads_of_earlier_tasks():
    tasks = stream("task")
    model, rule = network(tasks), LwF(sgd, strength=1.0)
    batches = [(task.inputs, torch.full((len(task),), task.id), task.labels) for task in tasks]
    state = rule.init(model)
    rule.after(model, batches[0], state)
    assert state["seen"] == [0]
    state = rule.begin(model, batches[1], state)
    with torch.no_grad():
        model.weight[0] += 0.3
    _, said = rule.objective(model, batches[1], state)
    assert said["distillation"] > 0
    with torch.no_grad():
        model.weight[0] -= 0.3
        model.weight[1] += 0.3
    assert rule.objective(model, batches[1], state)[1]["distillation"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match=r"this Identity has no every\(x\); use MultiHead"):
        rule.objective(nn.Identity(), batches[1], state)


def test_a_reservoir_holds_every_example_with_the_same_probability():
    counts = torch.zeros(60)
    for seed in range(1500):
        buffer = ReplayBuffer(12, generator=torch.Generator().manual_seed(seed))
        for chunk in torch.arange(60).split(7):
            buffer.add(chunk, chunk.float())
        held, twin = buffer.parts
        assert len(set(held.tolist())) == 12
        assert torch.equal(held.float(), twin)
        counts[held] += 1
    expected = 1500 * 12 / 60
    chi = float(((counts - expected).square() / expected).sum() / (1 - 12 / 60))
    assert abs(chi - 59) < 4 * math.sqrt(2 * 59)


def test_a_buffer_refuses_what_does_not_fit_and_nothing_to_draw():
    buffer = ReplayBuffer(3)
    with pytest.raises(ValueError, match="1 to 0 examples, 2 were asked for"):
        buffer.draw(2)
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        buffer.add(torch.zeros(2), torch.zeros(3))
    buffer.add(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"holds examples of shapes \[\[4\]\], \[\[5\]\] were given"):
        buffer.add(torch.zeros(2, 5))
    assert len(buffer.draw(9)[0]) == 2
    with pytest.raises(ValueError, match="from 0 up"):
        ReplayBuffer(-1)


def test_replay_descends_the_mean_over_new_and_old_and_keeps_what_it_learned():
    x, y = points()
    model = MLP([8, 4], generator=torch.Generator().manual_seed(0))
    rule = ExperienceReplay(sgd, capacity=30, draw=30)
    state = rule.init(model)
    state, said = rule.step(model, (x[:30], y[:30]), state)
    assert said["replayed"] == 0
    loss, said = rule.objective(model, (x[30:40], y[30:40]), state)
    torch.testing.assert_close(loss, cross_entropy(model(x[:40]), y[:40]))
    assert float(said["replayed"]) == pytest.approx(0.75)


def test_dark_replay_asks_for_the_answers_of_the_time():
    x, y = points()
    model = MLP([8, 4], generator=torch.Generator().manual_seed(0))
    answers = model(x[:30]).detach()
    rule = DarkExperienceReplay(sgd, capacity=30, draw=30, alpha=0.3, beta=0.4)
    state, _ = rule.step(model, (x[:30], y[:30]), rule.init(model))
    loss, said = rule.objective(model, (x[30:40], y[30:40]), state)
    distillation = 0.3 * (model(x[:30]) - answers).square().mean().detach()
    assert float(said["distillation"]) == pytest.approx(float(distillation), rel=1e-5)
    torch.testing.assert_close(loss, cross_entropy(model(x[30:40]), y[30:40]) + distillation + 0.4 * cross_entropy(model(x[:30]), y[:30]))


def test_a_turned_step_never_raises_the_remembered_loss_to_first_order():
    x, y = points()
    model = MLP([8, 16, 4], generator=torch.Generator().manual_seed(0)).double()
    rule = AGEM(sgd, per_task=3000, draw=3000)
    old, new = (x[:60].double(), y[:60]), (x[60:].double(), (y[60:] + 1) % 4)
    state = rule.init(model)
    for _ in range(50):
        state, said = rule.step(model, old, state)
        assert said["turned"] == 0
    state = rule.end(model, old, state)
    loss, _ = rule.objective(model, new, state)
    loss.backward()
    before = torch.cat([one.grad.reshape(-1) for one in model.parameters()])
    reference = torch.cat([g.reshape(-1) for g in torch.autograd.grad(cross_entropy(model(old[0]), old[1]), list(model.parameters()))])
    assert before @ reference < 0
    assert rule.adjust(model, new, state)["turned"] == 1
    after = torch.cat([one.grad.reshape(-1) for one in model.parameters()])
    assert abs(float(after @ reference)) < 1e-10
    torch.testing.assert_close(before - after, (before @ reference) / (reference @ reference) * reference)


def test_bad_numbers_and_bad_batches_are_one_sentence_each():
    for make, said in (
        (lambda: EWC(sgd, strength=-1), "strength from 0"),
        (lambda: EWC(sgd, strength=1, fisher="half"), "samples or batches"),
        (lambda: SynapticIntelligence(sgd, strength=1, damping=0), "damping above 0"),
        (lambda: LwF(sgd, strength=1, temperature=0), "temperature above 0"),
        (lambda: ExperienceReplay(sgd, capacity=-1, draw=1), "capacity from 0"),
        (lambda: DarkExperienceReplay(sgd, capacity=1, draw=0), "draw from 1"),
        (lambda: AGEM(sgd, per_task=1, draw=0), "draw from 1"),
    ):
        with pytest.raises(ValueError, match=said):
            make()
    with pytest.raises(ValueError, match="give the target as well"):
        FineTuning(sgd).step(nn.Linear(2, 2), (torch.zeros(1, 2),), {})
    with pytest.raises(ValueError, match="needs trainable parameters"):
        FineTuning(sgd).init(nn.ReLU())
    head = MultiHead(nn.Identity(), 2, 3, 2)
    with pytest.raises(ValueError, match=r"i64 \[4\], torch.float32 \[4\]"):
        head(torch.zeros(4, 2), torch.zeros(4))
    with pytest.raises(IndexError):
        head(torch.zeros(1, 2), torch.tensor([3]))
    assert torch.equal(head.every(torch.ones(2, 2))[:, 1], head(torch.ones(2, 2), torch.tensor([1, 1])))
