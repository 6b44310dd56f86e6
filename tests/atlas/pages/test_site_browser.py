"""The site in headless Chromium: search, filters, addresses, keys, contrast, narrow screens; no page complains. Skipped, in words, without it."""

import pytest

from neuropil.atlas.catalogue import rows
from neuropil.atlas.catalogue.search import search
from neuropil.atlas.index import VERDICTS
from neuropil.atlas.index import index as records

TOP = ("index.html", "timeline.html", "statistics.html", "boards.html", "guides.html")
QUERIES = (
    "catastrophic forgetting",
    "replay in sleep",
    "hipocampus",
    "learned delays",
    "learned-delays-dcls",
    "how do synapses know what to change",
    "backprop alternative",
    "energy efficient spiking hardware",
    "dopmine reward",
    "ForwardForward",
    "memory without old data",
    "grid cells",
    "qqqqzzzz",
    "constructor",
    "the",
    "Müller naïve",
)
CONTRAST = """
function parts(colour) { const c = colour.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; }
function over(top, under) { return [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1); }
function light(c) { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }
const page = parts(getComputedStyle(document.body).backgroundColor), poor = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const el = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || el.closest("script, style, noscript, title, desc, svg.own, .hidden") || !el.getClientRects().length) continue;
  const style = getComputedStyle(el), chain = [];
  for (let e = el; e; e = e.parentElement) chain.unshift(parts(getComputedStyle(e).backgroundColor));
  const ground = chain.reduce((under, top) => over(top, under), page);
  const ink = over(parts(el instanceof SVGElement ? style.fill : style.color), ground);
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${el.tagName}.${el.getAttribute("class")}: ${walk.currentNode.data.trim().slice(0, 40)}`);
}
return poor;
"""
SHOWN = "return Array.from(document.querySelectorAll('#papers tbody tr:not([hidden])'), tr => tr.querySelector('th a').getAttribute('href').replace(/^.*\\/|\\.html$/g, ''))"
READY = "return Boolean(window.neuropil)"


@pytest.fixture
def index(browse, site):
    """The first page, and nothing said on the console until the test ends."""
    browser = browse()
    browser.open(f"{site.as_uri()}/index.html")
    browser.wait(READY)
    yield browser
    assert browser.complaints() == []


@pytest.mark.parametrize("query", QUERIES)
def test_the_page_finds_what_the_command_finds(index, query):
    found = index.run("return window.neuropil.search(arguments[0]).map(hit => [hit[0], hit[1], hit[2]])", query)
    expected = search(query, len(rows()))
    slugs = [row.slug for row in rows()]
    assert {slugs[number] for number, _, _ in found} == {hit.row.slug for hit in expected}
    for (number, score, why), hit in zip(found[:10], expected[:10], strict=True):
        assert score == pytest.approx(hit.score, abs=2e-3)
        assert slugs[number] == hit.row.slug or abs({slugs[n]: s for n, s, _ in found}[hit.row.slug] - score) < 1e-3
        assert slugs[number] != hit.row.slug or set(why.replace("\u2192", "->").split(", ")) == set(hit.why.split(", "))


def test_typing_narrows_the_list_at_once_and_the_address_keeps_it(index):
    assert len(index.run(SHOWN)) == len(rows())
    index.click("#q")
    index.type("dendr")
    some = index.run(SHOWN)
    assert 0 < len(some) < 60
    assert "sdr-active-dendrites" in some
    assert index.run("return document.getElementById('count').textContent") == f"{len(some)} of {len(rows())} papers for \u201cdendr\u201d"
    assert index.url.endswith("index.html#q=dendr")
    index.type("ite")
    assert index.url.endswith("#q=dendrite")
    address = index.url
    kept = index.run(SHOWN)
    index.open(address)
    index.wait(READY)
    assert index.run(SHOWN) == kept
    assert index.run("return document.getElementById('q').value") == "dendrite"
    assert "found by" in index.run("return document.querySelector('#papers tbody tr:not([hidden]) .why').textContent")


def test_filters_count_join_and_clear(index):
    def count(name: str, value: str) -> int:
        return int(
            index.run(
                f"return document.querySelector('input[name={name}][value={value}]').parentElement.querySelector('output').textContent"
            )
        )

    assert count("status", "implemented") + count("status", "guide") + count("status", "catalogued") == len(rows())
    index.click("input[name=family][value=memory]")
    memory = index.run(SHOWN)
    assert sorted(memory) == sorted(row.slug for row in rows() if row.family == "memory")
    assert count("family", "continual") == sum(row.family == "continual" for row in rows())
    index.click("input[name=family][value=continual]")
    both = index.run(SHOWN)
    assert len(both) == count("family", "memory") + count("family", "continual")
    index.click("input[name=tier][value=core]")
    assert sorted(index.run(SHOWN)) == sorted(row.slug for row in rows() if row.family in ("memory", "continual") and row.tier == "core")
    assert index.url.endswith("#tier=core&family=memory,continual")
    assert index.run("return document.getElementById('active').textContent") == "(3)"
    index.click("#clear")
    assert len(index.run(SHOWN)) == len(rows())
    assert index.url.endswith("index.html")
    assert index.run("return document.activeElement.id") == "q"


def test_orders(index):
    words = index.run("return Array.from(document.querySelectorAll('#papers tbody tr'), tr => tr.classList[0])")
    order = [*VERDICTS, "implemented", "guide", "catalogued"]
    assert words == sorted(words, key=order.index)
    index.run("const s = document.getElementById('sort'); s.value = 'newest'; s.dispatchEvent(new Event('change'))")
    years = {row.slug: row.year for row in rows()}
    newest = [years[slug] for slug in index.run(SHOWN)]
    assert newest == sorted(newest, reverse=True)
    assert index.url.endswith("#sort=newest")
    index.run("location.hash = '#sort=quick'")
    index.wait("return document.getElementById('sort').value === 'quick'")
    minutes = {record["slug"]: record["core_minutes"] for record in records()}
    taken = [minutes[slug] for slug in index.run(SHOWN)]
    run = [value for value in taken if value is not None]
    assert run == sorted(run)
    assert taken[len(run) :] == [None] * (len(rows()) - len(run))


def test_an_address_with_something_unknown_says_so_and_shows_the_rest(browse, site):
    browser = browse()
    browser.open(f"{site.as_uri()}/index.html#verdict=suported,reversed&colour=red&sort=best")
    browser.wait(READY)
    note = browser.run("const n = document.getElementById('note'); return n.hidden ? '' : n.textContent")
    assert note.startswith(
        "The address asks for what this page does not know, which was left out: verdict \u201csuported\u201d (there are supported, "
    )
    assert "a filter \u201ccolour\u201d (there are status, " in note
    assert "the order \u201cbest\u201d" in note
    words = browser.run("return Array.from(document.querySelectorAll('#papers tbody tr:not([hidden])'), tr => tr.className)")
    assert set(words) == {"reversed"}
    browser.open(f"{site.as_uri()}/index.html#q=qqqqzzzz")
    browser.wait(READY)
    assert browser.run("return !document.getElementById('none').hidden && document.getElementById('papers').hidden")
    browser.click("#clear-too")
    assert len(browser.run(SHOWN)) == len(rows())
    assert browser.complaints() == []


def test_keys_walk_and_open(index, site):
    focus = "return document.activeElement.id || document.activeElement.getAttribute('href')"
    index.type("/")
    assert index.run(focus) == "q"
    assert index.run("return document.getElementById('q').value") == ""
    index.type("pruning plasticity")
    first, second = index.run(SHOWN)[:2]
    assert first == "granet-neuroregeneration"
    index.type("<ArrowDown><ArrowDown>")
    assert second in index.run(focus)
    outlined = "const s = getComputedStyle(document.activeElement.closest('tr')); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2"
    assert index.run(outlined)
    index.type("<ArrowUp>")
    assert first in index.run(focus)
    index.type("<ArrowUp>")
    assert index.run(focus) == "q"
    index.type("<ArrowDown><Escape>")
    assert index.run(focus) == "q"
    index.type("<Enter>")
    index.wait("return document.readyState === 'complete' && location.pathname.endsWith('/studies/granet-neuroregeneration.html')")
    assert index.run("return document.querySelector('.badge strong').textContent") == "Negligible at desk scale"
    index.run("history.back()")
    index.wait("return Boolean(window.neuropil) && document.getElementById('q').value === 'pruning plasticity'")
    index.click("#q")
    index.type("<Escape>")
    assert len(index.run(SHOWN)) == len(rows())


def test_the_first_tab_skips_to_the_content(index):
    index.type("<Tab>")
    assert index.run("return document.activeElement.textContent") == "Skip to the content"
    assert index.run("return document.activeElement.getBoundingClientRect().left") >= 0
    index.type("<Enter><Tab>")
    assert index.run("return document.activeElement.closest('main') !== null")


def test_without_a_mouse_every_control_shows_its_focus(index):
    index.click("#q")
    for _ in range(12):
        index.type("<Tab>")
        assert index.run("const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none'"), index.run(
            "return document.activeElement.outerHTML.slice(0, 200)"
        )


def some_pages(site) -> list[str]:
    named = [path.relative_to(site).as_posix() for path in sorted(site.glob("*/*.html"))]
    return [*TOP, *(name for name in named if not name.startswith("rows/")), *[name for name in named if name.startswith("rows/")][::60]]


def test_no_page_complains_or_asks_the_network(browse, site):
    browser = browse()
    for name in some_pages(site):
        browser.open(f"{site.as_uri()}/{name}")
        assert browser.run("return performance.getEntriesByType('resource').map(e => e.name)") == [], name
        assert browser.complaints() == [], name


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_their_ground(browse, site, dark):
    browser = browse(dark=dark)
    drawn = [name for name in some_pages(site) if not name.startswith("rows/")]
    for name in (*drawn, "rows/sltt.html"):
        browser.open(f"{site.as_uri()}/{name}")
        assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") == dark
        assert browser.run(CONTRAST) == [], name


def test_no_page_is_wider_than_a_phone(browse, site):
    browser = browse(390)
    for name in some_pages(site):
        browser.open(f"{site.as_uri()}/{name}")
        assert browser.run("return document.documentElement.scrollWidth") <= 390, name
    browser.open(f"{site.as_uri()}/index.html")
    browser.wait(READY)
    assert browser.run("return document.getElementById('filters').open") is False
    small = "return Array.from(document.querySelectorAll('#q, #sort, .tally a, summary'), e => e.getBoundingClientRect().height).filter(h => h < 24)"
    assert browser.run(small) == []


def test_numbers_are_taken_away_as_csv(browse, site):
    browser = browse()
    browser.open(f"{site.as_uri()}/studies/hlop-snn-continual.html")
    link = browser.run(
        "const a = document.querySelector('a[download]'); return [a.download, decodeURIComponent(a.href.slice(a.href.indexOf(',') + 1))]"
    )
    assert link[0] == "hlop-snn-continual-seeds.csv"
    assert link[1].startswith("arm,seed,")
    assert len(link[1].splitlines()) > 80
