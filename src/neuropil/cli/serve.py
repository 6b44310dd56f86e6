"""What a worker elsewhere starts, ``python -m neuropil.cli.serve FD``: it runs the cells that come through that connection."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from neuropil.atlas.conduct.cluster.child import serve
from neuropil.atlas.errors import AtlasError
from neuropil.data import DataError, load


def digest(name: str) -> str:
    """Load a data set and give its checksum; raise ``AtlasError`` where it is not on this machine."""
    try:
        return load(name).sha256
    except DataError as error:
        raise AtlasError(str(error)) from None


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), digest)
