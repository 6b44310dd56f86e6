"""Motion of real pictures as an event camera sees it: whitening, views between pixels, events, and movies along jagged random walks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neuropil.data.checks import positive, whole


def whiten(pictures: Tensor, *, cutoff: float = 0.4) -> Tensor:
    """Flatten the spectrum of natural pictures: f32 [N, H, W] -> [N, H, W], each of mean 0 and standard deviation 1.

    Equation, on the cosine transform of a picture: ``X(f) <- X(f) |f| exp(-(|f| / cutoff)^4)``, ``f`` in cycles a pixel, ``cutoff`` likewise.
    A picture without contrast is 0 everywhere. Source: olshausen1996 (the filter). Differs from it in the transform, which mirrors a picture at its
    borders instead of repeating it. Raises ``ValueError`` for another form than [N, H, W] and a cutoff that is not positive.
    """
    _pictures(pictures)
    positive("cutoff", cutoff, "cycles a pixel")
    rows, columns = (cosines(torch.arange(size, dtype=torch.float32), size) for size in pictures.shape[1:])
    f = torch.hypot(*torch.meshgrid(*(torch.arange(size) / (2 * size) for size in pictures.shape[1:]), indexing="ij"))
    filtered = rows @ (rows.mT @ pictures @ columns * f * torch.exp(-((f / cutoff) ** 4))) @ columns.mT
    spread = filtered.std(dim=(1, 2), keepdim=True)
    return torch.where(spread > 1e-4, (filtered - filtered.mean(dim=(1, 2), keepdim=True)) / spread.clamp(min=1e-4), 0.0)


def cosines(places: Tensor, size: int) -> Tensor:
    """The cosines of the discrete cosine transform (second kind, orthonormal) of ``size`` pixels at any places [..., n] -> [..., n, size].

    Equation: ``sqrt(2 / size) cos(pi k (place + 1/2) / size)``, the first ``sqrt(1 / size)``. With ``C = cosines(arange(size), size)`` the transform of
    ``x`` is ``C^T x``, and ``cosines(places, size) C^T x`` reads ``x`` between its pixels: exactly, for what the pixels resolve.
    """
    k = torch.arange(size, dtype=places.dtype, device=places.device)
    basis = torch.cos(math.pi / size * k * (places.unsqueeze(-1) + 0.5)) * (2 / size) ** 0.5
    return torch.where(k > 0, basis, (1 / size) ** 0.5)


def glimpses(pictures: Tensor, corners: Tensor, view: int) -> Tensor:
    """Views of ``view`` x ``view`` pixels at any places, between pixels too: [N, H, W] and ``corners`` [N, T, 2] (row, column) -> [N, T, view, view].

    Read from the cosine transform, so beyond its borders a picture is mirrored. Raises ``ValueError`` where the forms do not fit.
    """
    _pictures(pictures)
    if corners.ndim != 3 or len(corners) != len(pictures) or corners.shape[-1] != 2:
        raise ValueError(f"corners are [N, T, 2], row and column for N = {len(pictures)} pictures, {list(corners.shape)} was given.")
    pixels = torch.arange(view, dtype=corners.dtype)
    rows, columns = (cosines(corners[..., axis, None] + pixels, pictures.shape[1 + axis]) for axis in (0, 1))
    whole_rows, whole_columns = (cosines(torch.arange(size, dtype=corners.dtype), size) for size in pictures.shape[1:])
    spectrum = whole_rows.mT @ pictures @ whole_columns
    return rows @ spectrum.unsqueeze(1) @ columns.mT


def gradient_events(movie: Tensor, *, selectivity: float = 1.0) -> Tensor:
    """Events where the change between two frames is large: movies [T, N, H, W] -> [T, N, 2, H, W] of 0 and 1, OFF before ON.

    Equation: ``g(t) = I(t) - I(t - 1) - threshold e(t - 1)``; ``e(t) = sign(g(t))`` where ``|g(t)| > threshold``, else 0; no event at first.
    ``threshold = selectivity`` times the standard deviation of the change, a movie's own. Source: grimaldi2023 (the authors' code).
    Differs from ``delta_encode``, an event camera proper, in that what stays below the threshold is forgotten from frame to frame.
    Raises ``ValueError`` for fewer than two frames, another form and a selectivity that is not positive.
    """
    if movie.ndim != 4 or len(movie) < 2:
        raise ValueError(f"gradient_events takes movies [T, N, H, W] of two frames or more, {list(movie.shape)} was given.")
    positive("selectivity", selectivity, "standard deviations")
    change = movie.diff(dim=0)
    threshold = selectivity * change.std(dim=(0, 2, 3), keepdim=True)[0]
    event, events = torch.zeros_like(movie[0]), [torch.zeros_like(movie[0])]
    for moment in change:
        g = moment - threshold * event
        event = torch.where(g.abs() > threshold, g.sign(), 0.0)
        events.append(event)
    signed = torch.stack(events)
    return torch.stack((signed < 0, signed > 0), 2).to(movie.dtype)


@dataclass(frozen=True)
class MotionMovies:
    """Motion recognition: events of pictures that move in one of several directions; the direction at every moment is the label.

    A movie is a view of ``view`` x ``view`` pixels that glides over a whitened picture at ``speed`` pixels a frame in direction ``2 pi k / directions``
    (0 up, then clockwise in rows and columns) for ``steps`` frames; after each frame a new direction is drawn with probability ``1 / block``
    (``None``: one motion a movie). Each starts at random where view and path stay ``margin`` pixels within the picture, so that nothing wraps round.
    ``noise``: standard deviation of white noise in units of the movie's largest contrast. Events are ``gradient_events``.

    ``sample(pictures, generator)``: whitened pictures f32 [N, H, W], one movie each -> events f32 [T, N, 2, view, view] and labels i64 [T, N]; the
    first frame has no event, and label t is the motion from frame t - 1 to t. Source: grimaldi2023. Differs from it in one speed instead of three.
    Raises ``ValueError`` for numbers out of range and for pictures too small for the path.
    """

    directions: int = 8
    speed: float = 0.5
    steps: int = 24
    view: int = 16
    block: float | None = 24.0
    margin: int = 3
    noise: float = 0.001
    selectivity: float = 1.0

    def __post_init__(self) -> None:
        whole("directions", self.directions, 2)
        whole("steps", self.steps, 2)
        whole("view", self.view, 1)
        whole("margin", self.margin, 0)
        positive("speed", self.speed, "pixels a frame")
        if self.block is not None and not self.block >= 1:
            raise ValueError(f"block is a mean number of frames, 1 or more, {self.block!r} was given; None for one motion a movie.")
        if not self.noise >= 0:
            raise ValueError(f"noise is 0 or more times the largest contrast, {self.noise!r} was given.")

    def velocities(self) -> Tensor:
        """How far the picture moves a frame in each direction, [directions, 2] pixels (down, right)."""
        angle = 2 * math.pi * torch.arange(self.directions) / self.directions
        return self.speed * torch.stack((-angle.cos(), angle.sin()), 1)

    def paths(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw directions i64 [T, n] and where the picture is at each frame, f32 [n, T, 2], from 0."""
        drawn = torch.randint(self.directions, (self.steps, n), generator=generator)
        turns = torch.rand(self.steps, n, generator=generator) < (0.0 if self.block is None else 1 / self.block)
        turns[0] = True
        since = torch.where(turns, torch.arange(self.steps)[:, None], 0).cummax(0).values
        labels = drawn.gather(0, since)
        steps = self.velocities()[labels].movedim(0, 1)
        steps[:, 0] = 0.0
        return labels, steps.cumsum(1)

    def sample(self, pictures: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a movie of each whitened picture: events [T, N, 2, view, view] and labels [T, N]."""
        _pictures(pictures)
        labels, path = self.paths(len(pictures), generator)
        space = torch.tensor(pictures.shape[1:]) - self.view - 2 * self.margin
        low, high = path.amin(1), path.amax(1)
        slack = space - (high - low)
        if (slack < 0).any():
            raise ValueError(
                f"A path of {self.steps} frames at {self.speed:g} pixels a frame, a view of {self.view} and twice a margin of {self.margin} do not fit pictures of "
                f"{list(pictures.shape[1:])}; make one of them smaller."
            )
        corner = self.margin + high + torch.rand(len(pictures), 2, generator=generator) * slack  # of the view, at the first frame
        movie = glimpses(pictures, corner[:, None] - path, self.view).movedim(1, 0)
        largest = movie.abs().amax((0, 2, 3))[:, None, None]
        movie = movie + self.noise * largest * torch.randn(movie.shape, generator=generator)
        return gradient_events(movie, selectivity=self.selectivity), labels


def space_time_patches(events: Tensor, at: Tensor, *, delays: int, window: int) -> Tensor:
    """Cut out what a neuron with many delays hears: events [T, N, C, H, W] -> patches [P, C, delays, window, window].

    ``at`` i64 [P, 4]: moment, movie, row and column of the upper left corner; patch ``d`` steps back holds moment ``t - d``.
    Raises ``ValueError`` for places that reach outside the movie.
    """
    t, n, row, column = at.unbind(1)
    if (t < delays - 1).any() or (row > events.shape[3] - window).any() or (column > events.shape[4] - window).any() or (at < 0).any():
        raise ValueError(f"A patch of {delays} moments and {window} x {window} places reaches outside the movie {list(events.shape)}.")
    back, side = torch.arange(delays), torch.arange(window)
    when = (t[:, None] - back)[:, :, None, None]
    rows, columns = (row[:, None] + side)[:, None, :, None], (column[:, None] + side)[:, None, None, :]
    return events[when, n[:, None, None, None], :, rows, columns].movedim(-1, 1)


def _pictures(pictures: Tensor) -> None:
    if pictures.ndim != 3:
        raise ValueError(f"Pictures are [N, H, W], {list(pictures.shape)} was given; make them grey and give a batch.")
