"""A set of like sensory neurons read by attention: a policy that does not mind in which order its sensors come."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from neuropil.cells.modulatory_transfer import Transfer, transfer_of

Context = Literal["none", "pooled", "mixed"]


class SensoryState(NamedTuple):
    """``h``, ``c`` [M, B, S, H]: the recurrent state of every sensor; ``action`` [M, B, A]: what was done last."""

    h: Tensor
    c: Tensor
    action: Tensor


class SensorySet(nn.Module):
    """``M`` policies side by side, each a set of S sensory neurons that share all weights and talk to Q fixed queries (AttentionNeuron).

    Equation, for sensor i that sees the number ``o_i``, with fixed sinusoids ``P`` [Q, H]::

        h_i = LSTM(o_i, last action)    k_i = h_i K    q = P W    k'_i = T(k_i, C_i)
        m   = tanh(sum_i tanh(q k'_i) o_i)             action = tanh(m R + b)

    ``transfer`` ``T`` is a function of ``neuropil.cells.modulatory_transfer``, or None for ``k'_i = k_i``. ``context`` ``C_i``: "none" (0); "pooled", the mean state of the *other* sensors,
    ``C_i = mean_(j != i) h_j V + b``, which leaves the policy blind to the order of sensors; "mixed", the released one, ``C_i = sum_r A_ir q_r + b``, a row of ``A`` a sensor, the same at all times, with which it is not.

    ``action, s = policy(o, s)``: ``o`` [M, B, S] -> ``action`` [M, B, A]; ``s`` None begins an episode. ``vectors`` [M, P] holds all parameters, a row a policy, as an evolution strategy wants them; ``load(vectors)``
    writes them. All begin at 0. Raises ``ValueError`` for an unknown context or transfer, sizes below 1, one sensor with "pooled", and vectors of another shape.
    Source: tang2021 (the set), cooperator-two-point2023 (context and T, from the authors' code). Differs from it in that the LSTM has one bias vector instead of two, and in "pooled", which is our reading of a context that keeps the order from mattering.
    """

    positions: Tensor
    input_weight: Tensor
    recurrent_weight: Tensor
    gate_bias: Tensor
    key_weight: Tensor
    query_weight: Tensor
    readout: Tensor
    readout_bias: Tensor
    context_weight: Tensor
    context_bias: Tensor

    def __init__(
        self,
        members: int,
        sensors: int,
        *,
        actions: int = 1,
        hidden: int = 8,
        queries: int = 16,
        keys: int = 32,
        transfer: Transfer | str | None = None,
        context: Context = "none",
    ) -> None:
        super().__init__()
        if context not in get_args(Context):
            raise ValueError(f"context is one of {', '.join(get_args(Context))}, {context!r} was given.")
        if min(members, sensors, actions, hidden, queries, keys) < 1 or (context == "pooled" and sensors < 2):
            raise ValueError("All sizes of a SensorySet are 1 or more, and pooled context needs two sensors; give larger ones.")
        self.members, self.sensors, self.context = members, sensors, context
        self.transfer = None if transfer is None else transfer_of(transfer)
        sizes = {
            "input_weight": (1 + actions, 4 * hidden),
            "recurrent_weight": (hidden, 4 * hidden),
            "gate_bias": (4 * hidden,),
            "key_weight": (hidden, keys),
            "query_weight": (hidden, keys),
            "readout": (queries, actions),
            "readout_bias": (actions,),
        }
        if context == "pooled":
            sizes |= {"context_weight": (hidden, keys), "context_bias": (keys,)}
        elif context == "mixed":
            sizes |= {"context_weight": (sensors, queries), "context_bias": (sensors,)}
        for name, size in sizes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(members, *size)))
        self.positions = nn.Buffer(sinusoids(queries, hidden), persistent=False)

    @property
    def vectors(self) -> Tensor:
        """All parameters, a row a policy: [M, P]."""
        return torch.cat([one.detach().flatten(1) for one in self.parameters()], 1)

    def load(self, vectors: Tensor) -> None:
        """Take the parameters from ``vectors`` [M, P]."""
        own = list(self.parameters())
        size = sum(one[0].numel() for one in own)
        if vectors.shape != (self.members, size):
            raise ValueError(f"These policies take vectors [{self.members}, {size}], {list(vectors.shape)} was given.")
        with torch.no_grad():
            for one, part in zip(own, vectors.split([one[0].numel() for one in own], 1), strict=True):
                one.copy_(part.view_as(one))

    def initial(self, episodes: int) -> SensoryState:
        """The state at the beginning of ``episodes`` episodes a policy."""
        hidden, actions = self.recurrent_weight.shape[1], self.readout.shape[2]
        rest = self.recurrent_weight.new_zeros(self.members, episodes, self.sensors, hidden)
        return SensoryState(rest, rest, rest.new_zeros(self.members, episodes, actions))

    def sense(self, o: Tensor, s: SensoryState) -> tuple[Tensor, Tensor]:
        """The sensors' next ``h`` and ``c``."""
        m, b, n = o.shape
        given = torch.cat((o.unsqueeze(-1), s.action.unsqueeze(2).expand(m, b, n, -1)), -1).flatten(1, 2)
        gates = torch.baddbmm(self.gate_bias.unsqueeze(1), given, self.input_weight) + s.h.flatten(1, 2) @ self.recurrent_weight
        gate_in, forget, new, out = gates.view(m, b, n, -1).chunk(4, -1)
        c = forget.sigmoid() * s.c + gate_in.sigmoid() * new.tanh()
        return out.sigmoid() * c.tanh(), c

    def contexts(self, h: Tensor) -> Tensor:
        """What every sensor's key is modulated by, [M, B, S, K] or [M, 1, S, K], from the sensors' ``h``."""
        if self.context == "pooled":
            others = (h.sum(2, keepdim=True) - h) / (self.sensors - 1)
            return others @ self.context_weight.unsqueeze(1) + self.context_bias[:, None, None]
        if self.context == "mixed":
            return (self.context_weight @ (self.positions @ self.query_weight) + self.context_bias.unsqueeze(2)).unsqueeze(1)
        return torch.zeros_like(h[..., :1])

    def keys(self, h: Tensor, contexts: Tensor) -> Tensor:
        """The keys that sensors send, [M, B, S, K]."""
        drive = (h.flatten(1, 2) @ self.key_weight).unflatten(1, h.shape[1:3])
        return drive if self.transfer is None else self.transfer(drive, contexts)

    def act(self, o: Tensor, keys: Tensor) -> Tensor:
        """What the policies do, [M, B, A], given what sensors see and the keys that they send."""
        m, b, n = o.shape
        attention = (keys.flatten(1, 2) @ (self.positions @ self.query_weight).mT).tanh().view(m, b, n, -1)
        message = (o.unsqueeze(-1) * attention).sum(2).tanh()
        return torch.baddbmm(self.readout_bias.unsqueeze(1), message, self.readout).tanh()

    def forward(self, o: Tensor, s: SensoryState | None = None) -> tuple[Tensor, SensoryState]:
        """One moment: what the sensors see, [M, B, S] -> what the policies do, [M, B, A]."""
        s = self.initial(o.shape[1]) if s is None else s
        h, c = self.sense(o, s)
        action = self.act(o, self.keys(h, self.contexts(h)))
        return action, SensoryState(h, c, action)


def sinusoids(count: int, dims: int) -> Tensor:
    """Sines and cosines of a place at ``dims`` wavelengths, [count, dims]: ``sin(p / 10000^(2 floor(d / 2) / dims))`` for even d, the cosine for odd. Source: vaswani2017."""
    angle = np.arange(count)[:, None] / 10_000 ** (2 * (np.arange(dims) // 2) / dims)
    return torch.from_numpy(np.where(np.arange(dims) % 2 == 0, np.sin(angle), np.cos(angle))).float()
