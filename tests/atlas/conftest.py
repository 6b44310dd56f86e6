"""A miniature study that takes milliseconds, in a folder of its own under git, with its own cells and results."""

import subprocess
from pathlib import Path

import pytest

from neuropil.atlas.conduct.loading import find
from neuropil.atlas.conduct.result import fingerprint
from neuropil.atlas.conduct.run import run, smoke
from neuropil.atlas.conduct.store import Store

MINI = '''
"""A miniature study: a planted benefit of `boost` on a noisy score."""

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Matrix, Metric, Off, Study, Tune

study = Study(
    slug="mini",
    claim="A boost lifts the score.",
    fidelity="paper",
    scale="own",
    arms={"boosted": {"boost": 0.1}, "plain": {"boost": 0.0}, "off": {"boost": 0.0}, "lesioned": {"boost": -0.1}},
    metrics={"score": Metric("points", floor=0, ceiling=1), "boost": Metric("points")},
    primary=Contrast("boosted", "plain", on="score", delta=0.02, match="data"),
    secondary=(Contrast("plain", "lesioned", on="score", delta=0.02, match="data"),),
    dose=Dose("boost", at_least=0.05),
    gate=Gate("the score moves", "boosted.score - lesioned.score >= 0.05", "plain.score < 0.9"),
    lesion=Lesion("lesioned"),
    off=Off("off", equals="plain"),
    tune=Tune(space={"lr": Grid((0.1, 0.2, 0.3))}, on="score", arms=("boosted", "plain"), follow={"lesioned": "boosted"}),
    budgets={"smoke": {"steps": 1}, "glance": {"steps": 2}, "desk": {"steps": 3}},
    data={},
    distance="none",
)


@study.trial
def trial(arm, budget, seed):
    noise = seed.numpy("data").normal(0, 0.01) + 0.3 * seed.numpy("noise").normal(0, 0.01)
    score = 0.5 + arm.boost + noise - (arm.get("lr", 0.2) - 0.2) ** 2
    curve = Curve(range(budget.steps), [score] * budget.steps, "step", "score")
    return {"score": score, "boost": arm.boost, "samples": 10, "curve": curve, "grid": Matrix([[score, 1.0]], "row", "column")}
'''


class Bench:
    """One study in one folder: write it, tune, register, commit, run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "mini.py"
        self.store = Store(folder / "cells")

    def write(self, *changes: tuple[str, str]) -> "Bench":
        text = MINI
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.file.write_text(text)
        return self

    @property
    def source(self):
        return find(str(self.file))

    @property
    def results(self) -> Path:
        return self.folder / "results" / "mini"

    def tune(self):
        from neuropil.atlas.conduct.tuning import tune

        study = self.source.load()
        smoked = smoke(self.source, study, digests={}, store=self.store)
        return tune(self.source, study, "desk", digests={}, fingerprint=fingerprint(study, smoked), store=self.store)

    def register(self, amend: str = ""):
        from neuropil.atlas.conduct.checks import audit
        from neuropil.atlas.conduct.registration import register

        study = self.source.load()
        smoked = smoke(self.source, study, digests={}, store=self.store)
        off = next(check for check in audit(study, smoked, smoked, "smoke") if check.name == "off")
        prints = fingerprint(study, smoked)
        return register(self.source, study, "desk", digests={}, fingerprint=prints, off_passed=bool(off.passed), amend=amend)

    def commit(self) -> None:
        for words in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", str(self.folder), *words], check=True, capture_output=True)

    def run(self, budget: str = "desk", **options):
        return run(self.source, self.source.load(), budget, digests={}, store=self.store, **options)


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NEUROPIL_RESULTS", raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("cells/\ncache/\n")
    return Bench(tmp_path).write()
