"""A trial that raises, returns the wrong thing or ends its process: one sentence, its traceback kept, the rest goes on."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.local import Local


def only(sentence: str) -> str:
    """Make a trial do something at arm plain and seed 1."""
    return f"    if arm.name == 'plain' and seed.value == 1:\n        {sentence}\n    noise = "


def spoiled(sweeps, sentence: str) -> None:
    text = sweeps.bench.file.read_text()
    sweeps.bench.file.write_text(text.replace("    noise = ", only(sentence), 1))


def traceback_of(err: str) -> str:
    return Path(re.search(r"its traceback is (\S+\.txt)", err).group(1)).read_text()


@pytest.mark.parametrize("columns", ["40", "240"])
def test_a_trial_that_raises_is_one_sentence_and_the_rest_goes_on(sweeps, columns):
    spoiled(sweeps, "raise ValueError('no\\nsuch [b]luck[/b]')")
    code, err = sweeps.finish(sweeps.words(range(3)), COLUMNS=columns)
    line = sweeps.bench.file.read_text().splitlines().index("        raise ValueError('no\\nsuch [b]luck[/b]')") + 1
    assert code == 1
    sentence = next(each for each in err.splitlines() if each.startswith("neuropil:"))
    where = f"{sweeps.bench.file}:{line}"
    assert f"mini: the trial of arm 'plain' failed at seeds (1,) with ValueError: no such [b]luck[/b] ({where}); mend it" in sentence
    assert "Traceback" not in err
    assert len(sweeps.cells) == 11
    kept = traceback_of(sentence)
    assert "Traceback (most recent call last)" in kept
    assert f'mini.py", line {line}' in kept
    sweeps.bench.write()
    marked = sweeps.bench.folder / "cache" / "cells" / "failed"
    assert [path.read_text() for path in marked.iterdir()] == [kept]


def test_a_mark_goes_when_the_cell_is_run_again_and_succeeds(sweeps):
    spoiled(sweeps, "assert 'MENDED' in __import__('os').environ")
    assert sweeps.finish(sweeps.words(range(2)))[0] == 1
    marked = sweeps.bench.folder / "cache" / "cells" / "failed"
    assert len(list(marked.iterdir())) == 1
    code, err = sweeps.finish(sweeps.words(range(2)), MENDED="yes")
    assert code == 0, err
    assert list(marked.iterdir()) == []


@pytest.mark.parametrize(
    ("sentence", "how", "kept"),
    [
        ("__import__('ctypes').string_at(0)", "signal SIGSEGV", "Fatal Python error: Segmentation fault"),
        ("__import__('os')._exit(7)", "exit code 7", "The process left no stack."),
        ("os.kill(os.getpid(), 9)", "signal SIGKILL (killed from outside, perhaps for want of memory)", "The process left no stack."),
    ],
)
def test_a_trial_that_ends_its_process_is_named_and_the_rest_goes_on(sweeps, sentence, how, kept):
    spoiled(sweeps, sentence)
    code, err = sweeps.finish(sweeps.words(range(3), jobs=2))
    assert code == 1
    assert f"The worker process died 2 times at arm 'plain' at seeds (1,), by {how}; mend it" in err
    assert kept in traceback_of(err)
    assert "Traceback" not in err
    assert len(sweeps.cells) == 11
    begun = [line.rsplit(" ", 1)[0] for line in sweeps.tally.read_text().splitlines()]
    assert (len(begun), begun.count("plain 1")) == (13, 2)


def test_a_worker_killed_once_from_outside_is_replaced(sweeps):
    flag = sweeps.bench.folder / "died"
    spoiled(sweeps, f"open({str(flag)!r}, 'x'); os.kill(os.getpid(), {signal.SIGKILL:d})")
    text = sweeps.bench.file.read_text()
    sweeps.bench.file.write_text(text.replace("and seed.value == 1:", f"and seed.value == 1 and not os.path.exists({str(flag)!r}):"))
    code, err = sweeps.finish(sweeps.words(range(3), jobs=3))
    assert code == 0, err
    assert flag.exists()
    assert len(sweeps.cells) == 12


def test_no_worker_that_can_start_is_one_sentence(bench):
    """As from a script without a guard: spawned processes run the main module again, which fails."""
    script = bench.folder / "unguarded.py"
    script.write_text(
        "from neuropil.atlas.conduct.loading import find\nfrom neuropil.atlas.conduct.run import run\n"
        "from neuropil.atlas.conduct.store import Store\nfrom neuropil.atlas import AtlasError\n"
        "source = find('mini.py')\n"
        "try:\n    run(source, source.load(), 'glance', digests={}, store=Store())\nexcept AtlasError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=bench.folder, capture_output=True, text=True, timeout=60, check=False)
    assert "No worker process could start" in done.stdout
    assert "if __name__ == '__main__':" in done.stdout


@pytest.mark.parametrize(
    ("value", "came"),
    [
        ('"high"', r"a str under 'score' \('high'\)"),
        ('"0.5"', r"a str under 'score' \('0.5'\)"),
        ("None", r"a NoneType under 'score' \('None'\)"),
        ("1 + 2j", r"a complex under 'score' \('\(1\+2j\)'\)"),
        ("__import__('numpy').ones(2)", r"a ndarray under 'score' \(of shape \(2,\)\)"),
        ("__import__('numpy').complex64(1)", r"a complex64 under 'score' \('\(1\+0j\)'\)"),
        ("__import__('torch').ones(2)", r"a Tensor under 'score' \(of shape \(2,\)\)"),
        ("10**400", r"a int under 'score' \('1000"),
        ("[score]", r"a list under 'score' \('\[0"),
    ],
)
def test_a_metric_of_the_wrong_type_is_one_sentence(bench, value, came):
    bench.write(('{"score": score,', f'{{"score": {value},'))
    accepted = r"return one real number \(an array or tensor of one will do\), a Curve or a Matrix"
    with pytest.raises(AtlasError, match=rf"^mini, arm 'plain' at seeds \(0,\): A trial returned {came}.*; {accepted}"):
        bench.run("smoke", seeds=[0], arms=["plain", "boosted"])


def test_a_metric_without_a_name_and_one_that_is_no_number(bench):
    with pytest.raises(AtlasError, match="a metric named 3, a int; name it with a text"):
        bench.write(('{"score": score,', '{3: 1.0, "score": score,')).run("smoke")
    with pytest.raises(AtlasError, match=r"^mini: 'score' of arm 'boosted' is NaN at seed 0; a metric is a number: mend the trial"):
        bench.write(('{"score": score,', '{"score": float("nan"),')).run("smoke")


@pytest.mark.parametrize(
    "value", ["__import__('numpy').float32(0.5)", "__import__('torch').tensor([0.5])", "__import__('numpy').array(0.5)"]
)
def test_one_number_may_come_in_an_array(bench, value):
    bench.write(
        ('"boost": arm.boost,', f'"boost": arm.boost, "half": {value}, "yes": seed.value == 0, "count": __import__("numpy").int64(3),')
    )
    metrics = bench.run(seeds=[0, 1], on=Local(1))["arms"]["plain"]["metrics"]
    assert (metrics["half"], metrics["yes"], metrics["count"]) == ([0.5, 0.5], [1.0, 0.0], [3.0, 3.0])
