"""Kill -9, Ctrl-C and a dead worker in mid-run: finished cells are kept, the same command goes on, the result is the uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

SLOW = ("    noise = ", "    __import__('time').sleep(float(__import__('os').environ.get('NAP', '0')))\n    noise = ")
COMMAND = [sys.executable, "-m", "neuropil", "run", "mini.py", "--budget", "desk", "--seeds", "0:8", "--jobs", "2"]


def start(bench):
    return slowly(COMMAND, bench)


def slowly(command, bench):
    environment = os.environ | {"NAP": "0.3"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=bench.folder, env=environment, start_new_session=True, **pipes)


def finished(bench) -> set[str]:
    return {path.name for path in (bench.folder / "cache" / "cells").rglob("*.json")}


def wait_for_cells(bench, process, n: int) -> None:
    limit = time.monotonic() + 60
    while len(finished(bench)) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


def numbers(bench, name: str) -> dict:
    done = subprocess.run([*COMMAND, "--json", name], cwd=bench.folder, capture_output=True, text=True, check=True)
    assert "corrupt" not in done.stderr
    result = json.loads((bench.folder / name).read_text())
    return {"contrasts": result["contrasts"], "arms": {arm: record["metrics"] for arm, record in result["arms"].items()}}


def no_orphans(group: int) -> bool:
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        alive = []
        for process in psutil.process_iter(["pid"]):
            try:
                if os.getsid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process.pid)
            except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
                continue
        if not alive:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGINT, signal.SIGTERM]
)  # more kills: test_kills
def test_an_interrupted_run_goes_on_where_it_was(bench, how):
    bench.write(SLOW)
    process = start(bench)
    wait_for_cells(bench, process, 5)
    os.kill(process.pid, how)
    _, err = process.communicate(timeout=20)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "same command goes on from there" in err
        assert "Traceback" not in err
    else:
        assert process.returncode == -how
    assert no_orphans(process.pid)
    kept = {path: path.stat().st_mtime_ns for path in (bench.folder / "cache" / "cells").rglob("*.json")}
    assert 5 <= len(kept) < 24
    resumed = numbers(bench, "resumed.json")
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written, "a finished cell was run again"
    subprocess.run(["rm", "-rf", str(bench.folder / "cache")], check=True)
    assert numbers(bench, "uninterrupted.json") == resumed


def test_a_dead_worker_is_replaced_and_loses_nothing(bench):
    bench.write(SLOW)
    process = start(bench)
    wait_for_cells(bench, process, 3)
    kept = {path: path.stat().st_mtime_ns for path in (bench.folder / "cache" / "cells").rglob("*.json")}
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert len(finished(bench)) == 24
    assert no_orphans(process.pid)


def test_an_aborted_reporting_run_stays_in_the_ledger(bench):
    from neuropil.atlas.conduct.ledger import Ledger

    bench.write(SLOW)
    bench.tune()
    bench.register()
    bench.commit()
    command = [*COMMAND[:4], "mini.py"]
    process = slowly(command, bench)
    wait_for_cells(bench, process, 2)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    events = [entry["event"] for entry in Ledger(bench.results).entries()]
    assert events[-2:] == ["started", "aborted"]
    assert subprocess.run(command, cwd=bench.folder, capture_output=True, check=False).returncode == 0
    assert [entry["event"] for entry in Ledger(bench.results).entries()][-2:] == ["started", "finished"]
    assert Ledger(bench.results).looks() == 1
