"""Report pages: well-formed, self-contained, deterministic; every word renders; every number shown is the result's; nothing typed is HTML."""

import copy
import csv
import importlib.util
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from neuropil.atlas import AtlasError, Contrast, Curve, Dose, Gate, Lesion, Matrix, Metric, Off, Study, Table
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.conduct.registration import Registration
from neuropil.atlas.conduct.result import assemble, per_seed_csv
from neuropil.atlas.pages.beside import strongest
from neuropil.atlas.pages.canvas import Scale
from neuropil.atlas.pages.figures import figures_of
from neuropil.atlas.pages.report import render, render_tour, table_of, write
from neuropil.atlas.pages.wording import decimals, probability, text_of

ROOT = Path(__file__).resolve().parents[3]
VOID = {"meta", "br", "link", "img", "input", "hr"}
ROW = {"title": "A title & more", "year": 2024, "authors": ["Ada One", "Bo Two"]}
BIBTEX = "@article{toy2024,\n  title = {A <title>},\n  journal = {arXiv preprint arXiv:2306.17670},\n}"
TUNING = {
    "space": {"lr": [0.001, 0.01]},
    "on": "accuracy",
    "seeds": [1000, 1001],
    "trials": [
        {"arm": "with", "point": {"lr": 0.01}, "values": [0.5, 0.7]},
        {"arm": "with", "point": {"lr": 0.001}, "values": [0.5, None]},
    ],
    "chosen": {"with": {"lr": 0.01}},
}


class Page(HTMLParser):
    """Reads a page, insists on balanced tags, and keeps what tests ask for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.data: list[tuple[float, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)
        if self.open and self.open[-1] == "data":
            self.data.append((float(self.tags[-1][1]["value"]), data))

    def note(self, tag, attributes):
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words)).replace("\u00a0", " ").replace("\u202f", " ")

    @property
    def numbers(self) -> list[float]:
        return [value for value, _ in self.data]


def toy(fidelity="paper", dose=0.5, **changes) -> Study:
    study = Study(
        slug="toy-study",
        cites="toy2024",
        fidelity=fidelity,
        scale="proxy",
        claim="With <b>it</b> beats without & more.",
        arms={"with": {"gain": 1.0}, "without": {"gain": 0.0}, "cut": {"gain": 0.0}, "off": {"gain": 0.0}},
        metrics={
            "accuracy": Metric("share correct", ceiling=1.0, label="test accuracy"),
            "moved": Metric("bins"),
            "reach": Metric("steps", kind="steps", cap=5000, better="lower", label="steps to 80 %"),
            "won": Metric("share of seeds", kind="success"),
        },
        dose=Dose("moved", dose),
        gate=Gate("It can show the effect.", "without.accuracy >= 0.5"),
        lesion=Lesion("cut", on="moved"),
        off=Off("off", "without"),
        budgets={key: {"epochs": 3} for key in ("smoke", "glance", "desk")},
        distance="Other <data>.",
        data={},
        paper={"value": 95.07, "units": "% on SHD"},
        **{
            "primary": Contrast("with", "without", on="accuracy", delta=0.02, match="parameters"),
            "secondary": (Contrast("with", "cut", on="reach", delta=1.25, why="<nothing> can be"),),
            **changes,
        },
    )

    @study.figure("inside", "What is <inside>.")
    def inside(table):
        from matplotlib.figure import Figure

        figure = Figure()
        axes = figure.subplots()
        curve = table.curves("with", "learning")[0]
        axes.plot(curve.x, curve.y, color="black", label="first seed")
        axes.imshow(table.matrix("with", "weights").values, extent=(0, 1, 0, 1), aspect="auto")
        axes.legend()
        return figure

    return study


def outcomes(gain: float, noise: float, n: int, *, never: bool = False) -> dict[str, list[dict]]:
    made: dict[str, list[dict]] = {}
    for place, (arm, strength) in enumerate({"with": 1.0, "without": 0.0, "cut": 0.0}.items()):
        rng = np.random.default_rng(place)
        shared = np.random.default_rng(9).normal(0.8, 0.01, n)
        made[arm] = [
            {
                "accuracy": float(shared[i] + gain * strength + noise * rng.normal()),
                "moved": float(strength + 0.01 * rng.random()),
                "reach": math.inf
                if never and arm == "cut" and i < 2
                else float(1000 / (1 + 0.4 * strength) * math.exp(0.1 * rng.normal())),
                "won": float(rng.random() < 0.3 + 0.6 * strength),
                "parameters": 21504.0,
                "learning": Curve([1, 2, 3], [0.1, 0.5 + gain * strength, shared[i]], "epoch", "test accuracy"),
                "weights": Matrix([[0.0, 1.0], [float(i), 2.0]], "unit", "input"),
            }
            for i in range(n)
        ]
    return made


def result_of(study, tmp_path, *, gain=0.03, noise=0.002, n=10, reached=0.95, registered=True, arms=None, never=False) -> dict:
    """A result as ``run`` assembles it, then through JSON as it lies on disk."""
    file = tmp_path / "toy_study.py"
    file.write_text("study = None\n", encoding="utf-8")
    seeds = list(range(n))
    made = outcomes(gain, noise, n, never=never)
    table = Table(seeds, {arm: made[arm] for arm in arms or made})
    smoked = Table([0], {"without": made["without"][:1], "off": made["without"][:1]}) if registered else None
    power = {"wanted": 0.9, "reached": reached, "from_seeds": list(range(1100, 1110))}
    power["contrasts"] = [{"contrast": "with > without", "spread": 0.0123, "n": n, "power": reached, "delta_checked": "2 standard errors"}]
    registration = (
        Registration(1, "desk", {"power": power, "amends": ""}, "ab" * 32, seeds, "2026-05-01T10:00:00+00:00") if registered else None
    )
    seconds = {arm: [1.5] * n for arm in table.arms}
    found = assemble(Source("toy-study", file), study, "desk" if registered else "glance", table, seconds, smoked, {}, registration)
    if registered:
        found["looks"] = {"this": 1, "of": 1}
    return json.loads(json.dumps(found, allow_nan=False))


def page_of(result, study=None, **given) -> Page:
    return Page(render(result, study=study, **({"row": ROW, "bibtex": BIBTEX, "ledger": [], "tuning": TUNING} | given)))


WORDS = {
    "supported": {"gain": 0.03},
    "negligible": {"gain": 0.001},
    "reversed": {"gain": -0.03},
    "undecided": {"gain": 0.02, "noise": 0.05},
    "descriptive": {"reached": 0.5},
}


@pytest.mark.parametrize("word", [*WORDS, "unverifiable", "exploratory"])
def test_every_word_stands_in_words_with_its_scale(tmp_path, word):
    study = toy(fidelity="unverifiable" if word == "unverifiable" else "paper")
    result = result_of(study, tmp_path, **WORDS.get(word, {}), registered=word != "exploratory")
    assert (result["verdict"] or {"word": "exploratory"})["word"] == word
    text = page_of(result, study).text
    assert f"{word.capitalize()} at {result['budget']['name']} scale" in text
    assert not re.search(r"\bfalse\b(?!-)", text.lower())
    if word in ("negligible", "reversed"):
        assert "was not seen here" in text
    if word == "exploratory":
        assert "it has no verdict" in text
        assert "Set by hand" not in text
        assert "Set by hand: budget.epochs = 5." in page_of(result | {"set": {"budget.epochs": 5}}, study).text
    if word == "descriptive":
        assert "No verdict is given, because: power: 50.0 % at 10 seeds, under 80 %" in text


def test_our_reading_is_called_ours(tmp_path):
    study = toy(fidelity="reconstructed")
    assert "Our reading of the claim holds here" in page_of(result_of(study, tmp_path), study).text
    assert "Our reading" not in page_of(result_of(toy(), tmp_path), toy()).text


def test_a_claim_of_no_difference_reads_the_other_way(tmp_path):
    study = toy(primary=Contrast("with", "without", on="accuracy", delta=0.02, match="parameters", relation="equal"))
    result = result_of(study, tmp_path, gain=0.03)
    assert result["verdict"]["word"] == "reversed"
    assert "Unlike in the claim, a difference that matters was seen here" in page_of(result, study).text


def test_numbers_on_the_page_are_those_of_the_result(tmp_path):
    study = toy()
    result = result_of(study, tmp_path, never=True)
    page = page_of(result, study)
    primary = result["contrasts"][0]
    for value in (primary["effect"], *primary["interval"], *primary["prediction"]["interval"], primary["delta"], primary["p"]):
        assert value in page.numbers
    assert 100 * primary["gap_closed"] in page.numbers
    assert result["contrasts"][1]["p_holm"] in page.numbers
    for arm, record in result["arms"].items():
        values = record["metrics"]["accuracy"]
        assert math.fsum(values) / len(values) in page.numbers, arm
        assert record["cost"]["parameters"] in page.numbers
    for value, written in page.data:
        if written[0] not in "<n":
            shown = float(written.replace("\u2212", "-").replace(",", ""))
            assert shown == pytest.approx(value, rel=0.06, abs=1e-12)
    for words in (
        "95.07 % on SHD",
        "look 1 of 1",
        "unmatched: <nothing> can be",
        "parameters within 5 %",
        "Other <data>.",
        "2 of 10 never",
    ):
        assert words in page.text


def test_ratios_are_shown_for_steps(tmp_path):
    study = toy(primary=Contrast("with", "without", on="reach", delta=1.25, match="parameters"), secondary=())
    result = result_of(study, tmp_path)
    page = page_of(result, study)
    ratio = math.exp(result["contrasts"][0]["effect"])
    assert ratio in page.numbers
    assert f"{ratio:.2f} × fewer" in page.text
    assert math.exp(result["contrasts"][0]["interval"][0]) in page.numbers


def test_successes_are_counted(tmp_path):
    study = toy(primary=Contrast("with", "without", on="won", delta=0.3, match="parameters"), secondary=())
    result = result_of(study, tmp_path)
    wins = sum(result["arms"]["with"]["metrics"]["won"])
    assert f"{wins:.0f} of 10" in page_of(result, study).text


def test_one_seed_and_missing_arms_still_make_a_page(tmp_path):
    study = toy()
    assert "one seed, so no interval" in page_of(result_of(study, tmp_path, n=1, registered=False), study).text
    alone = page_of(result_of(study, tmp_path, n=3, registered=False, arms=["without"]), study).text
    assert "No contrast was run" in alone
    assert "Not drawn: this run holds no with" in alone


def test_a_page_is_well_formed_self_contained_and_escaped(tmp_path):
    study = toy()
    html = render(result_of(study, tmp_path), study=study, row=ROW, bibtex=BIBTEX, ledger=[], tuning=TUNING)
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    named = [name for _, attributes in page.tags for name in (attributes.get("aria-labelledby") or "").split()]
    used = [v.removeprefix("#") for _, a in page.tags if (v := a.get("href") or "").startswith("#")] + re.findall(r"url\(#([^)]+)\)", html)
    assert set(named) | set(used) <= set(page.ids)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")) or (tag == "a" and name == "href")
    assert "@import" not in html
    assert "url(http" not in html
    assert "<b>it</b>" not in html
    assert "With <b>it</b> beats without & more." in page.text
    assert {a["href"] for t, a in page.tags if t == "a" and a["href"].startswith("http")} == {"https://arxiv.org/abs/2306.17670"}
    assert [t for t, _ in page.tags].count("h1") == 1
    assert all("aria-hidden" in a or "aria-labelledby" in a for t, a in page.tags if t == "svg")


def test_the_same_result_gives_the_same_bytes(tmp_path):
    study = toy()
    result = result_of(study, tmp_path)
    first, second = (render(copy.deepcopy(result), study=study, row=ROW, bibtex=BIBTEX, ledger=[]) for _ in range(2))
    assert first == second
    write(tmp_path / "deep" / "page.html", first)
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8") == first


def test_own_figures_follow_the_page(tmp_path):
    study = toy()
    html = render(result_of(study, tmp_path), study=study, row=None, bibtex="", ledger=[])
    svg = html[html.index('class="own"') :].partition("</svg>")[0]
    assert "currentColor" in svg
    assert not re.search(r"#000000|#0a0b0c|<metadata|DejaVu", svg)


def test_the_csv_link_holds_every_number(tmp_path):
    result = result_of(toy(), tmp_path, never=True)
    link = next(a["href"] for t, a in page_of(result).tags if t == "a" and a["href"].startswith("data:"))
    text = unquote(link.partition(",")[2])
    assert text == per_seed_csv(result)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 30
    assert float(rows[0]["accuracy"]) == result["arms"]["with"]["metrics"]["accuracy"][0]


def test_a_table_is_rebuilt_with_curves_matrices_and_runs_that_never_got_there(tmp_path):
    made, table = outcomes(0.03, 0.002, 10, never=True), table_of(result_of(toy(), tmp_path, never=True))
    assert table.arms == ["with", "without", "cut"]
    assert table.values("cut", "reach")[:2] == [math.inf, math.inf]
    assert table.values("with", "accuracy") == [row["accuracy"] for row in made["with"]]
    assert table.curves("with", "learning") == [row["learning"] for row in made["with"]]
    assert table.matrix("with", "weights") == made["with"][0]["weights"]
    with pytest.raises(AtlasError, match="not a result of neuropil"):
        table_of({"arms": 3})


def test_curves_of_unequal_length_are_not_called_a_mean(tmp_path):
    result = result_of(toy(), tmp_path)
    assert "Mean over 10 seeds" in page_of(result).text
    for arm in result["arms"].values():
        for seed, curve in enumerate(arm["curves"].get("learning", [])):
            curve["curve"] = [part[: len(part) - seed % 2] for part in curve["curve"]]
    text = page_of(result).text
    assert "Learning. One line a seed; seeds differ in length." in text


def test_looks_and_ledger_count_what_came_later(tmp_path):
    ledger = Ledger(tmp_path)
    for numbers in ("a" * 64, "b" * 64):
        ledger.append("started", registration=1)
        ledger.append("finished", registration=1, numbers=numbers)
    ledger.append("failed", registration=1, reason="<it> broke")
    text = page_of(result_of(toy(), tmp_path), ledger=ledger.entries()).text
    assert "look 1 of 2" in text
    assert "<it> broke" in text


def test_the_tour_shows_glances_and_committed_verdicts(tmp_path):
    study = toy()
    glance, desk = result_of(study, tmp_path, n=3, registered=False, arms=["with", "without"]), result_of(study, tmp_path)
    other = glance | {"slug": "other"}
    page = Page(render_tour([(glance, study, ROW, desk), (other, None, None, None)]))
    assert len(page.ids) == len(set(page.ids))
    assert page.text.count("Exploratory at glance scale") == 2
    assert page.text.count("Supported at desk scale") == 1
    assert "No registered verdict yet" in page.text
    assert desk["contrasts"][0]["effect"] in page.numbers


@pytest.mark.parametrize(
    ("value", "places", "written"),
    [(0.03456, 3, "0.035"), (-0.0001, 2, "0.00"), (-1234.5, 1, "\u22121,234.5"), (21504.0, None, "21,504"), (0.12345, None, "0.1235")],
)
def test_numbers_are_written_as_expected(value, places, written):
    assert text_of(value, places) == written


def test_digits_follow_the_interval():
    assert [decimals(v) for v in (0.0123, 0.5, 3.0, 40.0, 0.0)] == [3, 2, 1, 0, 3]
    assert "&lt; 0.0001" in probability(3e-9)
    assert ">0.031<" in probability(0.0312)


@pytest.mark.parametrize(
    ("low", "high", "log"), [(-0.04, 0.05, False), (0, 1e6, False), (0.7, 2.2, True), (0.9, 1.1, True), (0.01, 300, True)]
)
def test_ticks_are_few_inside_and_increasing(low, high, log):
    scale = Scale(low, high, 0, 100, log)
    ticks = scale.ticks(8)
    assert 2 <= len(ticks) <= 11
    assert ticks == sorted(set(ticks))
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert 0 - 1e-6 <= scale(ticks[0]) < scale(ticks[-1]) <= 100 + 1e-6


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("neuropil_docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_generated_and_checked(tmp_path, generate, capsys):
    readme = tmp_path / "README.md"
    arguments = ["--root", str(tmp_path)]
    (tmp_path / "docs" / "examples").mkdir(parents=True)
    (tmp_path / "docs" / "examples" / "sparse_expansion.py").write_text("study = 1\n", encoding="utf-8")
    (tmp_path / "CONTRIBUTING.md").write_text("<!-- example:start -->\n<!-- example:end -->\n", encoding="utf-8")
    speed = tmp_path / "docs" / "speed.md"
    speed.write_text("<!-- measured:start -->\n<!-- measured:end -->\n", encoding="utf-8")
    readme.write_text("no markers\n", encoding="utf-8")
    assert generate.main(arguments) == 1
    assert "lacks the markers" in capsys.readouterr().err
    readme.write_text("before\n<!-- verdicts:start -->\n<!-- verdicts:end -->\nafter\n", encoding="utf-8")
    assert generate.main(arguments) == 0
    assert "No study has a committed result yet." in readme.read_text(encoding="utf-8")
    assert "No benchmark has been saved yet." in speed.read_text(encoding="utf-8")
    study = toy()
    for slug, settings in {"toy-study": {}, "a-second": WORDS["reversed"]}.items():
        result = result_of(study, tmp_path, **settings) | {"slug": slug}
        folder = tmp_path / "results" / slug
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        assert generate.main([*arguments, "--check"]) == 1
        assert "Out of date: README.md" in capsys.readouterr().err
        assert generate.main(arguments) == 0
        assert generate.main([*arguments, "--check"]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert "study = 1\n```" in (tmp_path / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert text.endswith("after\n")
    assert "**supported** at desk scale" in text
    assert "**reversed** at desk scale" in text
    assert "<b>it" not in text
    for theme in generate.THEMES:
        svg = (tmp_path / "docs" / "figures" / f"verdicts-{theme}.svg").read_text(encoding="utf-8")
        Page(svg)
        assert "reversed at desk scale" in svg
        assert generate.picture(generate.committed(tmp_path / "results"), theme) == svg


def test_remarks_are_shown_and_escaped(tmp_path):
    text = page_of(result_of(toy(), tmp_path), remarks="Seen later: <b>less</b> than it seemed.").text
    assert "Remarks added after the run" in text
    assert "<b>less</b> than it seemed" in text


def again(result, number, *, budget="desk", amends="", effect=None):
    """The same result under another registration."""
    other = copy.deepcopy(result)
    other["registration"] |= {"number": number, "amends": amends}
    other["budget"]["name"] = budget
    if effect is not None:
        primary = other["contrasts"][0]
        moved = effect - primary["effect"]
        primary |= {"effect": effect, "interval": [v + moved for v in primary["interval"]]}
    return other


def test_the_papers_value_stands_beside_ours(tmp_path):
    result = result_of(toy(), tmp_path)
    text = page_of(result).text
    assert "The paper 95.07 % on SHD as it reports" in text
    assert "share correct test accuracy of with, desk scale, n = 10" in text
    assert "records no number of the paper's" in page_of(result | {"paper": {}}).text


def test_the_strongest_arm_it_was_set_against_is_the_best_control(tmp_path):
    result = result_of(
        toy(secondary=(Contrast("with", "cut", on="accuracy", delta=0.02, match="parameters"),)),
        tmp_path,
        never=True,
    )
    table = table_of(result)
    best = max(("without", "cut"), key=lambda arm: math.fsum(table.values(arm, "accuracy")))
    (found,) = strongest(result, table, lesion=None)
    assert (found["arm"], found["among"], found["mechanism"]) == (best, 2, "with")
    assert found["shown"].plain["b"] == best
    (without_lesion,) = strongest(result, table, lesion="cut")
    assert (without_lesion["arm"], without_lesion["among"]) == ("without", 1)
    assert "without, the only one on test accuracy, lesions left out" in page_of(result, lesion="cut").text
    assert "It was picked as the best after the run" in page_of(result).text


def test_where_lower_is_better_the_strongest_is_the_lowest(tmp_path):
    study = toy(
        primary=Contrast("with", "without", on="reach", delta=1.25, match="parameters"),
        secondary=(Contrast("with", "cut", on="reach", delta=1.25, match="parameters"),),
    )
    result = result_of(study, tmp_path)
    table = table_of(result)
    (found,) = strongest(result, table, lesion=None)
    assert found["arm"] == min(("without", "cut"), key=lambda arm: math.fsum(table.values(arm, "reach")))


def test_one_scale_is_said_to_be_one_and_several_are_set_side_by_side(tmp_path):
    result = result_of(toy(), tmp_path)
    assert "Only the desk scale was run, once." in page_of(result).text
    others = [again(result, 2, budget="full", amends="A larger net.", effect=-0.011), again(result, 3, effect=0.4)]
    page = page_of(result, others=others)
    assert "3 registered effects at desk and full scale, below." in page.text
    assert "A larger net." in page.text
    assert {-0.011, 0.4} <= set(page.numbers)
    assert len(page.ids) == len(set(page.ids))
    assert "Only the desk scale" not in page.text


def test_a_page_in_a_site_has_its_place(tmp_path):
    near = {
        "title": "A <near> one",
        "by": "B 2020",
        "link": "../rows/near.html",
        "word": "catalogued",
        "said": "catalogued only",
        "why": "replay",
    }
    site = {
        "root": "../",
        "here": "studies/x.html",
        "section": "index.html",
        "pages": [("index.html", "Papers")],
        "css": "",
        "tags": [("memory", "../index.html#family=memory")],
    }
    site |= {
        "related": [near],
        "mentioned": [("A guide", "../guides/g.html")],
        "neighbours": [("next", "After", near)],
        "neighbours_label": "Neighbours",
    }
    page = page_of(result_of(toy(), tmp_path), site=site)
    assert "A <near> one" in page.text
    assert {a["href"] for t, a in page.tags if t == "a"} >= {
        "../index.html",
        "../rows/near.html",
        "../guides/g.html",
        "../index.html#family=memory",
    }
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("standing", ["fresh", "carried", "stale"])
def test_a_page_of_its_own_says_whether_its_code_is_still_that_of_the_result(tmp_path, standing):
    page = page_of(result_of(toy(), tmp_path), standing=standing)
    assert ("Carried: the code has changed" in page.text) == (standing == "carried")
    assert ("Stale: the code has changed" in page.text) == (standing == "stale")


@pytest.fixture
def figured(tmp_path, monkeypatch):
    """A study of the user's own with a figure that counts how often it is drawn."""
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mini.py"
    file.write_text("study = 1\n", encoding="utf-8")
    drawn = []
    study = toy()

    @study.figure("counted", "Drawn.")
    def counted(table):
        from matplotlib.figure import Figure

        drawn.append(len(table.arms))
        return Figure()

    monkeypatch.setattr(Source, "load", lambda source: study)
    table = table_of(result_of(study, tmp_path))

    def figures(code="c0de", result=b"{}"):
        return figures_of(Source("mini", file), code, result, lambda: table, "s")

    return figures, drawn, tmp_path / "cache" / "figures"


def test_figures_are_drawn_again_when_code_or_result_changed_and_else_kept(figured):
    figures, drawn, _ = figured
    first = figures()
    assert figures() == first
    assert len(drawn) == 1
    assert [figure["caption"] for figure in first] == ["What is <inside>.", "Drawn."]
    assert "<svg" in figures()[1]["svg"].__html__()
    figures(code="0ther")
    figures(code="0ther", result=b"{ }")
    assert len(drawn) == 3


def test_torn_figures_are_drawn_again(figured):
    figures, drawn, folder = figured
    first = figures()
    (path,) = folder.iterdir()
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    assert figures() == first
    assert len(drawn) == 2


def test_a_study_that_cannot_be_loaded_still_has_a_page(figured, monkeypatch):
    figures, _, _ = figured

    def refuse(source):
        raise AtlasError("mini.py needs mujoco, which is not installed.")

    monkeypatch.setattr(Source, "load", refuse)
    assert figures() == [{"svg": "", "caption": "The study's own figures are not drawn: mini.py needs mujoco, which is not installed."}]
