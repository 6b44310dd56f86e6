import pytest
import torch

from neuropil.cells import SphereOscillator
from neuropil.cells.sphere_oscillator import on_spheres
from neuropil.networks import KuramotoLayer, OscillatorReadout


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def symmetric(layer):
    """Make ``J`` symmetric: the kernel from n to m at an offset is that from m to n at the opposite one."""
    weight = layer.coupling.weight
    with torch.no_grad():
        weight.copy_((weight + weight.transpose(0, 1).flip(2, 3)) / 2)
    return layer


def test_every_place_is_a_sphere_oscillator_under_its_stimulus_and_its_neighbours():
    layer = KuramotoLayer(8, dims=4, kernel=3, steps=3, gamma=0.6, omega=drawn(4)).double()
    cell = SphereOscillator(8, dims=4, gamma=0.6, omega=drawn(4)).double()
    c, x = drawn(2, 8, 5, 5, seed=1), drawn(2, 8, 5, 5, seed=2)
    path = layer.path(c, x)
    at = path[0]
    torch.testing.assert_close(at.unflatten(1, (2, 4)).norm(dim=2), torch.ones(2, 2, 5, 5, dtype=torch.float64))
    for after in path[1:]:
        force = c + layer.coupling(at)
        y, _ = cell.step(force.movedim(1, -1), cell.State(at.movedim(1, -1)))
        torch.testing.assert_close(y.movedim(-1, 1), after)
        at = after
    assert len(path) == 4
    assert torch.equal(layer(c, x), at)
    assert torch.equal(layer(c, x, steps=0), path[0])


def test_energy_falls_for_symmetric_couplings_and_small_steps_and_its_slope_is_the_force():
    layer = symmetric(KuramotoLayer(8, dims=4, kernel=3, steps=300, gamma=0.05, generator=torch.Generator().manual_seed(3)).double())
    c, x = drawn(3, 8, 6, 6, seed=4), drawn(3, 8, 6, 6, seed=5)
    with torch.no_grad():
        path = layer.path(c, x)
        energies = torch.stack([layer.energy(c, at) for at in path])
    assert (energies.diff(dim=0) <= 1e-12).all()
    assert (energies[0] - energies[-1] > 10).all()
    seen = path[0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(layer.energy(c, seen).sum(), seen)
    torch.testing.assert_close(-slope, c + layer.coupling(path[0]).detach())


def test_off_it_is_an_iterated_normalised_convolution_exactly():
    off = KuramotoLayer(8, kernel=3, steps=4, projection=0.0, omega=0.0).double()
    plain = KuramotoLayer(8, kernel=3, steps=4, projection=0.0).double()
    plain.load_state_dict(off.state_dict(), strict=False)
    c, x = drawn(2, 8, 5, 5), drawn(2, 8, 5, 5, seed=1)
    at = on_spheres(x, 4, axis=-3)
    for _ in range(4):
        at = on_spheres(at + c + off.coupling(at), 4, axis=-3)
    torch.testing.assert_close(off(c, x), at)
    assert torch.equal(off(c, x), plain(c, x))
    on = KuramotoLayer(8, kernel=3, steps=4).double()
    on.load_state_dict(plain.state_dict())
    assert (on(c, x) - at).abs().max() > 0.05


def test_first_positions_are_spread_over_the_spheres():
    layer = KuramotoLayer(4, kernel=1)
    x = layer.start(torch.zeros(20, 4, 30, 30), torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.square().sum(1), torch.ones(20, 30, 30))
    assert x.mean((0, 2, 3)).abs().max() < 0.015
    torch.testing.assert_close(x.square().mean((0, 2, 3)), torch.full((4,), 0.25), atol=0.01, rtol=0)


def test_lengths_do_not_see_a_rotation_that_all_share_and_are_the_norm():
    readout = OscillatorReadout(4, 3, dims=4).double()
    with torch.no_grad():
        readout.project.weight.copy_(torch.cat([a * torch.eye(4) for a in (1.0, 2.0, -0.5)])[:, :, None, None])
        readout.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    x = drawn(2, 4, 3, 3)
    lengths = x.square().sum(1).sqrt()
    torch.testing.assert_close(readout(x), torch.stack((lengths, 2 * lengths + 1, 0.5 * lengths), 1))
    turn, _ = torch.linalg.qr(drawn(4, 4, seed=1))
    torch.testing.assert_close(readout(torch.einsum("ij,bjhw->bihw", turn, x)), readout(x))
    zero = torch.zeros(1, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    readout(zero).sum().backward()
    assert torch.isfinite(zero.grad).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: KuramotoLayer(8, kernel=4), "odd kernel"),
        (lambda: KuramotoLayer(8, steps=-1), "0 steps or more"),
        (lambda: KuramotoLayer(10, dims=4), "divides the 10 features"),
        (lambda: OscillatorReadout(4, 0), "out_channels"),
    ],
)
def test_bad_settings(make, said):
    with pytest.raises(ValueError, match=said):
        make()
