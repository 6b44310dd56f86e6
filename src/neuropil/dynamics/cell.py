"""How state evolves in time: the one interface of everything that has a state, from a leaky integrator to a memory."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from neuropil.dynamics.kernels.fused import Runs, equation, kernel_for
from neuropil.dynamics.kernels.layout import DTYPES
from neuropil.dynamics.kernels.machine import COMPILERS, text
from neuropil.dynamics.kernels.printed import printed
from neuropil.dynamics.parameter import check_dt
from neuropil.dynamics.state import check_state, map_state, own_tensors

Backend = Literal["auto", "fused", "torch"]
Store = Literal["recompute", "state"]


class Cell(nn.Module):
    """State in, state out; nothing to reset, nothing hidden, two instances never touch.

    Using a cell::

        y, s = cell.step(x, s)      # one moment:  x [..., N] -> y [..., N]
        y, s = cell(x, s)           # a sequence:  x [T, ..., N] -> y [T, ..., N], time first; s is the state after the last moment
        s = cell.initial(B)         # the state at rest, fields [B, N];  s=None, the default, is cell.initial_like(x)

    Writing an elementwise cell: a NamedTuple class ``State``, and ``update``, the equation, once::

        class LI(Cell):
            class State(NamedTuple):
                v: Tensor                                        # membrane potential

            def __init__(self, size=None, *, tau=0.02, dt=None):
                super().__init__(size, dt=dt)
                self.decay = Decay(tau, dt=dt, size=size)        # tensors are Parameters or buffers: parameter(...), Decay(...)

            def update(self, s, x):                              # -> (State, y)
                v = self.decay() * s.v + x
                return self.State(v), v

    ``update`` is pure pointwise torch on ``s``, ``x`` and the cell's parameters (it is traced to compile it): no branching on values, no
    in-place writes, nothing stored on ``self``. Every field of ``State`` then has the shape of ``x``.

    A cell that is not elementwise overrides ``step(x, s=None)`` instead, begins it with ``s = self.ready(x, s)`` (checks, and the state at
    rest for ``None``), sets ``out_size`` where the output has another size than the input, and overrides ``initial`` (or
    ``initial_like``) where a field is not [..., size]. It gets the sequence form for free, further inputs included: keyword tensors given
    to ``cell(x, s, post=...)`` are time first too and reach ``step`` moment by moment.

    ``size``: number of features, the last axis of ``x`` (``None``: any, with shared parameters); ``dt``: one step in seconds;
    ``resting()``: rest values of fields that do not begin at 0; ``emits``: what the output is called when it is observed
    (``"spikes"``, ``"rate"``, ...). Steps may have any leading axes. Gradients flow through time; ``detach(s)`` cuts them.
    Raises ``TypeError`` or ``ValueError`` in one sentence for a wrong rank, dtype, feature size or device, and for the state of another cell.
    """

    State: Any
    emits: str = "output"
    backend: Backend = "auto"
    store: Store = "recompute"

    def __init__(self, size: int | None = None, *, dt: float | None = None) -> None:
        super().__init__()
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(
                f"The size of a {type(self).__name__} is its number of features, 1 or more, {size!r} was given; or None for any."
            )
        if not hasattr(getattr(type(self), "State", None), "_fields"):
            raise TypeError(f"{type(self).__name__} has no State; give the class a NamedTuple class State, one tensor field a variable.")
        self.size = size
        self.out_size = size
        self.dt = None if dt is None else check_dt(dt, type(self).__name__)

    def update(self, s: Any, x: Tensor) -> tuple[Any, Tensor]:
        """The equation of an elementwise cell: ``(State, y)`` after one moment with input ``x``."""
        raise NotImplementedError(f"{type(self).__name__} states neither update(s, x) nor step(x, s); define one of them.")

    def resting(self) -> dict[str, Tensor | float]:
        """Rest values by field of ``State``, numbers or [size]; fields not named rest at 0."""
        return {}

    def initial(self, *leading: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
        """The state at rest with fields [*leading, size]; for ``size=None`` the last of ``leading`` is the feature axis.

        ``device`` and ``dtype`` default to those of the cell's parameters.
        """
        shape = leading if self.size is None else (*leading, self.size)
        place = self._place(device, dtype)
        rest = self.resting()

        def fill(value: Tensor | float) -> Tensor:
            return value.to(**place).expand(shape).clone() if isinstance(value, Tensor) else torch.full(shape, value, **place)

        return self.State(*(fill(rest.get(field, 0.0)) for field in self.State._fields))

    def _place(self, device: torch.device | None, dtype: torch.dtype | None) -> dict[str, Any]:
        own = next((tensor for tensor in own_tensors(self) if tensor.is_floating_point()), torch.empty(0))
        return {"device": device or own.device, "dtype": dtype or own.dtype}

    def initial_like(self, x: Tensor) -> Any:
        """The state at rest for one moment of input ``x`` [..., N]: its leading axes, its device, its dtype (or the parameters', if wider)."""
        dtype = x.dtype
        for tensor in own_tensors(self):
            if tensor.is_floating_point() and tensor.dtype != dtype:
                dtype = torch.promote_types(dtype, tensor.dtype)
        return self.initial(*(x.shape if self.size is None else x.shape[:-1]), device=x.device, dtype=dtype)

    def ready(self, x: Tensor, s: Any = None) -> Any:
        """Check one moment's input ``x`` and state ``s``; give the state to start from."""
        self._check_input(x, "[..., N]", 1)
        if s is None:
            return self.initial_like(x)
        check_state(s, self.initial_like(x), type(self).__name__)
        return s

    def step(self, x: Tensor, s: Any = None) -> tuple[Tensor, Any]:
        """One moment: ``x`` [..., N] and the state before it -> ``y`` [..., N] and the state after it."""
        s, y = self.update(self.ready(x, s), x)
        return y, s

    def forward(self, x: Tensor, s: Any = None, **along: Tensor | None) -> tuple[Tensor, Any]:
        """A sequence: ``x`` [T, ..., N] -> ``y`` [T, ..., N] and the last state. ``along``: further inputs of ``step``, time first."""
        self._check_input(x, "[T, ..., N], time first", 2)
        self._check_along(x, along)
        if len(x) == 0:
            return self._nothing(x, s, along)
        s = self.ready(x[0], s)
        kernel = "its steps take further inputs" if along else self._kernel(x, s)
        if not isinstance(kernel, str):
            watcher = vars(self).get("step")
            if watcher is None or not watcher.reads_states:
                return kernel.run(x, s, self.store)
            y, s, states = kernel.run_watched(x, s)
            watcher.read_states(states)
            return y, s
        if self.backend == "fused":
            raise RuntimeError(
                f"{type(self).__name__} was to run as one kernel and cannot: {kernel}; use(backend='auto') takes steps instead."
            )
        ys: list[Tensor] = []
        plain = "step" not in vars(self) and self.elementwise and not along
        for t, moment in enumerate(x.unbind()):
            if plain:
                s, y = self.update(s, moment)
            else:
                y, s = self.step(moment, s, **{name: None if tensor is None else tensor[t] for name, tensor in along.items()})
            ys.append(y)
        return torch.stack(ys), s

    def _kernel(self, x: Tensor, s: Any) -> Runs | str:
        """What runs this sequence as a kernel, or in words why steps do."""
        if self.backend == "torch":
            return "it was told to"
        if not getattr(vars(self).get("step"), "content_afterwards", True):
            return "its states are held, or observed with their gradients"
        return self._compiled(x, s)

    def _compiled(self, x: Tensor, s: Any) -> Runs | str:
        return kernel_for(self, x, s) if self.elementwise else "its steps are its own"

    @property
    def elementwise(self) -> bool:
        """Whether ``update`` says all that a step of this cell does."""
        return type(self).step is Cell.step

    def use(self, *, backend: Backend | None = None, store: Store | None = None) -> Self:
        """Say how this cell, and every cell in it, runs a sequence; the cell itself comes back.

        ``backend``: ``"auto"``, one kernel where it can and steps where not; ``"fused"``, the kernel or an error; ``"torch"``, steps.
        ``store``: what the kernel keeps for the way back: ``"state"``, all states; ``"recompute"``, about sqrt(T) of them at most, the
        others being computed again. Raises ``ValueError`` for other words.
        """
        for name, given, words in (("backend", backend, get_args(Backend)), ("store", store, get_args(Store))):
            if given is not None and given not in words:
                raise ValueError(f"{name} is one of {', '.join(words)}, {given!r} was given.")
            for cell in (one for one in self.modules() if isinstance(one, Cell) and given is not None):
                setattr(cell, name, given)
        return self

    def explain(self, x: Tensor) -> str:
        """Say in words how a sequence ``x`` [T, ..., N] would run, and why."""
        name, kernel = type(self).__name__, self._kernel(x, self.initial_like(x[0]))
        if not isinstance(kernel, str):
            return f"{name} runs {kernel.words(len(x))}, keeping states by store={self.store!r}."
        return f"{name} takes steps in torch: {kernel}."

    def source(self, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> str:
        """The text of the kernel written from ``update``, for ``torch.float32`` or ``torch.float64``, on a CPU or, for Triton, ``"cuda"``.

        No such device need be here. Raises ``ValueError`` where none can be written, with the reason.
        """
        kind = torch.device(device).type
        if dtype not in DTYPES or kind not in COMPILERS:
            raise ValueError(
                f"Kernels are written for {' and '.join(map(str, DTYPES))} on {' or '.join(COMPILERS)}, {dtype} on {kind} was given."
            )
        return text(equation(self), tuple(name for name, _ in self.named_parameters()), DTYPES[dtype], compiler=COMPILERS[kind])

    def equation(self, backward: bool = False) -> str:
        """``update`` as a textbook would print it: what is computed once from the parameters, then one moment, new states with a prime.

        With ``backward`` also what a moment gives back, ``dL/dx`` from ``dL/dy``, for the inputs, the state and the parameters. Raises ``ValueError`` where
        ``update`` is not pointwise, with the reason.
        """
        return printed(equation(self).learning(tuple(name for name, _ in self.named_parameters())), backward)

    def _nothing(self, x: Tensor, s: Any, along: dict[str, Tensor | None]) -> tuple[Tensor, Any]:
        blank = x.new_zeros(x.shape[1:])
        s = self.ready(blank, s)
        with torch.no_grad():
            extra = {name: None if tensor is None else tensor.new_zeros(tensor.shape[1:]) for name, tensor in along.items()}
            y, _ = type(self).step(self, blank, map_state(Tensor.clone, s), **extra)
        return y.new_zeros((0, *y.shape)), s

    def _check_along(self, x: Tensor, along: dict[str, Tensor | None]) -> None:
        if not along:
            return
        parameters = signature(type(self).step).parameters
        accepted = [name for name in parameters if name not in ("self", "x", "s")]
        for name, tensor in along.items():
            if name not in accepted and all(one.kind is not Parameter.VAR_KEYWORD for one in parameters.values()):
                raise TypeError(
                    f"{type(self).__name__} takes x and a state, {name!r} was given too; accepted are {accepted or 'no others'}."
                )
            if tensor is None:
                continue
            if not isinstance(tensor, Tensor) or tensor.ndim == 0:
                given = "a tensor without axes" if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"
                raise TypeError(f"{name} of {type(self).__name__} was {given}; accepted is a tensor [T, ...], time first.")
            if len(tensor) != len(x):
                raise ValueError(f"{name} has {len(tensor)} moments and x has {len(x)}; give both the same length, time first.")

    def _check_input(self, x: Tensor, form: str, rank: int) -> None:
        name = type(self).__name__
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} was given a {type(x).__name__}; accepted is a tensor {form}.")
        if x.ndim < rank:
            raise ValueError(f"{name} was given an input of shape {list(x.shape)}; accepted is {form}.")
        if not x.is_floating_point():
            raise TypeError(f"{name} was given an input of dtype {x.dtype}; accepted are floating dtypes, convert it with x.float().")
        if self.size is not None and x.shape[-1] != self.size:
            raise ValueError(
                f"{name} has {self.size} features and was given an input of shape {list(x.shape)}; the last axis is {self.size}."
            )
        own = next(own_tensors(self), None)
        if own is not None and own.device != x.device:
            raise ValueError(f"{name} lies on {own.device} and was given an input on {x.device}; move one with .to(device).")

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        parts = {"size": self.size, "out_size": None if self.out_size == self.size else self.out_size, "dt": self.dt}
        return ", ".join(f"{name}={value}" for name, value in parts.items() if value is not None)
