"""Data sets with their checksums, splits and streams."""

from neuropil.data.content import Data, DataError, content_digest
from neuropil.data.images import pool
from neuropil.data.loading import Status, digest, load, names, packaged, status
from neuropil.data.splits import draw_split
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
