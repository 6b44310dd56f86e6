"""One training step of a spiking network on spoken digits beside other libraries: time, and the memory that it takes at its peak.

    python benchmarks/speech.py [--repeats 9] [--save]

The work: spikes of 128 spoken digits, [T, B, channels] = [100, 128, 700], through 700-256-256-20 (linear layers without bias, LIF after the first two), the
mean output over time against the digit by cross-entropy, backwards, one step of Adam. Digits come from the Free Spoken Digit Dataset through
``neuropil.data.Cochlea`` where it is at hand; else random spikes of the same rate, and the result says so. Memory: the most that one step has in use at
a time, as glibc counts it for torch and NumPy alike, looked at every 0.3 ms in a process of its own, after a step with a batch of two has loaded what is loaded once.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from shared import interleaved, save
from torch import Tensor, nn

SIZES = (700, 256, 256, 20)
MOMENTS, BATCH = 100, 128


def linears() -> list[nn.Linear]:
    """The three weight matrices, the same for everyone."""
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(SIZES)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=3 * layer.in_features**-0.5, generator=generator)
    return layers


class Steps(nn.Module):
    """Layers called moment by moment, as snnTorch and Norse are used; ``cell(i)`` makes a stateful function of one moment."""

    def __init__(self, cell: Callable[[], nn.Module], start: Callable[[nn.Module], object]) -> None:
        super().__init__()
        self.layers, self.cells, self.start = nn.ModuleList(linears()), nn.ModuleList([cell(), cell()]), start

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, channels] -> outputs summed over time."""
        states, outputs = [self.start(cell) for cell in self.cells], []
        for moment in x:
            for k, cell in enumerate(self.cells):
                moment, states[k] = cell(self.layers[k](moment), states[k])
            outputs.append(self.layers[-1](moment))
        return torch.stack(outputs).mean(0)


def ours(events: bool = True, chunks: bool = False, **how: str) -> nn.Module:
    """neuropil's Chain, with event-driven synapses or the peers' linear layers, whole or in chunks of time."""
    from neuropil.cells import LIF
    from neuropil.dynamics import Chain, checkpoint_through_time
    from neuropil.synapses import EventDense

    first, second, last = linears()
    if events:
        dense, (first, second, last) = (first, second, last), (EventDense(a, b) for a, b in pairwise(SIZES))
        for one, other in zip((first, second, last), dense, strict=True):
            one.weight = other.weight
    chain = Chain(first, LIF(256, dt=1e-3), second, LIF(256, dt=1e-3), last).use(**how)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = chain

        def forward(self, x: Tensor) -> Tensor:
            return (checkpoint_through_time(self.chain, x) if chunks else self.chain(x))[0].mean(0)

    return Net()


def spikingjelly() -> nn.Module:
    """SpikingJelly, multi-step mode."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    first, second, last = linears()
    lif = [neuron.LIFNode(tau=20.0, decay_input=False, surrogate_function=surrogate.ATan(), step_mode="m") for _ in range(2)]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(first, lif[0], second, lif[1], last)

        def forward(self, x: Tensor) -> Tensor:
            functional.reset_net(self)
            return self.layers(x).mean(0)

    return Net()


def snntorch() -> nn.Module:
    """snnTorch, whose layers are called moment by moment."""
    import snntorch as snn

    return Steps(lambda: snn.Leaky(beta=0.95, spike_grad=snn.surrogate.fast_sigmoid()), lambda cell: cell.init_leaky())


def norse() -> nn.Module:
    """Norse's LIF of the same kind."""
    import norse.torch as norse_torch

    return Steps(lambda: norse_torch.LIFBoxCell(dt=0.001), lambda cell: None)


NETS: dict[str, Callable[[], nn.Module]] = {
    "neuropil": lambda: ours(),
    "neuropil, checkpoint_through_time": lambda: ours(chunks=True),
    "neuropil, linear layers": lambda: ours(events=False),
    "neuropil, linear layers, steps": lambda: ours(events=False, backend="torch"),
    "SpikingJelly": spikingjelly,
    "snnTorch": snntorch,
    "Norse": norse,
}


def digits() -> tuple[Tensor, Tensor, str]:
    """Spikes [100, 128, 700], digits [128], and what they are."""
    from neuropil.data import Cochlea, DataError, load

    try:
        data = load("fsdd")
    except DataError:
        generator = torch.Generator().manual_seed(0)
        spikes = (torch.rand(MOMENTS, BATCH, SIZES[0], generator=generator) < 0.02).float()
        return spikes, torch.randint(0, 10, (BATCH,), generator=generator), "random spikes (the Free Spoken Digit Dataset is not here)"
    rate = float(data["rate"])
    cochlea = Cochlea(rate, channels=SIZES[0], high=0.45 * rate)
    counts = cochlea.recordings(data["audio"], data["offsets"][: BATCH + 1], bin=0.005, steps=MOMENTS)
    return torch.from_numpy(counts).clamp(max=1), torch.from_numpy(data["digit"][:BATCH]).long(), "Free Spoken Digit Dataset"


def step(net: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, target: Tensor) -> float:
    """Seconds of one training step."""
    begin = time.perf_counter()
    optimiser.zero_grad()
    nn.functional.cross_entropy(net(x), target).backward()
    optimiser.step()
    return time.perf_counter() - begin


def peak(name: str, folder: str) -> float:
    """Megabytes that one step has in use at most, beyond what was before; run in a process of its own."""
    x, target = (torch.from_numpy(np.load(f"{folder}/{part}.npy")) for part in ("x", "target"))
    net = NETS[name]()
    optimiser = torch.optim.Adam(net.parameters())
    step(net, optimiser, x[:, :2].contiguous(), target[:2])
    gc.collect()
    before = most = in_use()
    running = True

    def watch() -> None:
        nonlocal most
        while running:
            most = max(most, in_use())
            time.sleep(0.0003)

    watcher = threading.Thread(target=watch)
    watcher.start()
    step(net, optimiser, x, target)
    running = False
    watcher.join()
    return (most - before) / 2**20


class MallInfo(ctypes.Structure):
    """What glibc says of its allocations."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def in_use() -> int:
    """Bytes that this process has asked for and not given back."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = MallInfo
    info = ask()
    return int(info.uordblks + info.hblkhd)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--save", action="store_true", help="write results/speech.json")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.peak:
        print(json.dumps(peak(*asked.peak)))
        return
    x, target, what = digits()
    runs: dict[str, Callable[[], float]] = {}
    for name, make in NETS.items():
        try:
            net = make()
        except ImportError as error:
            print(f"{name} left out ({error})")
            continue
        optimiser = torch.optim.Adam(net.parameters())
        runs[name] = lambda net=net, optimiser=optimiser: step(net, optimiser, x, target)
    seconds = interleaved(runs, asked.repeats)
    memory = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", x.numpy())
        np.save(f"{folder}/target.npy", target.numpy())
        for name in runs:
            command = [sys.executable, "-W", "ignore", __file__, "--peak", name, folder]
            memory[name] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1])
    print(f"{what}: mean input {float(x.mean()):.3f}, {torch.get_num_threads()} threads, median of {asked.repeats}")
    for name, each in seconds.items():
        print(
            f"  {name:34} {1e3 * each:8.1f} ms {each / seconds['neuropil']:6.1f} x   {memory[name]:7.0f} MB {memory[name] / memory['neuropil']:6.1f} x"
        )
    if asked.save:
        save("speech", {"data": what, "repeats": asked.repeats, "seconds": seconds, "megabytes": memory})


if __name__ == "__main__":
    main()
