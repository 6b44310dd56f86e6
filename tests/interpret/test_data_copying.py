import math

import pytest
import torch
from scipy.stats import mannwhitneyu, norm

from neuropil.interpret import authenticity, data_copying, nearest_distance


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_one_cell_is_the_mann_whitney_test_of_scipy():
    g = draws()
    train, held, made = (torch.randn(n, 5, generator=g) * s for n, s in ((60, 1.0), (40, 1.0), (50, 1.15)))
    far = [torch.cdist(x, train).min(1).values.numpy() for x in (made, held)]
    p = mannwhitneyu(*far, alternative="greater", method="asymptotic", use_continuity=False).pvalue
    z = data_copying(made, held, train)
    assert z > 0.5
    assert z == pytest.approx(norm.isf(p), rel=1e-6)


def test_copies_are_at_the_floor_and_spread_samples_at_the_ceiling():
    g = draws(1)
    train, held = torch.randn(100, 4, generator=g), torch.randn(30, 4, generator=g)
    copies = train[torch.randint(100, (45,), generator=g)]
    floor = -math.sqrt(3 * 45 * 30 / (45 + 30 + 1))
    assert data_copying(copies, held, train) == pytest.approx(floor)
    assert data_copying(copies + 50, held, train) == pytest.approx(-floor)
    assert authenticity(copies, train) == 0
    assert authenticity(copies + 50, train) == 1
    assert nearest_distance(copies, train)[0].max() == 0


def test_fresh_data_give_a_standard_normal():
    g = draws(2)
    train = torch.randn(200, 3, generator=g)
    found = torch.tensor([data_copying(*torch.randn(2, 60, 3, generator=g), train) for _ in range(400)])
    assert found.mean().abs() < 4 / 20
    assert found.std() == pytest.approx(1, abs=0.15)


def test_cells_are_averaged_by_the_share_of_held_out_data():
    g = draws(3)
    centres = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
    sizes = {"train": (50, 40, 30), "held": (30, 20, 10), "made": (25, 45, 1)}
    sets = {name: [c + torch.randn(n, 2, generator=g) for c, n in zip(centres, counts, strict=True)] for name, counts in sizes.items()}
    z = [data_copying(*(sets[name][k] for name in ("made", "held", "train"))) for k in range(3)]
    whole = [torch.cat(sets[name]) for name in ("made", "held", "train")]
    assert data_copying(*whole, centres=centres) == pytest.approx((30 * z[0] + 20 * z[1] + 10 * z[2]) / 60)
    assert data_copying(*whole, centres=centres, least=0.02) == pytest.approx((30 * z[0] + 20 * z[1]) / 50)


def test_on_a_line_a_third_of_fresh_points_are_authentic():
    """Random points of a line: x, the distance to the nearest end of the gap a fresh point falls in, is exponential with rate 2; it exceeds the next gap with probability 1 / 3."""
    g = draws(4)
    found = authenticity(torch.rand(4000, 1, generator=g), torch.rand(4000, 1, generator=g))
    assert found == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: data_copying(torch.ones(3, 2), torch.ones(3, 3), torch.ones(3, 2)), "one D"),
        (lambda: data_copying(torch.ones(3, 2), torch.ones(3, 2), torch.ones(3, 2), least=1.0), "least"),
        (
            lambda: data_copying(torch.ones(3, 1), torch.zeros(3, 1), torch.ones(3, 1), centres=torch.tensor([[0.0], [1.0]])),
            "fewer centres",
        ),
        (lambda: authenticity(torch.ones(3), torch.ones(3, 2)), r"\[S, D\]"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
