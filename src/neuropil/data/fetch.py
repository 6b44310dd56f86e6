"""Downloads into the cache, through pooch (extra ``atlas``): whole files or none."""

from __future__ import annotations

import errno
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from neuropil.cache import cache_folder
from neuropil.data.content import DataError

if TYPE_CHECKING:
    from neuropil.data.catalogue import Download, Entry


def download(entry: Entry) -> Path:
    """Download what is missing of an entry into the cache, checksummed, and return the folder; ``DataError`` where that fails."""
    if find_spec("pooch") is None:
        raise DataError(
            f'{entry.name} has to be downloaded and pooch is not installed; run pip install "neuropil[atlas]", or put it into the folder $NEUROPIL_DATA.'
        )
    folder = cache_folder()
    for item in entry.downloads:
        if (folder / item.file).is_file():
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            retrieve(item, folder)
        except OSError as error:
            raise DataError(_reason(entry, item, folder, error)) from None
        except ValueError as error:
            raise DataError(
                f"{item.url} did not deliver the file with checksum {item.checksum} ({error}); try again later, or put {item.file} into the folder $NEUROPIL_DATA."
            ) from None
    return folder


def retrieve(item: Download, folder: Path) -> None:
    """Fetch one file: into a temporary name beside its place, checksummed, then renamed, with a progress bar."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    with _Bar(item.file) as bar:
        pooch.retrieve(item.url, item.checksum, fname=item.file, path=folder, downloader=pooch.HTTPDownloader(progressbar=bar))


def _reason(entry: Entry, item: Download, folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk of {folder} is full and {entry.name} needs {entry.megabytes:g} MB; free some space or set $NEUROPIL_CACHE to another folder."
    if isinstance(error, PermissionError | NotADirectoryError | FileExistsError) or error.errno == errno.EROFS:
        return f"{folder} cannot be written ({error.strerror}); set $NEUROPIL_CACHE to a folder of yours."
    return (
        f"{entry.name} is not on this machine and {item.url} could not be reached ({type(error).__name__}); "
        f"connect and try again, or put {', '.join(entry.forms[0].files)} into the folder $NEUROPIL_DATA"
        + (f"; {entry.instead}." if entry.instead else ".")
    )


class _Bar:
    """A rich progress bar in the shape that pooch calls: ``total``, ``update``, ``reset``, ``close``."""

    def __init__(self, title: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), transient=True)
        self._task = self._progress.add_task(title, total=None)
        self._total = 0

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> int:
        """Bytes to come."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        self._progress.update(self._task, total=value or None)

    def update(self, n: int) -> None:
        """Advance by ``n`` bytes."""
        self._progress.advance(self._task, n)

    def reset(self) -> None:
        """Begin again at zero."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Leave the bar as it is; it is stopped with its ``with`` block."""
