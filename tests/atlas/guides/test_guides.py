"""Guides: each is sound, every link leads somewhere, and what is wrong with a guide's file is one sentence."""

import dataclasses
import json
import subprocess
import sys
from importlib import import_module

import pytest

from neuropil.atlas.catalogue import references, row, rows
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.guides import Coverage, Dispute, Entry, Prediction, Section, guide, guides, has_guide, load, validate
from neuropil.atlas.guides.standing import LEVELS, level, paper, standing
from neuropil.atlas.index import record

SLUGS = [found.slug for found in guides()]


@pytest.mark.parametrize("slug", SLUGS)
def test_each_guide_is_sound(slug):
    assert validate(guide(slug)) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_every_part_that_a_guide_links_is_public(slug):
    for part in guide(slug).parts:
        family, name = part.rsplit(".", 1)
        module = import_module(family)
        assert name in module.__all__, part
        assert getattr(module, name) is not None


@pytest.mark.parametrize("slug", SLUGS)
def test_each_guide_is_worth_its_reading(slug):
    found = guide(slug)
    assert 12 <= len(found.entries) <= 35
    assert len(found.sections) >= 3
    assert len(found.predictions) >= 2
    assert all(60 <= len(entry.says) <= 450 for entry in found.entries), [e.name for e in found.entries if not 60 <= len(e.says) <= 450]
    assert found.coverage.open < len(found.entries)


def test_the_first_three_are_here():
    assert {"lifelong-learning-review", "key-value-memory-brain", "dynamical-intelligence-view"} <= set(SLUGS)
    assert sorted(SLUGS) == SLUGS


def test_coverage_counts_links_and_open_entries(toy):
    found = toy
    assert found.coverage == Coverage(entries=4, parts=2, studies=2, open=1)
    assert found.parts == ("neuropil.cells.LIF", "neuropil.memory.WillshawMemory")
    assert found.studies == ("homeostatic-nets", "sltt")


def test_text_is_read_as_running_text(toy):
    assert toy.entries[0].says == "Said over two lines."


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('read = "whole"', 'read = "skimmed"', "read = 'skimmed'; accepted are whole, part, abstract"),
        ('read = "whole"', "read = 3", "'read' as int; write it as text"),
        ('argues = "It argues."', "", "lacks 'argues'"),
        ('argues = "It argues."', 'argues = "It argues."\nsummary = "x"', "has 'summary', which a guide does not know"),
        ('order = ["One.", "Two."]', 'order = "One."', "'order' as str; write it as a list"),
        ('order = ["One.", "Two."]', "order = [1]", "other than text in 'order'"),
        ('says = "A part."', "", "entries 'Part' lacks 'says'"),
        ('says = "A part."', 'says = "A part."\npart = "x"', "entries 'Part' has 'part'"),
        ('read = "whole"', "read = ", "is not readable as TOML"),
        ('read = "whole"', 'slug = "other"\nread = "whole"', "so leave `slug` out"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path, toy_text, old, new, said):
    assert toy_text.count(old) == 1
    path = tmp_path / "key-value-memory-brain.toml"
    path.write_text(toy_text.replace(old, new))
    with pytest.raises(AtlasError) as caught:
        load(path)
    assert said in str(caught.value)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(AtlasError, match="cannot be read"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry("A", "Says."), "has neither a link nor `open`"),
        (Entry("A", "Says.", studies=("sltt",), open="More."), "has links and is said to be open"),
        (Entry("A", "", open="More."), "says nothing"),
        (Entry("", "Says.", open="More."), "has no name"),
        (Entry("A", "Says.", studies=("sltt", "sltt")), "links the same thing twice"),
        (Entry("A", "Says.", studies=("sltt-2",)), "study 'sltt-2' is not in the catalogue"),
        (Entry("A", "Says.", parts=("LIF",)), "part 'LIF' is not written as neuropil.<family>.<Name>"),
    ],
)
def test_each_fault_of_an_entry_is_found(toy, entry, said):
    spoiled = dataclasses.replace(toy, sections=(Section("One", (entry,)),))
    assert any(said in sentence for sentence in validate(spoiled))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slug": "sltt"}, "no row 'sltt' of kind guide"),
        ({"argues": ""}, "'argues' is empty"),
        ({"order": ()}, "it has no order"),
        ({"disputes": (Dispute("Says."),)}, "names no study and no paper"),
        ({"disputes": (Dispute("Says.", cites=("nobody1900",)),)}, "'nobody1900' is not in references.bib"),
        ({"predictions": (Prediction("Says.", ""),)}, "names no contrast"),
        ({"predictions": (Prediction("", "a > b"),)}, "says nothing"),
        ({"sections": (Section("It ends.", (Entry("A", "Says.", open="More."),)),)}, "is not a heading"),
        ({"sections": (Section("Empty", ()),)}, "has no entry"),
        ({"sections": (Section("Two", (Entry("A", "Says.", open="x"), Entry("A", "Says.", open="x"))),)}, "2 entries are called 'A'"),
    ],
)
def test_each_fault_of_a_guide_is_found(toy, change, said):
    assert any(said in sentence for sentence in validate(dataclasses.replace(toy, **change)))


def test_the_toy_is_sound(toy):
    assert validate(toy) == []


def test_what_has_no_guide_says_so():
    with pytest.raises(AtlasError, match="is a mechanism, not a guide"):
        guide("homeostatic-nets")
    with pytest.raises(AtlasError, match=f"There is no guide 'no-such-text'; .*there are {guides()[0].slug}, "):
        guide("no-such-text")
    with pytest.raises(AtlasError, match="did you mean 'early-warning-signals'"):
        guide("early-warnings")
    unwritten = [entry.slug for entry in rows() if entry.kind == "guide" and not has_guide(entry.slug)]
    for slug in unwritten:
        with pytest.raises(AtlasError, match="is not written yet"):
            guide(slug)


def test_an_entry_is_as_far_as_the_furthest_of_its_links():
    known = {
        "run": {"verdict": "reversed", "status": "implemented", "stale": True},
        "made": {"verdict": None, "status": "implemented", "stale": None},
        "shown": {"verdict": "descriptive", "status": "implemented", "stale": False},
        "read": {"verdict": None, "status": "catalogued", "stale": None},
        "map": {"verdict": None, "status": "guide", "stale": None},
    }
    reached = [
        level(Entry("A", "Says.", studies=studies, parts=parts, open=empty), known.__getitem__)
        for studies, parts, empty in [
            (("read", "run"), (), ""),
            (("read", "made"), (), ""),
            (("read", "shown"), (), ""),
            (("read",), ("neuropil.cells.LIF",), ""),
            (("read", "map"), (), ""),
            ((), (), "More."),
        ]
    ]
    assert reached == ["tested", "built", "built", "built", "catalogued", "open"]
    assert set(reached) == set(LEVELS)
    assert [standing(known[slug]) for slug in known] == ["reversed (stale)", "no verdict yet", "descriptive", "catalogued", "a guide"]


def test_a_paper_is_named_as_its_title_page_names_it():
    found = paper("ray2010")
    assert (found.by, found.title[:28]) == ("Ray and Maunsell 2010", "Differences in Gamma Frequen")
    assert paper("davis2017").doi == "10.1016/j.neuron.2017.05.039"
    assert paper("prabhu2020").title.startswith("GDumb: A Simple")
    assert all(paper(key).title and paper(key).by for found in guides() for d in found.disputes for key in d.cites)
    assert "ray2010" in references()


def test_the_index_says_which_rows_have_a_guide():
    for entry in rows():
        if entry.kind == "guide":
            assert record(entry)["status"] == ("guide" if has_guide(entry.slug) else "catalogued")
    assert record(row("sltt"))["status"] != "guide"


def test_reading_guides_loads_no_part():
    code = "import sys; from neuropil.atlas.guides import guides, validate; [validate(g) for g in guides()]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "neuropil", *words], capture_output=True, text=True, check=False)


def test_the_command_speaks_json():
    listed = json.loads(command("guide", "--json").stdout)
    assert [entry["slug"] for entry in listed] == SLUGS
    one = json.loads(command("guide", "key-value-memory-brain", "--json").stdout)
    assert one["coverage"]["entries"] == sum(len(section["entries"]) for section in one["sections"])


def test_the_command_shows_every_entry_and_what_a_study_found():
    text = " ".join(command("guide", "key-value-memory-brain").stdout.split())
    found = guide("key-value-memory-brain")
    for entry in found.entries:
        assert entry.name in text
        assert all(slug in text for slug in entry.studies)
    assert f"hippocampal-spiking-cam {standing(record(row('hippocampal-spiking-cam')))}" in text
    assert "Davis and Zhong 2017" in text
    assert "neuropil guide key-value-memory-brain" in " ".join(command("show", "key-value-memory-brain").stdout.split())


def test_a_text_without_a_guide_is_one_sentence():
    done = command("guide", "homeostatic-nets")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("neuropil: ")
