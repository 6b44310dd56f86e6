"""Checks: dtypes, devices, gradients, and a mechanism that is on and off as declared."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from neuropil.dynamics import leaves, smoothed
from neuropil.testing.bench import Bench
from neuropil.testing.stating import asked, require, same


@asked()
def dtypes(bench: Bench) -> None:
    """float64, float32 and bfloat16 go in and come out, states included; the first two agree to 1e-3."""
    x = bench.x(8, 2, dtype=torch.float64)
    outputs = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        part = bench.make().to(dtype)
        with smoothed(part):
            y, s = bench.run(part, x.to(dtype), **bench.along(x.to(dtype)))
        require(y.dtype == dtype, f"Inputs of {dtype} gave outputs of {y.dtype}.")
        require(y.isfinite().all(), f"Inputs of {dtype} gave outputs that are not finite.")
        for name, tensor in leaves(s):
            require(tensor.dtype == dtype, f"Inputs of {dtype} gave the field {name} of the state in {tensor.dtype}.")
        outputs[dtype] = y.double()
    torch.testing.assert_close(outputs[torch.float32], outputs[torch.float64], rtol=1e-3, atol=1e-3)


@asked()
def devices(bench: Bench) -> None:
    """It runs where it was moved: on the meta device, and on CUDA where there is one."""
    x = bench.x(6, 2)
    y, _ = bench.run(bench.make(), x, **bench.along(x))
    for device in ["meta", *(["cuda"] if torch.cuda.is_available() else [])]:
        there, at = bench.make().to(device), x.to(device)
        moved, state = bench.run(there, at, **bench.along(at))
        require(moved.device.type == device, f"Moved to {device}, it answered on {moved.device}.")
        require(moved.shape == y.shape, f"Moved to {device}, it gave {list(moved.shape)} in the place of {list(y.shape)}.")
        for name, tensor in leaves(state):
            require(tensor.device.type == device, f"Moved to {device}, the field {name} of the state lies on {tensor.device}.")
        if device != "meta":
            torch.testing.assert_close(moved.cpu(), y, rtol=1e-4, atol=1e-5)


@asked()
def gradients_of_inputs_parameters_and_buffers(bench: Bench) -> None:
    """``gradcheck`` in float64, spikes smoothed by their surrogate's antiderivative; every parameter gets a gradient."""
    part, x = bench.make().double(), bench.x(4, 2, dtype=torch.float64).requires_grad_()
    along = {name: tensor.requires_grad_() for name, tensor in bench.along(x).items()}
    names = list(bench.tensors(part))

    def outputs(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        values = dict(zip([*along, *names], rest, strict=True))
        arguments = (x, None) if bench.is_cell else (x,)
        result = functional_call(part, {name: values[name] for name in names}, arguments, {name: values[name] for name in along})
        y, s = result if bench.is_cell else (result, None)
        return (y, *(tensor for _, tensor in leaves(s)))

    with smoothed(part):
        own = [tensor.detach().clone().requires_grad_() for tensor in bench.tensors(part).values()]
        everything = (x, *along.values(), *own)
        torch.autograd.gradcheck(outputs, everything, eps=1e-6, atol=1e-5, rtol=1e-3, nondet_tol=0)
        loss = torch.stack([tensor.square().sum() for tensor in outputs(*everything)]).sum()
    gradients = dict(zip(names, torch.autograd.grad(loss, own, allow_unused=True) if own else (), strict=True))
    for name, _ in part.named_parameters():
        found = gradients[name]
        require(found is not None, f"{name} is a parameter and gets no gradient.")
        require(found is not None and found.abs().sum() > 0, f"{name} is a parameter and its gradient is 0.")


@asked(lambda part: part.off is not None)
def on_and_off_as_declared(bench: Bench) -> None:
    """Switched off it is what ``like`` says, to rounding; switched on it is not."""
    off_arguments, like = bench.part.off, bench.part.like
    if off_arguments is None or like is None:
        raise AssertionError("off and like are declared together.")
    x = bench.x(40, 3, dtype=torch.float64)
    along = bench.along(x)
    off, on = bench.make(**off_arguments).double(), bench.make().double()
    plain = like(off)
    plain = plain.double() if isinstance(plain, nn.Module) else plain
    expected = plain(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    same(bench.run(off, x, **along)[0], expected, exact=False)
    if hasattr(on, "weight"):
        on.weight.data.copy_(off.weight.data)  # so that nothing else differs
    require((bench.run(on, x, **along)[0] - expected).abs().max() > 1e-3, "Switched on, it does what it does switched off.")
