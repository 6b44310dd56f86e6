"""The public parts of the library by name, read from its files without importing them."""

from __future__ import annotations

import ast
from functools import cache

from neuropil.atlas.conduct import syntax
from neuropil.atlas.files import PACKAGE


@cache
def library() -> dict[str, str]:
    """Map the name of every public class and function of a family to its full name, ``LIF`` to ``neuropil.cells.LIF``."""
    found: dict[str, str] = {}
    for init in sorted(PACKAGE.glob("*/__init__.py")):
        family = init.parent.name
        if family in ("atlas", "studies", "boards", "cli", "testing"):
            continue
        found |= {name: f"neuropil.{family}.{name}" for name in syntax.facts(init).origins if name[:1].isupper()}
    return found


@cache
def about(part: str) -> str:
    """Give the first sentence of a part's docstring; empty where it has none."""
    _, family, name = part.split(".")
    module = syntax.facts(PACKAGE / family / "__init__.py").origins[name]
    base = PACKAGE.parent.joinpath(*module.split("."))
    file = next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
    for node in ast.walk(syntax.parse(file.read_text(encoding="utf-8"))) if file else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ").replace("``", "")
    return ""
