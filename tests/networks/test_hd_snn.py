"""HD-SNN: places agree with maps, exchanged polarities change nothing, a kernel made by hand tells directions, decisions by hand."""

import pytest
import torch

from neuropil.data import MotionMovies, space_time_patches, whiten
from neuropil.networks import HDSNN, most_evident


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def noisy(**settings):
    net = HDSNN(3, generator=draws(), **settings).double()
    torch.nn.init.normal_(net.synapse.weight, generator=draws(1))
    torch.nn.init.normal_(net.bias, generator=draws(2))
    return net


def test_evidence_of_a_patch_is_that_of_the_map_there():
    net = noisy(delays=4, window=3)
    events = (torch.rand(9, 5, 2, 7, 6, generator=draws(3)) < 0.2).double()
    evidence = net(events).detach()
    assert evidence.shape == (6, 5, 3, 5, 4)
    at = torch.tensor([[t, n, row, column] for t in range(3, 9) for n in range(5) for row in range(5) for column in range(4)])
    patches = space_time_patches(events, at, delays=4, window=3)
    torch.testing.assert_close(net.of_patches(patches).detach(), evidence.permute(0, 1, 3, 4, 2).reshape(-1, 3))


def test_contrast_may_be_inverted():
    net = noisy(delays=3, window=5)
    events = (torch.rand(6, 2, 2, 8, 8, generator=draws(3)) < 0.2).double()
    torch.testing.assert_close(net(events), net(events.flip(2)))
    before = net.synapse.weight.detach().clone()
    net.synapse.weight.data = before.flip(1)
    torch.testing.assert_close(net(events), net(events.flip(2)))


def test_one_delay_is_allowed_and_weights_begin_as_published():
    assert HDSNN(2, delays=1, window=3)(torch.zeros(4, 1, 2, 5, 5)).shape == (4, 1, 2, 3, 3)
    weight = HDSNN(8, delays=12, window=7, generator=draws()).synapse.weight.detach()
    assert weight[:, 0, 0, 3, 3].unique().tolist() == [-4.0]
    assert weight[:, 1, 0, 3, 3].unique().tolist() == [4.0]
    assert weight[:, :, 1:].std().item() == pytest.approx(0.01, rel=0.05)


def test_kernels_along_lines_of_space_and_delay_tell_directions_of_pictures():
    task = MotionMovies(directions=4, speed=1.0, steps=10, view=16, block=None)
    net = HDSNN(4, delays=4, window=7)
    torch.nn.init.zeros_(net.synapse.weight)
    for k, (down, right) in enumerate(task.velocities().round().int().tolist()):
        for d in range(4):  # what is in the middle now was d steps back the other way
            net.synapse.weight.data[k, 1, d, 3 - d * down, 3 - d * right] = 1.0
    pictures = whiten(torch.rand(60, 40, 40, generator=draws()))
    events, labels = task.sample(pictures, draws(1))
    with torch.no_grad():
        decided = most_evident(net(events[1:]))
    assert (decided == labels[4:]).float().mean() > 0.9


def test_decisions_by_hand():
    evidence = torch.tensor([[[9.0, 0.0, 1.0, 1.0]], [[0.0, 8.0, 3.0, 3.0]], [[1.0, 1.0, 1.0, 1.0]]])
    assert most_evident(evidence, 0.25) == 0  # one place, the 9
    assert most_evident(evidence, 0.5) == 0  # 9 and 8: means 4.5, 4, 1
    assert most_evident(evidence, 1.0) == 1  # means 2.75, 3.5, 1
    with pytest.raises(ValueError, match="share is that of places"):
        most_evident(evidence, 0.0)


def test_the_cone_is_the_authors():
    # their create_mask at 21 delays and 17 x 17 pixels: of delay 20 (first of theirs), the row through the middle; at delay 0 the middle alone
    net = HDSNN(1, delays=21, window=17, cone=1.125)
    row = [0.3921, 0.5582, 0.6833, 0.7829, 0.8620, 0.9227, 0.9657, 0.9914, 1.0]
    assert net.limit[20, 8, :9].tolist() == pytest.approx(row, abs=6e-5)
    assert net.limit[20, 0, 4].item() == pytest.approx(0.0914, abs=6e-5)
    assert net.limit[0, 8, 8] == 1
    assert net.limit[0, 8, 7].item() == pytest.approx(0.9914 * 2.718281828 ** (-0.5 / 0.45**2), abs=1e-4)


def test_clamping_keeps_to_the_cone_and_without_one_changes_nothing():
    net, free = HDSNN(2, delays=5, window=5, cone=0.5), HDSNN(2, delays=5, window=5)
    for one in (net, free):
        torch.nn.init.normal_(one.synapse.weight, generator=draws())
    before = free.synapse.weight.detach().clone()
    net.clamp_()
    free.clamp_()
    assert torch.equal(free.synapse.weight, before)
    largest = before.abs().max()
    assert (net.synapse.weight.abs() <= net.limit * largest + 1e-7).all()
    inside = before.abs() <= net.limit * largest
    assert torch.equal(net.synapse.weight[inside], before[inside])
    with pytest.raises(ValueError, match="cone is a speed"):
        HDSNN(2, delays=2, window=3, cone=-1.0)
