import dataclasses
import subprocess
import sys
from collections import Counter

import pytest

from neuropil.atlas import AtlasError, catalogue
from neuropil.atlas.catalogue import cite, nearest, parse_bibtex, references, row, rows, study_path, validate


def test_the_catalogue_is_sound():
    assert validate() == []


def test_counts_are_those_of_the_survey_that_the_catalogue_was_made_from():
    assert len(rows()) == 355
    assert Counter(entry.family for entry in rows()) == {
        "networks": 80,
        "agents": 55,
        "brain": 50,
        "growth": 44,
        "interpret": 40,
        "geometry": 21,
        "learning": 18,
        "memory": 15,
        "continual": 11,
        "plasticity": 10,
        "cells": 9,
        "synapses": 2,
    }
    assert Counter(entry.tier for entry in rows()) == {"core": 135, "field": 120, "edge": 77, "guide": 23}


def test_rows_are_sorted_by_family_then_slug():
    order = [(entry.family, entry.slug) for entry in rows()]
    assert order == sorted(order)


def test_a_guide_is_a_guide_in_tier_and_in_kind():
    assert [e.slug for e in rows() if (e.tier == "guide") != (e.kind == "guide")] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tier": "main"}, "tier 'main' is unknown"),
        ({"kind": "theory"}, "kind 'theory' is unknown"),
        ({"family": "misc"}, "family 'misc' is unknown"),
        ({"year": 202}, "year 202"),
        ({"claim": " "}, "the claim is empty"),
        ({"title": ""}, "the title is empty"),
        ({"mechanisms": ()}, "no mechanism"),
        ({"problems": ()}, "no problem"),
        ({"cites": "nobody1900"}, "'nobody1900' is not in references.bib"),
        ({"slug": "Two Words"}, "not lower-case words"),
        ({"repo": "justaname"}, "not owner/name"),
    ],
)
def test_each_check_finds_its_fault(change, words):
    spoiled = dataclasses.replace(row("off-switch-game"), **change)
    assert any(words in sentence for sentence in validate([spoiled]))


def test_repeated_slugs_and_keys_are_found():
    entry = row("off-switch-game")
    wrong = validate([entry, entry])
    assert any("slug 'off-switch-game' is used 2 times" in w for w in wrong)
    assert any("is cited by 2 rows" in w for w in wrong)


def test_an_unknown_slug_names_the_nearest():
    with pytest.raises(AtlasError, match="homeostatic-nets"):
        row("homeostatic-net")
    with pytest.raises(AtlasError, match="nothing is spelled like it"):
        row("qqqqqqqq")


def test_nearest_looks_at_titles_too():
    assert nearest("neural turing machine")[0] == "neural-turing-machine"
    assert nearest("Need is All You Need")[0] == "homeostatic-nets"


def test_study_path_is_none_until_there_is_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "_PACKAGE", tmp_path)
    assert study_path("homeostatic-nets") is None
    file = tmp_path / "studies" / "plasticity" / "homeostatic_nets.py"
    file.parent.mkdir(parents=True)
    file.touch()
    assert study_path("homeostatic-nets") == file
    with pytest.raises(AtlasError):
        study_path("no-such-study-at-all")


def test_known_papers_have_their_known_authors_and_years():
    """Facts from the papers' title pages, independent of the catalogue."""
    assert row("neural-turing-machine").authors == ("Alex Graves", "Greg Wayne", "Ivo Danihelka")
    assert row("hd-snn-motion").by == "Grimaldi and Perrinet 2023"
    assert row("homeostatic-nets").by == "Man et al. 2022"
    assert row("homeostatic-nets").cites == "man2022"
    assert row("forward-forward-ensembles").cites == "tosato2023"
    assert row("learned-delays-dcls").cites == "hammouamri2024"


def test_cite_gives_the_entry_of_that_paper():
    assert "Damasio" in cite("homeostatic-nets")
    assert "2305.18353" in cite("forward-forward-ensembles")
    for entry in rows():
        text = cite(entry.slug)
        assert f"{{{entry.year}}}" in text
        assert ("authors not recorded" in text) == (not entry.authors)
        if entry.authors:
            assert entry.authors[0].split()[-1] in text


def test_author_lists_not_checked_against_their_papers_only_grow_fewer():
    """One list is unchecked; a new row's authors are read off its paper, so the number never rises."""
    unchecked = [entry.slug for entry in rows() if "author list not checked against the paper" in cite(entry.slug)]
    assert len(unchecked) <= 1
    assert all(row(slug).authors for slug in unchecked)


def test_the_methods_of_the_statistics_are_in_the_bibliography():
    wanted = "hinton2022 hoyer2004 nadeau2003 mcnemar1947 holm1979 benjamini1995 tango1998 wilcoxon1945 clopper1934 hodges1963"
    assert set(wanted.split()) <= set(references())


def test_parse_bibtex_keeps_nested_braces_and_refuses_what_is_broken():
    text = "@article{a1,\n  title = {The {CA3} and {{nested}}},\n}\nnoise\n@misc{b-2,\n  year = {1999},\n}\n"
    entries = parse_bibtex(text)
    assert list(entries) == ["a1", "b-2"]
    assert entries["a1"].endswith("{{nested}}},\n}")
    with pytest.raises(AtlasError, match="does not close"):
        parse_bibtex("@misc{a,\n title = {open,\n}")
    with pytest.raises(AtlasError, match="twice"):
        parse_bibtex("@misc{a,\n}\n@misc{a,\n}\n")


def test_reading_the_catalogue_loads_no_torch():
    code = "import sys; from neuropil.atlas.catalogue import rows; rows(); print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
