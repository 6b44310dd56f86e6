"""Make avalanche.json: what Avalanche's strategies do on a small stream, to be compared with ours.

Avalanche wants other versions of torch and torchvision than this library, so it has an environment of its own::

    python -m venv peer && peer/bin/pip install avalanche-lib==0.6.0 torchvision torchmetrics
    peer/bin/python tests/continual/references/make.py

The stream: three permutations of scikit-learn's 8 x 8 digits, in the order of the file, 1,500 to learn from and 297 to be tested on.
"""

import json
import logging
import random
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

TASKS, BATCH, EPOCHS, RATE, RUNS = 3, 50, 2, 0.1, 10


def stream() -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """The tasks' inputs to learn from and to be tested on, and their labels."""
    digits = load_digits()
    x, y = torch.from_numpy(digits.data).float() / 16, torch.from_numpy(digits.target).long()
    generator = np.random.default_rng(0)
    orders = [torch.from_numpy(generator.permutation(64)) for _ in range(TASKS)]
    return [x[:1500, order] for order in orders], [x[1500:, order] for order in orders], y[:1500], y[1500:]


def network(seed: int) -> nn.Sequential:
    """A small network with weights from numpy, so that both sides begin alike."""
    generator = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.from_numpy(generator.normal(size=layer.weight.shape) / layer.in_features**0.5))
            layer.bias.zero_()
    return model


def probe(model: nn.Module) -> list[float]:
    """A few numbers that tell one set of weights from another."""
    flat = torch.cat([one.detach().reshape(-1) for one in model.parameters()]).double()
    return [float(flat.norm()), float(flat.sum()), *flat[::211].tolist()]


def learned(plugin, seed: int, shuffle: bool) -> tuple[list[float], list[float]]:
    """Learn the stream with one of Avalanche's plugins; weights and final accuracies."""
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.training import Naive

    train, test, y, test_y = stream()
    benchmark = tensors_benchmark(train_tensors=[(x, y) for x in train], test_tensors=[(x, test_y) for x in test], task_labels=[0] * TASKS)
    model = network(seed)
    torch.manual_seed(seed)
    random.seed(seed)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), RATE),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        plugins=[plugin] if plugin else [],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience, shuffle=shuffle)
    with torch.no_grad():
        accuracies = [float((model(x).argmax(1) == test_y).double().mean()) for x in test]
    return probe(model), accuracies


def main() -> None:
    """Write what every plugin does."""
    from avalanche.training.plugins import AGEMPlugin, EWCPlugin, LwFPlugin, ReplayPlugin

    logging.disable()
    exact = {
        "naive": lambda: None,
        "ewc separate, lambda 20": lambda: EWCPlugin(20.0, mode="separate"),
        "ewc online, lambda 20, decay 0.5": lambda: EWCPlugin(20.0, mode="online", decay_factor=0.5),
        "lwf, alpha 1, temperature 2": lambda: LwFPlugin(1.0, 2.0),
    }
    drawn = {
        "replay, 100 places, 50 a step": lambda: ReplayPlugin(100, batch_size=BATCH, batch_size_mem=50),
        "agem, 100 a task, 100 a step": lambda: AGEMPlugin(100, 100),
    }
    found = {
        "versions": {name: version(name) for name in ("avalanche-lib", "torch", "scikit-learn", "numpy")},
        "exact": {name: dict(zip(("probe", "accuracy"), learned(make(), 0, False), strict=True)) for name, make in exact.items()},
        "drawn": {name: [learned(make(), seed, True)[1] for seed in range(RUNS)] for name, make in drawn.items()},
    }
    Path(__file__).with_name("avalanche.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
