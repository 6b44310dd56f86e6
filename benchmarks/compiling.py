"""How long a cell's kernels take to be made, forwards and backwards: with an empty cache (cold) and from the disk (warm).

    python benchmarks/compiling.py [--repeats 7] [--cells LIF ALIF] [--save]

Each time in a process of its own that has imported torch, Numba and neuropil and has run the kernel of another cell, so that what is loaded once is loaded.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

from shared import save

CELLS = ("LIF", "CubaLIF", "ALIF", "Izhikevich")
CODE = """
import sys, time, torch, neuropil.cells
def run(name):
    x = torch.rand(20, 2, 8).requires_grad_()
    begin = time.perf_counter()
    getattr(neuropil.cells, name)(dt=1e-3).use(backend="fused")(x)[0].sum().backward()
    return time.perf_counter() - begin
run("LI")
print(run(sys.argv[1]))
"""


def seconds(cell: str, folder: str) -> float:
    """One process's time for one cell."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, cell],
        env=os.environ | {"NEUROPIL_CACHE": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print one line a cell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cells", nargs="+", default=CELLS)
    parser.add_argument("--save", action="store_true", help="write results/compiling.json")
    asked = parser.parse_args()
    found = {}
    for cell in asked.cells:
        times = []
        for _ in range(asked.repeats):
            with tempfile.TemporaryDirectory() as folder:
                times.append((seconds(cell, folder), seconds(cell, folder)))
        found[cell] = dict(zip(("cold", "warm"), map(statistics.median, zip(*times, strict=True)), strict=True))
        print(f"{cell:12} cold {found[cell]['cold']:6.2f} s   warm {found[cell]['warm']:6.3f} s", flush=True)
    if asked.save:
        save("compiling", {"repeats": asked.repeats, "seconds": found})


if __name__ == "__main__":
    main()
