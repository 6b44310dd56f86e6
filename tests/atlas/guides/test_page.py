"""The page of a guide: well formed, every entry on it, links where they were asked for, what is open said to be open."""

import re
from html.parser import HTMLParser

import pytest

from neuropil.atlas.catalogue import cite
from neuropil.atlas.guides import guide, guides
from neuropil.atlas.guides.standing import level
from neuropil.atlas.pages.guide import render_guide
from neuropil.atlas.pages.site.places import place

VOID = {"meta", "br", "link"}


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def known(slug: str) -> dict[str, object]:
    verdict = "reversed" if slug == "homeostatic-nets" else None
    return {"title": f"Title of <{slug}>", "verdict": verdict, "status": "implemented" if verdict else "catalogued", "stale": False}


@pytest.mark.parametrize("slug", [found.slug for found in guides()])
def test_every_guide_has_a_page_with_all_of_it(slug):
    found = guide(slug)
    page = Page(render_guide(found, link=lambda linked: f"../rows/{linked}.html"))
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.all("href") if href.startswith("#")} <= set(ids)
    for entry in found.entries:
        assert entry.name in page.text
        assert " ".join(entry.says.split()) in page.text
    assert page.text.count("Open.") == found.coverage.open
    assert {f"../rows/{linked}.html" for linked in found.studies} <= set(page.all("href"))
    assert not re.search(r"<(link|img|iframe)\b|\ssrc=", render_guide(found))
    assert cite(slug).splitlines()[0] in page.text


def test_links_verdicts_and_escapes(toy):
    found = toy
    html = render_guide(
        found, link=lambda slug: f"x/{slug}.html" if slug == "sltt" else None, part_link=lambda part: f"r#{part}", records=known
    )
    page = Page(html)
    assert "x/sltt.html" in page.all("href")
    assert not any("homeostatic-nets" in href for href in page.all("href"))
    assert "r#neuropil.cells.LIF" in page.all("href")
    assert "homeostatic-nets reversed" in page.text
    assert "linked reversed" in page.all("class")
    assert "A <b>study</b> & more." in page.text
    assert "Title of <sltt>" in page.all("title")
    assert "Ray and Maunsell 2010" in page.text
    assert [level(entry, known) for entry in found.entries] == ["tested", "built", "catalogued", "open"]
    marks = [name for name in page.all("class") if name.startswith("level ")]
    assert marks[:4] == ["level tested", "level built", "level catalogued", "level open"]


def test_the_same_guide_gives_the_same_bytes(toy):
    assert render_guide(toy, records=known) == render_guide(toy, records=known)


def test_within_a_site_it_has_the_sites_navigation_and_neighbours(toy):
    site = place("guides/toy.html") | {
        "tags": (("memory", "../index.html#memory"),),
        "related": (),
        "mentioned": (),
        "neighbours_label": "Neighbours",
        "neighbours": (),
    }
    alone, within = Page(render_guide(toy, records=known)), Page(render_guide(toy, records=known, site=site))
    assert "../index.html" in within.all("href")
    assert "../index.html#memory" in within.all("href")
    assert "top" in alone.all("class")
    assert "top" not in within.all("class")
