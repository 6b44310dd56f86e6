"""Make avalanche.json: what Avalanche's strategies do on a small stream, to be compared with ours.

Avalanche wants torchvision, whose wheels want another torch than this library, so it has an environment of its own; torchvision's operators, which no strategy calls,
are declared by name, since its own library does not load beside another torch::

    python -m venv peer && peer/bin/pip install --no-deps avalanche-lib==0.6.0 torch torchvision torchmetrics lightning-utilities pytorchcv wandb
    peer/bin/pip install filelock sympy networkx jinja2 fsspec numpy psutil gputil scikit-learn matplotlib tqdm gdown qpsolvers dill packaging tensorboard
    peer/bin/python tests/continual/references/make.py

Memories hold all old examples, and every step takes all of them, so that nothing is drawn at random and weights can be compared.
The stream: three permutations of scikit-learn's 8 x 8 digits, in the order of the file, 1,500 to learn from and 297 to be tested on.
"""

import json
import logging
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

TASKS, BATCH, EPOCHS, RATE = 3, 50, 2, 0.1


def stream() -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """The tasks' inputs to learn from and to be tested on, and their labels."""
    digits = load_digits()
    x, y = torch.from_numpy(digits.data).float() / 16, torch.from_numpy(digits.target).long()
    generator = np.random.default_rng(0)
    orders = [torch.from_numpy(generator.permutation(64)) for _ in range(TASKS)]
    return [x[:1500, order] for order in orders], [x[1500:, order] for order in orders], y[:1500], y[1500:]


def network() -> nn.Sequential:
    """A small network with weights from numpy, so that both sides begin alike."""
    generator = np.random.default_rng(0)
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


def learned(plugin) -> dict[str, list[float]]:
    """Learn the stream, in order, with one of Avalanche's plugins; weights and final accuracies."""
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.training import Naive

    train, test, y, test_y = stream()
    benchmark = tensors_benchmark(train_tensors=[(x, y) for x in train], test_tensors=[(x, test_y) for x in test], task_labels=[0] * TASKS)
    model = network()
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
        strategy.train(experience, shuffle=False)
    with torch.no_grad():
        accuracies = [float((model(x).argmax(1) == test_y).double().mean()) for x in test]
    return {"probe": probe(model), "accuracy": accuracies}


def main() -> None:
    """Write what every plugin does."""
    for kind in (
        "nms",
        "qnms",
        *(f"{a}{b}" for a in ("", "_") for b in ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")),
    ):
        torch.library.define(f"torchvision::{kind}{'_backward' if kind.startswith('_') else ''}", "(Tensor x) -> Tensor")
    from avalanche.training.plugins import AGEMPlugin, EWCPlugin, LwFPlugin, ReplayPlugin

    logging.disable()
    plugins = {
        "naive": lambda: None,
        "ewc separate, lambda 20": lambda: EWCPlugin(20.0, mode="separate"),
        "ewc online, lambda 20, decay 0.5": lambda: EWCPlugin(20.0, mode="online", decay_factor=0.5),
        "lwf, alpha 1, temperature 2": lambda: LwFPlugin(1.0, 2.0),
        "replay, everything a step": lambda: ReplayPlugin(3000, batch_size=BATCH, batch_size_mem=3000),
        "agem, everything a step": lambda: AGEMPlugin(1500, 3000),
    }
    found = {
        "versions": {name: version(name) for name in ("avalanche-lib", "torch", "scikit-learn", "numpy")},
        "found": {name: learned(make()) for name, make in plugins.items()},
    }
    Path(__file__).with_name("avalanche.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
