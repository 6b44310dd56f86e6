import math
from statistics import NormalDist

import pytest
import torch
from torch.testing import assert_close

from neuropil.memory import AttentionCleanup, ResonatorNetwork, ThresholdCleanup, projection_cleanup, random_codebooks


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def rate(factors, dimension, size, sweeps, products, seed=0, per=20, cleanup=projection_cleanup, **kwargs):
    g, right = draws(seed), 0
    for _ in range(products // per):
        net = ResonatorNetwork(random_codebooks(factors, size, dimension, g), cleanup, **kwargs)
        index = torch.randint(size, (per, factors), generator=g)
        found = net.factorise(net.bind(index), sweeps=sweeps)
        assert torch.equal((found.factors == index).all(1), found.found)
        right += int(found.found.sum())
    return right / products


@pytest.mark.parametrize(("factors", "dimension", "capacity", "beyond"), [(2, 1000, 340, 500), (3, 1500, 79, 115)])
def test_capacity_is_the_one_that_its_authors_published(factors, dimension, capacity, beyond):
    """kent2020, operational capacities in the authors' repository: codebooks of so many vectors are factorised with probability 0.99 in a thousandth of K^F sweeps."""
    sweeps = capacity**factors // 1000
    assert rate(factors, dimension, capacity, sweeps, 80) >= 0.95
    assert rate(factors, dimension, beyond, sweeps, 40) < 0.93


def test_a_sweep_from_the_right_factors_flips_as_many_elements_as_the_gaussian_law_says():
    """With all other factors right, C^T C x has mean N + K - 1 along x and variance (K - 1)(N - 1) an element: flips with Phi(-(N + K - 1) / sqrt((K - 1)(N - 1)))."""
    n, k = 400, 300
    g, flipped = draws(), []
    for _ in range(40):
        net = ResonatorNetwork(random_codebooks(2, k, n, g))
        right = net.codebooks[:, :1].movedim(1, 0)
        x, _ = net.sweep(net.bind(torch.zeros(1, 2, dtype=torch.long)), right)
        flipped.append((x[0, 0] != right[0, 0]).float().mean())
    law = NormalDist().cdf(-(n + k - 1) / math.sqrt((k - 1) * (n - 1)))
    assert torch.stack(flipped).mean() == pytest.approx(law, rel=0.07)


def test_attention_on_one_codebook_is_the_hopfield_step_and_rests_at_its_vector():
    """ramsauer2021: xi <- X softmax(beta X^T xi); for well separated patterns a step from near one ends at it, up to exp(-beta gap)."""
    net = ResonatorNetwork(random_codebooks(2, 30, 600, draws()), AttentionCleanup(1.0), bound="norm")
    index = torch.tensor([[3, 7]])
    x = net.codebooks[torch.arange(2), index]
    assert_close(x, net.sweep(net.bind(index), x)[0], atol=1e-4, rtol=0)
    noisy = x * torch.where(torch.rand(x.shape, generator=draws(1)) < 0.1, -1.0, 1.0)
    found, met = net.sweep(net.bind(index), noisy)
    weights = (1.0 * (net.bind(index) * noisy[:, 1]) @ net.codebooks[0].T / 600**0.5).softmax(-1)
    expected = weights @ net.codebooks[0]
    assert_close(found[:, 0], expected * 600**0.5 / expected.norm(), atol=1e-4, rtol=1e-4)
    assert met.abs().argmax(-1).tolist() == [[3, 7]]


@pytest.mark.parametrize("phasor", [False, True])
@pytest.mark.parametrize(
    ("cleanup", "bound"), [(projection_cleanup, "unit"), (ThresholdCleanup(1.0), "unit"), (AttentionCleanup(1.0), "norm")]
)
def test_every_clean_up_finds_the_factors_of_an_easy_product(cleanup, bound, phasor):
    g = draws(3)
    net = ResonatorNetwork(random_codebooks(3, 10, 512, g, phasor=phasor), cleanup, bound=bound)
    index = torch.randint(10, (20, 3), generator=g)
    found = net.factorise(net.bind(index), sweeps=60, noise=0.1, patience=1, generator=g)
    assert found.found.float().mean() >= 0.9
    assert torch.equal(found.factors[found.found], index[found.found])
    assert (found.sweeps[~found.found] == 60).all()


def test_states_keep_to_their_bound_and_similarities_are_in_units_of_crosstalk():
    for phasor in (False, True):
        g = draws(5)
        books = random_codebooks(3, 50, 2000, g, phasor=phasor)
        net = ResonatorNetwork(books, AttentionCleanup(0.5), bound="norm")
        foreign = random_codebooks(1, 40, 2000, g, phasor=phasor)[0]
        x, met = net.sweep(foreign, net.start(40, g))
        assert_close(x.norm(dim=-1), torch.full((40, 3), 2000**0.5))
        assert met[:, 0].real.std() == pytest.approx(1, abs=0.06)
        net.bound = "unit"
        assert_close(net.start(4, g).abs(), torch.ones(4, 3, 2000))
    net.bound, unit = "unit", ResonatorNetwork(random_codebooks(2, 2, 8, g))
    assert_close(unit._bound(torch.tensor([0.0, -2.0, 3.0])), torch.tensor([1.0, -1.0, 1.0]))


def test_weights_at_the_ends_of_beta_and_of_the_threshold():
    a = torch.tensor([[0.5, 3.0, -4.0]])
    assert_close(AttentionCleanup(0.0)(a), torch.full((1, 3), 1 / 3))
    assert AttentionCleanup(float("inf"))(a).tolist() == AttentionCleanup(1e6)(a).tolist() == [[0, 1, 0]]
    assert ThresholdCleanup(1.0)(a).tolist() == [[0, 3, 0]]
    assert ThresholdCleanup(-5.0)(a).tolist() == a.tolist()


def test_restarts_come_after_patience_and_draw_from_the_generator_only():
    g = draws(7)
    net = ResonatorNetwork(random_codebooks(3, 60, 128, g), AttentionCleanup(3.0), bound="norm")
    s = net.bind(torch.randint(60, (10, 3), generator=g))
    runs = [net.factorise(s, sweeps=30, patience=2, generator=draws(8)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    assert 1 <= runs[0].restarts.max() <= 30 / 3.5
    early = net.factorise(s, sweeps=3, generator=draws(8))
    assert (early.sweeps[~early.found] == 3).all()
    for run in (net.factorise(net.bind(torch.randint(60, (40, 3), generator=g)), sweeps=200, patience=1, generator=draws(9)),):
        assert run.found.any()
        assert ((run.sweeps % 1 != 0) == (run.found & (run.restarts % 2 == 1))).all()
    assert net.factorise(s, sweeps=30).restarts.sum() == 0


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ResonatorNetwork(torch.ones(1, 3, 4)), "F at least 2"),
        (lambda: ResonatorNetwork(torch.zeros(2, 3, 4)), "modulus 1"),
        (lambda: ResonatorNetwork(torch.ones(2, 3, 4), bound="both"), "bound"),
        (lambda: AttentionCleanup(-1.0), "beta"),
        (lambda: ResonatorNetwork(torch.ones(2, 3, 4)).factorise(torch.ones(2, 5), sweeps=3), "products"),
        (lambda: ResonatorNetwork(torch.ones(2, 3, 4)).factorise(torch.ones(2, 4), sweeps=0), "sweeps"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
