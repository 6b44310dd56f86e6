"""Search over the catalogue, by word and by meaning: BM25 over weighted fields, joined by a hand-written lexicon of concepts."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from neuropil.atlas.catalogue import Row, rows

_WEIGHTS = {"title": 2.5, "tags": 3.0, "slug": 2.0, "claim": 1.0, "parts": 0.7}
_K1, _B = 1.2, 0.6
_WORD, _CONCEPT, _RELATED = 1.0, 1.2, 0.45


def words(text: str) -> list[str]:
    """Lower-case words of a text, accents dropped, ``CamelCase`` and hyphens split."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    return re.findall(r"[a-z]+|\d+", text.lower())


_STOP = frozenset(
    words(
        "a about after again all also an and any are as at be been by can do does for from had has have how i in instead into is it its let "
        "make makes made making many me more most much my not of off on one only or other our out paper papers s same she so some study such "
        "than that the their them then they this those to up use used using via versus very vs was we what when where which who whose why "
        "will with without you"
    )
)
_SKIP = frozenset(words("a an the of its their my our your"))
_SUFFIXES = words(
    "ations ation ities ity ings ing ions ion ness ments ment ically ical ally ies ied ers er ors or ed es us um al ic ive ly s e y"
)


@dataclass(frozen=True)
class Hit:
    """One row found: its score (comparable within one search only) and why, what matched, strongest first.

    In ``why`` a plain word was found as such, ``said -> concept`` means the same in other words, ``said ~ concept`` is a near concept,
    and ``word (for typed)`` is a spelling taken for what was typed.
    """

    row: Row
    score: float
    why: str


@cache
def stem(word: str) -> str:
    """A light stem: British spelling, then one suffix, kept only if at least four letters stay (``forgetting`` and ``forget`` meet)."""
    word = word.replace("iz", "is").replace("vior", "viour").replace("tumor", "tumour").replace("color", "colour").replace("isyn", "izyn")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            word = word.removesuffix(suffix)
            if suffix in ("ing", "ings", "ed", "er", "ers") and word[-1] == word[-2] and word[-1] in "bdgmnprt":
                word = word[:-1]
            break
    return word


@dataclass(frozen=True)
class _Lexicon:
    terms: tuple[str, ...]
    phrases: dict[tuple[str, ...], frozenset[str]]
    longest: int
    related: dict[str, frozenset[str]]

    def find(self, stems: list[str]) -> Iterator[tuple[str, tuple[int, int]]]:
        """The concepts named in a run of stems, each with where; the longest phrase wins, shorter ones inside it are left out."""
        position = 0
        while position < len(stems):
            for length in range(min(self.longest, len(stems) - position), 0, -1):
                found = self.phrases.get(tuple(stems[position : position + length]))
                if found:
                    for name in sorted(found):
                        yield name, (position, position + length)
                    position += length
                    break
            else:
                position += 1


@cache
def lexicon() -> _Lexicon:
    """The concepts of concepts.json: a name, terms that mean it, and near concepts (taken both ways)."""
    plain = json.loads(Path(__file__).with_name("concepts.json").read_text(encoding="utf-8"))
    phrases: dict[tuple[str, ...], set[str]] = defaultdict(set)
    related: dict[str, set[str]] = defaultdict(set)
    for name, entry in plain.items():
        for term in (name, *entry["terms"]):
            phrases[tuple(_run(term))].add(name)
        for near in entry["near"]:
            related[name].add(near)
            related[near].add(name)
    return _Lexicon(
        terms=tuple(term for name, entry in plain.items() for term in (name, *entry["terms"])),
        phrases={phrase: frozenset(found) for phrase, found in phrases.items()},
        longest=max(map(len, phrases)),
        related={name: frozenset(found) for name, found in related.items()},
    )


def _stems(text: str) -> list[str]:
    return [stem(word) for word in words(text) if word not in _STOP]


def _run(text: str) -> list[str]:
    """The stems in which concepts are found: articles and possessives alone are left out, so that a phrase keeps its sense."""
    return [stem(word) for word in words(text) if word not in _SKIP]


@dataclass(frozen=True)
class _Index:
    postings: dict[str, dict[int, float]]
    spelled: dict[str, str]

    def score(self, token: str) -> dict[int, float]:
        """BM25 of one token, by row: rarer is more, and repetition saturates."""
        found = self.postings.get(token, {})
        total = len(rows())
        rarity = math.log(1 + (total - len(found) + 0.5) / (len(found) + 0.5))
        return {number: rarity * weight * (_K1 + 1) / (weight + _K1) for number, weight in found.items()}


def _fields(row: Row) -> dict[str, list[str]]:
    return {
        "title": [row.title],
        "tags": [*row.tags, row.family, row.kind, *row.authors],
        "slug": [row.slug],
        "claim": [row.claim],
        "parts": list(row.parts),
    }


@cache
def _index() -> _Index:
    counts: dict[tuple[int, str], dict[str, float]] = {}
    lengths: dict[str, list[int]] = {name: [] for name in _WEIGHTS}
    spelled: dict[str, str] = {}
    for number, row in enumerate(rows()):
        for name, texts in _fields(row).items():
            tally: dict[str, float] = defaultdict(float)
            length = 0
            for text in texts:
                spelled.update((word, stem(word)) for word in words(text) if len(word) > 3)
                stems = _stems(text)
                length += len(stems)
                for token in stems:
                    tally[token] += 1
                for concept in dict.fromkeys(concept for concept, _ in lexicon().find(_run(text))):
                    tally["concept:" + concept] += 1
            counts[number, name] = tally
            lengths[name].append(length)
    postings: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for (number, name), tally in counts.items():
        mean = sum(lengths[name]) / len(lengths[name])
        norm = 1 - _B + _B * lengths[name][number] / mean
        for token, count in tally.items():
            postings[token][number] += _WEIGHTS[name] * count / norm
    spelled.update((word, stem(word)) for term in lexicon().terms for word in words(term) if len(word) > 3)
    return _Index({token: dict(found) for token, found in postings.items()}, spelled)


def _spelling(word: str, index: _Index) -> str:
    """The word itself where it is known, else the nearest known word, else itself."""
    if word in _STOP or len(word) < 4 or stem(word) in index.postings or word in index.spelled:
        return word
    close = get_close_matches(word, index.spelled, n=3, cutoff=0.85)
    return next((other for other in close if other[0] == word[0] and abs(len(other) - len(word)) < 3), word)


def search(query: str, k: int = 20) -> list[Hit]:
    """The ``k`` best rows for a query, best first; an empty list for an empty query or when nothing matches.

    A row scores by the words it shares with the query and by the concepts that both name in whatever words; near concepts count less.
    A word that the catalogue does not know is read as the nearest one that it does, and ``why`` says so.
    """
    index = _index()
    given = [word for word in words(query) if word not in _SKIP]
    read = [_spelling(word, index) for word in given]
    stems = [stem(word) for word in read]
    tokens: dict[str, tuple[float, str]] = {}
    for before, word, token in zip(given, read, stems, strict=True):
        if word not in _STOP:
            tokens.setdefault(token, (_WORD, word if before == word else f"{word} (for {before})"))
    named = {concept: " ".join(read[start:stop]) for concept, (start, stop) in lexicon().find(stems)}
    for concept, said in named.items():
        label = concept if _run(concept) == _run(said) else f"{said} -> {concept}"
        tokens["concept:" + concept] = (_CONCEPT, label)
    for concept, said in named.items():
        for near in sorted(lexicon().related.get(concept, ())):
            tokens.setdefault("concept:" + near, (_RELATED, f"{said} ~ {near}"))
    scores: dict[int, float] = defaultdict(float)
    reasons: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for token, (weight, label) in tokens.items():
        for number, score in index.score(token).items():
            scores[number] += weight * score
            reasons[number].append((weight * score, label))
    wanted = "-".join(words(query))
    for number, row in enumerate(rows()):
        if wanted and wanted == row.slug:
            scores[number] += 1000.0
            reasons[number].append((1000.0, "its name"))
    best = sorted(scores, key=lambda number: (-scores[number], rows()[number].slug))[: max(k, 0)]
    return [Hit(rows()[number], round(scores[number], 3), _why(reasons[number])) for number in best]


def _why(reasons: list[tuple[float, str]]) -> str:
    """The matches, strongest first, each once, at most five."""
    ordered = [label for _, label in sorted(reasons, key=lambda reason: -reason[0])]
    return ", ".join(list(dict.fromkeys(ordered))[:5])
