"""Checkpoints: any state as one safetensors file with a checksum, written whole or not at all, read without running anything.

A state is a tree of dictionaries, lists, tuples, tensors, generators, numbers, text and None, and of objects with ``state_dict`` and
``load_state_dict`` (modules, optimisers). Tensors go into the file as they are; the shape of the tree goes into its header as JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

FORMAT = "neuropil checkpoint 1"


class CheckpointError(ValueError):
    """A checkpoint cannot be written, is damaged, or belongs to something else; the message says what to do."""


def save_checkpoint(path: str | os.PathLike[str], state: Any) -> None:
    """Write ``state`` to ``path``: into a temporary file beside it, flushed to disk, then renamed over it.

    Raises ``TypeError`` for what a state cannot hold, ``CheckpointError`` where the file cannot be written; an older checkpoint at
    ``path`` is then untouched.
    """
    path = Path(path)
    tensors: dict[str, Tensor] = {}
    tree = _pack(state, tensors, "")
    text = json.dumps(tree)
    blob = save(tensors, {"format": FORMAT, "tree": text, "sha256": _digest(tensors, text)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint {path} could not be written ({error.strerror}); free some space there or give another path."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Read what ``save_checkpoint`` wrote, tensors on the CPU; objects come back as their ``state_dict``, see ``restore``.

    Raises ``CheckpointError`` where the file is missing, damaged or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}; give the path of one.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is not a mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({error}); delete it to begin anew.") from None
    if header.get("format") != FORMAT or "tree" not in header:
        raise CheckpointError(f"{path} is a safetensors file and not a {FORMAT}; give another path.")
    if header.get("sha256") != _digest(tensors, header["tree"]):
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum; delete it to begin anew.")
    return _unpack(json.loads(header["tree"]), tensors)


def restore(target: Any, loaded: Any) -> Any:
    """Give ``target`` the content of ``loaded``: objects and generators in place, trees anew and of the target's types.

    Tensors come back on the device of the target's tensor. Raises ``CheckpointError`` where the two are not of one shape.
    """
    if hasattr(target, "load_state_dict"):
        try:
            target.load_state_dict(loaded)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = str(error).replace("\n", " ").replace("\t", "")
            raise CheckpointError(f"The checkpoint is of another {type(target).__name__} ({why}); give another path.") from None
        return target
    match target, loaded:
        case torch.Generator(), Tensor():
            target.set_state(loaded)
            return target
        case Tensor(), Tensor() if target.shape == loaded.shape:
            return loaded.to(target.device).requires_grad_(target.requires_grad)
        case dict(), dict() if target.keys() == loaded.keys():
            return {key: restore(target[key], loaded[key]) for key in target}
        case (list(), list()) | (tuple(), tuple()) if len(target) == len(loaded):
            items = [restore(a, b) for a, b in zip(target, loaded, strict=True)]
            return type(target)(*items) if hasattr(target, "_fields") else type(target)(items)
        case ((None | bool() | int() | float() | str()), (None | bool() | int() | float() | str())):
            return loaded
    raise CheckpointError(
        f"The checkpoint holds a {type(loaded).__name__} of another shape where a {type(target).__name__} is expected; give another path."
    )


def _pack(node: Any, tensors: dict[str, Tensor], name: str) -> Any:
    if isinstance(node, torch.Generator):
        node = node.get_state()
    if isinstance(node, Tensor):
        tensors[name] = node.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if hasattr(node, "state_dict"):
        node = node.state_dict()
    if isinstance(node, Mapping):
        for key in node:
            if not isinstance(key, str | int):
                raise TypeError(f"A state's keys are text or whole numbers, {key!r} was given at {name or 'the top'}; rename it.")
        return {"dict": [[key, _pack(value, tensors, f"{name}/{key}")] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {("list" if isinstance(node, list) else "tuple"): [_pack(value, tensors, f"{name}/{i}") for i, value in enumerate(node)]}
    if node is None or isinstance(node, bool | int | float | str):
        return {"value": node}
    raise TypeError(
        f"A state holds tensors, generators, numbers, text, None, lists, tuples, dictionaries and objects with state_dict; "
        f"a {type(node).__name__} was given at {name or 'the top'}."
    )


def _unpack(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    ((kind, content),) = node.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "dict":
            return {key: _unpack(value, tensors) for key, value in content}
        case "list":
            return [_unpack(value, tensors) for value in content]
        case "tuple":
            return tuple(_unpack(value, tensors) for value in content)
        case _:
            return content


def _digest(tensors: Mapping[str, Tensor], tree: str) -> str:
    total = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
