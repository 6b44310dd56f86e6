"""Find a study by its slug or by the path of a user's own file, and load it."""

from __future__ import annotations

import sysconfig
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from neuropil.atlas.catalogue import row, study_path
from neuropil.atlas.conduct.fingerprint import code_hash
from neuropil.atlas.conduct.modules import module_at, package_of
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE, read_json, results_folder
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.seeds import Seed
from neuropil.atlas.study import Settings, Study
from neuropil.packages import Package


class Experiment(Protocol):
    """What is cut into cells and run: a study, or a task of a board."""

    @property
    def slug(self) -> str:
        """Its name."""
        ...

    @property
    def arms(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of every arm."""
        ...

    @property
    def budgets(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of every budget."""
        ...

    @property
    def data(self) -> Mapping[str, tuple[str, ...]]:
        """The data sets of every budget."""
        ...

    @property
    def batch(self) -> int:
        """How many seeds are computed together."""
        ...

    def compute(self, arm: Settings, budget: Settings, seeds: Sequence[Seed]) -> list[Outcome]:
        """Run the trial for these seeds."""
        ...


class Origin(Hashable, Protocol):
    """Where an experiment is written; travels to workers, which load it there."""

    @property
    def file(self) -> Path:
        """Its file."""
        ...

    @property
    def code(self) -> str:
        """The hash of its code."""
        ...

    def file_of(self, arm: str) -> Path | None:
        """The file whose code belongs to this arm alone, and is in its settings as ``code``; ``None`` where there is none."""
        ...

    def load(self) -> Experiment:
        """Import it."""
        ...


def writable(folder: Path, what: str, package: str, seeds: str) -> Path:
    """Give a folder of results for writing; raise ``AtlasError`` where it was installed with a package, by whose name ``what`` is explained."""
    installed = [PACKAGE, *(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))]
    if any(place in folder.parents for place in installed):
        raise AtlasError(
            f"{what} belongs to an installed {package}, whose results are read-only; explore it with --seeds {seeds}, or work in a clone of the repository."
        )
    return folder


@dataclass(frozen=True)
class Source:
    """Where a study is written: its file, and what it is called before it is loaded. Cheap; loads nothing."""

    slug: str
    file: Path

    @property
    def reference(self) -> str:
        """What a user types to name it: the slug, or the path of a user's own file."""
        if PACKAGE in self.file.parents or self.package:
            return self.slug
        return str(self.file.relative_to(Path.cwd()) if Path.cwd() in self.file.parents else self.file)

    @property
    def package(self) -> Package | None:
        """The installed package of somebody else that it belongs to; ``None`` for neuropil's own studies and for a user's file."""
        return package_of(self.file)

    @property
    def folder(self) -> Path:
        """The folder of its registration, ledger and results."""
        return results_folder(self.file, self.slug)

    def writable(self) -> Path:
        """Give that folder for writing; raise ``AtlasError`` for a study that was installed, whose results came with it."""
        return writable(self.folder, self.slug, self.package.name if self.package else "neuropil", "0:10")

    @property
    def code(self) -> str:
        """The hash of its code and of the parts it imports."""
        return code_hash(self.file)

    def file_of(self, _arm: str) -> None:
        """Arms of a study share its code."""

    def load(self) -> Study:
        """Import the file and give its ``study``; raise ``AtlasError`` where it has none or cannot be imported."""
        study = getattr(module_at(self.file), "study", None)
        if not isinstance(study, Study):
            raise AtlasError(f"{self.file} defines no study; it must hold `study = Study(...)` at its top level.")
        return study


def find(reference: str) -> Source:
    """Find a study by slug or by path (anything that ends in ``.py``).

    Raises ``AtlasError`` for an unknown slug (with the nearest matches), a row that is catalogued only, or a path that does not exist.
    """
    if reference.endswith(".py"):
        file = Path(reference).expanduser().resolve()
        if not file.is_file():
            raise AtlasError(
                f"There is no file {reference}; give the path of a .py file that defines `study = Study(...)`, or a slug of `neuropil list`."
            )
        return Source(_slug_of(file), file)
    file_of_row = study_path(row(reference).slug)
    if file_of_row is None:
        raise AtlasError(
            f"{reference} is catalogued and not yet implemented; `neuropil show {reference}` tells what is known, `neuropil list --status implemented` what runs."
        )
    return Source(reference, file_of_row)


def _slug_of(file: Path) -> str:
    for path in PACKAGE.glob("studies/*/*.py"):
        if path.resolve() == file:
            return file.stem.replace("_", "-")
    return Source(file.stem, file).load().slug


def tuned(source: Source, study: Study, budget: str) -> dict[str, dict[str, float]]:
    """Give the settings that tuning chose for each arm at this budget (``full`` takes those of ``desk``); empty where nothing was tuned."""
    path = source.folder / "tuning.json"
    if not path.exists():
        return {}
    record = read_json(path)
    chosen: dict[str, dict[str, float]] = record.get(budget, record.get("desk") if budget == "full" else None or {}).get("chosen", {})
    return {
        arm: chosen[study.tune.follow.get(arm, arm) if study.tune else arm]
        for arm in study.arms
        if (study.tune and study.tune.follow.get(arm, arm) in chosen)
    }


def settings(study: Experiment, arm: str, chosen: dict[str, dict[str, float]]) -> Settings:
    """Give an arm's settings with what tuning chose put over them; raise ``AtlasError`` for an arm the study lacks."""
    if arm not in study.arms:
        raise AtlasError(f"{study.slug} has no arm {arm!r}; its arms are {', '.join(study.arms)}.")
    return Settings(arm, {**study.arms[arm], **chosen.get(arm, {})})


def budget_settings(study: Experiment, budget: str) -> Settings:
    """Give a budget's settings; raise ``AtlasError`` where the study has no such budget."""
    if budget not in study.budgets:
        raise AtlasError(f"{study.slug} has no budget {budget!r}; it has {', '.join(study.budgets)}.")
    return Settings(budget, study.budgets[budget])
