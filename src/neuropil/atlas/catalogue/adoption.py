"""Rows that installed packages add to the catalogue: adopted whole, or left out with one sentence that says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neuropil.atlas.catalogue.row import Row, faults, read_rows
from neuropil.atlas.errors import AtlasError
from neuropil.packages import Package, packages


@dataclass(frozen=True)
class Adopted:
    """The packages whose rows joined the catalogue, by name; these rows; and a sentence for each package that did not."""

    packages: dict[str, Package]
    rows: tuple[Row, ...]
    problems: tuple[str, ...]


def adopt(own: Sequence[Row], keys: Sequence[str]) -> Adopted:
    """Read the rows of every installed package. A package with a fault, or with a slug that is taken, is left out."""
    found, wrong = packages()
    taken = {row.slug: "neuropil's own catalogue" for row in own}
    adopted, rows, problems = dict[str, Package](), list[Row](), list(wrong)
    for package in found:
        if package.name in adopted:
            problems.append(
                f"The package {package} names two modules as its neuropil.atlas, {package.module!r} is left out; put all rows in one folder."
            )
            continue
        try:
            added = _rows(package, taken, keys)
        except AtlasError as error:
            problems.append(str(error))
            continue
        adopted[package.name] = package
        rows += added
        taken |= {row.slug: f"the package {package}" for row in added}
    return Adopted(adopted, tuple(rows), tuple(problems))


def bibliography(package: Package) -> str:
    """The text of a package's references.bib; empty where it has none."""
    path = package.folder / "references.bib"
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise AtlasError(f"The bibliography {path} of the package {package} cannot be read ({error}); install it again.") from None


def _rows(package: Package, taken: dict[str, str], keys: Sequence[str]) -> tuple[Row, ...]:
    try:
        rows = read_rows(package.folder / "rows.jsonl", package.name)
    except AtlasError as error:
        raise AtlasError(f"The package {package} adds no rows: {error}") from None
    for row in rows:
        if row.slug in taken:
            raise AtlasError(
                f"The package {package} adds a row {row.slug!r}, a slug that {taken[row.slug]} has already; none of its rows are taken until it is renamed."
            )
    text = bibliography(package)
    if wrong := faults(rows, [key for row in rows if (key := row.cites) in keys or f"{{{key}," in text]):
        raise AtlasError(f"The package {package} adds no rows: {wrong[0]}; mend {package.folder / 'rows.jsonl'}.")
    return rows
