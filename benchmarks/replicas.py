"""When several seeds learn faster as one batch than as one process a seed: the same steps, all cores for both, as ratios.

    python benchmarks/replicas.py [--repeats 9] [--replicas 4 10 30] [--threads 1]

One batch: ``Backprop`` on ``Replicas``, torch with as many threads as there are cores, or ``--threads``. One process a seed: as many spawned workers as cores, one
torch thread each, all stepping at the same time; R seeds on C cores then cost ``R / C`` steps of a worker. Both are medians of blocks of steps. What a
worker takes from its start to its first step (interpreter, imports, kernels from the cache) is said apart, and added to a run of 1,000 steps in
the last column. From this table comes the rule of ``neuropil.learning.replicas.pays``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.learning import Backprop, Replicas
from neuropil.networks import MLP, ConvNet, SpikingNet

RUN = 1000
RULE = Backprop(lambda p: torch.optim.Adam(p, lr=1e-3), F.cross_entropy)


class Listener(nn.Module):
    """A spiking net on batches [B, T, N], read out by its mean potential."""

    def __init__(self) -> None:
        super().__init__()
        self.net = SpikingNet([40, 64, 10], dt=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores [B, classes]."""
        y, _ = self.net(x.transpose(0, 1))
        return y.mean(0)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP 64-32-10, batch 32": (lambda: MLP([64, 32, 10]), (32, 64)),
    "MLP 64-128-10, batch 64": (lambda: MLP([64, 128, 10]), (64, 64)),
    "MLP 784-64-10, batch 32": (lambda: MLP([784, 64, 10]), (32, 784)),
    "MLP 784-256-10, batch 128": (lambda: MLP([784, 256, 10]), (128, 784)),
    "SpikingNet 40-64-10, T 50, batch 32": (Listener, (32, 50, 40)),
    "ConvNet 8-16-32-10, 28 x 28, batch 32": (lambda: ConvNet(widths=(8, 16), hidden=32), (32, 1, 28, 28)),
}


def stepping(model: nn.Module, *leading: int, shape: tuple[int, ...]) -> Callable[[int], float]:
    """A function that takes so many steps and gives the seconds of one."""
    x, y = torch.rand(*leading, *shape), torch.randint(10, (*leading, shape[0]))
    state = RULE.init(model)

    def steps(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            RULE.step(model, (x, y), state)
        return (time.perf_counter() - begin) / count

    return steps


def block(steps: Callable[[int], float], seconds: float) -> int:
    """How many steps fill so many seconds."""
    steps(3)
    return max(3, int(seconds / steps(3)))


def worker(name: str, repeats: int, seconds: float, born: float, gate: Any, answers: Any) -> None:
    """One process: its start-up, and the median second of a step while the others step too."""
    torch.set_num_threads(1)
    make, shape = NETS[name]
    steps = stepping(make(), shape=shape)
    steps(1)
    started = time.time() - born
    count = block(steps, seconds)
    gate.wait()
    answers.put((started, statistics.median(steps(count) for _ in range(repeats))))


def processes(name: str, cores: int, repeats: int, seconds: float) -> tuple[float, float]:
    """Start-up and step of a worker beside as many as there are cores, medians over them."""
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(cores), context.Queue()
    born = time.time()
    started = [context.Process(target=worker, args=(name, repeats, seconds, born, gate, answers)) for _ in range(cores)]
    for one in started:
        one.start()
    found = [answers.get() for _ in started]
    for one in started:
        one.join()
    begin, step = (statistics.median(each) for each in zip(*found, strict=True))
    return begin, step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--replicas", type=int, nargs="+", default=[4, 10, 30])
    parser.add_argument("--seconds", type=float, default=0.25, help="of one block of steps")
    parser.add_argument("--nets", nargs="+", default=list(NETS), help="as they are named in the table")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--threads", type=int, default=cores, help="of the one batch; 1 on a machine that does other things too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{cores} cores, one batch on {args.threads} of them, torch {torch.__version__}; ratio above 1: one batch is faster than a process a seed\n"
    )
    print(
        f"{'net':38} {'work':>10} {'R':>3} {'one batch':>10} {'R / C steps':>11} {'ratio':>6} {'start-up':>9} {f'ratio of {RUN} steps':>18}"
    )
    for name in args.nets:
        make, shape = NETS[name]
        begin, step = processes(name, cores, args.repeats, args.seconds)
        work = sum(p.numel() for p in make().parameters()) * shape[0]
        for r in args.replicas:
            steps = stepping(Replicas(make() for _ in range(r)), r, shape=shape)
            count = block(steps, args.seconds)
            batch = statistics.median(steps(count) for _ in range(args.repeats))
            alone, runs = step * r / cores, begin * r / cores
            print(
                f"{name:38} {work:10.1e} {r:3} {batch * 1e3:7.2f} ms {alone * 1e3:8.2f} ms {alone / batch:6.2f} {begin:7.1f} s "
                f"{(runs + RUN * alone) / (RUN * batch):18.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
