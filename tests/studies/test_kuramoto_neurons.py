import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.studies.cells import kuramoto_neurons as kuramoto
from neuropil.studies.cells.kuramoto_neurons import study

SMOKE = Settings("smoke", study.budgets["smoke"])


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def net(name, seed=1000):
    return kuramoto.GroupingNet(arm(name), SMOKE, Seed(seed).torch("init"))


def test_arms_begin_with_the_same_weights_and_see_the_same_start():
    one, other = net("akorn"), net("iterated")
    assert set(dict(one.named_parameters())) - set(dict(other.named_parameters())) == {"layer.omega"}
    for name, weight in other.named_parameters():
        assert torch.equal(weight, dict(one.named_parameters())[name])
    c = torch.zeros(2, 8, 8, 8)
    assert torch.equal(one.layer.start(c, Seed(1).torch("x")), other.layer.start(c, Seed(1).torch("x")))
    assert one.layer.omega.tolist() == pytest.approx([kuramoto.TURNING] * 4)


def test_views_share_nothing_but_the_scene_and_the_loss_teaches_every_part():
    images, _ = kuramoto.tetromino_scenes(8, np.random.default_rng(0))
    torch.manual_seed(0)
    model = net("akorn")
    first, second = model(images), model(images)
    assert first.shape == (2, 8, 8)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    kuramoto.nt_xent(first).backward()
    for name, weight in model.named_parameters():
        assert weight.grad.abs().max() > 0, name


def test_features_of_objects_themselves_are_grouped_at_the_grain_of_the_patches():
    net_ = net("akorn")
    _, objects = kuramoto.tetromino_scenes(20, Seed(1002).numpy("data"))
    covered = torch.nn.functional.one_hot(objects, 4).movedim(-1, 1).float()[:, 1:]
    perfect = torch.nn.functional.avg_pool2d(covered, 4)
    net_.readout = torch.nn.Identity()
    found = kuramoto.foreground_ari(objects.numpy(), kuramoto.grouped(net_, perfect))
    assert found.mean() > 0.8
    found = kuramoto.assays(Settings("some", {**SMOKE, "test": 60}), Seed(1002))
    assert found["pixel_ari"] == 1
    assert 0.8 < found["patch_ari"] < 1


def test_the_lesion_deals_whole_kernels_out_anew():
    layer = net("akorn").layer
    before = layer.coupling.weight.detach().clone()
    with torch.no_grad():
        kuramoto.shuffle(layer, torch.Generator().manual_seed(0))
    after = layer.coupling.weight.detach()
    kernels = sorted(before.flatten(0, 1).flatten(1).tolist())
    assert sorted(after.flatten(0, 1).flatten(1).tolist()) == kernels
    assert (after != before).flatten(2).any(2).double().mean() > 0.9


def test_the_residual_layer_adds_what_its_normalised_state_is_convolved_to():
    layer = kuramoto.ResidualLayer(6, kernel=3, steps=2, generator=torch.Generator().manual_seed(0))
    c = torch.randn(2, 6, 5, 5, generator=torch.Generator().manual_seed(1))
    x = c
    with torch.no_grad():
        for _ in range(2):
            normed = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
            x = x + torch.nn.functional.conv2d(normed, layer.coupling.weight, padding=1)
        torch.testing.assert_close(layer(c, layer.start(c)), x, atol=1e-5, rtol=1e-4)


def test_the_radial_share_of_known_forces():
    layer = kuramoto.KuramotoLayer(4, dims=4, kernel=1)
    with torch.no_grad():
        layer.coupling.weight.zero_()
    x = torch.tensor([1.0, 0, 0, 0])[None, :, None, None]
    c = torch.tensor([3.0, 4.0, 0, 0])[None, :, None, None]
    with torch.no_grad():
        assert kuramoto.radial_share(c, [x, x], layer) == pytest.approx(9 / 25)


def test_off_is_the_control_and_the_lesion_leaves_the_trained_net_alone():
    found = {name: study.compute(arm(name), SMOKE, [Seed(1003)])[0] for name in ("akorn", "shuffled", "iterated", "off")}
    for name, value in found["iterated"].items():
        if isinstance(value, float):
            assert value == pytest.approx(found["off"][name], rel=1e-9)
    assert found["akorn"]["loss"] == found["shuffled"]["loss"]
    assert found["akorn"]["fg_ari"] != found["shuffled"]["fg_ari"]
    assert study.compute(arm("akorn"), SMOKE, [Seed(1003)])[0] == found["akorn"]


def test_figures_draw_from_stored_results():
    table = Table([1004], {name: study.compute(arm(name), SMOKE, [Seed(1004)]) for name in study.arms if name != "off"})
    for _, draw in study.figures.values():
        draw(table)
    scenes, objects = (np.asarray(table.matrix("akorn", name).values) for name in ("scenes", "objects"))
    assert ((scenes == 0) == (objects == 0)).all()
