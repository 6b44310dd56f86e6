"""Where pages get their templates and their style."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

PAGES = Path(__file__).parent


@cache
def environment() -> Environment:
    """Load templates from this folder and from ``site/``; a name that a template does not get is an error, all text is escaped."""
    loader = FileSystemLoader([PAGES, PAGES / "site"])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def style(*names: str) -> Markup:
    """Join style sheets, ``style.css`` first."""
    return Markup("\n".join(map(sheet, ("style.css", *names))))


@cache
def sheet(name: str) -> Markup:
    """Give one style sheet."""
    return Markup((PAGES / name).read_text(encoding="utf-8").strip())
