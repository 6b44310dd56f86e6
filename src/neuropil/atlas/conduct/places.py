"""``--on PLACE``: where cells are run. One reading of it for every command; what a place needs is imported when it is used."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tomllib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from neuropil.atlas.conduct.execute import Executor
from neuropil.atlas.conduct.loading import Origin
from neuropil.atlas.conduct.local import Local
from neuropil.atlas.conduct.plan import Cell
from neuropil.atlas.conduct.store import Store
from neuropil.atlas.conduct.work import Failure
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import read_json

LOCAL = "local"
ACCEPTED = (
    "local, dask://HOST:PORT, tls://HOST:PORT, the path of a scheduler's .json file, or SYSTEM:PROFILE with a job system such as slurm"
)
SYSTEMS = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
    "sge": ("SGECluster", "qsub"),
    "oar": ("OARCluster", "oarsub"),
    "moab": ("MoabCluster", "msub"),
    "htcondor": ("HTCondorCluster", "condor_submit"),
}
"""Job systems that dask-jobqueue knows: its class, and the command that must be there."""


@contextmanager
def place(on: str, jobs: int, tell: Callable[[str], None]) -> Iterator[Executor]:
    """Give the executor that ``--on`` names, with ``jobs`` workers where it starts them; ``tell`` is given sentences about workers.

    Raises ``AtlasError`` for an unknown form or profile, a missing extra or job system. It is opened for the first cell that the store lacks, and
    raises then where a scheduler does not answer.
    """
    opening = _opening(on, jobs, tell)
    with ExitStack() as stack:
        yield _WhenNeeded(opening, stack)


class _WhenNeeded:
    """An executor that is opened for its first cell, and closed with the stack."""

    def __init__(self, opening: AbstractContextManager[Executor], stack: ExitStack) -> None:
        self._opening, self._stack = opening, stack
        self._executor: Executor | None = None

    def run(self, source: Origin, cells: Sequence[Cell], store: Store, *, alone: bool) -> Generator[tuple[Cell, Failure | None]]:
        if self._executor is None:
            self._executor = self._stack.enter_context(self._opening)
        yield from self._executor.run(source, cells, store, alone=alone)


def _opening(on: str, jobs: int, tell: Callable[[str], None]) -> AbstractContextManager[Executor]:
    scheme, _, rest = on.partition(":")
    if on == LOCAL:
        return nullcontext(Local(jobs))
    if scheme in ("dask", "tls") and _host_and_port(rest):
        _require("distributed", on)
        return _scheduler(on, on if scheme == "tls" else f"tcp:{rest}", tell)
    if on.endswith(".json"):
        _require("distributed", on)
        return _scheduler(on, _address_in(Path(on).expanduser()), tell)
    if scheme in SYSTEMS and rest:
        _require("dask_jobqueue", on)
        command = SYSTEMS[scheme][1]
        if shutil.which(command) is None:
            raise AtlasError(f"--on {on} needs the command {command}, which this machine lacks; run it where jobs are submitted.")
        return _submitted(on, SYSTEMS[scheme][0], profile(scheme, rest), jobs, tell)
    raise AtlasError(f"--on {on!r} is no place to run cells; accepted are {ACCEPTED} ({', '.join(SYSTEMS)}).")


def profiles_file() -> Path:
    """Find the file of profiles: ``$NEUROPIL_CLUSTERS``, or ``neuropil/clusters.toml`` in ``$XDG_CONFIG_HOME`` (``~/.config``)."""
    if named := os.environ.get("NEUROPIL_CLUSTERS"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "neuropil" / "clusters.toml"


def profile(system: str, name: str) -> dict[str, Any]:
    """Read a profile, the keywords of dask-jobqueue's class; raise ``AtlasError`` where it is missing or for another job system."""
    path = profiles_file()
    try:
        everything = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AtlasError(
            f"--on {system}:{name} needs the profile [{name}] in {path}, which does not exist; docs/cluster.md shows one."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AtlasError(f"{path} could not be read ({error}); it is a TOML file with one [profile] or more.") from None
    found = everything.get(name)
    if not isinstance(found, dict):
        raise AtlasError(f"{path} has no profile [{name}]; it has {', '.join(everything) or 'none'}.")
    if (kind := found.pop("kind", system)) != system:
        raise AtlasError(f"The profile [{name}] in {path} is for {kind}, {system} was asked for; write --on {kind}:{name}.")
    return found


def _host_and_port(rest: str) -> bool:
    host, _, port = rest.removeprefix("//").rpartition(":")
    return rest.startswith("//") and bool(host) and port.isdecimal() and int(port) < 2**16


def _address_in(file: Path) -> str:
    """Read the address that a scheduler wrote into its file."""
    if not file.is_file():
        raise AtlasError(f"There is no scheduler file {file}; `dask scheduler --scheduler-file {file}` writes it, on a disk that both see.")
    try:
        return str(read_json(file)["address"])
    except (KeyError, TypeError):
        raise AtlasError(f"{file} names no scheduler's address; `dask scheduler --scheduler-file {file}` writes it.") from None


@contextmanager
def _scheduler(on: str, address: str, tell: Callable[[str], None]) -> Iterator[Executor]:
    from neuropil.atlas.conduct.cluster.connect import connected

    with connected(on, address, tell) as executor:
        yield executor


@contextmanager
def _submitted(on: str, name: str, keywords: dict[str, Any], jobs: int, tell: Callable[[str], None]) -> Iterator[Executor]:
    from neuropil.atlas.conduct.cluster.connect import submitted

    with submitted(on, name, keywords, jobs, tell) as executor:
        yield executor


def _require(module: str, on: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise AtlasError(f"--on {on} needs {module}, which is not installed; `pip install 'neuropil[cluster]'` brings it.")
