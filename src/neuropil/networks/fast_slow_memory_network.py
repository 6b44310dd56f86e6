"""A memory of slots with two controllers whose weights move within an episode, by true or by predicted gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from neuropil.learning.synthetic_gradient import SyntheticGradient, taught
from neuropil.memory import drawn_linear
from neuropil.networks.fast_lstm import FastLSTM

Gradients = Literal["predicted", "true", "none"]
Change = Callable[[str, Tensor], Tensor]


class Passed(NamedTuple):
    """What happened in an episode: ``said`` and ``used``, for each controller its answers h and the gradients it learned from, [T, ..., units]; ``moved``, for each how far its weights had moved at the end, [...]."""

    said: dict[str, list[Tensor]]
    used: dict[str, list[Tensor]]
    moved: dict[str, Tensor]


class Looked(NamedTuple):
    """A look at the slots: query ``q`` [..., width] and its ``size`` [..., 1] before it was brought to length 1, weights ``z`` [..., slots], what was read ``m`` [..., width], logits ``y`` [..., classes]."""

    q: Tensor
    size: Tensor
    z: Tensor
    m: Tensor
    y: Tensor


class FastSlowMemoryNetwork(nn.Module):
    """Read controller, slots, answer; then the label, the write controller, and one step of learning for both controllers, every moment.

    Equations, a moment: ``e = tanh(E x)``; ``h_r = read(e)``, ``q`` is ``A (h_r, e)`` at length 1, ``z = softmax(b M q)``, ``m = M^T z``, ``y = O (q, m)`` logits; then the label l, one-hot, is told: ``h_w = write(q, m, l)``, ``w = q + B (h_w, l)``, ``M <- M (1 - z 1^T) + z w^T``.
    Both controllers are ``FastLSTM``, moved after the label by a gradient for their h, in steps of ``step``:

    - ``"true"``: of the moment's own cross-entropy, ``dL_t / dh_r``; that of ``h_w`` is 0, since what is written is read later;
    - ``"predicted"``: what a ``SyntheticGradient`` for each says from (h, l, softmax(y) - l), which learns from the gradient of the whole episode's loss, later moments included, while that is descended;
    - ``"none"``: not moved.

    x [T, ..., pixels] and labels [T, ..., classes], one-hot -> y [T, ..., classes]; a label is heard only after its moment's answer. Gradients of the slow weights do not flow through the fast changes, whichever they are. ``trace`` tells what happened and lets a function change the gradients used.

    Initial law: weights uniform with variance 1 / fan-in, biases 0; controllers as ``LSTMController``, but with f's biases at -2, so that they begin forgetful; slots begin at M_0, learned, random of length 1; b 10, learned; all from ``generator``, predictors last. Raises ``ValueError`` for sizes below 1 and unknown words.
    Source: fast-slow-synthetic-grad-memory2020 (our reading, of the abstract alone). Ours are the ways past the controllers (e into q, q and l into w), queries of length 1 and b, without which no net of this size learned to bind within the desk's updates.
    """

    def __init__(
        self,
        pixels: int,
        classes: int,
        *,
        gradients: Gradients = "predicted",
        step: float = 0.1,
        embedded: int = 32,
        units: int = 32,
        slots: int = 32,
        width: int = 24,
        hidden: int = 32,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if gradients not in get_args(Gradients):
            raise ValueError(f"gradients is one of {', '.join(get_args(Gradients))}, {gradients!r} was given.")
        if min(pixels, classes, embedded, units, slots, width, hidden) < 1:
            raise ValueError("A FastSlowMemoryNetwork takes sizes from 1 up; one given is below.")
        self.gradients, self.step_size, self.units = gradients, step, units
        self.embed = drawn_linear(pixels, embedded, generator)
        self.read = FastLSTM(embedded, units, generator=generator)
        self.ask = drawn_linear(units + embedded, width, generator)
        self.write = FastLSTM(2 * width + classes, units, generator=generator)
        self.store = drawn_linear(units + classes, width, generator)
        self.answer = drawn_linear(2 * width, classes, generator)
        self.slots = nn.Parameter(normalize(torch.randn(slots, width, generator=generator), dim=-1))
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        for controller in (self.read, self.write):
            nn.init.constant_(controller.slow.bias[:units], -2.0)
        if gradients == "predicted":
            self.predict_read = SyntheticGradient(units, 2 * classes, hidden, generator=generator)
            self.predict_write = SyntheticGradient(units, 2 * classes, hidden, generator=generator)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Answer every moment of every episode."""
        return self.trace(x, labels)[0]

    def trace(self, x: Tensor, labels: Tensor, change: Change | None = None) -> tuple[Tensor, Passed]:
        """Answer, and tell what happened; ``change(controller, gradient)`` puts another gradient in the place of the one that is learned from."""
        leading, share = x.shape[1:-1], 1 / labels[..., 0].numel()
        r, w = self.read.initial(*leading), self.write.initial(*leading)
        memory = self.slots.expand(*leading, *self.slots.shape)
        said: dict[str, list[Tensor]] = {"read": [], "write": []}
        used: dict[str, list[Tensor]] = {"read": [], "write": []}
        answers = []
        for e, label in zip(self.embed(x).tanh(), labels, strict=True):
            h, r = self.read.step(e, r)
            with torch.no_grad():
                first = self.look(h, e, memory)
                error = first.y.softmax(-1) - label
                modulator = torch.cat((label, error), -1)
            if self.gradients == "predicted":
                g_read = self.predict_read(h, modulator)
                h = taught(h, g_read, share)
                r = r._replace(h=h)
            looked = self.look(h, e, memory)
            v, w = self.write.step(torch.cat((looked.q, looked.m, label), -1), w)
            if self.gradients == "predicted":
                g_write = self.predict_write(v, modulator)
                v = taught(v, g_write, share)
                w = w._replace(h=v)
            elif self.gradients == "true":
                g_read, g_write = self.own_gradient(first, memory, error), torch.zeros_like(v)
            answers.append(looked.y)
            written = looked.q + self.store(torch.cat((v, label), -1))
            memory = memory + looked.z.unsqueeze(-1) * (written.unsqueeze(-2) - memory)
            said["read"].append(h)
            said["write"].append(v)
            if self.gradients != "none":
                for name, g in (("read", g_read), ("write", g_write)):
                    used[name].append(g.detach() if change is None else change(name, g.detach()))
                r = self.read.learned(r, used["read"][-1], self.step_size)
                w = self.write.learned(w, used["write"][-1], self.step_size)
        return torch.stack(answers), Passed(said, used, {"read": self.read.change(r), "write": self.write.change(w)})

    def look(self, h: Tensor, e: Tensor, memory: Tensor) -> Looked:
        """Ask the slots [..., slots, width] with h [..., units] and e [..., embedded], and answer."""
        asked = self.ask(torch.cat((h, e), -1))
        size = asked.norm(dim=-1, keepdim=True)
        q = asked / size
        z = (self.sharpness * (memory @ q.unsqueeze(-1)).squeeze(-1)).softmax(-1)
        m = (z.unsqueeze(-2) @ memory).squeeze(-2)
        return Looked(q, size, z, m, self.answer(torch.cat((q, m), -1)))

    @torch.no_grad()
    def own_gradient(self, looked: Looked, memory: Tensor, error: Tensor) -> Tensor:
        """``dL_t / dh_r`` of a moment's own cross-entropy, whose gradient for the logits is ``error`` [..., classes]: [..., units]."""
        for_q, for_m = (error @ self.answer.weight).chunk(2, -1)
        for_z = (memory @ for_m.unsqueeze(-1)).squeeze(-1)
        for_scores = looked.z * (for_z - (looked.z * for_z).sum(-1, keepdim=True))
        for_q = for_q + self.sharpness * (for_scores.unsqueeze(-2) @ memory).squeeze(-2)
        for_asked = (for_q - looked.q * (looked.q * for_q).sum(-1, keepdim=True)) / looked.size
        gradient: Tensor = for_asked @ self.ask.weight[:, : self.units]
        return gradient
