"""Which papers of the catalogue are near each other: by the tags they share, rare ones counting more."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache

from neuropil.atlas.catalogue import Row
from neuropil.atlas.catalogue.search import lexicon, stem, words

_FEW = 4.0
"""Added to a row's length, so that one with two tags is not near everything that shares one of them."""


def related(rows: Sequence[Row], most: int = 5) -> dict[str, list[tuple[str, str]]]:
    """Give each row's nearest others, as (slug, the tags shared); cosine of tags weighted by their rarity."""
    topics = {row.slug: _topics(row) for row in rows}
    common = Counter(topic for found in topics.values() for topic in found)
    weight = {topic: math.log(len(rows) / n) for topic, n in common.items()}
    length = {slug: math.sqrt(sum(weight[t] ** 2 for t in found)) or 1.0 for slug, found in topics.items()}
    holders: dict[str, list[str]] = {}
    for slug, found in topics.items():
        for topic in found:
            holders.setdefault(topic, []).append(slug)
    nearest: dict[str, list[tuple[str, str]]] = {}
    for slug, found in topics.items():
        scores: dict[str, float] = {}
        for topic in found:
            for other in holders[topic]:
                scores[other] = scores.get(other, 0.0) + weight[topic] ** 2 / (length[slug] * (length[other] + _FEW))
        scores.pop(slug, None)
        best = sorted(scores, key=lambda other: (-scores[other], other))[:most]
        nearest[slug] = [(other, _shared(found, topics[other], weight)) for other in best if scores[other] > 0]
    return nearest


def _shared(one: dict[str, str], other: dict[str, str], weight: dict[str, float]) -> str:
    both = sorted((topic for topic in one if topic in other), key=lambda topic: -weight[topic])
    return ", ".join(one[topic] for topic in both[:3])


def _topics(row: Row) -> dict[str, str]:
    """What a row's tags are about: the concept where a tag names exactly one, else the tag itself; each with how it is said."""
    return dict(map(_topic, row.tags))


@cache
def _topic(tag: str) -> tuple[str, str]:
    stems = [stem(word) for word in words(tag)]
    concepts = {concept for concept, _ in lexicon().find(stems)}
    only = concepts.pop() if len(concepts) == 1 else ""
    return (only, only) if only else (" ".join(stems), tag)
