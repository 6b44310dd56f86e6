"""The study is sound, and its mechanism does something."""

from pathlib import Path

from neuropil.atlas import Seed, Settings, Table
from neuropil.testing import check_study, load_study

FILE = Path(__file__).with_name("my_part.py")


def test_the_study_is_sound() -> None:
    """Arms run, seeds decide, off is the control, arms differ, nothing is missing."""
    check_study(FILE)


def test_the_mechanism_beats_its_control_where_it_must() -> None:
    study = load_study(FILE)
    glance = Settings("glance", study.budgets["glance"])
    for contrast in study.primaries:
        arms = [Settings(arm, study.arms[arm]) for arm in (contrast.a, contrast.b)]
        ran = {arm.name: study.compute(arm, glance, [Seed(0)]) for arm in arms}
        table = Table([0], ran)
        better, worse = (table.mean(arm.name, contrast.on) for arm in arms)
        assert better > worse + contrast.delta
