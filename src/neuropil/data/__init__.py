"""Data sets with their checksums, splits and streams. Loading arrays needs no torch; the streams do, and are imported when first used."""

from typing import TYPE_CHECKING, Any

from neuropil.data.content import Data, DataError, content_digest
from neuropil.data.images import pool
from neuropil.data.loading import Status, digest, load, names, packaged, status
from neuropil.data.splits import draw_split

if TYPE_CHECKING:
    from neuropil.data.streams import LabelSwapStream

__all__ = [
    "Data",
    "DataError",
    "LabelSwapStream",
    "Status",
    "content_digest",
    "digest",
    "draw_split",
    "load",
    "names",
    "packaged",
    "pool",
    "status",
]


def __getattr__(name: str) -> Any:
    if name == "LabelSwapStream":
        from neuropil.data.streams import LabelSwapStream

        return LabelSwapStream
    raise AttributeError(f"module 'neuropil.data' has no attribute {name!r}; it has {', '.join(__all__)}")
