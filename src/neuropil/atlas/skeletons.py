"""Skeletons of one's own work: templates that run as they are, written under a name into a user's folder."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from neuropil.atlas.catalogue import rows
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import write_text

Kind = Literal["study", "cell", "strategy", "package"]
TEMPLATES = Path(__file__).with_name("templates")
LONGEST = 40

_ALONE = {
    "study": {"my_part.py": "study.py", "test_my_part.py": "test_study.py"},
    "cell": {"my_part.py": "cell.py", "test_my_part.py": "test_cell.py"},
    "strategy": {"my_part.py": "strategy.py", "test_my_part.py": "test_strategy.py"},
}
_PACKAGE = {
    "pyproject.toml": "package/pyproject.toml",
    "README.md": "package/README.md",
    "src/my_part/__init__.py": "package/init.py",
    "src/my_part/cell.py": "cell.py",
    "src/my_part/rows.jsonl": "package/rows.jsonl",
    "src/my_part/references.bib": "package/references.bib",
    "src/my_part/studies/__init__.py": "package/init.py",
    "src/my_part/studies/cells/__init__.py": "package/init.py",
    "src/my_part/studies/cells/my_part.py": "study.py",
    "tests/test_cell.py": "test_cell.py",
    "tests/test_study.py": "test_study.py",
}
_MOVED = {
    "tests/test_cell.py": ("from my_part import", "from my_part.cell import"),
    "tests/test_study.py": (
        'FILE = Path(__file__).with_name("my_part.py")',
        'ROOT = Path(__file__).parents[1]\nFILE = next(ROOT.glob("src/*/studies/*/my_part.py"))',
    ),
}
"""What a test says elsewhere in a package: where the thing lies that it tests."""


@dataclass(frozen=True)
class Name:
    """One name in the forms that files, classes, slugs and sentences have; raises ``AtlasError`` for one that is not usable."""

    given: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_ ][A-Za-z0-9]+)*", self.given) or len(self.given) > LONGEST:
            raise AtlasError(
                f"The name {self.given!r} is not usable; give words of letters and digits, joined by hyphens, {LONGEST} characters at most, such as slow-inhibition."
            )
        if keyword.iskeyword(self.snake) or self.snake in sys.stdlib_module_names:
            raise AtlasError(f"The name {self.given!r} is Python's own; a file {self.snake}.py would hide it: choose another name.")

    @property
    def words(self) -> list[str]:
        """Its words in lower case."""
        return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+", self.given)]

    @property
    def snake(self) -> str:
        """The name of its file and module: ``slow_inhibition``."""
        return "_".join(self.words)

    @property
    def kebab(self) -> str:
        """Its slug: ``slow-inhibition``."""
        return "-".join(self.words)

    @property
    def camel(self) -> str:
        """The name of its class: ``SlowInhibition``; a name given as one is left as it is."""
        if re.fullmatch(r"[A-Z][A-Za-z0-9]*", self.given):
            return self.given
        return "".join(word[0].upper() + word[1:] for word in self.words)

    @property
    def sentence(self) -> str:
        """The beginning of a sentence: ``Slow inhibition``."""
        text = " ".join(self.words)
        return text[0].upper() + text[1:]

    def fill(self, text: str) -> str:
        """Put the name where a template says ``my_part``, in its forms, and this year where it says 1900."""
        forms = {
            "MyPart": self.camel,
            "my_part": self.snake,
            "my-part": self.kebab,
            "My part": self.sentence,
            "1900": f"{date.today().year}",
        }
        for placeholder, form in forms.items():
            text = text.replace(placeholder, form)
        return text


def write_skeleton(kind: Kind, name: Name, into: Path) -> list[Path]:
    """Write the files of one skeleton and give their paths; a package gets a folder of its own.

    Raises ``AtlasError``, with nothing written, where a file exists already, where the slug of a study is in the catalogue, and where another
    module of that name is installed.
    """
    if kind in ("study", "package") and (taken := next((row for row in rows() if row.slug == name.kebab), None)):
        raise AtlasError(
            f"The slug {name.kebab!r} is taken, by {taken.title!r} of {taken.package or 'the catalogue'} ({taken.year}); choose another name."
        )
    folder = into / name.kebab if kind == "package" else into
    plan = _PACKAGE if kind == "package" else _ALONE[kind]
    paths = {place: folder / name.fill(place) for place in plan}
    for path in paths.values():
        if path.exists():
            raise AtlasError(f"{path} exists already, and nothing was written; choose another name, or another folder with --into.")
    if find_spec(name.snake) is not None:
        raise AtlasError(f"A module {name.snake!r} is installed already, and yours would hide it; choose another name.")
    for place, template in plan.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        here, there = _MOVED.get(place, ("", ""))
        write_text(paths[place], name.fill(text.replace(here, there) if here else text))
    return list(paths.values())
