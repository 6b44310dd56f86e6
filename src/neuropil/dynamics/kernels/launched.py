"""Kernels of Triton, compiled for the GPU on which their arrays lie when they are first launched; Triton keeps the machine code."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from neuropil.dynamics.kernels.compiled import imported, process

BLOCK = 128
"""Neurons in a program: one a thread of four warps."""


def available() -> str:
    """An empty string where kernels can be launched, else the reason in one sentence."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed; `pip install 'neuropil[cuda]'` brings it"
    return ""


class Launch:
    """A kernel with its arguments; ``arrays`` may be changed for others of the same shapes, one by one."""

    def __init__(self, text: str, name: str, arrays: Sequence[Tensor], sizes: Sequence[int], option: bool) -> None:
        """Take the function ``name`` of a module's ``text``, contiguous ``arrays``, ``sizes`` as in ``emit_triton.SIZES``, and its one option."""
        self.kernel = getattr(_module(text), name)
        self.arrays = list(arrays)
        self.plain = (*sizes, option, BLOCK)
        self.grid = (-(-sizes[1] // BLOCK),)

    def put(self, place: int, array: Tensor) -> None:
        """Let the kernel work on another array in this place."""
        self.arrays[place] = array

    def run(self) -> None:
        """Launch it, behind all that torch has asked of the device."""
        with torch.cuda.device_of(self.arrays[0]):
            self.kernel[self.grid](*self.arrays, *self.plain, enable_fp_fusion=False)


@cache
def _module(text: str) -> Any:
    with process.lock:
        return imported(text)[0]
