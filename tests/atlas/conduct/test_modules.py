"""A user's files in one process: each is read again when it changed, and gets the modules beside it or is refused."""

import sys

import pytest

from neuropil.atlas import AtlasError
from neuropil.atlas.conduct.fingerprint import parts
from neuropil.atlas.conduct.modules import module_at


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files below a folder; paths that imports add, and modules of the user's own, go with the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(**texts: str):
        for name, text in texts.items():
            path = tmp_path.joinpath(*name.split("__", 1)).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    yield write
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_file_is_imported_once_and_again_when_it_changed(write):
    file = write(a__mine="GAIN = 1\n") / "a" / "mine.py"
    first = module_at(file)
    assert module_at(file) is first
    write(a__mine="GAIN = 22\n")
    assert module_at(file).GAIN == 22
    assert first.GAIN == 1


def test_two_files_of_one_name_are_two_modules(write):
    folder = write(a__mine="class Mine: gain = 1\n", b__mine="class Mine: gain = 2\n")
    one, two = (module_at(folder / name / "mine.py") for name in "ab")
    assert (one.Mine.gain, two.Mine.gain) == (1, 2)
    assert one.__name__ != two.__name__
    assert sys.modules[one.Mine.__module__].Mine is one.Mine


@pytest.mark.parametrize("text", ["import twice\n", "from twice import GAIN\n", "def trial():\n    import twice\n"])
def test_a_second_helper_of_one_name_is_refused_by_both_names(write, text):
    name = f"twice_{len(text)}"
    text = text.replace("twice", name)
    folder = write(**{"a__one": text, "b__two": text, f"a__{name}": "GAIN = 1\n", f"b__{name}": "GAIN = 2\n"})
    module_at(folder / "a" / "one.py")
    for _ in range(2):
        with pytest.raises(AtlasError, match=rf"b/two\.py and .*a/one\.py each import a '{name}' of their own.* separate commands \(in a"):
            module_at(folder / "b" / "two.py")


def test_files_of_one_folder_share_their_helper(write):
    folder = write(a__one="import shared_one\n", a__two="import shared_one\n", a__shared_one="GAIN = 1\n")
    assert module_at(folder / "a" / "one.py").shared_one is module_at(folder / "a" / "two.py").shared_one


def test_what_a_trial_imports_later_is_the_file_that_was_hashed(write):
    late = "def trial():\n    from late_one import GAIN\n    return GAIN\n"
    folder = write(a__one=late, a__late_one="GAIN = 1\n", b__two="GAIN = 3\n", b__late_one="GAIN = 2\n")
    one = module_at(folder / "a" / "one.py")
    module_at(folder / "b" / "two.py")
    assert sys.path.index(str(folder / "b")) < sys.path.index(str(folder / "a"))
    assert one.trial() == 1


def test_a_helper_with_the_name_of_another_module_in_memory_is_refused(write):
    folder = write(a__one="import json\n", a__json="GAIN = 1\n", b__two="import time\n", b__time="GAIN = 1\n")
    with pytest.raises(
        AtlasError, match=r"one\.py imports .*a/json\.py, and this process holds another module 'json' \(.*\); rename 'json'"
    ):
        module_at(folder / "a" / "one.py")
    with pytest.raises(AtlasError, match=r"another module 'time' \(part of Python\)"):
        module_at(folder / "b" / "two.py")


def test_a_package_around_a_file_is_found_as_it_is_hashed(write):
    texts = {"lab____init__": "", "lab__helper": "GAIN = 1\n", "lab__one": "from lab_around.helper import GAIN\n"}
    folder = write(**{name.replace("lab", "lab_around", 1): text for name, text in texts.items()}) / "lab_around"
    assert (folder / "helper.py") in parts(folder / "one.py").values()
    assert module_at(folder / "one.py").GAIN == 1
    assert sys.modules["lab_around.helper"].__file__ == str(folder / "helper.py")


def test_a_file_that_fails_leaves_no_half_of_it_and_can_be_mended(write):
    file = write(a__half="GAIN = 1\nraise ValueError('no luck')\n") / "a" / "half.py"
    with pytest.raises(AtlasError, match=r"half\.py could not be loaded \(line 2, ValueError: no luck\); mend it and run again"):
        module_at(file)
    assert not [name for name in sys.modules if name.startswith("neuropil_user_half")]
    write(a__half="GAIN = 1\n")
    assert module_at(file).GAIN == 1
