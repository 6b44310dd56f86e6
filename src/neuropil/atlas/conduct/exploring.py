"""Settings changed by hand, for exploration: a study with other arms or another budget, whose results say so."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from neuropil.atlas.conduct.loading import Source, budget_settings, tuned
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import canonical
from neuropil.atlas.study import Study

FORM = "write budget.NAME=VALUE, arm.ARM.NAME=VALUE or arms.NAME=VALUE (every arm that has it)"


def explore(source: Source, study: Study, budget: str, words: Sequence[str]) -> Study:
    """Give the study with settings changed by words such as ``budget.epochs=5``; its ``explored`` names them, and its results do.

    A value is read as the kind of value it replaces. What tuning chose stays, where it is not what is set. Raises ``AtlasError`` for words of
    another form, names that the study lacks (with the nearest), values of another kind, and a setting that is set twice.
    """
    chosen = tuned(source, study, budget)
    size = dict(budget_settings(study, budget))
    arms = {arm: {**settings, **chosen.get(arm, {})} for arm, settings in study.arms.items()}
    free = _tunable(study)
    changed: dict[str, Any] = {}
    for word in words:
        where, equals, text = word.partition("=")
        match where.strip().split("."):
            case ["budget", name] if equals:
                places = [(f"budget.{name}", size, size)]
                _known(name, size, f"The budget {budget} of {study.slug}", "setting")
            case ["arm", arm, name] if equals:
                _known(arm, arms, study.slug, "arm")
                _known(name, {**free.get(arm, {}), **arms[arm]}, f"The arm {arm!r} of {study.slug}", "setting")
                places = [(f"arm.{arm}.{name}", arms[arm], {**free.get(arm, {}), **arms[arm]})]
            case ["arms", name] if equals:
                kinds = {arm: {**free.get(arm, {}), **settings} for arm, settings in arms.items()}
                _known(name, dict.fromkeys(key for kind in kinds.values() for key in kind), f"No arm of {study.slug}", "setting", none=True)
                places = [(f"arm.{arm}.{name}", arms[arm], kinds[arm]) for arm in arms if name in kinds[arm]]
            case _:
                raise AtlasError(f"--set {word!r} is not understood; {FORM}.")
        for place, settings, kinds_here in places:
            if place in changed:
                raise AtlasError(f"--set {word!r} sets {place} a second time; set it once.")
            changed[place] = settings[name] = _read(text.strip(), kinds_here[name], place)
    other = copy.copy(study)
    other.arms, other.budgets, other.tune = arms, {**study.budgets, budget: size}, None
    other.explored = changed
    return other


def _tunable(study: Study) -> dict[str, dict[str, Any]]:
    """What tuning may set in an arm though the study does not, with a value of its kind."""
    if study.tune is None:
        return {}
    kinds = {name: grid.values[0] for name, grid in study.tune.grids.items()}
    return dict.fromkeys((*study.tune.arms, *study.tune.follow), kinds)


def _known(name: str, names: Iterable[str], who: str, what: str, none: bool = False) -> None:
    names = list(names)
    if name not in names:
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        said = (
            f"{'the nearest are' if len(near) > 1 else 'the nearest is'} {', '.join(near)}"
            if near
            else f"there are {', '.join(names) or 'none'}"
        )
        raise AtlasError(f"{who} has {'a' if none else 'no'} {what} {name!r}; {said}.")


def _read(text: str, now: Any, place: str) -> Any:
    """Read a value as the kind of the one it replaces."""
    if not isinstance(now, bool | int | float | str | list | tuple | None):
        raise AtlasError(f"{place} is a {type(now).__name__}, which --set does not set; change it in the study's file.")
    try:
        value = _converted(text, now)
        canonical(value)
    except (ValueError, TypeError, KeyError, SyntaxError):
        kind = {bool: "true or false", int: "a whole number", float: "a finite number", type(None): "a plain value"}.get(
            type(now), "a list of plain values"
        )
        raise AtlasError(f"{place} is {kind}, {now!r} in the study, and {text!r} was given; write one of its kind.") from None
    return value


def _converted(text: str, now: Any) -> Any:
    match now:
        case bool():
            return {"true": True, "false": False}[text.lower()]
        case int() | float():
            return type(now)(text)
        case str():
            return text
        case None:
            return _literal(text)
    value = ast.literal_eval(text)
    if not isinstance(value, list | tuple):
        raise ValueError(text)
    return type(now)(value)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
