"""Modulatory transfer functions: what a cell with a basal drive R and an apical context C passes on, T(R, C).

All are elementwise and broadcast: ``r``, ``c`` [...] -> [...]. A *modulatory* context changes how strongly a drive is passed on and passes nothing on
by itself, ``T(0, C) = 0``; kay2020 calls it asymmetric. What each function does with that:

==================  =======================  ===========  ===========  ============  =================
function            T(R, C)                  T(0, C)      T(R, 0)      sign kept     agreement, RC > 0
==================  =======================  ===========  ===========  ============  =================
``kay_phillips``    R (1 + exp(RC)) / 2      0            R            always        amplifies
``product``         R + RC                   0            R            for C > -1    by C > 0, not RC
``sigmoid_gate``    R / (1 + exp(-C))        0            R / 2        always        by C > 0, not RC
``additive``        R + C                    C            R            no            adds
``cooperation``     ReLU6(R^2 + 2 R +        ReLU6(C)     ReLU6(       never below   by C > 0, not RC
                    C (1 + abs(R)))                       R^2 + 2 R)   0
==================  =======================  ===========  ===========  ============  =================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Transfer = Callable[[Tensor, Tensor], Tensor]


def kay_phillips(r: Tensor, c: Tensor, *, limit: float = 6.0) -> Tensor:
    """Amplify a drive that its context agrees with, halve at most one that it contradicts: ``R (1 + exp(min(RC, limit))) / 2``.

    ``T(0, C) = 0``, ``T(R, 0) = R``, ``T(-R, -C) = -T(R, C)``, the sign of R is kept, ``abs(T)`` is at least ``abs(R) / 2``. Source: kay2020 (with
    ``exp(2 RC)`` in kay2011: double c). Differs from the papers in ``limit``, above which agreement amplifies no further (by at most 202 at 6).
    """
    return 0.5 * r * (1 + torch.exp((r * c).clamp(max=limit)))


def product(r: Tensor, c: Tensor) -> Tensor:
    """Scale a drive by its context: ``R + R C``. Source: kay2020; what the code of cooperator-two-point2023 uses for car racing."""
    return r + r * c


def sigmoid_gate(r: Tensor, c: Tensor) -> Tensor:
    """Let a share of the drive through, from none to all: ``R / (1 + exp(-C))``. Source: dauphin2017 (gated linear units)."""
    return r * torch.sigmoid(c)


def additive(r: Tensor, c: Tensor) -> Tensor:
    """Add the context to the drive, as a point neuron does: ``R + C``; no modulation. Source: kay2020."""
    return r + c


def cooperation(r: Tensor, c: Tensor) -> Tensor:
    """The cooperation of the later papers: ``ReLU6(R^2 + 2 R + C (1 + abs(R)))``.

    Context alone fires the cell, ``T(0, C) = ReLU6(C)``, and fires it against its drive, ``T(-1, 2) = 3``: by kay2020's word it is not modulatory, although
    a drive makes it more sensitive to context. Source: cooperator-two-point2023, the authors' code.
    """
    return torch.nn.functional.relu6(r.square() + 2 * r + c * (1 + r.abs()))


TRANSFERS: Mapping[str, Transfer] = {
    "kay_phillips": kay_phillips,
    "product": product,
    "sigmoid_gate": sigmoid_gate,
    "additive": additive,
    "cooperation": cooperation,
}
"""The transfer functions by name."""


def transfer_of(given: Transfer | str) -> Transfer:
    """Give the function that a name stands for, functions unchanged; ``ValueError`` for an unknown name."""
    if callable(given):
        return given
    if given not in TRANSFERS:
        raise ValueError(
            f"transfer is one of {', '.join(TRANSFERS)}, or a function of drive and context; {given!r} was given, take one of these."
        )
    return TRANSFERS[given]
