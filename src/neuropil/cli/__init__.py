"""The command line: find papers, run their studies, read verdicts. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from neuropil.atlas.errors import InterruptionError
from neuropil.cli import boards, conduct, guides, look, own, pages
from neuropil.cli.common import app, mendable, say, tell_packages

__all__ = ["app", "boards", "conduct", "guides", "look", "main", "own", "pages"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are one sentence and exit code 1, Ctrl-C is 130."""
    try:
        app(args=arguments)
    except InterruptionError as error:
        say(str(error))
        sys.exit(130)
    except ModuleNotFoundError as error:
        say(f"This needs {error.name}, which is not installed; `pip install 'neuropil[atlas]'` brings it.")
        sys.exit(1)
    except Exception as error:
        if not mendable(error):
            raise
        say(str(error))
        sys.exit(1)
    finally:
        tell_packages()


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from neuropil import __version__

        print(__version__)
        raise typer.Exit
