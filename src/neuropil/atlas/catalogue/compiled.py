"""The search index as plain data, so that a page can rank rows as ``search`` does, without Python: scores of tokens, concepts, spellings."""

from __future__ import annotations

from typing import Any

from neuropil.atlas.catalogue import rows
from neuropil.atlas.catalogue import search as engine

PRECISION = 10_000
"""Scores are whole numbers of one part in so many."""


def compiled() -> dict[str, Any]:
    """Give what a search needs: ``scores`` maps a token to row numbers and scores in turn, ``phrases`` stems to concepts, and so on."""
    index, lexicon = engine._index(), engine.lexicon()
    return {
        "precision": PRECISION,
        "slugs": [row.slug for row in rows()],
        "scores": {
            token: [part for number, score in index.score(token).items() for part in (number, round(score * PRECISION))]
            for token in index.postings
        },
        "phrases": {" ".join(stems): sorted(names) for stems, names in lexicon.phrases.items()},
        "longest": lexicon.longest,
        "near": {name: sorted(related) for name, related in lexicon.related.items()},
        "spelled": list(index.spelled),
        "stop": sorted(engine._STOP),
        "skip": sorted(engine._SKIP),
        "suffixes": engine._SUFFIXES,
        "weights": {"word": engine._WORD, "concept": engine._CONCEPT, "related": engine._RELATED},
    }
