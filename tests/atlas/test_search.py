"""Search, measured on queries in other words than the papers': relevance.json, each query with the slugs that belong in its first ten.

The 70 *tuning* queries shaped the lexicon, and say nothing about new ones (recall@10 is 0.97 on them). The 40 *held-out* queries were written
after that, one for each of 40 rows drawn at random from the rest, mostly as half-remembered descriptions that avoid the paper's words, and
the lexicon has not been changed for them. Recall@10 at first sight: 0.69. After repairs made for other reasons (misspelling correction
that turned correct words into others, phrases that lost their sense without their small words, concepts for tags that had none): 0.64.
An earlier set of 30 of the same sort, since moved to tuning, scored 0.57 at first sight. One person wrote queries and lexicon.
"""

import json
from pathlib import Path

import pytest

from neuropil.atlas.catalogue import row, rows
from neuropil.atlas.search import lexicon, search, stem, words

RELEVANCE = json.loads(Path(__file__).with_name("relevance.json").read_text(encoding="utf-8"))


def slugs(query, k=10):
    return [hit.row.slug for hit in search(query, k)]


def recall(queries):
    shares = [len(set(wanted) & set(slugs(query))) / len(wanted) for query, wanted in queries.items()]
    return sum(shares) / len(shares)


def test_the_relevance_sets_are_disjoint_and_name_real_rows():
    tuning, held_out = RELEVANCE["tuning"], RELEVANCE["held out"]
    assert (len(tuning), len(held_out)) == (70, 40)
    assert not set(tuning) & set(held_out)
    for wanted in (*tuning.values(), *held_out.values()):
        assert all(row(slug) for slug in wanted)


def test_recall_on_the_tuning_queries():
    assert recall(RELEVANCE["tuning"]) >= 0.93


def test_recall_on_the_held_out_queries():
    assert recall(RELEVANCE["held out"]) >= 0.58


@pytest.mark.parametrize("entry", rows()[::7], ids=lambda entry: entry.slug)
def test_a_title_or_a_slug_finds_its_paper(entry):
    assert slugs(entry.title, 3)[0] == entry.slug
    assert slugs(entry.slug, 1) == [entry.slug]


def test_meaning_joins_what_words_do_not():
    """'glia' and 'worm' are in no row's claim or title; the concepts astrocytes and C. elegans are."""
    assert set(slugs("glia", 2)) == {"astro-lsm", "astro-snn-language"}
    assert slugs("worm", 1) == ["ncap-swimmer"]
    assert "remind-replay" in slugs("stability-plasticity dilemma", 12)


@pytest.mark.parametrize(
    ("wrong", "right"), [("hipocampus", "hippocampus"), ("astrocites", "astrocytes"), ("dendrtic", "dendritic"), ("spiknig", "spiking")]
)
def test_a_misspelling_is_read_as_the_nearest_word_and_said_so(wrong, right):
    assert slugs(wrong) == slugs(right)
    assert f"(for {wrong})" in search(wrong, 1)[0].why


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zzzzqqq", "!?"])
def test_nothing_asked_or_found_is_an_empty_list(query):
    assert search(query) == []


def test_why_names_words_and_concepts():
    why = search("glia", 1)[0].why
    assert "astrocytes" in why
    assert "pruning" in search("pruning", 1)[0].why
    assert "its name" in search("remind-replay", 1)[0].why


def test_scores_fall_and_k_is_kept():
    hits = search("learning", 7)
    assert len(hits) == 7
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert search("learning", 0) == []


@pytest.mark.parametrize(
    "same",
    [
        "forget forgetting forgets",
        "spike spikes spiking",
        "prune pruning pruned",
        "hippocampus hippocampal",
        "organise organize organization",
    ],
)
def test_inflections_share_a_stem(same):
    assert len({stem(word) for word in same.split()}) == 1


@pytest.mark.parametrize("different", ["cell cellar", "neuron neural", "memory memorial"])
def test_different_words_keep_different_stems(different):
    first, second = different.split()
    assert stem(first) != stem(second)


def test_words_split_camel_case_and_accents():
    assert words("NovelWord: Müller's two-point LIFCells of SNNs") == [
        "novel",
        "word",
        "muller",
        "s",
        "two",
        "point",
        "lif",
        "cells",
        "of",
        "snns",
    ]


def test_the_lexicon_is_sound():
    plain = json.loads(Path(lexicon.__wrapped__.__code__.co_filename).with_name("concepts.json").read_text(encoding="utf-8"))
    assert len(plain) >= 80
    assert {near for entry in plain.values() for near in entry["near"]} <= set(plain)
    assert () not in lexicon().phrases


def test_most_tags_of_the_catalogue_belong_to_a_concept():
    tags = [tag for entry in rows() for tag in entry.tags]
    named = [tag for tag in tags if any(lexicon().find([stem(word) for word in words(tag)]))]
    assert len(named) / len(tags) >= 0.85
