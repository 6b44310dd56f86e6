"""Learned delays: does learning the delays of a spiking network beat fixed random delays, and beat spending the parameters on width?"""

from __future__ import annotations

import copy
import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuropil.atlas import Contrast, Curve, Dose, Gate, Grid, Lesion, Matrix, Metric, Off, Seed, Settings, Study, Table, Tune
from neuropil.atlas.outcome import Outcome
from neuropil.atlas.pages.panels import GREY, lines, mean_curve, panels
from neuropil.data import Cochlea, LagPatterns, load
from neuropil.dynamics import Arctan
from neuropil.synapses import DelayedLinear

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SURROGATE = Arctan(slope=5.0)
LAG_DENSITY = 0.15  # spikes a channel and step in the lag task
SHARP = 0.5  # steps: where the authors' annealing of sigma ends, 0.23 + 0.27
DELAYS = {"delays": True, "learnable": True, "rate": 0.016, "tau": 0.06, "delay_rate": 0.2}
RANDOM = {"delays": True, "learnable": False, "rate": 0.05, "tau": 0.18, "delay_rate": 0.0}
NONE = {"delays": False, "learnable": False, "rate": 0.16, "tau": 0.18, "delay_rate": 0.0}
LAG_RATE = 0.05  # highest rate of the weights in the lag task
ALIKE = ("compute", "data")

study = Study(
    slug="learned-delays-dcls",
    cites="hammouamri2024",
    claim="In a small feedforward spiking network that hears spoken digits from speakers it was not trained on, learning the synaptic delays beats "
    "fixed random delays by 0.02 of accuracy, whether these share its annealing or are whole from the start, and beats by as much the same number "
    "of trained parameters in a wider network without delays.",
    fidelity="code",
    scale="proxy",
    arms={
        "learned": {**DELAYS},
        "permuted": {**DELAYS, "lesion": True},
        "random": {**RANDOM},
        "none": {**NONE, "widened": True},
        "random_whole": {**RANDOM, "rate": 0.16, "whole": True},
        "off": {**RANDOM, "learnable": True},
        "lag_learned": {**DELAYS, "task": "lags"},
        "lag_random": {**RANDOM, "task": "lags"},
        "lag_none": {**NONE, "widened": True, "task": "lags"},
        "duration": {},
    },
    metrics={
        "accuracy": Metric(
            "share of test clips", floor=0.1, ceiling=1.0, label="accuracy on unheard speakers, whole delays", house="accuracy"
        ),
        "validation_accuracy": Metric(
            "share of clips", floor=0.1, ceiling=1.0, label="accuracy on a speaker kept from training", house="accuracy"
        ),
        "annealed_accuracy": Metric("share of test clips", floor=0.1, ceiling=1.0, label="accuracy before rounding", house="accuracy"),
        "rounding_loss": Metric("share of test clips", better="lower", label="accuracy lost by rounding the delays", house="accuracy"),
        "delay_shift": Metric("steps", label="mean distance that a delay moved"),
        "moved_share": Metric("share of synapses", floor=0.0, ceiling=1.0, label="delays that round to another step than at first"),
        "spikes": Metric("hidden spikes a clip", better="lower", label="spikes an inference"),
        "parameters": Metric("trained weights, delays, gains, biases", better="lower", label="trained parameters a net"),
        "stored": Metric("numbers", better="lower", label="parameters stored a net, fixed delays included"),
        "steps": Metric("updates", kind="exact", better="lower"),
        "samples": Metric("clips presented to a net", kind="exact"),
    },
    primary=(
        Contrast("learned", "random", on="accuracy", delta=0.02, match=ALIKE),
        Contrast("learned", "random_whole", on="accuracy", delta=0.02, match=ALIKE),
        Contrast("learned", "none", on="accuracy", delta=0.02, match=("parameters", *ALIKE)),
    ),
    secondary=(
        Contrast("random", "none", on="accuracy", delta=0.02, match=ALIKE),
        Contrast("random_whole", "none", on="accuracy", delta=0.02, match=ALIKE),
        Contrast("learned", "random", on="annealed_accuracy", delta=0.02, match=ALIKE),
        Contrast("learned", "random_whole", on="annealed_accuracy", delta=0.02, match=ALIKE),
        Contrast("learned", "none", on="annealed_accuracy", delta=0.02, match=("parameters", *ALIKE)),
    ),
    dose=(Dose("delay_shift", at_least=1.0), Dose("moved_share", at_least=0.5)),
    gate=Gate(
        "learning delays solves a task of nothing but timing that the net without them cannot do and random delays do worse; the controls on digits "
        "are neither at chance nor at ceiling, and clip lengths alone do not tell the digit",
        "lag_learned.accuracy >= 0.9",
        "lag_none.accuracy <= 0.4",
        "lag_learned.accuracy - lag_random.accuracy >= 0.1",
        "0.3 <= none.accuracy <= 0.9",
        "0.3 <= random.accuracy <= 0.9",
        "0.3 <= random_whole.accuracy <= 0.9",
        "none.accuracy - duration.accuracy >= 0.1",
        "random.accuracy - duration.accuracy >= 0.1",
    ),
    lesion=Lesion("permuted"),
    off=Off("off", "random"),
    tune=Tune(
        space={"rate": Grid((0.005, 0.016, 0.05, 0.16, 0.5)), "tau": Grid((0.02, 0.06, 0.18, 0.54))},
        on="validation_accuracy",
        arms=("learned", "random", "random_whole", "none"),
        follow={"permuted": "learned", "off": "random"},
        seeds=(1000, 1001),
        spread=tuple(range(1110, 1118)),
        budget={"validate": True, "folds": 1},
    ),
    budgets={
        "smoke": {"task": "lags", "bin": 0.02, "bins": 16, "channels": 6, "max_delay": 4, "width": 6, "dropout": 0.2}
        | {"train": 64, "test": 40, "spacing": 1, "lag_epochs": 2, "lag_batch": 16, "lag_nets": 2},
        "glance": {"task": "lags", "bin": 0.02, "bins": 30, "channels": 20, "max_delay": 12, "width": 32, "dropout": 0.2}
        | {"train": 1024, "test": 500, "spacing": 4, "lag_epochs": 20, "lag_batch": 64, "lag_nets": 1},
        "desk": {"task": "digits", "bin": 0.02, "bins": 30, "channels": 20, "max_delay": 12, "width": 32, "dropout": 0.2}
        | {"folds": 3, "epochs": 20, "batch": 128, "resplit": (2000, 1000), "test_items": 3000}
        | {"train": 1024, "test": 500, "spacing": 4, "lag_epochs": 20, "lag_batch": 64, "lag_nets": 1},
    },
    data={"smoke": (), "glance": (), "desk": ("fsdd",)},
    paper={"value": 95.07, "units": "% on SHD, learned delays, two layers of 256"},
    distance="Free Spoken Digits of six speakers through a cochlea model (20 channels, 30 steps of 20 ms) instead of the Spiking Heidelberg Digits (140, "
    "10 ms); two layers of 32 instead of 256; delays to 12 steps (240 ms) instead of 24 (240 ms); 20 epochs of 15 updates instead of 150, and dropout "
    "0.2 instead of 0.4, with which nets this small learn less even of their training set; rates change by update instead of by epoch; the net of the "
    "last epoch is tested instead of the best on validation; the delays' rate is 0.2 steps (theirs 0.1, of half the length); the highest rate of the "
    "weights and the membranes' time constant are tuned, where the authors' are 0.005 and one step (10.05 ms, of which 0.5 % is left after a step in "
    "their Euler form); no silence is added after the sound in each layer (theirs adds half of the longest delay).",
    notes="A seed pairs the six speakers at random; each of three nets is tested on one pair and trained on the other four speakers, so that every seed "
    "hears all 3,000 clips of the pool once as a test, from speakers its net never heard. Accuracy is pooled over the three. Seeds share the pool, "
    "so intervals carry the Nadeau-Bengio correction for a test of a third of it (0.5 is added to 1/n, which makes them about four times as wide at "
    "30 seeds). With six speakers this assay cannot tell a difference of 0.02 with the power that a verdict needs, whatever the number of seeds. "
    "The correction was derived for one fresh split a seed, not for three that cover the pool, and is applied as the cautious choice. The rates and time "
    "constants were chosen, for all arms alike, by speakers kept from training who are among the six of the test: absolute accuracies are "
    "optimistic by as much. "
    "All arms with delays have the same kernels and the same normalisation, and are tested with whole delays and the normalisation that training "
    "left, as the authors test. Random delays share the annealing of the Gaussian; fixed delays do not need it and may be hurt by it and by the rounding at "
    "the end, so a second primary control, random_whole, has whole delays from the start (the authors' own fixed delays are near to it: two "
    "neighbouring taps). It was made primary when a pilot of three "
    "epochs, which displayed test accuracy on seeds 1000 and 1001, had it above the annealed one (0.35 and 0.28; learned 0.30, none 0.41). Nets without delays "
    "have one weight a synapse and the width that gives as many trained parameters. Rates: one-cycle for weights, gains and biases, cosine for delays. "
    "Every clip is scaled to the same peak, cut at 0.6 s (10 % are longer) or followed by silence. The lag task is a "
    "positive control only: four classes of lags of 4 or 8 steps, either way, at a rate of 0.05 and the authors' time constant of one step, since membranes "
    "that keep a lag would hide what delays do (at 80 ms learned delays were at 0.34 there; on seeds 1002 to 1004 at one step 0.97 and more, random delays 0.72, none 0.27). With a lag of 0 "
    "among them, a net without delays solved it by coincidence alone (pilot), so there is none. The lesioned arm is the learned one, trained once. "
    "Pilots on tuning seeds 1000 and 1001: 26 runs of dropout 0.4 and 0.2, epochs 15 to 40, rates 0.005 to 0.04, time constants "
    "20 to 80 ms, and three versions of the lag task; on digits only validation speakers were seen. "
    "A first search with delays' rates at 20 times the weights' (the authors' proportion) had its optima at the edges of its grid, learned delays at the lowest "
    "rate (validation 0.50 at 0.01 and 80 ms), the controls at the highest (random 0.48 and random_whole 0.47 at 0.04 and 80 ms, none 0.50 at 0.04 "
    "and 160 ms). Pilots at 80 ms then tried learned delays at rates 0.01 to 0.04 with delays' rates of 0.1 to 0.8 steps: 0.40 (0.1), 0.50, 0.50 and 0.50 "
    "(0.2, at weights' rates of 0.01, 0.02 and 0.04), 0.47 (0.4 at 0.02), 0.47 (0.4 at 0.04), 0.44 (0.8), so the delays' rate is its own now, "
    "0.2, and the weights' is searched as for the controls; these were two seeds of one net each, and a look that the controls did not need. "
    "A second search (rates 0.005 to 0.16, time constants 20 to 540 ms) had learned delays best inside it (0.50 at 0.016 and 60 ms), random too (0.45 at 0.05 and 180 ms), random_whole (0.44) and none (0.54 at 180 ms) at its highest rate; a third, coarser and wider (rates 0.005, 0.02, 0.1, 0.5, time constants 20, 100, 500 ms), had learned delays at its longest time constant by 0.002 (0.475) and the others inside (0.47, 0.42, 0.46). The grid is the second with a rate of 0.5 added, so the outcome of most of its points was known when it was written. "
    "Rounding seemed to cost 0.09 in one run of three nets (0.56 to 0.47, seed 1001) and cost 0.025 on the mean of fourteen later ones. Measuring the normalisation anew after rounding, on the training "
    "clips, gained nothing in these (0.47 before and 0.47 after), so what the normalisation remembers is not the reason. "
    "18 steps of silence after the sound, for late spikes to arrive in, made all arms with delays worse (0.35 for learned delays), so there are none.",
)


class SpikeTrain(torch.autograd.Function):
    """LIF neurons over a whole sequence: ``v <- d v + x``, a spike at ``v >= 1``, then ``v <- 0``; the reset passes no gradient.

    ``x`` [T, ...] -> spikes [T, ...]; ``decay`` d. As ``neuropil.cells.LIF`` with a hard, detached reset, in fewer and larger operations.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, decay: float) -> Tensor:
        """Step through the moments, keeping the potential before the reset."""
        v, below = torch.empty_like(x), torch.empty_like(x)
        after = torch.zeros_like(x[0])
        for now, came, quiet in zip(v.unbind(), x.unbind(), below.unbind(), strict=True):
            torch.add(came, after, alpha=decay, out=now)
            torch.lt(now, 1.0, out=quiet)
            torch.mul(now, quiet, out=after)
        ctx.save_for_backward(v, below)
        ctx.decay = decay
        return 1.0 - below

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Step back: ``g[t] = dL/dspike[t] h(v[t] - 1) + d (1 - spike[t]) g[t + 1]``."""
        v, below = ctx.saved_tensors
        g = SURROGATE.derivative(v - 1.0).mul_(gradients[0])
        kept = below * ctx.decay
        rows, keeps = g.unbind(), kept.unbind()
        for t in range(len(rows) - 2, -1, -1):
            rows[t].addcmul_(keeps[t], rows[t + 1])
        return g, None


class Transforms(NamedTuple):
    """Real discrete Fourier transforms over time, as matrices: of a sequence, of a kernel, and back."""

    sequence: Tensor
    kernel: Tensor
    back: Tensor


@lru_cache(maxsize=8)
def transforms(steps: int, taps: int) -> Transforms:
    """Cosines and sines for sequences of ``steps`` and kernels of ``taps``, on a ring long enough for their convolution not to wrap."""
    ring = (steps + taps - 1) | 1
    t, f = torch.arange(ring, dtype=torch.float64), torch.arange(ring // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * f[:, None] * t / ring
    there = torch.cat([torch.cos(angle), -torch.sin(angle)])
    weight = torch.where(f > 0, 2.0, 1.0).repeat(2)[:, None] / ring
    back = (there * weight).T[:steps]
    return Transforms(*(m.float().contiguous() for m in (there[:, :steps], there[:, :taps], back)))


def delayed(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve over time, net by net: ``y[t, r, b, m] = sum_nk kernels[r, m, n, k] x[t - k, r, b, n]``, silence before the first moment.

    ``x`` [T, R, B, N], ``kernels`` [R, M, N, K] -> ``y`` [T, R, B, M]. By the convolution theorem, one product of matrices a frequency.
    """
    steps, nets, batch, inputs = x.shape
    _, outputs, _, taps = kernels.shape
    if taps == 1:
        return torch.stack([x[:, r] @ kernels[r, :, :, 0].T for r in range(nets)], 1)
    to = transforms(steps, taps)
    spectrum = (to.sequence @ x.reshape(steps, -1)).view(2, -1, batch, inputs)
    filters = (to.kernel @ kernels.movedim(-1, 0).reshape(taps, -1)).view(2, -1, outputs, inputs).mT
    (xr, xi), (kr, ki) = spectrum, filters
    real = torch.baddbmm(torch.bmm(xr, kr), xi, ki, alpha=-1)
    imaginary = torch.baddbmm(torch.bmm(xr, ki), xi, kr)
    y = to.back @ torch.cat([real, imaginary]).view(len(to.back.T), -1)
    return y.view(steps, nets, batch, outputs)


class BatchNormalisation(torch.autograd.Function):
    """``(x - mean) / sqrt(variance + 1e-5)`` over clips and moments, net by net: ``x`` [T, R, B, N] -> the same, mean and variance [R, 1, N]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Two passes: sums, then the normalised values."""
        count = x.shape[0] * x.shape[2]
        mean = x.sum(0).sum(1, keepdim=True) / count
        y = x - mean
        variance = y.square().sum(0).sum(1, keepdim=True) / count
        scale = torch.rsqrt(variance + 1e-5)
        y.mul_(scale)
        ctx.save_for_backward(y, scale)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """``scale (g - mean(g) - y mean(g y))``."""
        y, scale = ctx.saved_tensors
        g = gradients[0]
        count = y.shape[0] * y.shape[2]
        along = (g * y).sum(0).sum(1, keepdim=True) / count
        through = torch.addcmul(g - g.sum(0).sum(1, keepdim=True) / count, y, along, value=-1)
        return through.mul_(scale)


class Normalise(nn.Module):
    """Batch normalisation net by net, as ``nn.BatchNorm1d`` does it over clips and moments: ``x`` [T, R, B, N], parameters [R, 1, N]."""

    mean: Tensor
    variance: Tensor

    def __init__(self, nets: int, size: int) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(nets, 1, size)), nn.Parameter(torch.zeros(nets, 1, size))
        self.mean, self.variance = nn.Buffer(torch.zeros(nets, 1, size)), nn.Buffer(torch.ones(nets, 1, size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch and remember it while training, by what was remembered in testing."""
        if not self.training:
            scale = self.gain * torch.rsqrt(self.variance + 1e-5)
            return torch.addcmul(self.bias - self.mean * scale, x, scale)
        y, mean, variance = BatchNormalisation.apply(x)  # type: ignore[no-untyped-call]
        count = x.shape[0] * x.shape[2]
        with torch.no_grad():
            self.mean.lerp_(mean, 0.1)
            self.variance.lerp_(variance * (count / (count - 1)), 0.1)
        return torch.addcmul(self.bias, y, self.gain)


class Nets(nn.Module):
    """Spiking networks of one shape, trained side by side: (delayed synapses, batch normalisation, LIF, dropout) x 2, delayed synapses, leaky read-out.

    ``x`` [T, R, B, N] -> read-out potentials [T, R, B, classes]. ``seeds`` gives each net its own initial weights and delays.
    """

    def __init__(self, sizes: tuple[int, ...], seeds: list[Seed], *, max_delay: int, learnable: bool, decay: float, dropout: float) -> None:
        super().__init__()
        self.decay, self.dropout = decay, dropout
        generators = [seed.torch("init") for seed in seeds]
        self.layers = [
            [DelayedLinear(a, b, max_delay=max_delay, learnable=learnable, generator=g) for g in generators] for a, b in pairwise(sizes)
        ]
        self.synapses = nn.ModuleList(self.each())
        self.norms = nn.ModuleList(Normalise(len(seeds), size) for size in sizes[1:-1])

    def forward(self, x: Tensor, drop: torch.Generator | None = None, seen: list[Tensor] | None = None) -> Tensor:
        """Run the nets; ``drop`` draws the dropout of training, one mask for all moments; ``seen`` collects the hidden spikes."""
        for synapses, norm in zip(self.layers, [*self.norms, None], strict=True):
            x = delayed(x, torch.stack([s.kernel() for s in synapses]))
            if norm is None:
                break
            x = SpikeTrain.apply(norm(x), self.decay)  # type: ignore[no-untyped-call]
            if seen is not None:
                seen.append(x)
            if drop is not None:
                kept = torch.rand(x.shape[1:], generator=drop) >= self.dropout
                x = x * (kept / (1 - self.dropout))
        t = torch.arange(len(x))
        leak = torch.where(t[:, None] >= t, self.decay ** (t[:, None] - t).clamp(min=0).float(), 0.0)
        return (leak @ x.reshape(len(x), -1)).view_as(x)

    def each(self) -> list[DelayedLinear]:
        """All synapses of all nets."""
        return [s for synapses in self.layers for s in synapses]


class Task(NamedTuple):
    """Clips [T, clips, channels], their classes and lengths, and for each net (fold) the clips that it trains on, is validated and tested on."""

    clips: Tensor
    labels: Tensor
    lengths: Tensor
    speakers: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor


@lru_cache(maxsize=1)
def spoken_digits(channels: int, bins: int, width: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Free Spoken Digits through a cochlea: spikes, digits, lengths in seconds and speakers; every clip as loud as any, cut or followed by silence."""
    data = load("fsdd")
    rate = int(data.rate)
    audio = data.audio.astype(np.float64)
    for start, end in pairwise(data.offsets.tolist()):
        audio[start:end] *= 0.5 / max(1.0, float(np.abs(audio[start:end]).max()))
    spikes = Cochlea(rate=rate, channels=channels).recordings(audio, data.offsets, bin=width, steps=bins)
    _, speakers = np.unique(data.speaker, return_inverse=True)
    lengths = torch.from_numpy(np.diff(data.offsets) / rate)
    return torch.from_numpy(spikes), torch.from_numpy(data.digit).long(), lengths, torch.from_numpy(speakers)


def digits_task(budget: Settings, seed: Seed) -> Task:
    """Pair the six speakers at random: each of ``folds`` nets, three at most, is tested on one pair and trained on the others, or all of them but one that validates."""
    clips, labels, lengths, speakers = spoken_digits(budget.channels, budget.bins, budget.bin)
    pairs = seed.numpy("data").permutation(6).reshape(3, 2)
    where = [torch.nonzero(speakers == s)[:, 0] for s in range(6)]
    train, validation, test = [], [], []
    for fold in range(budget.folds):
        others = [int(s) for s in np.concatenate([pairs[(fold + 1) % 3], pairs[(fold + 2) % 3]])]
        kept = others.pop() if budget.get("validate") else others[-1]
        train.append(torch.cat([where[s] for s in others]))
        validation.append(where[kept])
        test.append(torch.cat([where[int(s)] for s in pairs[fold]]))
    return Task(clips, labels, lengths, speakers, torch.stack(train), torch.stack(validation), torch.stack(test))


def lags_task(budget: Settings, seed: Seed) -> Task:
    """Draw lag patterns for each net: four classes that differ in nothing but the lags within pairs of channels, none of which is 0."""
    clips, labels = [], []
    levels, size = torch.tensor([-2, -1, 1, 2]) * budget.spacing, budget.train + budget.test
    for fold in range(budget.folds):
        generator = Seed(seed.axis(f"lags {fold}")).torch("data")
        lags = torch.stack([levels[torch.randperm(4, generator=generator)] for _ in range(budget.channels // 2)], 1)
        task = LagPatterns(tuple(map(tuple, lags.tolist())), steps=budget.bins, dt=budget.bin, rate=LAG_DENSITY / budget.bin)
        x, y = task.sample(size, generator)
        clips.append(x)
        labels.append(y)
    index = torch.arange(budget.folds * size).view(budget.folds, size)
    lengths = torch.full((budget.folds * size,), budget.bins * budget.bin)
    train, test = index[:, : budget.train], index[:, budget.train :]
    return Task(torch.cat(clips, 1), torch.cat(labels), lengths, torch.zeros(index.numel(), dtype=torch.long), train, test, test)


def count(sizes: tuple[int, ...], each: int) -> int:
    """Count the trained parameters: ``each`` a synapse, gain and bias a hidden neuron."""
    return each * sum(a * b for a, b in pairwise(sizes)) + 2 * sum(sizes[1:-1])


def shape(arm: Settings, budget: Settings, classes: int) -> tuple[int, ...]:
    """Give the sizes of an arm's layers; the widened one has as nearly as many parameters as the net that learns its delays."""
    if not arm.get("widened"):
        return (budget.channels, budget.width, budget.width, classes)
    wanted = count((budget.channels, budget.width, budget.width, classes), 2)
    widths = range(budget.width, 3 * budget.width)
    best = min(widths, key=lambda w: abs(count((budget.channels, w, w, classes), 1) - wanted))
    return (budget.channels, best, best, classes)


class Trained(NamedTuple):
    """Nets after learning, the delays that they began with, and how it went."""

    nets: Nets
    first: list[Tensor]
    right: list[float]
    steps: int


def learn(arm: Settings, budget: Settings, task: Task, seed: Seed) -> Trained:
    """Train the nets of all folds side by side, as the authors do: Adam twice, one-cycle rates of weights, cosine of delays, sigma annealed."""
    folds = len(task.train)
    seeds = [Seed(seed.axis(f"net {fold}")) for fold in range(folds)]
    classes = int(task.labels.max()) + 1
    sizes = shape(arm, budget, classes)
    decay = math.exp(-budget.bin / arm.tau)
    nets = Nets(sizes, seeds, max_delay=budget.max_delay if arm.delays else 0, learnable=arm.learnable, decay=decay, dropout=budget.dropout)
    if arm.get("whole"):
        for synapse in nets.each():
            synapse.discretise_()
    first = [s.delay.detach().clone() for s in nets.each()]
    orders, drop = [s.torch("order") for s in seeds], seed.torch("noise")
    per_epoch = task.train.shape[1] // budget.batch
    steps = per_epoch * budget.epochs
    groups: list[dict[str, Any]] = [
        {"params": [s.weight for s in nets.each()], "weight_decay": 1e-5},
        {"params": list(nets.norms.parameters())},
    ]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(groups, lr=arm.rate, fused=True)]
    schedules: list[torch.optim.lr_scheduler.LRScheduler] = [
        torch.optim.lr_scheduler.OneCycleLR(optimizers[0], arm.rate, total_steps=steps + 1)
    ]
    if arm.learnable:
        optimizers.append(torch.optim.Adam([s.delay for s in nets.each()], lr=arm.delay_rate, fused=True))
        schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[1], steps))
    hits = []
    for epoch in range(budget.epochs):
        for s in () if arm.get("whole") else nets.each():
            s.anneal(epoch / budget.epochs, narrowest=SHARP)
        index = torch.stack([of[torch.randperm(len(of), generator=g)] for of, g in zip(task.train, orders, strict=True)])
        right = 0
        for at in range(0, per_epoch * budget.batch, budget.batch):
            chosen = index[:, at : at + budget.batch]
            labels = task.labels[chosen]
            scores = nets(task.clips[:, chosen], drop).softmax(-1).sum(0)
            loss = cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum") / budget.batch
            for optimizer in optimizers:
                optimizer.zero_grad()
            torch.autograd.backward(loss)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            for s in nets.each():
                s.clamp_()
            right += int((scores.argmax(-1) == labels).sum())
        hits.append(right / index[:, : per_epoch * budget.batch].numel())
    return Trained(nets.eval(), first, hits, steps)


@torch.no_grad()
def correct(nets: Nets, task: Task, which: Tensor) -> Tensor:
    """Say of each clip in ``which`` [R, n] whether its net names the right class."""
    guess = [nets(task.clips[:, part]).softmax(-1).sum(0).argmax(-1) == task.labels[part] for part in which.split(250, 1)]
    return torch.cat(guess, 1)


@lru_cache(maxsize=1)
def learnt(arm: tuple[tuple[str, Any], ...], budget: tuple[tuple[str, Any], ...], seed: Seed) -> tuple[Task, Trained]:
    """Make the task and train its nets; the last ones are kept for the arm that lesions them. Its nets are read, never written."""
    of, size = Settings("arm", dict(arm)), Settings("budget", dict(budget))
    task = lags_task(size, seed) if size.task == "lags" else digits_task(size, seed)
    return task, learn(of, size, task, seed)


@torch.no_grad()
def permute_delays(synapses: list[DelayedLinear], generator: torch.Generator) -> None:
    """Hand each neuron's delays to its synapses in another order: the neuron keeps its delays, no synapse its own."""
    for synapse in synapses:
        order = torch.rand(synapse.delay.shape, generator=generator).argsort(1)
        synapse.delay.copy_(synapse.delay.gather(1, order))


def by_duration(task: Task) -> Tensor:
    """Say of each test clip whether its length alone gives the class: a log-normal law a class, fitted to the training clips."""
    logs, guesses = task.lengths.log(), []
    for train, test in zip(task.train, task.test, strict=True):
        laws = [logs[train][task.labels[train] == c] for c in range(int(task.labels.max()) + 1)]
        mean, spread = torch.stack([law.mean() for law in laws]), torch.stack([law.std() for law in laws]).clamp(min=1e-3)
        score = -0.5 * ((logs[test][:, None] - mean) / spread).square() - spread.log()
        guesses.append(score.argmax(1) == task.labels[test])
    return torch.stack(guesses)


def resolve(arm: Settings, budget: Settings) -> tuple[Settings, Settings]:
    """Give the arm and the budget as they run: the lag task has sizes and a rate of its own, and membranes of one step, as the authors' are."""
    if arm.get("task", budget.task) != "lags":
        return arm, budget
    sizes = {"epochs": budget.lag_epochs, "batch": budget.lag_batch, "folds": budget.lag_nets}
    alike = {"rate": LAG_RATE, "tau": budget.bin, "task": "lags"}
    return Settings(arm.name, {**arm, **alike}), Settings(budget.name, {**budget, **sizes, "task": "lags"})


@study.trial
def trial(arm: Settings, budget: Settings, seed: Seed) -> Outcome:
    """Train the nets of one seed, give their delays whole steps, and test them."""
    arm, budget = resolve(arm, budget)
    if arm.name == "duration":
        task = lags_task(budget, seed) if budget.task == "lags" else digits_task(budget, seed)
        return {"accuracy": float(by_duration(task).double().mean())}
    settings = {name: value for name, value in arm.items() if name not in ("lesion", "task")}
    task, trained = learnt(tuple(settings.items()), tuple(budget.items()), seed)
    nets = copy.deepcopy(trained.nets)
    synapses = nets.each()
    began, ended = (torch.cat([d.detach().flatten() for d in delays]) for delays in (trained.first, [s.delay for s in synapses]))
    if arm.get("lesion"):
        permute_delays(synapses, seed.torch("lesion"))
    annealed = float(correct(nets, task, task.test).double().mean())
    for synapse in synapses:
        synapse.discretise_()
    right = correct(nets, task, task.test).double()
    speakers = task.speakers[task.test]
    each = [int(s) for s in speakers.unique()]
    spikes: list[Tensor] = []
    with torch.no_grad():
        nets(task.clips[:, task.test[:, :250]], seen=spikes)
    weights = sum(s.weight.numel() for s in synapses) + sum(p.numel() for p in nets.norms.parameters())
    delays = sum(s.delay.numel() for s in synapses) if arm.delays else 0
    folds = len(task.test)
    hidden = spikes[-1][:, 0, 0].T
    order = (hidden * torch.arange(1.0, hidden.shape[1] + 1)).sum(1).div(hidden.sum(1).clamp(min=1)).argsort(stable=True)
    outcome: dict[str, float | Curve | Matrix] = {
        "accuracy": float(right.mean()),
        "annealed_accuracy": annealed,
        "rounding_loss": annealed - float(right.mean()),
        "delay_shift": float((ended - began).abs().double().mean()),
        "moved_share": float((ended.round() != began.round()).double().mean()),
        "spikes": float(sum(s.sum() for s in spikes) / spikes[0].shape[1] / spikes[0].shape[2]),
        "parameters": float(weights + (delays if arm.delay_rate > 0 else 0)) / folds,
        "stored": float(weights + delays) / folds,
        "steps": float(trained.steps),
        "samples": float(trained.steps * budget.batch),
        "by_speaker": Curve(each, [float(right[speakers == s].mean()) for s in each], "speaker", "accuracy"),
        "training": Curve(range(1, len(trained.right) + 1), trained.right, "epoch", "training accuracy, with dropout"),
        "delays_first": histogram(began, budget.max_delay),
        "delays_last": histogram(ended, budget.max_delay),
        "input": Matrix(task.clips[:, task.test[0, 0]].T.tolist(), "channel", "step"),
        "hidden": Matrix(hidden[order].tolist(), "neuron, by mean time of its spikes", "step"),
    }
    if budget.get("validate"):
        outcome["validation_accuracy"] = float(correct(nets, task, task.validation).double().mean())
    return outcome


def histogram(delays: Tensor, longest: int) -> Curve:
    """Share of synapses by whole delay."""
    counts = torch.bincount(delays.round().long(), minlength=longest + 1)
    return Curve(range(longest + 1), (counts / counts.sum()).tolist(), "delay, steps", "share of synapses")


COLOURS = {
    "learned": "#d1495b",
    "permuted": "#6b8e23",
    "random": "#2a9d8f",
    "random_whole": "#8cc7bf",
    "none": "#4f7cac",
    "lag_learned": "#d1495b",
    "lag_random": "#2a9d8f",
    "lag_none": "#4f7cac",
}


@study.figure(
    "spikes",
    "One test clip of the first seed: its input (low channels at the bottom) and the second hidden layer of the first net of each arm, neurons "
    "sorted by the mean time of their spikes, the earliest at the bottom. With delays, neurons are still active, one after another, when "
    "the sound has passed.",
)
def spikes(table: Table) -> Figure:
    """What goes on inside: the same sound in nets with and without delays."""
    shown = [arm for arm in ("learned", "random", "none") if arm in table.arms]
    figure, axes = panels(*[1] * (1 + len(shown)), height=3.8)
    for ax, arm in zip(axes, ["", *shown], strict=True):
        matrix = table.matrix(arm or shown[0], "hidden" if arm else "input")
        rows = np.asarray(matrix.values)
        neuron, step = np.nonzero(rows)
        ax.scatter(step, neuron, s=max(3.0, 240 / len(rows)), marker="s", lw=0, color=COLOURS[arm] if arm else GREY)
        ax.set(xlim=(-0.5, rows.shape[1] - 0.5), ylim=(-0.5, len(rows) - 0.5), xlabel="step", ylabel=matrix.row_label if not arm else "")
        ax.set_title(arm or "input", fontsize=10)
    return figure


@study.figure(
    "delays",
    "Left: the delays of all synapses of the nets that learn them, drawn uniformly at first (grey) and learned (red), rounded, mean over seeds; "
    "the two outer bins are half as wide, and gather what is clamped. Right: training accuracy by epoch, with dropout, mean over seeds.",
)
def delays(table: Table) -> Figure:
    """Where the delays went, and whether training was over."""
    figure, (left, right) = panels(1, 1)
    if "learned" in table.arms:
        for name, colour, shift in (("delays_first", GREY, -0.2), ("delays_last", COLOURS["learned"], 0.2)):
            curve = mean_curve(table.curves("learned", name))
            left.bar([x + shift for x in curve.x], curve.y, width=0.4, color=colour, label="at first" if shift < 0 else "learned")
        left.legend(fontsize=8, frameon=False, labelcolor=GREY)
    left.set(xlabel="delay, steps", ylabel="share of synapses")
    followed = ("learned", "random", "random_whole", "none")
    lines(right, {arm: table.curves(arm, "training") for arm in followed if arm in table.arms}, COLOURS)
    right.legend(fontsize=8, frameon=False, labelcolor=GREY)
    right.set(xlabel="epoch", ylabel="training accuracy", ylim=(0, 1))
    return figure


@study.figure(
    "accuracy",
    "Left: accuracy of each seed (a dot; lines join a seed) and the mean (bar). Middle: what learned delays gain on each held-out speaker; "
    "a dot a seed, a bar the mean over seeds. Right: the lag task, where nothing but timing tells the class.",
)
def accuracy(table: Table) -> Figure:
    """Who hears best, on whom, and whether the assay can show a gain from delays at all."""
    figure, (left, middle, right) = panels(1.5, 1.2, 0.8, height=4.0)
    digits = [arm for arm in COLOURS if arm in table.arms and not arm.startswith("lag")]
    _dots(left, table, digits)
    left.set_ylabel("accuracy")
    rivals = [arm for arm in ("random", "random_whole", "none") if {arm, "learned"} <= set(table.arms)]
    for place, rival in enumerate(rivals):
        pairs = list(zip(table.curves("learned", "by_speaker"), table.curves(rival, "by_speaker"), strict=True))
        for speaker in pairs[0][0].x:
            at = speaker + (place - 1) * 0.27
            gains = [a.y[list(a.x).index(speaker)] - b.y[list(b.x).index(speaker)] for a, b in pairs]
            middle.scatter([at] * len(gains), gains, s=9, color=COLOURS[rival], alpha=0.5, lw=0)
            middle.hlines(sum(gains) / len(gains), at - 0.12, at + 0.12, color=COLOURS[rival], lw=2.5)
        middle.scatter([], [], s=20, color=COLOURS[rival], label=f"over {rival.replace('_', ' ')}")
    middle.axhline(0, color=GREY, lw=0.8)
    middle.legend(fontsize=7, frameon=False, labelcolor=GREY, ncols=3, columnspacing=0.8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    middle.set(xlabel="speaker", ylabel="gain of learned delays")
    lags = [arm for arm in COLOURS if arm in table.arms and arm.startswith("lag")]
    _dots(right, table, lags)
    right.axhline(0.25, color=GREY, lw=0.8, ls=":")
    right.set(ylim=(0, 1.03), title="lag task" if lags else "")
    return figure


def _dots(ax: Axes, table: Table, arms: list[str]) -> None:
    rows = [table.values(arm, "accuracy") for arm in arms]
    for of_seed in zip(*rows, strict=True):
        ax.plot(range(len(arms)), of_seed, color=GREY, lw=0.5, alpha=0.4)
    for place, (arm, values) in enumerate(zip(arms, rows, strict=True)):
        ax.scatter([place] * len(values), values, s=12, color=COLOURS[arm], lw=0, zorder=3)
        ax.hlines(sum(values) / len(values), place - 0.25, place + 0.25, color=COLOURS[arm], lw=2.5)
    ax.set_xticks(range(len(arms)), [arm.removeprefix("lag_").replace("_", "\n") for arm in arms], fontsize=8)
