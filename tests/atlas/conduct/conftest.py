"""Sweeps of the miniature study as processes of their own, which can be slowed, counted, killed and compared."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = (
    "    noise = ",
    "    import os, time\n"
    "    with open(os.environ.get('TALLY', os.devnull), 'a') as tally:\n"
    "        tally.write(f'{arm.name} {seed.value} {os.getppid()}\\n')\n"
    "    time.sleep(float(os.environ.get('NAP', '0')))\n"
    "    noise = ",
)


class Sweeps:
    """Exploratory runs of the bench's study by the command line, with a store of their own."""

    arms = ("boosted", "plain", "off", "lesioned")

    def __init__(self, bench) -> None:
        self.bench = bench
        self.tally = bench.folder / "tally"
        bench.write(SLOW)

    @property
    def cells(self) -> dict[str, Path]:
        return {path.stem: path for path in (self.bench.folder / "cache" / "cells").glob("??/*.json")}

    def words(self, seeds, arms=arms, jobs: int = 2) -> list[str]:
        given = ["--budget", "desk", "--seeds", ",".join(map(str, seeds)), "--arms", ",".join(arms), "--jobs", str(jobs)]
        return [sys.executable, "-m", "neuropil", "run", "mini.py", *given]

    def start(self, words, nap: float = 0.0, **variables: str) -> subprocess.Popen:
        environment = os.environ | {"NAP": str(nap), "TALLY": str(self.tally), **variables}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(words, cwd=self.bench.folder, env=environment, start_new_session=True, **pipes)

    def finish(self, words, **variables: str) -> tuple[int, str]:
        process = self.start(words, **variables)
        _, err = process.communicate(timeout=120)
        return process.returncode, err

    def numbers(self, seeds, **options) -> dict:
        """Everything a finished sweep says but the time it took."""
        path = self.bench.folder / "result.json"
        code, err = self.finish([*self.words(seeds, **options), "--json", str(path)])
        assert code == 0, err
        result = json.loads(path.read_text())
        arms = {arm: {key: record[key] for key in ("settings", "metrics", "curves", "matrices")} for arm, record in result["arms"].items()}
        return {"contrasts": result["contrasts"], "checks": result["checks"], "arms": arms}

    def outcomes(self) -> dict[str, list]:
        """What lies in the store, bit for bit, but the seconds it took."""
        return {key: json.loads(path.read_text())["payload"]["outcomes"] for key, path in self.cells.items()}

    def forget(self) -> None:
        shutil.rmtree(self.bench.folder / "cache", ignore_errors=True)


@pytest.fixture
def sweeps(bench) -> Sweeps:
    return Sweeps(bench)
