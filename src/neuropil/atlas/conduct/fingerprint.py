"""What code a result came from: a hash of the syntax trees of a study and of every part it imports, docstrings and comments left out.

Parts are the modules of neuropil that it reaches (followed to the file that defines a name), the modules beside a user's own study file and,
where that file lies in a package (folders with ``__init__.py``), the modules of that package. What lies elsewhere (other installed packages, files that a trial reads) is not in the hash; versions are in the provenance and in a cell's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from neuropil.atlas.conduct import syntax
from neuropil.atlas.conduct.syntax import Facts, Memory
from neuropil.atlas.files import PACKAGE, sha256

_ATLAS_THAT_COUNTS = ("neuropil.atlas.seeds",)
"""Of the atlas only this decides what a trial computes; verdicts and pages are derived from stored values."""


def code_hash(study_file: Path) -> str:
    """Hash the study's file and all neuropil modules it reaches through imports, reading each and importing none."""
    return _hash(named(study_file))


def parts(study_file: Path) -> dict[str, Path]:
    """Map each module that decides what the study computes to its file; the study itself is ``study``."""
    return Reach(syntax.facts).parts(study_file)


class Remembered:
    """The same hash for many studies at once, from memory where no file was written since; what is new is read and remembered.

    For showing what is stale. What registers or runs hashes the files themselves, by ``code_hash``.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._reach = Reach(memory.facts)

    def code_hash(self, study_file: Path) -> str:
        """Give what ``code_hash`` gives."""
        found = named(study_file, self._reach)
        key = sha256([[name, self._memory.facts(path).tree] for name, path in found])
        known = self._memory.code(key)
        if known is None:
            known = _hash(found)
            self._memory.remember(key, known)
        return known

    def fidelity(self, study_file: Path) -> str | None:
        """Give the fidelity that a study file declares."""
        return self._memory.facts(study_file).fidelity


def named(study_file: Path, reach: Reach | None = None) -> list[tuple[str, Path]]:
    """List the files that the hash is of, in its order, each with the name under which it is hashed."""
    found = (reach or Reach(syntax.facts)).parts(study_file)
    home = _home(study_file)

    def shown(name: str, path: Path) -> str:
        if name == "study" or name.startswith("neuropil."):
            return name
        return path.relative_to(study_file.parent if home is None or study_file.parent in path.parents else home.parent).as_posix()

    return [(shown(name, path), path) for name, path in sorted(found.items())]


def _home(study_file: Path) -> Path | None:
    """The uppermost folder of the package that a user's study file lies in; ``None`` where it lies in none."""
    folders = [study_file.parent, *study_file.parent.parents]
    inside = list(takewhile(lambda folder: (folder / "__init__.py").is_file(), folders))
    return inside[-1] if inside else None


def _hash(found: list[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in found:
        digest.update(f"{name}\n{syntax.tree(path)}\n".encode())
    return digest.hexdigest()


Around = tuple[tuple[Path, str | None], ...]
"""Where modules of the user's own are looked for: a folder, and the one name that counts there (any, if None)."""


def _around(study_file: Path) -> Around:
    if PACKAGE in study_file.parents:
        return ()
    home = _home(study_file)
    return ((study_file.parent, None), *(() if home is None else ((home.parent, home.name),)))


class Reach:
    """Follows imports from file to file; remembers, as long as it lives, what lies where."""

    def __init__(self, facts: Callable[[Path], Facts]) -> None:
        self._facts = facts
        self._imported: dict[tuple[Path, Around], dict[str, Path]] = {}
        self._found: dict[tuple[Path, str], Path | None] = {}

    def parts(self, study_file: Path) -> dict[str, Path]:
        """Map each module that decides what the study computes to its file; the study itself is ``study``."""
        found: dict[str, Path] = {"study": study_file}
        waiting = [study_file]
        for name in _ATLAS_THAT_COUNTS:
            path = self._module_file(name)
            if path:
                found[name] = path
        around = _around(study_file)
        while waiting:
            for name, path in self._imports(waiting.pop(), around).items():
                if name not in found and path != study_file:
                    found[name] = path
                    waiting.append(path)
        return found

    def _imports(self, path: Path, around: Around) -> dict[str, Path]:
        """Find the modules of neuropil, and those around the study, that one file imports."""
        if (path, around) in self._imported:
            return self._imported[path, around]
        found: dict[str, Path] = {}
        for module, names, level in self._facts(path).imports:
            if level and around:
                found |= self._beside(path.parents[level - 1], module, names or ())
            if level or module is None:
                continue
            for name in names or (None,):
                if module == "neuropil" and name is None:
                    found |= _everything()
                elif (first := module.split(".")[0]) != "neuropil":
                    for folder, only in around:
                        found |= self._beside(folder, module, (name,) if name else ()) if only in (None, first) else {}
                elif not module.startswith("neuropil.atlas"):
                    found |= {resolved: file for resolved in self._resolve(module, name) if (file := self._module_file(resolved))}
        self._imported[path, around] = found
        return found

    def _beside(self, folder: Path, module: str | None, names: tuple[str, ...]) -> dict[str, Path]:
        """Find a module beside the study, the packages above it, and what of the names imported from it are modules themselves."""
        steps = module.split(".") if module else []
        tried = [".".join(steps[: i + 1]) for i in range(len(steps))] + [".".join((*steps, name)) for name in names]
        return {str(file): file for name in tried if (file := self._file_in(folder, name))}

    def _resolve(self, module: str, name: str | None) -> list[str]:
        if name and self._module_file(f"{module}.{name}"):
            return self._resolve(f"{module}.{name}", None)
        file = self._module_file(module)
        if file is None or file.name != "__init__.py" or name is None:
            return [module] if file is None or file.name != "__init__.py" else [module, *self._exported(file)]
        origin = self._facts(file).origins.get(name)
        return self._resolve(origin, name) if origin else [module]

    def _exported(self, init: Path) -> list[str]:
        return [
            module
            for module, names, level in self._facts(init).imports
            if names and module and module.startswith("neuropil.") and not level
        ]

    def _module_file(self, name: str) -> Path | None:
        return None if name == "neuropil" else self._file_in(PACKAGE, name.removeprefix("neuropil."))

    def _file_in(self, folder: Path, name: str) -> Path | None:
        if (folder, name) not in self._found:
            base = folder.joinpath(*name.split("."))
            self._found[folder, name] = next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
        return self._found[folder, name]


def _everything() -> dict[str, Path]:
    """All modules of all families: what a bare ``import neuropil`` can reach."""
    files = (path for path in PACKAGE.glob("*/**/*.py") if path.relative_to(PACKAGE).parts[0] not in ("atlas", "studies"))
    return {".".join(("neuropil", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path for path in files}


def agrees(old: dict[str, dict[str, float]], new: dict[str, dict[str, float]], tolerance: float = 1e-4) -> str:
    """Compare two fingerprints (smoke metrics an arm): an empty string where they agree to rounding, else the first disagreement in words."""
    if set(old) != set(new):
        return f"the arms differ: {', '.join(sorted(set(old) ^ set(new)))}"
    for arm in old:
        if set(old[arm]) != set(new[arm]):
            return f"{arm} returns other metrics: {', '.join(sorted(set(old[arm]) ^ set(new[arm])))}"
        for metric, before in old[arm].items():
            after = new[arm][metric]
            if before != after and not abs(after - before) <= tolerance * max(1.0, abs(before)):
                return f"{arm}.{metric} was {before:.6g} and is {after:.6g}"
    return ""
