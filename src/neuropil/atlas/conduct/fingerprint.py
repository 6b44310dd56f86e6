"""What code a result came from: a hash of the syntax trees of a study and of every part it imports, docstrings and comments left out.

Parts are the modules of neuropil that it reaches (followed to the file that defines a name) and the modules beside a user's own study file.
What lies elsewhere (installed packages, files that a trial reads) is not in the hash; versions are in the provenance and in a cell's key.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE

_ATLAS_THAT_COUNTS = ("neuropil.atlas.seeds",)
"""Of the atlas only this decides what a trial computes; verdicts and pages are derived from stored values."""


def code_hash(study_file: Path) -> str:
    """Hash the study's file and all neuropil modules it reaches through imports, without importing any of them."""
    digest = hashlib.sha256()
    for name, path in sorted(parts(study_file).items()):
        shown = name if name == "study" or name.startswith("neuropil.") else path.relative_to(study_file.parent).as_posix()
        digest.update(f"{shown}\n{_tree(path, path.stat().st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def parts(study_file: Path) -> dict[str, Path]:
    """Map each module that decides what the study computes to its file; the study itself is ``study``."""
    found: dict[str, Path] = {"study": study_file}
    waiting = [study_file]
    for name in _ATLAS_THAT_COUNTS:
        path = _module_file(name)
        if path:
            found[name] = path
    beside = study_file.parent if PACKAGE not in study_file.parents else None
    while waiting:
        for name, path in _imports(waiting.pop(), beside).items():
            if name not in found and path != study_file:
                found[name] = path
                waiting.append(path)
    return found


def _imports(path: Path, beside: Path | None) -> dict[str, Path]:
    """Find the modules of neuropil, and those beside the study, that one file imports."""
    found: dict[str, Path] = {}
    for node in ast.walk(_parsed(path)):
        targets: list[tuple[str, str | None]] = []
        if isinstance(node, ast.Import):
            targets = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            targets = [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and beside:
            found |= _beside(path.parents[node.level - 1], node.module, [alias.name for alias in node.names])
        for module, name in targets:
            if module == "neuropil" and name is None:
                found |= _everything()
            elif module.split(".")[0] != "neuropil":
                found |= _beside(beside, module, [name] if name else []) if beside else {}
            elif not module.startswith("neuropil.atlas"):
                found |= {resolved: file for resolved in _resolve(module, name) if (file := _module_file(resolved))}
    return found


def _beside(folder: Path, module: str | None, names: list[str]) -> dict[str, Path]:
    """Find a module beside the study, the packages above it, and what of the names imported from it are modules themselves."""
    steps = module.split(".") if module else []
    tried = [".".join(steps[: i + 1]) for i in range(len(steps))] + [".".join((*steps, name)) for name in names]
    return {str(file): file for name in tried if (file := _file_in(folder, name))}


def _everything() -> dict[str, Path]:
    """All modules of all families: what a bare ``import neuropil`` can reach."""
    files = (path for path in PACKAGE.glob("*/**/*.py") if path.relative_to(PACKAGE).parts[0] not in ("atlas", "studies"))
    return {".".join(("neuropil", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path for path in files}


def _resolve(module: str, name: str | None) -> list[str]:
    if name and _module_file(f"{module}.{name}"):
        return _resolve(f"{module}.{name}", None)
    file = _module_file(module)
    if file is None or file.name != "__init__.py" or name is None:
        return [module] if file is None or file.name != "__init__.py" else [module, *_exported(file)]
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.ImportFrom) and node.module and any((alias.asname or alias.name) == name for alias in node.names):
            return _resolve(node.module, name)
    return [module]


def _exported(init: Path) -> list[str]:
    return [
        node.module
        for node in ast.walk(_parsed(init))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("neuropil.") and not node.level
    ]


def _module_file(name: str) -> Path | None:
    return None if name == "neuropil" else _file_in(PACKAGE, name.removeprefix("neuropil."))


def _file_in(folder: Path, name: str) -> Path | None:
    base = folder.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _parsed(path: Path) -> ast.Module:
    return _parse(path, path.stat().st_mtime_ns)


@cache
def _parse(path: Path, _written: int) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise AtlasError(f"{path} is not valid Python (line {error.lineno}: {error.msg}); mend it and run again.") from None


@cache
def _tree(path: Path, _written: int) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


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
