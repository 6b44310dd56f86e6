"""MEMO: a query hops over stored facts, each hop asking by what the last one found, and a learnt halting says when to answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuropil.memory.item_separated_memory import ItemSeparatedMemory
from neuropil.networks.adaptive_halting import AdaptiveHalting, Halting, bhattacharyya
from neuropil.synapses.synapse import check_size


class Hops(NamedTuple):
    """What each hop gives: ``scores`` of the options [..., T, O], ``weights`` over facts [..., T, heads, F], ``halting`` [..., T]."""

    scores: Tensor
    weights: Tensor
    halting: Halting


class MEMO(nn.Module):
    """A query that hops over facts whose items are kept apart (``ItemSeparatedMemory``), and learns when to answer (``AdaptiveHalting``).

    Equation: ``q_0 = LN(Q cue)``; for t = 1 .. ``hops``: ``r_t, w_t = memory(q_t-1, facts)``, ``z = (q_t-1, r_t)``, ``q_t = LN(W z + D gelu(U LN(z)))``, score of an option ``o``: ``o . A q_t / sqrt(code)``. The same numbers act at every hop.
    Halting observes, after each hop: the mean over heads of the Bhattacharyya distance of ``w_t`` from ``w_t-1`` (0 at the first), the hop as one of ``hops``, and how sure the answer would be, the difference between the two most likely options' shares.

    ``facts`` [..., F, S, code], ``cue`` [..., code], ``options`` [..., O, code] -> ``Hops``. All hops are computed, also those after halting; ``halts(hops.halting.log_stop)`` says which one is answered by. The halting's gradient stays in it.

    Initial law: W, U, A normal with variance 1 / fan-in, D 0, norms 1 and 0, memory and halting as theirs, drawn from ``generator`` (None: torch's own) in this order: memory, W, U, A, halting.
    Raises ``ValueError`` for sizes that are none and what its parts raise. Source: banino2020.
    Differs from the paper in a first query of the cue alone, options that are compared with the last query by a product, W, which takes the last query along, no dropout, and in halting that also observes how sure the answer would be: without the options in the query no attention tells how far the match is.
    """

    def __init__(
        self,
        code: int,
        *,
        items: int = 2,
        width: int = 48,
        heads: int = 2,
        hops: int = 3,
        summed: bool = False,
        strength: float = 1.0,
        units: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_size(hops, "hops", "MEMO")
        self.hops = hops
        self.memory = ItemSeparatedMemory(code, items=items, width=width, heads=heads, summed=summed, generator=generator)
        size = heads * width
        self.carry, self.up = _drawn(size, 2 * size, generator), _drawn(size, 2 * size, generator)
        self.down = nn.Parameter(torch.zeros(size, size))
        self.answer = _drawn(code, size, generator)
        self.norm, self.norm_both = nn.LayerNorm(size), nn.LayerNorm(2 * size)
        self.halting = AdaptiveHalting(2 + hops, units=units, strength=strength, generator=generator)

    def forward(self, facts: Tensor, cue: Tensor, options: Tensor) -> Hops:
        """Hop over facts from a cue and score options after each hop."""
        q = self.norm(self.memory.first(cue))
        scores, weights, seen = list[Tensor](), list[Tensor](), list[Tensor]()
        for t in range(self.hops):
            r, w = self.memory(q, facts)
            z = torch.cat((q, r), -1)
            q = self.norm(z @ self.carry.T + F.gelu(self.norm_both(z) @ self.up.T) @ self.down.T)
            y = (options @ (q @ self.answer.T).unsqueeze(-1)).squeeze(-1) * options.shape[-1] ** -0.5
            likely = y.detach().softmax(-1).topk(2, -1).values
            moved = bhattacharyya(w.detach(), (weights[-1] if weights else w).detach()).mean(-1)
            now = F.one_hot(torch.tensor(t, device=y.device), self.hops).to(y).expand(*moved.shape, self.hops)
            seen.append(torch.cat((torch.stack((moved, likely[..., 0] - likely[..., 1]), -1), now), -1))
            scores.append(y)
            weights.append(w)
        return Hops(torch.stack(scores, -2), torch.stack(weights, -3), self.halting(torch.stack(seen, -2)))


def _drawn(outputs: int, inputs: int, generator: torch.Generator | None) -> nn.Parameter:
    return nn.Parameter(torch.randn(outputs, inputs, generator=generator) * inputs**-0.5)
