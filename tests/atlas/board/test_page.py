"""A board as a page and on the command line: what it says, and that it says it well-formed."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from rich.console import Console

from neuropil.atlas import AtlasError
from neuropil.atlas.board.layout import overview, ranking, remarks
from neuropil.atlas.board.result import results
from neuropil.atlas.files import committed_results
from neuropil.atlas.pages.board import board_css, render_board, render_page
from neuropil.atlas.pages.board_charts import cost_chart

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Tree(HTMLParser):
    """Tags that do not close, and ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def neuropil(*words: str, cwd=None, columns: int = 100, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neuropil", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"COLUMNS": str(columns), "NO_COLOR": "1", **environment},
    )


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*</style>", " ", html, flags=re.DOTALL)).split())


def test_page_is_well_formed_and_says_what_a_board_may_say(bench):
    found = [bench.run(task)[0] for task in ("easy", "pool")]
    html = render_page(found)
    assert html == render_page(json.loads(json.dumps(found)))
    tree = Tree(html)
    assert not tree.wrong
    assert not tree.open
    assert len(tree.ids) == len(set(tree.ids))
    said = text_of(html)
    assert said.count("no verdict is given") == 2
    assert not re.search(r"\b(supported|negligible|reversed|undecided)\b", said)
    assert "strong is ahead of all others, beyond chance." in said
    assert "ranks are not averaged over tasks" in said
    assert "http:" not in html
    assert "https:" not in html


def test_every_number_of_a_block_is_the_results(bench):
    result, _ = bench.run()
    block = render_board(result)
    for name, entry in result["entries"].items():
        assert name in block
        assert f"{entry['mean']:.2f}" in text_of(block)
    assert "Any of" not in block
    assert ".board" in str(board_css())


def test_what_cannot_be_told_apart_is_said_so(bench):
    for name in ("strong", "middle", "weak"):
        bench.part(name, "STRENGTH = 0.5\n")
    result, _ = bench.run()
    assert "No entry can be told from the best." in text_of(render_board(result))
    bench.part("none", "STRENGTH = -0.01\n")
    block = text_of(render_board(bench.run()[0]))
    assert "not told from chance" in block
    assert "Any of" in block
    assert "1 entry is surely behind some other." in block


def test_optima_at_an_end_and_carried_numbers_are_named(bench):
    bench.part("late", "STRENGTH = 0.4\nRATE = 0.5\n")
    bench.run()
    bench.part("weak", "STRENGTH = 0.2 / 2\n")
    said = text_of(render_board(bench.run()[0]))
    assert "Tuned to an end of the grid, where more might be won: late." in said
    assert "The code of weak changed since without moving the numbers of a smoke run." in said


def test_page_and_terminal_say_the_same_of_carried_numbers_versions_and_stale_entries(bench):
    bench.run()
    bench.part("weak", "STRENGTH = 0.2 / 2\n")
    result, _ = bench.run()
    result["entries"]["weak"]["provenance"]["versions"]["torch"] = "1.0.0"
    old = {"strong": "its own code or settings have changed", "new": "it is new and was not run yet"}
    page, terminal = text_of(render_page([result], old={"easy": old})), remarks(result, old).plain
    for said in (
        "The code of weak changed since without moving the numbers of a smoke run.",
        "Entries ran under different versions of torch:",
        "1.0.0 weak",
        "Stale, to be run again: strong (its own code or settings have changed).",
        "To be run: new (it is new and was not run yet).",
    ):
        assert said in page
        assert said in terminal
    assert page.count("strong stale") == 1
    assert "stale" not in text_of(render_page([result])).lower()


def test_page_and_terminal_show_who_refuses(bench):
    bench.change(
        'grid={"lr"',
        'refuses=lambda entry, task: "weak needs a pool" if entry.settings["part"] == "weak" and task == "easy" else None,\n    grid={"lr"',
    )
    results = [bench.run(task)[0] for task in ("easy", "pool")]
    page = text_of(render_page(results))
    assert "weak was not run: weak needs a pool." in page
    assert "weak was not run: weak needs a pool." in remarks(results[0], {}).plain
    assert "weak refuses 1" in page  # the overview: refused in easy, first in pool
    console = Console(width=140, record=True, file=io.StringIO())
    for grid in (ranking(results[0], 140, {}), overview(results)):
        console.print(grid)
    rows = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "weak refuses" in rows
    assert any(row.startswith("weak refuses 1") for row in rows)


def test_names_in_the_cost_chart_do_not_meet(bench):
    for k in range(12):
        bench.part(f"part_number_{k}", f"STRENGTH = {0.5 + 0.001 * k}\n")
    result, _ = bench.run(seeds=[0, 1])
    svg = str(cost_chart(result, {name: 1.0 + 0.01 * k for k, name in enumerate(result["entries"])}, "cost", "x", width=344))
    spots = [(float(x), float(y)) for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="name"', svg)]
    assert spots
    assert len(set(spots)) == len(spots)
    for name in result["entries"]:
        assert f"<title>{name}:" in svg


def test_something_else_is_refused():
    with pytest.raises(AtlasError, match="not a result of a board"):
        render_board({"slug": "learned-delays-dcls"})


def test_committed_results_have_pages():
    for result in results():
        tree = Tree(render_page([result]))
        assert not tree.wrong
        assert len(tree.ids) == len(set(tree.ids))


def test_command_runs_shows_and_writes(bench):
    folder = bench.file.parent
    cache = str(folder / "cache")
    none = neuropil("board", "mini.py", cwd=folder, NEUROPIL_CACHE=cache)
    assert none.returncode == 1
    assert "has no committed result yet; run it with `neuropil board mini.py --run`" in none.stderr
    ran = neuropil("board", "mini.py", "--run", "--jobs", "1", "--out", "page.html", cwd=folder, NEUROPIL_CACHE=cache)
    assert ran.returncode == 0, ran.stderr
    assert (folder / "results" / "boards" / "mini" / "easy.json").exists()
    assert "gives no verdict" in ran.stdout
    assert (folder / "page.html").read_text().startswith("<!doctype html>")
    shown = neuropil("board", "mini.py", "--task", "easy", "--json", "easy.json", cwd=folder, columns=60, NEUROPIL_CACHE=cache)
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 60
    assert [entry["rank"] for entry in json.loads((folder / "easy.json").read_text())["entries"].values()] == [1, 2, 3]
    bench.part("weak", "STRENGTH = 0.95\n")
    stale = neuropil("board", "mini.py", "--task", "easy", cwd=folder, NEUROPIL_CACHE=cache)
    assert "Stale, to be run again: weak (its own code or settings have changed)." in stale.stdout
    explored = neuropil("board", "mini.py", "--task", "easy", "--seeds", "0:2", "--jobs", "1", cwd=folder, NEUROPIL_CACHE=cache)
    assert "exploratory" in explored.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["cels"], "There is no board 'cels'; did you mean 'cells'?"),
        (["nowhere.py"], "There is no file nowhere.py"),
        (["cells", "--task", "adding"], "has no task 'adding'; did you mean 'adding-problem'?"),
        (["cells", "--task", "adding-problem", "--entries", "LIFF"], "has no entry 'LIFF'; did you mean 'LIF'?"),
        (["cells", "--task", "adding-problem", "--seeds", "4294967296"], "--seeds takes seeds from 0 to 4294967295"),
        (["cells", "--task", "adding-problem", "--seeds", "few"], "names no seeds"),
        (["cells", "--json", "nowhere/x.json"], "the folder nowhere does not exist"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, words, says):
    done = neuropil("board", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_list_names_boards_and_tasks():
    done = neuropil("board")
    assert done.returncode == 0, done.stderr
    for word in ("cells", "spoken-digits", "digits-by-row", "japanese-vowels", "adding-problem"):
        assert word in done.stdout


def test_refresh_names_what_boards_would_run(tmp_path):
    shutil.copytree(committed_results() / "boards", tmp_path / "boards")
    path = tmp_path / "boards" / "rules" / "digits.json"
    result = json.loads(path.read_text())
    result["entries"]["Backprop"]["provenance"]["code"] = "another"
    path.write_text(json.dumps(result))
    said = neuropil("refresh", "--dry", columns=200, NEUROPIL_RESULTS=str(tmp_path))
    assert (
        "board rules, digits: 1 to run or carry (Backprop: the board's code has changed); `neuropil board rules --run` does both"
        in said.stdout
    )
    assert said.stdout.count("board ") == 2
