"""The study contract: what it accepts, and the one sentence for what it does not."""

import hashlib
import pickle

import numpy as np
import pytest

from neuropil.atlas import AtlasError, Contrast, Curve, Gate, Grid, Match, Matrix, Metric, Seed, Settings, Table, Tune, contrasts
from neuropil.atlas.conduct.loading import Source
from neuropil.atlas.expressions import Condition
from neuropil.atlas.outcome import decode, encode
from neuropil.atlas.seeds import EXPLORATORY_LIMIT, derive_seeds
from neuropil.atlas.statistics.house import check_delta


def test_sugar_reads_neighbours():
    found = contrasts("learned > random > none on accuracy by 0.02", match="parameters")
    assert [(c.a, c.b, c.on, c.delta, c.relation) for c in found] == [
        ("learned", "random", "accuracy", 0.02, "greater"),
        ("random", "none", "accuracy", 0.02, "greater"),
    ]
    (equal,) = contrasts("a ~ b on score by 0.1", match="data")
    assert equal.relation == "equal"


@pytest.mark.parametrize(
    "text", ["a ~ b on accuracy", "a > b on accuracy", "a >> b on accuracy by 0.1", "a near b on accuracy by 0.1", "a on accuracy by 0.1"]
)
def test_sugar_without_a_margin_is_refused(text):
    with pytest.raises(AtlasError, match="write 'a > b on metric by"):
        contrasts(text, match="data")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('Contrast("boosted", "plain"', 'Contrast("boosted", "plane"'), "names the arm 'plane', which the study lacks"),
        (('on="score", delta=0.02, match="data"),\n    secondary', 'on="skore", delta=0.02, match="data"),\n    secondary'), "'skore'"),
        (("delta=0.02", "delta=-1"), "positive delta"),
        (('delta=0.02, match="data"', "delta=0.02"), "holds nothing equal and gives no reason"),
        (('match="data"', 'match="luck"'), "match='luck' is not known"),
        (('Off("off", equals="plain")', 'Off("of", equals="plain")'), "names the arm 'of'"),
        (('Lesion("lesioned")', 'Lesion("gone")'), "The lesion names the arm 'gone'"),
        (('"plain.score < 0.9"', '"plane.score < 0.9"'), "names the arm 'plane'"),
        (('arms=("boosted", "plain")', 'arms=("boosted",)'), "primary arm 'plain' is not tuned"),
        (('"glance": {"steps": 2}, ', ""), "lacks 'glance'"),
        (('distance="none"', 'distance=""'), "distance= is empty"),
        (('fidelity="paper"', 'fidelity="good"'), "fidelity is code"),
        (("Grid((0.1, 0.2, 0.3))", "Grid((0.1, 0.3, 0.2))"), "ascending"),
        (("delta=0.02", "dleta=0.02"), "could not be loaded \\(line"),
        (("study = Study(", "studdy = Study("), "could not be loaded"),
        (("study = Study(", "raise SystemExit(0)\nstudy = Study("), "could not be loaded \\(line"),
    ],
)
def test_a_broken_study_is_refused_in_one_sentence(bench, change, words):
    with pytest.raises(AtlasError, match=words):
        bench.write(change).source.load()


def test_tuning_seeds_are_kept_apart():
    with pytest.raises(AtlasError, match="between 1000 and"):
        Tune(space={"lr": [1, 2]}, on="x", arms=("a",), seeds=(5,))
    with pytest.raises(AtlasError, match="did not see"):
        Tune(space={"lr": [1, 2]}, on="x", arms=("a",), seeds=(1100,))
    with pytest.raises(AtlasError, match="at least 8"):
        Tune(space={"lr": [1, 2]}, on="x", arms=("a",), spread=(1100,))


def test_grid_edges_know_natural_bounds():
    open_grid, closed = Grid((1, 2, 3)), Grid((0, 1, 2), closed="low")
    assert open_grid.at_edge(1)
    assert open_grid.at_edge(3)
    assert not open_grid.at_edge(2)
    assert not closed.at_edge(0)
    assert closed.at_edge(2)


def test_conditions_are_arithmetic_on_arm_means_and_nothing_else():
    table = Table([1, 2], {"a": [{"x": 1.0}, {"x": 3.0}], "b": [{"x": 0.5}, {"x": 0.5}]})
    assert Condition("a.x - b.x >= 1.5").check(table) == (True, "1.5 >= 1.5")
    assert Condition("abs(b.x - a.x) / 2 > 1").check(table)[0] is False
    assert Condition("0.3 <= b.x <= 0.9").check(table)[0] is True
    for bad in ("a.x", "a.x == 2", "__import__('os').system('x') > 1", "a.x.y > 1", "open('f') > 1", "a.x >", "a['x'] > 1"):
        with pytest.raises(AtlasError):
            Condition(bad)
    with pytest.raises(AtlasError, match="no condition"):
        Gate("nothing")


def test_seeds_derive_one_stream_per_axis():
    expected = int.from_bytes(hashlib.sha256(b"neuropil/7/data").digest()[:8], "big") >> 1
    assert Seed(7).data == expected
    assert len({Seed(7).data, Seed(7).init, Seed(7).noise, Seed(8).data}) == 4
    assert Seed(7).numpy("init").random() == Seed(7).numpy("init").random()
    assert Seed(7).torch("init").initial_seed() == Seed(7).init
    with pytest.raises(AtlasError, match="whole number"):
        Seed(-1)


def test_seed_streams_are_uncorrelated_across_neighbours():
    draws = np.array([[Seed(s).numpy(axis).normal() for axis in ("data", "init", "noise")] for s in range(2000)])
    correlations = np.corrcoef(np.hstack([draws[:-1], draws[1:]]).T)
    assert np.abs(correlations[~np.eye(6, dtype=bool)]).max() < 4.5 / np.sqrt(2000)


def test_reporting_seeds_follow_from_the_hash_and_never_meet_typed_ones():
    first, second = derive_seeds("abc", 30), derive_seeds("abd", 30)
    assert first == derive_seeds("abc", 30)
    assert not set(first) & set(second)
    assert len(set(first)) == 30
    assert min(first) >= EXPLORATORY_LIMIT


def test_outcomes_survive_json_exactly():
    outcome = {"x": 0.1 + 0.2, "never": float("inf"), "c": Curve([0, 1], [1 / 3, 2 / 3], "t", "y"), "m": Matrix([[1, 2]], "r", "c")}
    assert decode(encode(outcome)) == outcome


@pytest.mark.parametrize(("length", "points"), [(7, 20), (1, 20), (47, 20), (400, 20), (10, 3)])
def test_a_coarse_curve_is_numpys_even_stretches(length, points):
    series = np.random.default_rng(0).normal(size=length).tolist()
    found = Curve.coarse(series, "step", "loss", points)
    parts = np.array_split(series, min(points, length))
    assert found.y == pytest.approx([part.mean() for part in parts])
    assert found.x == pytest.approx([length * (k + 1) / len(parts) for k in range(len(parts))])
    assert (found.x_label, found.y_label) == ("step", "loss")


@pytest.mark.parametrize(("series", "points"), [([], 20), ([1.0], 0)])
def test_a_coarse_curve_of_nothing_is_refused(series, points):
    with pytest.raises(AtlasError, match="a value and a point"):
        Curve.coarse(series, "step", "loss", points)


def test_tables_name_what_is_missing():
    table = Table([1], {"a": [{"x": float("nan"), "c": Curve([0], [0], "x", "y")}]})
    with pytest.raises(AtlasError, match="is NaN at seed 1"):
        table.values("a", "x")
    with pytest.raises(AtlasError, match="returned no 'y'"):
        table.values("a", "y")
    with pytest.raises(AtlasError, match="a number is needed"):
        table.values("a", "c")
    with pytest.raises(AtlasError, match="was not run"):
        table.values("b", "x")
    with pytest.raises(AtlasError, match="arms are paired"):
        Table([1, 2], {"a": [{"x": 1.0}]})
    with pytest.raises(AtlasError, match="as many x as y"):
        Curve([0, 1], [0], "x", "y")
    with pytest.raises(AtlasError, match="rows of one length"):
        Matrix([[1], [1, 2]], "r", "c")


def test_settings_read_as_attributes_and_travel():
    settings = Settings("arm", {"lr": 0.1})
    assert settings.lr == settings["lr"] == 0.1
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(AttributeError, match="has no setting 'rl'; it has lr"):
        _ = settings.rl


def test_deltas_are_held_to_the_house_table():
    metric = Metric("share", house="accuracy")
    with pytest.raises(AtlasError, match=r"below the house's 0\.02"):
        check_delta(Contrast("a", "b", "x", 0.01, "data"), metric, 0.9, None)
    with pytest.raises(AtlasError, match="two binomial standard errors of 100 items"):
        check_delta(Contrast("a", "b", "x", 0.02, "data"), metric, 0.9, 100)
    assert "house table" in check_delta(Contrast("a", "b", "x", 0.02, "data"), metric, 0.9, 10_000)
    assert "house table" in check_delta(Contrast("a", "b", "x", 0.01, "data", why="ceiling is near"), metric, 0.9, 10_000)


def test_match_takes_one_tolerance():
    with pytest.raises(AtlasError, match="exactly one"):
        Match("accuracy")
    with pytest.raises(AtlasError, match="two different arms"):
        Contrast("a", "a", "x", 0.1, "data")


def test_studies_of_two_folders_with_a_helper_of_one_name_are_refused_together(bench):
    bench.write(("study = Study(", "from study_helper import GAIN\n\nstudy = Study("))
    for folder, gain in (("a", 1), ("b", 2)):
        (bench.folder / folder).mkdir()
        (bench.folder / folder / "mini.py").write_text(bench.file.read_text())
        (bench.folder / folder / "study_helper.py").write_text(f"GAIN = {gain}\n")
    first, second = (Source("mini", bench.folder / folder / "mini.py") for folder in ("a", "b"))
    first.load()
    with pytest.raises(AtlasError, match=r"b/mini\.py and .*a/mini\.py each import a 'study_helper' of their own"):
        second.load()
    assert first.load().slug == "mini"
