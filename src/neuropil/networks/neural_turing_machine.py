"""A Neural Turing Machine: a controller that hears its input and what it read last, and steers the heads of a memory."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from neuropil.dynamics import Cell


class Steered(Protocol):
    """A memory that a controller steers: ``asked`` numbers a moment go in, ``read_size`` come back. ``NeuralTuringMemory`` is one."""

    asked: Any
    read_size: Any

    def initial(self, *leading: int) -> Any:
        """Its state at first."""

    def step(self, asked: Tensor, s: Any) -> tuple[Tensor, Any]:
        """Let one moment pass: what is asked [..., asked] -> what is read [..., read_size], and the state."""


class NeuralTuringMachine(Cell):
    """Controller and memory: what is read comes with the next input.

    Equation: ``h_t = controller(x_t, r_(t-1))``; ``r_t = memory(A h_t + a)``; ``y_t = O (h_t, r_t) + o``. ``r_0 = 0``.

    ``x`` [T, ..., size] -> ``y`` [T, ..., outputs], to be squashed by the user. ``controller``: any cell that takes ``size + memory.read_size`` features and has an ``out_size`` (``LSTMController``, or a layer without memory); ``memory``: any ``Steered``, such as
    ``NeuralTuringMemory``. Weights of ``ask`` and ``say`` begin by Glorot's law, biases at 0, from ``generator``. Raises ``ValueError`` for a controller whose sizes do not fit. Source: graves2014.
    Differs from it in that what was read before the first moment is 0 instead of a learned bias.
    """

    class State(NamedTuple):
        """The controller's state, the memory's, and ``read`` [..., read_size]: what was read last."""

        controller: Any
        memory: Any
        read: Tensor

    def __init__(self, size: int, outputs: int, *, controller: Cell, memory: Steered, generator: torch.Generator | None = None) -> None:
        super().__init__(size)
        if controller.size != size + memory.read_size or controller.out_size is None:
            raise ValueError(
                f"A controller here takes {size} features and {memory.read_size} that are read and has an out_size; one with {controller.size} and {controller.out_size} was given."
            )
        self.out_size = outputs
        self.controller, self.memory = controller, memory
        self.ask = nn.Linear(controller.out_size, memory.asked)
        self.say = nn.Linear(controller.out_size + memory.read_size, outputs)
        for layer in (self.ask, self.say):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> State:
        """Everything at its start."""
        place = self._place(device, dtype)
        return self.State(
            self.controller.initial(*leading, **place), self.memory.initial(*leading), torch.zeros(*leading, self.memory.read_size, **place)
        )

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, State]:
        """One moment."""
        s = self.ready(x, s)
        h, controller = self.controller.step(torch.cat((x, s.read), -1), s.controller)
        read, memory = self.memory.step(self.ask(h), s.memory)
        return self.say(torch.cat((h, read), -1)), self.State(controller, memory, read)
