"""What other people's installed packages add, found by their entry points; none is imported before it is used.

Group ``neuropil.atlas``: a package that holds ``rows.jsonl``, ``references.bib`` and ``studies/<family>/<slug with _ for ->.py``.
Group ``neuropil.parts``: a module whose import registers cells, synapses, rules, memories and strategies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

ATLAS, PARTS = "neuropil.atlas", "neuropil.parts"
REGISTER = ("cells", "synapses", "plasticity", "memory", "continual", "exchange")
"""Our own families that register parts: imported first, so that a taken name is laid to whoever came later."""


@dataclass(frozen=True)
class Package:
    """A distribution that adds something: its name and version, the module that its entry point names, and that module's folder."""

    name: str
    version: str
    module: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


@cache
def packages() -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Give the packages that add rows to the atlas, by name, and a sentence for each whose module has no folder; imports none of them."""
    found, wrong = [], []
    for entry in _entries(ATLAS):
        folder = _folder(entry.module)
        package = Package(*_distribution(entry), entry.module, folder or Path())
        if folder is None:
            wrong.append(
                f"The package {package} names {entry.module!r} as its {ATLAS}, and there is no such folder; mend its entry point and install it again."
            )
        else:
            found.append(package)
    return tuple(found), tuple(wrong)


def load_parts() -> dict[str, str]:
    """Import what packages name under ``neuropil.parts``; give a sentence for each that fails, empty for those that load, by name and version."""
    for family in REGISTER:
        import_module(f"neuropil.{family}")
    said: dict[str, str] = {}
    for entry in _entries(PARTS):
        package = " ".join(_distribution(entry)).strip()
        try:
            import_module(entry.module)
            said.setdefault(package, "")
        except Exception as error:
            words = " ".join(str(error).split()).rstrip(".")
            said[package] = (
                f"The package {package} could not be loaded ({type(error).__name__}: {words}); mend or remove it, the rest works."
            )
    return said


def _entries(group: str) -> list[EntryPoint]:
    return sorted(entry_points(group=group), key=lambda entry: (_distribution(entry), entry.module))


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else (entry.name, "")


def _folder(module: str) -> Path | None:
    """Find a package's folder; only its uppermost part is looked up, so that nothing is imported."""
    first, *rest = module.split(".")
    try:
        spec = find_spec(first)
    except (ImportError, ValueError):
        return None
    places = [Path(place, *rest).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place.is_dir()), None)
