"""Selective fine-tuning: a few modules of a network are trained on stored examples, the rest is frozen."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.continual.module_sensitivity import own_parameters
from neuropil.continual.strategy import Loss, Optimizer


def fine_tune_modules(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    modules: Collection[str] | None,
    optimizer: Optimizer,
    *,
    steps: int,
    batch_size: int,
    loss: Loss = cross_entropy,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One round of forgetting-prioritised fine-tuning: ``theta_l <- optimizer(theta_l, dL / dtheta_l)`` for the named modules l, ``steps`` times; all others stay.

    Each step draws ``batch_size`` different examples of inputs [N, ...] and labels [N] at random, all if there are fewer. ``modules``: names of modules, their own parameters are trained and not those of modules inside them;
    None trains all, and an empty list none. The model runs in training mode throughout, so that batch normalisation anywhere in it takes its running statistics from these examples, which is all that happens without modules.
    Gives the loss before each step, f32 [steps]. Which parameters require gradients, and the mode, are as before afterwards. Source: zhao2023.
    Raises ``ValueError`` for modules without parameters of their own, unequal or no examples, steps below 0 and a batch below 1.
    """
    own = own_parameters(model)
    if unknown := sorted(set(modules or ()) - set(own)):
        raise ValueError(f"fine_tune_modules trains modules with parameters, {', '.join(own)} here; {', '.join(unknown)} was asked for.")
    if not len(inputs) or len(inputs) != len(labels) or steps < 0 or batch_size < 1:
        raise ValueError(
            "fine_tune_modules takes as many labels as inputs, one at least, steps from 0 and a batch from 1; "
            f"{len(inputs)} inputs, {len(labels)} labels, {steps} and {batch_size} were given."
        )
    before = [(one, one.requires_grad) for one in model.parameters()]
    mode = model.training
    try:
        model.requires_grad_(False)
        trained = [one for name, held in own.items() if modules is None or name in modules for one in held]
        for one in trained:
            one.requires_grad_()
        model.train()
        stepping = optimizer(trained) if trained else None
        losses = torch.zeros(steps)
        for k in range(steps):
            batch = torch.randperm(len(inputs), generator=generator)[:batch_size].to(labels.device)
            value = loss(model(inputs[batch]), labels[batch])
            losses[k] = value.detach()
            if stepping is not None:
                stepping.zero_grad(set_to_none=True)
                value.backward()
                stepping.step()
    finally:
        for one, required in before:
            one.requires_grad_(required)
        model.train(mode)
    return losses
