"""From which share of zeros on a product counted event by event (``EventDense``) is quicker than a dense one, forwards and backwards.

    python benchmarks/events.py [--repeats 9] [--rows 12800] [--size 256] [--out-size 256] [--save]

Inputs [rows, size] of independent spikes at several rates through ``EventDense`` and ``Dense`` with the same weights, in turns: the output, and the
gradients of the weights and of the input (``hidden``), or of the weights alone (``first``: the layer that hears the data).
"""

from __future__ import annotations

import argparse
import time

import torch
from shared import interleaved, save
from torch import Tensor, nn

from neuropil.synapses import Dense, EventDense

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
LAYERS = ("first", "hidden")


def once(layer: nn.Module, x: Tensor, gy: Tensor, hidden: bool) -> float:
    """Seconds of one pass forwards and backwards."""
    given = x.detach().requires_grad_(hidden)
    layer.zero_grad()
    begin = time.perf_counter()
    layer(given).backward(gy)
    return time.perf_counter() - begin


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, value in (("repeats", 9), ("rows", 12800), ("size", 256), ("out-size", 256), ("threads", torch.get_num_threads())):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--save", action="store_true", help="write results/events.json")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    generator = torch.Generator().manual_seed(0)
    layers = {kind.__name__: kind(asked.size, asked.out_size) for kind in (EventDense, Dense)}
    layers["EventDense"].load_state_dict(layers["Dense"].state_dict())
    gy = torch.rand(asked.rows, asked.out_size, generator=generator)
    print(f"{asked.rows} rows, {asked.size} -> {asked.out_size}, {asked.threads} threads, median of {asked.repeats}; Dense / EventDense")
    saved: dict[str, dict[str, dict[str, float]]] = {layer: {} for layer in LAYERS}
    for share in SHARES:
        x = (torch.rand(asked.rows, asked.size, generator=generator) < share).float()
        for place in LAYERS:
            runs = {name: lambda x=x, layer=layer, hidden=place == "hidden": once(layer, x, gy, hidden) for name, layer in layers.items()}
            saved[place][str(share)] = interleaved(runs, asked.repeats)
        ratios = (saved[place][str(share)]["Dense"] / saved[place][str(share)]["EventDense"] for place in LAYERS)
        print(f"  {share:5.0%} not 0   " + "   ".join(f"{place} {ratio:5.2f} x" for place, ratio in zip(LAYERS, ratios, strict=True)))
    if asked.save:
        shape = [asked.rows, asked.size, asked.out_size]
        save("events", {"shape": shape, "repeats": asked.repeats, "seconds": saved})


if __name__ == "__main__":
    main()
