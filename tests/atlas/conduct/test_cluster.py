"""Cells on other machines: a scheduler and its workers as processes of this one, killed, wrong or missing; a job system that runs scripts."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.execute import compute
from neuropil.atlas.conduct.places import place
from neuropil.atlas.conduct.plan import plan
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.study import Settings

pytest.importorskip("distributed")
SCHEDULER = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
WORKER = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--no-nanny", "--host", "127.0.0.1"]


class Site:
    """A scheduler and its workers; what is left of them dies with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen] = []
        self.staff: list[subprocess.Popen] = []
        self.scheduler = self.start([*SCHEDULER, "--scheduler-file", str(self.file), "--idle-timeout", "300"])
        limit = time.monotonic() + 60
        while not self.file.exists() or not self.file.read_text().endswith("}"):
            assert self.scheduler.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        self.on = "dask:" + json.loads(self.file.read_text())["address"].removeprefix("tcp:")

    def start(self, words: list[str], **variables: str) -> subprocess.Popen:
        log = (self.folder / f"{len(self.processes)}.log").open("w")
        with log:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def hire(self, *options: str, **variables: str) -> subprocess.Popen:
        words = [*WORKER, "--scheduler-file", str(self.file), "--local-directory", str(self.folder), "--death-timeout", "20", *options]
        return self.start(words, **variables)

    def keep(self, n: int) -> None:
        """Have just these many ordinary workers, all of which the scheduler knows."""
        self.staff = [worker for worker in self.staff if worker.poll() is None]
        while len(self.staff) > n:
            end(self.staff.pop())
        self.staff += [self.hire() for _ in range(n - len(self.staff))]
        limit = time.monotonic() + 60
        while not all("Registered to" in self.log_of(worker).read_text() for worker in self.staff):
            assert time.monotonic() < limit, [self.log_of(worker).read_text() for worker in self.staff]
            time.sleep(0.05)

    def log_of(self, process: subprocess.Popen) -> Path:
        return self.folder / f"{self.processes.index(process)}.log"

    def close(self) -> None:
        for process in self.processes:
            end(process)


def end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def children() -> list[str]:
    """The processes that workers have started for runs of this machine's tests."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if "neuropil.cli.serve" in words:
            found.append(process.info["cwd"] or "")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture
def told():
    return []


class Tallied:
    """The bench's study, which writes down every trial that is begun, and takes its time; a trial waits until ``hands`` processes have begun one."""

    def __init__(self, bench, seconds: float, *changes: tuple[str, str], hands: int = 1) -> None:
        self.bench = bench
        self.path = bench.folder / "tally"
        trial = (
            "    import os, time",
            f"    open({str(self.path)!r}, 'a').write(f'{{arm.name}} {{seed.value}} {{os.getpid()}}\\n')",
            "    limit = time.monotonic() + 60",
            f"    while len({{line.split()[-1] for line in open({str(self.path)!r})}}) < {hands} and time.monotonic() < limit:",
            "        time.sleep(0.01)",
            f"    time.sleep({seconds})",
            "    noise = ",
        )
        bench.write(("    noise = ", "\n".join(trial)), *changes)

    @property
    def begun(self) -> list[str]:
        return [line.rpartition(" ")[0] for line in self.path.read_text().splitlines()] if self.path.exists() else []

    @property
    def processes(self) -> set[str]:
        return {line.rpartition(" ")[2] for line in self.path.read_text().splitlines()}

    def cells(self, seeds):
        source = self.bench.source
        return plan(source, source.load(), "desk", ["boosted", "plain", "lesioned"], list(seeds), chosen={}, digests={})

    def compute(self, cells, on: str, told, **options) -> None:
        with place(on, 2, told.append) as executor:
            compute(self.bench.source, cells, self.bench.store, on=executor, **options)

    def outcomes(self, cells, store=None) -> dict[str, list]:
        """What the store holds, bit for bit, but the seconds it took."""
        return {cell.key: (store or self.bench.store).get(cell.key)["outcomes"] for cell in cells}

    def here(self, cells) -> dict[str, list]:
        """The same by processes of this machine, in a store of its own."""
        store = Store(self.bench.folder / "cells" / "here")
        with place("local", 2, print) as executor:
            compute(self.bench.source, cells, store, on=executor)
        return self.outcomes(cells, store)


def test_a_worker_killed_in_mid_sweep_loses_nothing_and_counts_nothing_twice(bench, site, told):
    tallied = Tallied(bench, 0.05, hands=2)
    cells = tallied.cells(range(20))
    site.keep(2)
    seen = []

    def watch(done):
        seen.append(done.done)
        if done.done == 15:
            site.staff[0].kill()

    tallied.compute(cells, site.on, told, watch=watch)
    assert seen == list(range(1, 61))
    begun = tallied.begun
    assert len(tallied.processes) >= 2  # an idle process ends, and another may follow it
    assert len(set(begun)) == 60
    assert site.staff[0].wait() == -signal.SIGKILL
    assert len(begun) - 60 <= sum("is run again" in sentence for sentence in told) <= 1
    tallied.path.unlink()
    assert tallied.outcomes(cells) == tallied.here(cells)
    tallied.path.unlink()
    tallied.compute(cells, site.on, told)
    assert tallied.begun == []


def test_a_worker_with_another_version_is_refused_by_name_and_the_others_go_on(bench, site, told, tmp_path):
    other = tmp_path / "other" / "neuropil-9.9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: neuropil\nVersion: 9.9.9\n")
    tallied = Tallied(bench, 0)
    site.keep(0)
    wrong = site.hire(PYTHONPATH=str(other.parent))
    try:
        with pytest.raises(
            AtlasError, match=rf"No worker of {site.on} can be used; tcp://127.0.0.1:\d+: it has neuropil 9.9.9 where .* is wanted"
        ):
            tallied.compute(tallied.cells([0]), site.on, told)
        assert tallied.begun == []
        site.keep(1)
        told.clear()
        with place(site.on, 2, told.append) as executor:
            limit = time.monotonic() + 60
            seed = iter(range(1, 10_000))
            while not tallied.begun:
                assert time.monotonic() < limit
                with contextlib.suppress(AtlasError):
                    compute(bench.source, tallied.cells([next(seed)]), bench.store, on=executor)
    finally:
        end(wrong)
    refusals = [sentence for sentence in told if "gets no cells: it has neuropil 9.9.9" in sentence]
    assert len(refusals) == 1
    assert refusals[0].startswith("The worker tcp://127.0.0.1:")
    assert len(tallied.processes) == 1


def test_other_code_or_other_data_on_a_worker_is_refused_before_a_cell_is_run(bench, site, told):
    tallied = Tallied(bench, 0)
    cell = tallied.cells([0])[0]
    site.keep(1)
    for other, words in (
        ({"code": "0" * 64}, f"its code of the study or of a part is {cell.code[:12]}, 000000000000 is wanted"),
        ({"data": {"digits": "0" * 64}}, "its data set digits is .*, 000000000000 is wanted"),
        ({"data": {"no-such": "0" * 64}}, "There is no data set 'no-such'"),
    ):
        with pytest.raises(AtlasError, match=words):
            tallied.compute([dataclasses.replace(cell, **other)], site.on, told)
    assert tallied.begun == []
    tallied.compute([cell], site.on, told)
    assert len(tallied.begun) == 1


def test_an_entry_of_other_code_is_refused_there_and_a_setting_named_code_is_a_setting(bench):
    from neuropil.atlas.board.source import find
    from neuropil.atlas.conduct.cluster.child import answer
    from neuropil.atlas.conduct.cluster.parcel import pack
    from neuropil.atlas.conduct.plan import versions

    bench.write(('"plain": {"boost": 0.0}', '"plain": {"boost": 0.0, "code": "rate"}'))
    chosen = {"plain": {"code": "spikes"}}
    (cell,) = plan(bench.source, bench.source.load(), "smoke", ["plain"], [0], chosen=chosen, digests={})
    assert cell.arm["code"] == "spikes"
    assert "payload" in answer(pack(bench.source), cell, versions(), str)
    origin = find("cells").on("adding-problem", ("LIF",))
    (cell,) = plan(origin, origin.load(), "smoke", ["LIF"], [0], chosen={}, digests={})
    other = dataclasses.replace(cell, arm=Settings("LIF", {**cell.arm, "code": "0" * 64}))
    assert answer(pack(origin), other, versions(), str) == {"refused": "its code of LIF is not the one here; install the same there."}


def test_what_is_printed_comes_back_and_a_trial_that_raises_is_not_run_again(bench, site, told):
    (bench.folder / "beside").mkdir()
    (bench.folder / "beside" / "__init__.py").write_text("")
    (bench.folder / "beside" / "loud.py").write_text("def say(words):\n    print('said', words, flush=True)\n")
    speak = (
        "    loud.say(f'{arm.name} {seed.value}')\n    __import__('warnings').warn('mind the step')\n"
        "    if arm.name == 'plain' and seed.value == 1:\n        raise ValueError('no luck')\n    noise = "
    )
    tallied = Tallied(bench, 0, ("    noise = ", speak), ("study = Study(", "from beside import loud\n\nstudy = Study("))
    cells = tallied.cells(range(3))
    site.keep(2)
    with pytest.raises(AtlasError, match=r"arm 'plain' failed at seeds \(1,\) with ValueError: no luck .*mini.py:\d+\); mend it"):
        tallied.compute(cells, site.on, told)
    assert sorted(tallied.begun) == sorted(f"{arm} {seed}" for arm in ("boosted", "plain", "lesioned") for seed in range(3))
    assert sum(bench.store.get(cell.key) is not None for cell in cells) == 8
    log = next((bench.store.root / "logs").iterdir())
    assert f"What trials printed is in {log}." in told
    text = log.read_text()
    assert text.count("  | said ") == 9
    assert "UserWarning: mind the step" in text
    assert "arm 'plain' at seeds (1,): failed after" in text
    assert (
        "ValueError: no luck"
        in bench.store.failed(next(cell.key for cell in cells if (cell.arm.name, cell.seeds) == ("plain", (1,)))).read_text()
    )


def test_a_cell_whose_process_dies_is_tried_twice_more_and_the_rest_goes_on(bench, site, told):
    tallied = Tallied(
        bench, 0, ("    noise = ", "    if arm.name == 'plain' and seed.value == 1:\n        __import__('os').abort()\n    noise = ")
    )
    cells = tallied.cells(range(2))
    site.keep(2)
    with pytest.raises(AtlasError, match=r"arm 'plain' at seeds \(1,\) is given up: 3 workers died .* died by signal SIGABRT"):
        tallied.compute(cells, site.on, told)
    assert sum(bench.store.get(cell.key) is not None for cell in cells) == 5
    assert tallied.begun.count("plain 1") == 3
    assert sum("is run again" in sentence for sentence in told) == 2
    dead = next(cell for cell in cells if (cell.arm.name, cell.seeds) == ("plain", (1,)))
    assert "Fatal Python error: Aborted" in bench.store.failed(dead.key).read_text()


def test_times_are_measured_by_one_worker_one_at_a_time(bench, site, told):
    tallied = Tallied(bench, 0.01)
    site.keep(2)
    tallied.compute(tallied.cells(range(4)), site.on, told, alone=True)
    assert len(tallied.processes) == 1
    assert len(tallied.begun) == 12


def test_a_worker_that_does_not_answer_is_passed_over(bench, site, told):
    tallied = Tallied(bench, 0)
    site.keep(2)
    limit = time.monotonic() + 60
    while sum(" Registered to: " in log.read_text() for log in site.folder.glob("*.log") if log.exists()) < len(site.processes) - 1:
        assert time.monotonic() < limit
        time.sleep(0.1)
    os.kill(site.staff[0].pid, signal.SIGSTOP)
    try:
        tallied.compute(tallied.cells(range(4)), site.on, told)
    finally:
        end(site.staff[0])
    assert len(tallied.processes) == 1
    assert len(tallied.begun) == 12


def test_cells_for_a_gpu_go_to_workers_that_have_one(bench, site, told):
    tallied = Tallied(bench, 0, ('"desk": {"steps": 3}', '"desk": {"steps": 3, "device": "cuda"}'))
    cells = tallied.cells(range(4))
    site.keep(1)
    with pytest.raises(AtlasError, match=r"need a GPU, and no worker of .* has one; start workers .* by `--resources GPU=1`"):
        tallied.compute(cells, site.on, told)
    site.keep(0)
    able = site.hire("--resources", "GPU=1")
    try:
        tallied.compute(cells, site.on, told)
    finally:
        end(able)
    assert len(tallied.begun) == 12


@pytest.mark.slow
def test_a_killed_client_leaves_nothing_running_and_the_same_command_goes_on(bench, site):
    tallied = Tallied(bench, 0.1)
    cells = tallied.cells(range(8))
    site.keep(2)
    command = [sys.executable, "-m", "neuropil", "run", "mini.py", "--budget", "desk", "--seeds", "0:8", "--on"]
    client = subprocess.Popen([*command, site.on], cwd=bench.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = Store(bench.folder / "cache" / "cells")
    try:
        limit = time.monotonic() + 60
        while len(list(store.root.glob("??/*.json"))) < 4:
            assert client.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.02)
    finally:
        client.kill()
        client.wait()
    limit = time.monotonic() + 20
    while any(str(site.folder) in folder for folder in children()):
        assert time.monotonic() < limit, children()
        time.sleep(0.1)
    before = {path: path.stat().st_mtime_ns for path in store.root.glob("??/*.json")}
    assert 4 <= len(before) < 24
    done = subprocess.run([*command, str(site.file)], cwd=bench.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    assert len(tallied.begun) <= 24 + 2
    assert tallied.outcomes(cells, store) == tallied.here(cells)


def test_files_of_the_users_own_travel_and_are_the_same_code_there(tmp_path, monkeypatch):
    from neuropil.atlas.board.source import find
    from neuropil.atlas.conduct.cluster.parcel import pack, unpack
    from neuropil.atlas.conduct.loading import find as find_study

    here, there = tmp_path / "here", tmp_path / "there"
    (here / "cells").mkdir(parents=True)
    there.mkdir()
    monkeypatch.chdir(here)
    (here / "cells" / "mine.py").write_text("from constants import TAU\n\n\nclass Mine:\n    tau = TAU\n")
    (here / "cells" / "constants.py").write_text("TAU = 3\n")
    origin = find("cells").on("adding-problem", ("LIF", "cells/mine.py:Mine"))
    moved = unpack(pack(origin), there)
    assert moved == origin
    assert {path.relative_to(there).as_posix() for path in there.rglob("*.py")} == {"cells/mine.py", "cells/constants.py"}
    with pytest.raises(AtlasError, match=r"The entry .*mine.py:Mine keeps its name on no other machine"):
        pack(find("cells").on("adding-problem", (f"{here}/cells/mine.py:Mine",)))
    ours = find_study("homeostatic-nets")
    assert unpack(pack(ours), there) == ours
    with pytest.raises(AtlasError, match="it lacks the package not-here; install it there"):
        unpack(dataclasses.replace(pack(ours), base="not-here"), there)


def test_no_worker_and_a_scheduler_that_goes_are_one_sentence_each(bench, told, tmp_path, monkeypatch):
    from neuropil.atlas.conduct.cluster import connect

    tallied = Tallied(bench, 0.05)
    cells = tallied.cells(range(20))
    monkeypatch.setattr(connect, "PATIENCE", 1.0)
    (tmp_path / "site").mkdir()
    mine = Site(tmp_path / "site")
    try:
        with pytest.raises(AtlasError, match=r"has had no worker for 1 s; start some with `dask worker"):
            tallied.compute(cells, mine.on, told)
        monkeypatch.setattr(connect, "PATIENCE", 60.0)
        monkeypatch.setattr(connect, "CONNECT_IN", 3.0)
        mine.keep(1)
        with pytest.raises(AtlasError, match=rf"The scheduler of {mine.on} is gone; finished cells are kept"):
            tallied.compute(cells, mine.on, told, watch=lambda done: mine.scheduler.kill() if done.done == 5 else None)
    finally:
        mine.close()
    assert 5 <= sum(bench.store.get(cell.key) is not None for cell in cells) < 60


SBATCH = '#!/bin/bash\ncp "${@: -1}" "$0.$$.sh"\nsetsid bash "$0.$$.sh" > "$0.$$.log" 2>&1 < /dev/null &\necho "Submitted batch job $!"\n'


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A job system that runs a job at once, here: the two commands and a profile."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {"sbatch": SBATCH, "scancel": '#!/bin/bash\nkill -TERM -- "-$1"\n'}
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    profiles = tmp_path / "clusters.toml"
    profiles.write_text('[short]\nmemory = "1GB"\ninterface = "lo"\nwalltime = "00:05:00"\nworker_extra_args = ["--no-dashboard"]\n')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("NEUROPIL_CLUSTERS", str(profiles))
    yield folder
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_job_system_starts_workers_and_ends_them(bench, slurm, told):
    tallied = Tallied(bench, 0.05)
    cells = tallied.cells(range(10))
    tallied.compute(cells, "slurm:short", told)
    assert len(set(tallied.begun)) == len(tallied.begun) == 30
    assert "#SBATCH -t 00:05:00" in next(slurm.glob("sbatch.*.sh")).read_text()
    limit = time.monotonic() + 20
    while jobs := [p for p in psutil.process_iter(["cmdline"]) if any(str(slurm) in word for word in p.info["cmdline"] or ())]:
        assert time.monotonic() < limit, jobs
        time.sleep(0.1)
    tallied.path.unlink()
    assert tallied.outcomes(cells) == tallied.here(cells)


def test_a_job_system_that_refuses_is_one_sentence(bench, slurm, told):
    tallied = Tallied(bench, 0)
    (slurm / "sbatch").write_text("#!/bin/bash\necho no such partition >&2\nexit 1\n")
    with pytest.raises(AtlasError, match=r"^sbatch refused a job of slurm:short \(no such partition\); mend the profile\.$"):
        tallied.compute(tallied.cells([0]), "slurm:short", told)
    Path(os.environ["NEUROPIL_CLUSTERS"]).write_text("[short]\ncolour = 3\n")
    with pytest.raises(AtlasError, match=r"slurm:short could not be set up \(.*unexpected keyword argument 'colour'"):
        tallied.compute(tallied.cells([0]), "slurm:short", told)


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("dask://127.0.0.1:1", r"^No Dask scheduler answers at dask://127.0.0.1:1 \(.*refused\); check host and port"),
        ("dask://nowhere.invalid:8786", r"No Dask scheduler answers at dask://nowhere.invalid:8786 \("),
        ("tls://127.0.0.1:1", "needs certificates, and Dask's configuration names none"),
        ("dask://host", "is no place to run cells; accepted are local, dask://HOST:PORT"),
        ("dask://host:99999", "is no place to run cells"),
        ("ssh:here", "is no place to run cells"),
        ("", "is no place to run cells"),
        ("nowhere.json", "There is no scheduler file nowhere.json"),
        ("empty.json", r"empty.json names no scheduler's address"),
        ("slurm:long", r"clusters.toml has no profile \[long\]; it has short, other"),
        ("slurm:other", r"The profile \[other\] in .*clusters.toml is for pbs, slurm was asked for; write --on pbs:other"),
        ("pbs:other", "needs the command qsub, which this machine lacks"),
    ],
)
def test_a_place_that_is_none_is_one_sentence(bench, slurm, told, on, words):
    (bench.folder / "empty.json").write_text("{}")
    with Path(os.environ["NEUROPIL_CLUSTERS"]).open("a") as profiles:
        profiles.write('[other]\nkind = "pbs"\n')
    with pytest.raises(AtlasError, match=words) as caught:
        bench.run("glance", seeds=[0], on=_opened(on, told))
    assert "\n" not in str(caught.value)


class _opened:  # noqa: N801
    """An executor that opens a place for every run."""

    def __init__(self, on: str, told: list[str]) -> None:
        self.on, self.told = on, told

    def run(self, *arguments, **options):
        with place(self.on, 1, self.told.append) as executor:
            yield from executor.run(*arguments, **options)


def test_without_the_extra_or_profiles_or_sbatch_it_says_what_to_do(told, slurm, monkeypatch):
    profiles = Path(os.environ["NEUROPIL_CLUSTERS"])
    profiles.write_text("[short")
    with pytest.raises(AtlasError, match=r"clusters.toml could not be read \("), place("slurm:short", 1, told.append):
        pass
    profiles.unlink()
    with (
        pytest.raises(AtlasError, match=r"needs the profile \[short\] in .*clusters.toml, which does not exist"),
        place("slurm:short", 1, told.append),
    ):
        pass
    (slurm / "sbatch").unlink()
    with pytest.raises(AtlasError, match="needs the command sbatch, which this machine lacks"), place("slurm:short", 1, told.append):
        pass
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for on in ("slurm:short", "dask://127.0.0.1:1"):
        with pytest.raises(AtlasError, match=r"not installed; `pip install 'neuropil\[cluster\]'` brings it"), place(on, 1, told.append):
            pass
