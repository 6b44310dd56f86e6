"""Import the file of a study, a board or an entry: one of neuropil's, of an installed package, or a user's own with the modules beside it."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from neuropil.atlas.conduct.currency import importing
from neuropil.atlas.conduct.fingerprint import named
from neuropil.atlas.conduct.syntax import facts, signature
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import PACKAGE, sha256
from neuropil.packages import Package, packages


def package_of(file: Path) -> Package | None:
    """The installed package of somebody else that a file belongs to; ``None`` for neuropil's own files and for a user's."""
    return None if PACKAGE in file.parents else next((each for each in packages()[0] if each.folder in file.parents), None)


def module_at(file: Path) -> ModuleType:
    """Import a file; a user's own once a process unless it changes, and with it the modules beside it that its code hash covers.

    Raises ``AtlasError`` where it, or what it needs, cannot be imported, and where a module beside it has the name of another in this process.
    """
    try:
        with importing(file):
            if PACKAGE in file.parents:
                return importlib.import_module(".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts))
            package = package_of(file)
            return _in_package(file, package) if package else _users(file, signature(file))
    except ModuleNotFoundError as error:
        raise AtlasError(
            f"{file.name} needs {error.name}, which is not installed; install it, for example `pip install 'neuropil[atlas]'`."
        ) from error
    except (AtlasError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        line = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == str(file)), "?")
        raise AtlasError(
            f"{file.name} could not be loaded (line {line}, {type(error).__name__}: {error}); mend it and run again."
        ) from error


def _in_package(file: Path, package: Package) -> ModuleType:
    bare = next(folder for folder in file.parents if not (folder / "__init__.py").is_file())
    if package.folder in (bare, *bare.parents):
        raise AtlasError(f"{bare} has no __init__.py; add one, so that the parts which {file.name} imports are hashed with it.")
    return importlib.import_module(".".join((package.module, *file.relative_to(package.folder).with_suffix("").parts)))


@cache
def _users(file: Path, _written: tuple[int, ...]) -> ModuleType:
    name = f"neuropil_user_{file.stem}_{sha256(str(file))[:12]}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AtlasError(f"{file} is not a Python file; give the path of a .py file.")
    _NEIGHBOURS.admit(file)
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


class _Neighbours(MetaPathFinder):
    """Gives, to whoever imports it and whenever, the very file beside a user's own that the code hash covers.

    Python holds one module of a name, so a second folder that wants the same name for another file is refused.
    """

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}
        self._owners: dict[str, tuple[Path, Path]] = {}
        """For each uppermost name the folder that it lies in, and the user's file that first imported it."""

    def admit(self, file: Path) -> None:
        """Take the modules around a user's file that it imports; raise ``AtlasError``, and take none, where a name is another's."""
        found = list(_around(file))
        for name, folder, path in found:
            first = name.partition(".")[0]
            other_folder, other = self._owners.get(first, (folder, file))
            if other_folder != folder:
                raise AtlasError(
                    f"{file} and {other} each import a {first!r} of their own, and one process can hold only one; rename one of the two, or run the files in separate commands (in a notebook, restart the kernel)."
                )
            held = sys.modules.get(name)
            where = getattr(held, "__file__", None)
            if held and (where is None or Path(where).resolve() != path.resolve()):
                raise AtlasError(
                    f"{file} imports {path}, and this process holds another module {name!r} ({where or 'part of Python'}); rename {first!r} beside your file."
                )
        for name, folder, path in found:
            self._files[name] = path
            self._owners.setdefault(name.partition(".")[0], (folder, file))
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a module that was taken."""
        path = self._files.get(fullname)
        return spec_from_file_location(fullname, path) if path and path.is_file() else None


_NEIGHBOURS = _Neighbours()


def _around(file: Path) -> Iterator[tuple[str, Path, Path]]:
    """The modules of the user's own that a file reaches: the name by which each is imported, the folder that name is looked for in, the file."""
    hashed = [path for name, path in named(file) if not name.startswith("neuropil.")]
    imported = {module.partition(".")[0] for path in hashed for module, _, level in facts(path).imports if module and not level}
    bare = next(folder for folder in file.parents if not (folder / "__init__.py").is_file())
    for path in hashed:
        for folder in dict.fromkeys((file.parent, bare)):
            steps = path.relative_to(folder).with_suffix("").parts if folder in path.parents else ()
            name = ".".join(steps).removesuffix(".__init__")
            if path != file and name.partition(".")[0] in imported:
                yield name, folder, path
