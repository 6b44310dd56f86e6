"""Connections to a Dask scheduler: one that runs already, or one of our own whose workers a job system starts."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import dask_jobqueue
from distributed import Client, Status
from distributed.security import Security

from neuropil.atlas.conduct.cluster.dispatch import Cluster
from neuropil.atlas.conduct.cluster.roster import Roster
from neuropil.atlas.errors import AtlasError

CONNECT_IN, PATIENCE = 10.0, 30.0
"""Seconds for a scheduler to answer, and for a first worker of it to be there."""

_OF_THE_SCHEDULER = ("name", "scheduler_options", "shared_temp_directory", "silence_logs")
"""Keywords of a profile that are not a job's."""


@contextlib.contextmanager
def connected(on: str, address: str, tell: Callable[[str], None]) -> Iterator[Cluster]:
    """Connect to the scheduler at ``address``; raise ``AtlasError`` where none answers."""
    security = Security()
    if address.startswith("tls:") and security.get_connection_args("client")["ssl_context"] is None:
        raise AtlasError(
            f"--on {on} needs certificates, and Dask's configuration names none; set distributed.comm.tls.ca-file and .client.cert and .key in ~/.config/dask."
        )
    host, _, port = address.rpartition("//")[2].rpartition(":")
    with _quiet():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_IN).close()
            client = Client(address, security=security, timeout=CONNECT_IN, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise AtlasError(
                f"No Dask scheduler answers at {on} ({_first_line(error)}); check host and port, and that `dask scheduler` runs there."
            ) from None
        with contextlib.closing(client), contextlib.closing(Roster(client, on, tell, PATIENCE)) as roster:
            yield Cluster(client, roster, tell)


@contextlib.contextmanager
def submitted(on: str, name: str, keywords: dict[str, Any], jobs: int, tell: Callable[[str], None]) -> Iterator[Cluster]:
    """Start a scheduler in this process and ``jobs`` workers by dask-jobqueue's class ``name``; they end with it.

    Raises ``AtlasError`` for keywords that the class refuses, and where the job system refuses a job.
    """
    system = getattr(dask_jobqueue, name)
    base: Any = system.job_cls
    refusals: list[str] = []

    class Job(base):  # type: ignore[misc]
        """A job whose refusal is kept, for whoever waits for it."""

        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:
                refusals.append(" ".join(str(error).rpartition("stderr:")[2].split()))
                self.status = Status.running  # Dask closes what runs, and nothing else

    def tend() -> str:
        cluster.scale(jobs)  # submits those again whose job ended
        return f"{base.submit_command} refused a job of {on} ({refusals[-1].rstrip('.')}); mend the profile." if refusals else ""

    settings = {"cores": 1, "processes": 1, "memory": "4GB", **keywords}
    settings["scheduler_options"] = {"dashboard": False, "dashboard_address": ":0", **settings.get("scheduler_options", {})}
    with _quiet():
        try:
            Job(name="first", **{name: value for name, value in settings.items() if name not in _OF_THE_SCHEDULER})
            cluster = system(job_cls=Job, **settings)
        except Exception as error:
            raise AtlasError(
                f"--on {on} could not be set up ({_first_line(error)}); see the profile, and {name} of dask-jobqueue."
            ) from None
        with contextlib.closing(cluster), contextlib.closing(Client(cluster, set_as_default=False)) as client:
            cluster.scale(jobs)
            with contextlib.closing(Roster(client, on, tell, None, tend)) as roster:
                yield Cluster(client, roster, tell)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Dask logs: what matters of it is said in our own words."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("distributed", "tornado")]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
