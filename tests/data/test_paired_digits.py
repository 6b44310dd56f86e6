import pytest
import torch

from neuropil.data import status
from neuropil.data.paired_digits import pair_by_class, spoken_views, written_views


def test_partners_are_of_the_same_class_and_drawn_from_all_of_it():
    one, other = torch.tensor([3, 1, 3]), torch.tensor([1, 3, 3, 0, 3])
    first, second = pair_by_class(one, other, torch.Generator().manual_seed(0), repeats=400)
    assert (one[first] == other[second]).all()
    assert first.bincount().tolist() == [400] * 3
    share = torch.bincount(second[one[first] == 3], minlength=5) / 800
    torch.testing.assert_close(share, torch.tensor([0, 1, 1, 0, 1]) / 3, rtol=0, atol=0.07)


def test_a_class_without_partner_is_refused():
    with pytest.raises(ValueError, match="The class 2 is in the first view and not in the second"):
        pair_by_class(torch.tensor([2]), torch.tensor([1]), torch.Generator())


@pytest.mark.skipif(status("mnist").where == "not here", reason="mnist is not on this machine")
def test_images_are_standardised_by_the_training_images():
    train, test = written_views(7)
    assert train.x.shape == (60_000, 49)
    assert float(train.x.mean()) == pytest.approx(0, abs=1e-4)
    assert float(train.x.std()) == pytest.approx(1, abs=1e-4)
    assert 0.9 < float(test.x.std()) < 1.1


@pytest.mark.skipif(status("fsdd").where == "not here", reason="fsdd is not on this machine")
def test_sounds_are_split_by_takes_and_standardised_by_those_to_train_on():
    train, validation, test = spoken_views(channels=4, bins=3)
    assert [len(part.x) for part in (train, validation, test)] == [2400, 300, 300]
    assert train.x.shape[1] == 12
    assert test.label.bincount().tolist() == [30] * 10
    torch.testing.assert_close(train.x.std(0), torch.ones(12), rtol=1e-3, atol=0)
