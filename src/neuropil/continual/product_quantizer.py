"""Product quantisation: a vector is cut into parts, and of each part only the number of the nearest codebook entry is kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ROWS = 8192
"""Vectors that are compared with a codebook at once."""


class ProductQuantizer(nn.Module):
    """Product quantiser: ``x = (x_1, ..., x_s)``, ``code_i = argmin_k |x_i - c_ik|^2``, ``x_hat = (c_1,code_1, ..., c_s,code_s)``, with s codebooks learned by k-means.

    ``fit(x)`` learns from x [N, channels]: k-means++ seeding, then ``rounds`` of Lloyd's algorithm (an entry that nothing is nearest to stays where it is), each codebook by itself.
    ``encode(x)`` [..., channels] -> u8 [..., codebooks], one byte a part; ``decode(codes)`` gives back [..., channels]. Parts are runs of neighbouring channels.
    Buffers: ``centroids`` [codebooks, entries, channels / codebooks]; ``codebook_bytes`` is what they take. Source: jegou2011; as a memory for replay hayes2020.
    Raises ``ValueError`` for channels that the codebooks do not divide, other than 2 to 256 entries, inputs of another width, fewer distinct parts than entries, and codes that are none.
    """

    centroids: Tensor

    def __init__(self, channels: int, codebooks: int, entries: int = 256) -> None:
        super().__init__()
        if codebooks < 1 or channels < 1 or channels % codebooks:
            raise ValueError(
                f"A ProductQuantizer cuts its channels into equal parts, {channels} channels and {codebooks} codebooks were given."
            )
        if not 2 <= entries <= 256:
            raise ValueError(f"A codebook of a ProductQuantizer has 2 to 256 entries, so that a byte names one, {entries} were given.")
        self.register_buffer("centroids", torch.zeros(codebooks, entries, channels // codebooks))

    @property
    def codebook_bytes(self) -> int:
        """Bytes that the codebooks take."""
        return self.centroids.numel() * self.centroids.element_size()

    @torch.no_grad()
    def fit(self, x: Tensor, *, rounds: int = 20, generator: torch.Generator | None = None) -> None:
        """Learn the codebooks from vectors [N, channels]."""
        entries = self.centroids.shape[1]
        for part, found in zip(self._parts(x), self.centroids, strict=True):
            centres = _seeded(part, entries, generator)
            for _ in range(rounds):
                nearest = _nearest(part, centres)
                counts = nearest.bincount(minlength=entries)
                sums = torch.zeros_like(centres).index_add_(0, nearest, part)
                centres = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centres)
            found.copy_(centres)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Name the nearest entries of vectors [..., channels]: u8 [..., codebooks]."""
        codes = [_nearest(part, centres) for part, centres in zip(self._parts(x), self.centroids, strict=True)]
        return torch.stack(codes, 1).to(torch.uint8).reshape(*x.shape[:-1], len(codes))

    def decode(self, codes: Tensor) -> Tensor:
        """Look up codes u8 [..., codebooks]: vectors [..., channels]."""
        books, entries, _ = self.centroids.shape
        if codes.dtype != torch.uint8 or codes.shape[-1:] != (books,):
            raise ValueError(f"decode takes codes u8 [..., {books}] from encode, {codes.dtype} {list(codes.shape)} was given.")
        if codes.numel() and int(codes.max()) >= entries:
            raise ValueError(f"Codes of this ProductQuantizer lie below {entries}, {int(codes.max())} was given.")
        rows = codes.long() + torch.arange(books, device=codes.device) * entries
        return self.centroids.flatten(0, 1)[rows].flatten(-2)

    def _parts(self, x: Tensor) -> Tensor:
        books, _, width = self.centroids.shape
        if not x.is_floating_point() or x.shape[-1:] != (books * width,):
            raise ValueError(f"This ProductQuantizer takes numbers [..., {books * width}], {x.dtype} {list(x.shape)} was given.")
        return x.reshape(-1, books, width).to(self.centroids).transpose(0, 1)


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    half = centres.square().sum(1) / 2
    return torch.cat(
        [torch.addmm(half, part, centres.mT, alpha=-1).argmin(1) for part in x.split(_ROWS)] or [x.new_zeros(0, dtype=torch.long)]
    )


def _seeded(x: Tensor, entries: int, generator: torch.Generator | None) -> Tensor:
    """k-means++: each next centre is a vector drawn in proportion to its squared distance from the centres so far."""
    chosen = x[torch.randint(len(x), (1,), generator=generator, device=x.device)] if len(x) else x
    distance = (x - chosen).square().sum(1)
    for count in range(1, entries):
        total = distance.cumsum(0, dtype=torch.float64)
        if not len(x) or float(total[-1]) <= 0:
            raise ValueError(
                f"A codebook of {entries} entries needs as many distinct parts to learn from, {count if len(x) else 0} were given."
            )
        at = torch.searchsorted(total, torch.rand(1, generator=generator, device=x.device, dtype=torch.float64) * total[-1], right=True)
        chosen = torch.cat([chosen, x[at]])
        distance = torch.minimum(distance, (x - x[at]).square().sum(1))
    return chosen
