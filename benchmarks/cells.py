"""How fast a layer of spiking cells runs, forwards and backwards, beside other libraries: same work, one process, interleaved, as ratios.

    python benchmarks/cells.py [--repeats 9] [--moments 100] [--batch 128] [--neurons 512] [--device cuda] [--save]

Peers are measured where they can be imported: ``pip install snntorch norse spikingjelly`` into an environment that has neuropil and its torch
(``--no-deps`` where one asks for torchvision). Beside the medians stands the traffic floor: the time that this machine takes to move, once, the
arrays that any implementation must read and write (input and output; the two gradients and the input again), taken in the same turns. On a GPU the clock stops when the device has finished; SpikingJelly 2
chooses its own Triton kernels there.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from shared import interleaved, save
from torch import Tensor

KERNEL, FLOOR = "neuropil, kernel", "traffic floor"
Run = Callable[[Tensor], Tensor]


def ours(name: str, **settings: object) -> Run:
    """One of neuropil's cells, run as ``backend`` says."""
    import neuropil.cells

    backend, store = settings.pop("backend", "fused"), settings.pop("store", "recompute")
    cell = getattr(neuropil.cells, name)(dt=1e-3, **settings).use(backend=backend, store=store)
    return lambda x: cell.to(x.device)(x)[0]


def spikingjelly_lif() -> Run:
    """SpikingJelly, multi-step mode."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    node = neuron.LIFNode(tau=20.0, decay_input=False, surrogate_function=surrogate.ATan(), step_mode="m")

    def run(x: Tensor) -> Tensor:
        functional.reset_net(node)
        return node.to(x.device)(x)

    return run


def snntorch_cell(kind: str) -> Run:
    """snnTorch, which steps in Python."""
    import snntorch
    from snntorch import surrogate

    made = {
        "LIF": lambda: snntorch.Leaky(beta=0.95, spike_grad=surrogate.fast_sigmoid()),
        "CubaLIF": lambda: snntorch.Synaptic(alpha=0.82, beta=0.95, spike_grad=surrogate.fast_sigmoid()),
    }[kind]()

    def run(x: Tensor) -> Tensor:
        state = made.init_leaky() if kind == "LIF" else made.init_synaptic()
        state = [one.to(x.device) for one in (state if isinstance(state, tuple) else (state,))]
        made.to(x.device)
        spikes = []
        for moment in x:
            spike, *state = made(moment, *state)
            spikes.append(spike)
        return torch.stack(spikes)

    return run


def norse_cell(kind: str) -> Run:
    """Norse's own sequence modules."""
    import norse.torch as norse
    from norse.torch.functional.izhikevich import tonic_spiking

    module = {"LIF": norse.LIFBoxCell, "CubaLIF": norse.LIFCell, "ALIF": norse.LSNNCell, "Izhikevich": norse.IzhikevichCell}[kind]
    cell = module(tonic_spiking) if kind == "Izhikevich" else module(dt=0.001)

    def run(x: Tensor) -> Tensor:
        cell.to(x.device)
        state, spikes = None, []
        for moment in x:
            spike, state = cell(moment, state)
            spikes.append(spike)
        return torch.stack(spikes)

    return run


WORK: dict[str, dict[str, Callable[[], Run]]] = {
    "LIF": {
        KERNEL: lambda: ours("LIF"),
        "neuropil, kernel, all states kept": lambda: ours("LIF", store="state"),
        "neuropil, steps": lambda: ours("LIF", backend="torch"),
        "SpikingJelly": spikingjelly_lif,
        "snnTorch": lambda: snntorch_cell("LIF"),
        "Norse": lambda: norse_cell("LIF"),
    },
    "CubaLIF": {
        KERNEL: lambda: ours("CubaLIF"),
        "neuropil, steps": lambda: ours("CubaLIF", backend="torch"),
        "snnTorch": lambda: snntorch_cell("CubaLIF"),
        "Norse": lambda: norse_cell("CubaLIF"),
    },
    "ALIF": {
        KERNEL: lambda: ours("ALIF"),
        "neuropil, steps": lambda: ours("ALIF", backend="torch"),
        "Norse": lambda: norse_cell("ALIF"),
    },
    "Izhikevich": {
        KERNEL: lambda: ours("Izhikevich"),
        "neuropil, steps": lambda: ours("Izhikevich", backend="torch"),
        "Norse": lambda: norse_cell("Izhikevich"),
    },
}


def now(x: Tensor) -> float:
    """Seconds on the clock, once the device of ``x`` has done all it was asked to."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter()


def once(run: Run, x: Tensor, gy: Tensor) -> float:
    """Seconds of one pass forwards and backwards."""
    given = x.detach().requires_grad_()
    begin = now(x)
    run(given).backward(gy)
    return now(x) - begin


def floor(x: Tensor, gy: Tensor) -> float:
    """Seconds to move what no implementation can leave unmoved, with torch's own fastest operators: read x, write y; read x and gy, write gx."""
    begin = now(x)
    y = torch.empty_like(x)
    y.copy_(x)
    gx = torch.empty_like(x)
    torch.add(x, gy, out=gx)
    return now(x) - begin


def main() -> None:
    """Print one table a cell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, value in (("repeats", 9), ("moments", 100), ("batch", 128), ("neurons", 512), ("threads", torch.get_num_threads())):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--save", action="store_true", help="write results/cells.json")
    asked = parser.parse_args()
    if asked.save and asked.device.type != "cpu":
        parser.error("results/cells.json holds one table, that of a CPU; print another device's without --save.")
    torch.set_num_threads(asked.threads)
    warnings.simplefilter("ignore")
    generator = torch.Generator().manual_seed(0)
    shape = (asked.moments, asked.batch, asked.neurons)
    gy = torch.rand(shape, generator=generator).to(asked.device)
    place = torch.cuda.get_device_name(gy.device) if gy.is_cuda else f"{asked.threads} threads"
    print(f"[T, B, N] = {list(shape)}, float32, {place}, torch {torch.__version__}, median of {asked.repeats}")
    saved: dict[str, dict[str, float]] = {}
    for cell, makers in WORK.items():
        x = (torch.rand(shape, generator=generator) * {"Izhikevich": 20.0, "CubaLIF": 1.0}.get(cell, 0.15)).to(asked.device)
        runs: dict[str, Callable[[], float]] = {FLOOR: lambda x=x: floor(x, gy)}
        for name, make in makers.items():
            try:
                made = make()
            except ImportError as error:
                print(f"{cell}: {name} left out ({error})")
            else:
                runs[name] = lambda x=x, run=made: once(run, x, gy)
        seconds = saved[cell] = interleaved(runs, asked.repeats)
        print(f"\n{cell}")
        for name, each in seconds.items():
            print(f"  {name:36} {1e3 * each:9.1f} ms   {each / seconds[KERNEL]:6.1f} x")
    if asked.save:
        save("cells", {"shape": shape, "repeats": asked.repeats, "seconds": saved})


if __name__ == "__main__":
    main()
