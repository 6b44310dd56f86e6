import numpy as np
import pytest
import torch

from neuropil.data import LabelSwapStream


def stream(classes=None, *, n=400, epochs=2, swaps=20, order=1, shifts=2, **options):
    classes = torch.arange(n) % 10 if classes is None else classes
    return LabelSwapStream(
        classes, epochs=epochs, swaps_per_epoch=swaps, order=np.random.default_rng(order), swaps=np.random.default_rng(shifts), **options
    )


@pytest.mark.parametrize(("n", "swaps"), [(400, 20), (400, 40), (400, 7), (403, 10), (1797, 200), (60, 0), (600, 600)])
def test_the_schedule_is_the_authors(n, swaps):
    # Walked batch by batch: after batch j > 0 of an epoch, swap if the samples seen in it are a multiple of n // swaps.
    expected, epochs, batch = [], 3, 10
    for epoch in range(epochs):
        seen = 0
        for j in range(n // batch):
            seen += batch
            if swaps and j and seen % (n // swaps) == 0:
                expected.append(epoch * (n // batch) * batch + seen)
    assert stream(n=n, swaps=swaps, epochs=epochs).swap_at.tolist() == expected


def test_ten_thousand_samples_and_200_swaps_swap_every_50():
    shown = stream(n=10_000, epochs=1, swaps=200)
    assert shown.swap_at.tolist() == list(range(50, 10_001, 50))


def test_labels_follow_the_swaps_done_one_by_one():
    shown = stream()
    classes = torch.arange(400) % 10
    current, done = classes.clone(), 0
    for t in range(len(shown.index)):
        while done < len(shown.swap_at) and shown.swap_at[done] == t:
            a, b = shown.swapped[done]
            was_a, was_b = current == a, current == b
            current[was_a], current[was_b] = b, a
            done += 1
        assert shown.labels[t] == current[shown.index[t]]
        assert shown.segment[t] == done


def test_old_samples_get_todays_labels():
    shown = stream()
    moment = int(shown.swap_at[5])
    past = torch.arange(moment - 20, moment)
    renamed = shown.labels_at(past, torch.tensor(moment))
    original = (torch.arange(400) % 10)[shown.index[past]]
    assert torch.equal(renamed, shown.maps[6][original])
    assert not torch.equal(renamed, shown.labels[past])


def test_every_label_map_is_a_permutation_and_starts_at_the_identity():
    maps = stream().maps
    assert maps[0].tolist() == list(range(10))
    assert torch.equal(maps.sort(1).values, torch.arange(10).expand_as(maps))


def test_five_of_nine_swaps_cross_the_midpoint():
    shown = stream(n=4000, swaps=200, epochs=40)
    share = shown.crossing.double().mean().item()
    n = len(shown.crossing)
    assert n == 8000
    assert abs(share - 5 / 9) < 4 * (5 / 9 * 4 / 9 / n) ** 0.5
    crossing = (shown.swapped[:, 0] < 5) != (shown.swapped[:, 1] < 5)
    assert torch.equal(crossing, shown.crossing)


def test_all_pairs_of_distinct_classes_are_swapped():
    pairs = {tuple(sorted(p)) for p in stream(n=2000, swaps=200, epochs=10).swapped.tolist()}
    assert len(pairs) == 45


def test_an_epoch_shows_every_drawn_example_once():
    shown = stream(n=400, epochs=3, examples=200)
    epochs = shown.index.view(3, 200)
    assert all(len(set(e.tolist())) == 200 for e in epochs)
    assert set(epochs[0].tolist()) == set(epochs[1].tolist()) == set(epochs[2].tolist())
    assert not torch.equal(epochs[0], epochs[1])


def test_equal_seeds_give_equal_streams_and_the_order_does_not_depend_on_the_swaps():
    one, two, none, other = stream(), stream(), stream(swaps=0), stream(order=3)
    assert torch.equal(one.index, two.index)
    assert torch.equal(one.labels, two.labels)
    assert torch.equal(one.index, none.index)
    assert not torch.equal(one.labels, none.labels)
    assert not torch.equal(one.index, other.index)


def test_iterating_gives_the_batches():
    shown = stream(n=57, epochs=2, swaps=3)
    batches = list(shown)
    assert len(batches) == len(shown) == 10
    assert torch.equal(torch.cat([i for i, _ in batches]), shown.index)
    assert torch.equal(torch.cat([y for _, y in batches]), shown.labels)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"examples": 500}, "draws between"),
        ({"batch": 0}, "batch"),
        ({"batch": 401}, "batch"),
        ({"swaps": 500}, "Swaps"),
        ({"epochs": 0}, "epoch"),
    ],
)
def test_streams_that_cannot_be_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        stream(**options)
