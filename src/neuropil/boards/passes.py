"""A network that counts what is asked of it, for who learns without ``neuropil.continual.learn``, which counts by itself."""

from __future__ import annotations

from torch import Tensor, nn

from neuropil.continual.passes import Tally, counted


class CountedPasses(nn.Module):
    """A model that answers and learns as ``model`` does, and counts in ``tally`` the examples [B, ...] that pass.

    Examples under ``torch.func.vmap`` count one by one; so do those that a copy answers. A model with ``every`` (all heads at once) keeps it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.tally = model, Tally()

    def forward(self, *inputs: Tensor) -> Tensor:
        """``model(*inputs)``, counted."""
        return counted(self.model(*inputs), self.tally)

    def every(self, x: Tensor) -> Tensor:
        """``model.every(x)``, counted."""
        return counted(self.model.every(x), self.tally)  # type: ignore[operator]
