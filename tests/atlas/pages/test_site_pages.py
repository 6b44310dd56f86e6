"""The site without a browser: every link leads somewhere, every number is the index's, nothing is loaded from elsewhere, and it is fast."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.board import results
from neuropil.atlas.catalogue import rows
from neuropil.atlas.conduct.loading import find
from neuropil.atlas.files import committed_results
from neuropil.atlas.index import VERDICTS, index
from neuropil.atlas.pages.site import build
from neuropil.atlas.pages.site.board_pages import board_pages
from neuropil.atlas.pages.site.build import Built
from neuropil.atlas.pages.site.gathering import BADGES, gather
from neuropil.atlas.pages.site.index_page import facets_of, index_page
from neuropil.atlas.pages.site.places import place
from neuropil.atlas.pages.site.related import related
from neuropil.cli import main

VOID = {"meta", "br", "link", "img", "input", "hr", "source"}


class Page(HTMLParser):
    """Reads a page, insists on balanced tags, keeps tags, ids, words and ``<data>``."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[tuple[str, dict]] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.title = ""
        self.labelled: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == [], path

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("input", "select") and any(name == "label" for name, _ in self.open):
            self.labelled.add(str(len(self.tags)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "title" and not any(tag == "svg" for tag, _ in self.open):
            self.title += data
        if self.open and self.open[-1][0] not in ("style", "script", "title", "desc"):
            self.words.append(data)

    def all(self, *names: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words)).replace("\u00a0", " ").replace("\u202f", " ")

    @property
    def numbers(self) -> set[float]:
        return {float(attributes["value"]) for attributes in self.all("data")}


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def records() -> dict[str, dict]:
    return {record["slug"]: record for record in index()}


@pytest.fixture(scope="module")
def accepted() -> dict[str, set[str]]:
    return {facet["name"]: {option["value"] for option in facet["options"]} for facet in facets_of(gather())}


def test_every_link_leads_to_a_page_and_every_fragment_to_a_place_on_it(pages, accepted):
    for name, page in pages.items():
        for link in page.all("a"):
            where = urlsplit(link["href"])
            if where.scheme:
                assert where.scheme in ("https", "data"), (name, link)
                continue
            target = os.path.normpath(Path(name).parent / unquote(where.path)) if where.path else name
            assert target in pages, (name, link)
            if target == "index.html" and "=" in where.fragment:
                for key, (value,) in parse_qs(where.fragment).items():
                    assert key == "q" or set(value.split(",")) <= accepted[key], (name, link)
            elif where.fragment:
                assert where.fragment in pages[target].ids, (name, link)


def test_pages_are_sound_and_load_nothing(pages):
    titles = [page.title for page in pages.values()]
    assert len(set(titles)) > 0.95 * len(titles)
    for name, page in pages.items():
        ids = page.ids
        assert len(ids) == len(set(ids)), name
        assert page.title.strip(), name
        assert len(page.all("h1")) == len(page.all("main")) == 1, name
        assert page.all("html")[0]["lang"] == "en"
        assert all(image.get("alt") for image in page.all("img")), name
        assert all("aria-hidden" in svg or svg.get("aria-labelledby") for svg in page.all("svg")), name
        for _, attributes in page.tags:
            for pointer in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
                assert set((attributes.get(pointer) or "").split()) <= set(ids), (name, attributes)
            assert not {"src", "srcset", "action", "xlink:href", "background"} & set(attributes), (name, attributes)
        assert not page.all("link", "iframe", "object", "embed"), name
        assert "default-src 'none'" in page.all("meta")[2]["content"], name
        for head in page.all("th"):
            assert head.get("scope"), (name, head)
        current = [a for a in page.all("a") if a.get("aria-current")]
        assert len(current) == 1, name


def test_every_input_has_a_label(pages):
    page = pages["index.html"]
    labels = {label["for"] for label in page.all("label") if "for" in label}
    for place_, (tag, attributes) in enumerate(page.tags, 1):
        if tag in ("input", "select"):
            assert attributes.get("id") in labels or str(place_) in page.labelled, attributes


def test_every_row_has_one_page_and_one_line(site, pages):
    assert len(rows()) >= 355
    lines = [link["href"] for link in pages["index.html"].all("a") if link["href"].startswith(("rows/", "studies/", "guides/"))]
    assert len(lines) == len(set(lines)) == len(rows())
    assert {Path(line).stem for line in lines} == {row.slug for row in rows()}
    for row in rows():
        where = next(line for line in lines if Path(line).stem == row.slug)
        assert " ".join(row.title.split()) in pages[where].text, row.slug


def test_the_index_tells_what_the_results_say_and_nothing_of_the_others(site, pages, records):
    text = (site / "index.html").read_text(encoding="utf-8")
    lines = {
        slug: (kind, line)
        for kind, line, slug in re.findall(
            r'<tr role="row" data-n="\d+" class="([^"]*)">((?:(?!</tr>).)*?href="(?:rows|studies|guides)/([^"]*)\.html".*?)</tr>',
            text,
            re.DOTALL,
        )
    }
    assert set(lines) == set(records)
    for slug, record in records.items():
        kind, line = lines[slug]
        assert kind.split()[0] == (record["verdict"] or record["status"]), slug
        if record["verdict"] is None:
            assert "<data" not in line
            assert "spark" not in line
            continue
        values = {float(value) for value in re.findall(r'<data value="([^"]*)"', line)}
        shown = {record["effect"], *record["interval"], record["delta"]}
        assert all(any(value == pytest.approx(each) for value in (*values, *(1 / v for v in values))) for each in shown), slug
        assert record["q"] is None or record["q"] in values
        assert f'data-label="seeds">{record["n"]}<' in line
        assert f'data-label="looks">{record["looks"]}<' in line
        assert ("stale" in line) == bool(record["stale"])
        assert ("carried" in line) == bool(record["carried"])


def test_what_was_not_run_is_said_to_be_no_evidence(pages, records):
    for slug, record in records.items():
        if record["status"] == "catalogued":
            page = pages[f"rows/{slug}.html"]
            assert "Nothing of this paper was run here" in page.text, slug
            assert page.numbers == set(), slug


def test_statistics_are_those_of_the_index(pages, records):
    page = pages["statistics.html"]
    given = [record for record in records.values() if record["verdict"] in BADGES]
    assert f"Verdicts given: {len(given)}. Were there no difference anywhere, at most {0.05 * len(given):.2g} of them" in page.text
    for record in records.values():
        if record["verdict"]:
            shown = {number for number in (record["effect"], record["p"]) if number is not None}
            assert shown <= page.numbers or record["units"].startswith("fold")
        if record["q"] is not None:
            assert record["q"] in page.numbers
    assert f"{sum(bool(r['stale']) for r in records.values())} stale" in page.text
    assert f"{sum(r['looks'] for r in records.values() if r['verdict'])} in all" in page.text


def test_the_timeline_holds_every_paper_twice_and_counts_them(pages):
    page = pages["timeline.html"]
    dots = [a for a in page.all("circle") if a["class"].startswith("paper ")]
    words = [a["class"].removeprefix("paper ") for a in dots]
    atlas = gather()
    for word in {paper.word for paper in atlas.papers}:
        assert words.count(word) - 2 * sum(paper.word == word for paper in atlas.papers) == (
            word in (*VERDICTS, "implemented", "guide", "catalogued")
        )
    assert f"{len(atlas.papers)} ({len(atlas.studied)})" in page.text


def test_a_study_has_its_neighbours_and_its_numbers_to_take_away(pages):
    gathered = {paper.page: paper for paper in gather().studied}
    chain = list(gathered)
    for before, after in itertools.pairwise(chain):
        assert {"rel": "next", "href": f"../{after}"} in pages[before].all("a")
        assert {"rel": "prev", "href": f"../{before}"} in pages[after].all("a")
    for name in chain:
        downloads = [link for link in pages[name].all("a") if "download" in link]
        assert [link["href"].partition(",")[0] for link in downloads] == ["data:text/csv;charset=utf-8"]
        assert "The strongest arm it was set against" in pages[name].text
        assert ("Only the desk scale was run" in pages[name].text) == (len(gathered[name].results) == 1)


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A copy of the committed results, so that a test can change them."""
    shutil.copytree(committed_results(), tmp_path / "results")
    monkeypatch.setenv("NEUROPIL_RESULTS", str(tmp_path / "results"))
    return tmp_path


def test_what_has_not_changed_is_not_written_again(own):
    first = build(own / "site")
    assert first.pages == first.written
    times = {path: path.stat().st_mtime_ns for path in (own / "site").rglob("*.html")}
    assert build(own / "site").written == 0
    assert {path: path.stat().st_mtime_ns for path in (own / "site").rglob("*.html")} == times
    (own / "results" / "ncap-swimmer" / "remarks.md").write_text("Seen since: <it> & more.\n", encoding="utf-8")
    again = build(own / "site")
    assert again.written == 1
    assert "Seen since: &lt;it&gt; &amp; more." in (own / "site" / "studies" / "ncap-swimmer.html").read_text(encoding="utf-8")
    (own / "site" / "timeline.html").write_text("spoiled", encoding="utf-8")
    assert build(own / "site").written == 1
    shutil.rmtree(own / "results" / "ncap-swimmer")
    last = build(own / "site")
    assert last.removed == 1
    assert not (own / "site" / "studies" / "ncap-swimmer.html").exists()
    assert "no verdict yet" in Page(own / "site" / "rows" / "ncap-swimmer.html").text


def test_a_spoiled_study_page_is_written_again(own):
    build(own / "site")
    page = own / "site" / "studies" / "ncap-swimmer.html"
    whole = page.read_text(encoding="utf-8")
    page.write_text(whole[:1000], encoding="utf-8")
    assert build(own / "site").written == 1
    assert page.read_text(encoding="utf-8") == whole


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(AtlasError, match=r"holds files that no `neuropil site` wrote; name a new or empty folder"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    with pytest.raises(AtlasError, match="is a file; --out names the folder"):
        build(tmp_path / "index.html")


def test_the_command_builds_and_says_where(tmp_path):
    def site(out: Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "neuropil", "site", "--out", str(out), "--jobs", "1"], capture_output=True, text=True, check=False
        )

    done = site(tmp_path / "atlas")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{tmp_path / 'atlas' / 'index.html'}\n")
    (tmp_path / "taken").write_text("", encoding="utf-8")
    refused = site(tmp_path / "taken")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "is a file; --out names the folder that the site is written into" in refused.stderr


def test_a_results_ledger_that_was_changed_is_one_sentence(own):
    ledger = own / "results" / "ncap-swimmer" / "ledger.jsonl"
    ledger.write_text(ledger.read_text(encoding="utf-8").replace('"n": 10', '"n": 99'), encoding="utf-8")
    with pytest.raises(AtlasError, match="append-only"):
        build(own / "site")


def test_what_stands_in_the_catalogue_is_text(pages):
    atlas = gather()
    paper = dataclasses.replace(
        atlas.papers[0],
        row=dataclasses.replace(atlas.papers[0].row, title="</script><b>Bold</b> & more"),
        record=atlas.papers[0].record | {"title": "</script><b>Bold</b>"},
    )
    html = index_page(dataclasses.replace(atlas, papers=(paper, *atlas.papers[1:])), place("index.html"))
    assert "<b>Bold" not in html
    assert html.count("</script>") == 3
    assert "\\u003c/script>\\u003cb>Bold" in html


def test_a_stale_result_is_called_stale_at_first_sight():
    atlas = gather()
    paper = atlas.studied[0]
    changed = dataclasses.replace(paper, record=paper.record | {"stale": True, "carried": False})
    papers = tuple(changed if each is paper else each for each in atlas.papers)
    html = index_page(dataclasses.replace(atlas, papers=papers), place("index.html"))
    assert 'class="stale" title="Stale: the code has changed' in html


def test_a_boards_pages_say_which_entries_are_stale(monkeypatch):
    found = results()
    task = next(result for result in found if result["board"] == "rules")
    assert "stale" not in "".join(re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL) for _, page in board_pages())
    task["entries"]["Backprop"]["provenance"]["code"] = "another"
    monkeypatch.setattr("neuropil.atlas.pages.site.board_pages.results", lambda: found)
    pages = dict(board_pages())
    for name in ("boards.html", "boards/rules.html"):
        assert pages[name].count("Stale, to be run again: Backprop (the board&#39;s code has changed).") == 1
    assert pages["boards/rules.html"].count('Backprop <small class="flag">stale</small>') == 1


def test_a_figure_that_fails_is_said_and_drawn_again_the_next_time(own, monkeypatch):
    site, slug, page = own / "site", "ncap-swimmer", own / "site" / "studies" / "ncap-swimmer.html"
    for folder in (own / "results").iterdir():
        if folder.name != slug:
            shutil.rmtree(folder)
    monkeypatch.setattr("neuropil.atlas.pages.figures.kept", lambda path: None)
    figures = find(slug).load().figures
    key = next(iter(figures))

    def fails(table):
        raise ZeroDivisionError("of nothing")

    with monkeypatch.context() as broken:
        broken.setitem(figures, key, ("What it is.", fails))
        built = build(site)
        assert built.undrawn == {slug: [f"{key} (ZeroDivisionError: of nothing)"]}
        assert "What it is. Not drawn: ZeroDivisionError: of nothing" in page.read_text(encoding="utf-8")
        assert (site / "timeline.html").is_file()
    again = build(site)
    assert (again.undrawn, again.written) == ({}, 1)
    assert "Not drawn" not in page.read_text(encoding="utf-8")


def test_the_command_says_which_figures_failed_in_one_sentence(tmp_path, monkeypatch, capsys):
    built = Built(tmp_path / "index.html", 2, 2, 0, {"ncap-swimmer": ["gait (ZeroDivisionError: of nothing)"]})
    monkeypatch.setattr("neuropil.atlas.pages.site.build", lambda *_, **__: built)
    with pytest.raises(SystemExit) as ended:
        main(["site", "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "2 pages, 2 of them written" in said.out
    assert said.err.count("\n") == 1
    assert "ncap-swimmer: gait (ZeroDivisionError: of nothing)" in said.err


def test_related_papers_share_a_tag_and_never_are_the_paper_itself():
    found = related(rows())
    assert set(found) == {row.slug for row in rows()}
    for slug, near in found.items():
        assert slug not in dict(near)
        assert len(near) <= 5
        assert all(shared for _, shared in near)
    assert "sltt" in dict(found["learned-delays-dcls"])


def test_gathering_loads_no_study_and_no_torch():
    code = "from neuropil.atlas.pages.site.gathering import gather; gather(); import sys; print('torch' in sys.modules or any(m.startswith('neuropil.studies') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_whole_site_takes_less_than_twenty_seconds(site, tmp_path):
    began = time.process_time()
    built = build(tmp_path / "site")
    assert time.process_time() - began < 20
    assert built.pages > 355
    made = json.loads((tmp_path / "site" / ".neuropil-site.json").read_text(encoding="utf-8"))["pages"]
    assert set(made) == {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
