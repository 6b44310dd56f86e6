"""An agent that learns words in one showing: it sees, hears, keeps what it met in a memory, and picks what is asked for."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from neuropil.memory.dual_coding import DualCodingMemory
from neuropil.networks.lstm_controller import LSTMController
from neuropil.networks.mlp import MLP

Store = Literal["dual", "joint", "none"]


class WordChoice(NamedTuple):
    """``logits`` [B, n] of the objects offered; ``weights`` [B, T - 1]: how much of each earlier step was read, times ``strength`` (0 without a memory)."""

    logits: Tensor
    weights: Tensor


class WordLearner(nn.Module):
    """Vision and language codes, an LSTM over them, a memory with a row a step, and a choice among the pictures that are offered.

    Equation: ``v_t = MLP(seen_t)``, ``l_t = L heard_t + b``, ``h_t = LSTM(v_t, l_t)``. Every step before the last is a row; ``dual``: key ``K l_t``, value ``V v_t`` (language keys, visual values); ``joint``: key ``K (v_t, l_t)``, value ``V (v_t, l_t)``,
    one head of attention over the episode, of which ``dual`` is the case without cross terms; ``none``: no rows. At the last step the query ``Q (h, l)`` reads ``m`` from the ``nearest`` likest rows (``None``: all). What is sought is ``u = strength m + P h``, and
    a picture c on offer, coded as the value of a step in which it is seen and nothing is heard, has the logit ``-|u - V v_c|^2 / sqrt(units)``.

    ``seen`` [T, B, pixels], ``heard`` [T, B, channels], ``offered`` [B, n, pixels] -> ``WordChoice``. ``weights`` [B, T - 1], where given, are read instead of the memory's own; ``dealt`` i64 [B, T - 1]: row r holds the value of row dealt[r].
    Weights begin normal with variance 1 / fan_in, of the MLP's hidden layer 2 / fan_in, from ``generator``, those of the memory last; biases at 0. Raises ``ValueError`` for other stores and shapes that do not fit. Source: hill2021.
    Differs from it in that memory is read at the instruction alone, and by the choice alone (the LSTM does not hear what was read); no critic, no reconstruction of what is seen and heard.
    """

    def __init__(
        self,
        pixels: int,
        channels: int,
        *,
        store: Store = "dual",
        nearest: int | None = 8,
        strength: float = 1.0,
        hidden: int = 128,
        units: int = 64,
        language: int = 32,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if store not in get_args(Store):
            raise ValueError(f"store is 'dual', 'joint' or 'none', {store!r} was given.")
        self.store, self.strength, self.units, self.language = store, strength, units, language
        both = units + language
        self.look = MLP([pixels, hidden, units], generator=generator)
        self.hear = MLP([channels, language], generator=generator)
        self.lstm = LSTMController(both, units, generator=generator)
        self.seek = MLP([units, units], generator=generator)
        self.value = MLP([both if store == "joint" else units, units], bias=False, generator=generator)
        self.memory = DualCodingMemory(language, units, nearest=nearest)
        if store != "none":
            self.key = MLP([both if store == "joint" else language, language], bias=False, generator=generator)
            self.ask = MLP([both, language], generator=generator)

    def forward(
        self, seen: Tensor, heard: Tensor, offered: Tensor, *, weights: Tensor | None = None, dealt: Tensor | None = None
    ) -> WordChoice:
        """Live through the episodes and choose."""
        v, said = self.look(seen), self.hear(heard)
        h = self.lstm(torch.cat((v, said), -1))[0][-1]
        sought = self.seek(h)
        if self.store == "none":
            weights = v.new_zeros(v.shape[1], len(v) - 1)
        else:
            rows = self.rows(v[:-1].transpose(0, 1), said[:-1].transpose(0, 1))
            if dealt is not None:
                rows = rows._replace(vision=rows.vision.gather(1, dealt.unsqueeze(-1).expand_as(rows.vision)))
            if weights is None:
                m, weights = self.memory.read(rows, self.ask(torch.cat((h, said[-1]), -1)))
            else:
                m = (weights.unsqueeze(-2) @ rows.vision).squeeze(-2)
            sought = sought + self.strength * m
        c = self.look(offered)
        apart = self._values(c, c.new_zeros(*c.shape[:-1], self.language)) - sought.unsqueeze(1)
        return WordChoice(-apart.square().sum(-1) / self.units**0.5, self.strength * weights)

    def rows(self, v: Tensor, said: Tensor) -> DualCodingMemory.State:
        """The rows of steps with the codes ``v`` [B, R, units] and ``said`` [B, R, language]."""
        return self.memory.State(self.key(torch.cat((v, said), -1) if self.store == "joint" else said), self._values(v, said))

    def _values(self, v: Tensor, said: Tensor) -> Tensor:
        values: Tensor = self.value(torch.cat((v, said), -1) if self.store == "joint" else v)
        return values
