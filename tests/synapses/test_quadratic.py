import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB

from neuropil.synapses import Quadratic


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def set_to(layer, **values):
    layer = layer.double()
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(torch.as_tensor(value))
    return layer


def two_classes(d, seed=0):
    rng = np.random.default_rng(seed)
    x = np.concatenate((rng.normal(size=(200, d)) @ rng.normal(size=(d, d)), 1 + rng.normal(size=(200, d)) @ rng.normal(size=(d, d))))
    return x, np.repeat((0, 1), 200)


def test_one_neuron_is_quadratic_discriminant_analysis_of_the_plane():
    """Any quadric of two inputs: their product comes from the two sums, their squares from the third. Against scikit-learn's decision function."""
    x, y = two_classes(2)
    peer = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x, y)
    precision = [np.linalg.inv(c) for c in peer.covariance_]
    a = (precision[0] - precision[1]) / 2
    b = precision[1] @ peer.means_[1] - precision[0] @ peer.means_[0]
    origin = peer.decision_function(np.zeros((1, 2)))[0]
    shift = b[1] / (2 * a[0, 1])
    layer = set_to(
        Quadratic(2, 1),
        weight=[[1.0, 0.0]],
        gate_weight=np.array([[0, 2 * a[0, 1]]]),
        gate_bias=[b[0] - 1],
        square_weight=np.array([[a[0, 0], a[1, 1]]]),
        bias=[shift],
        square_bias=[origin - shift * b[0]],
    )
    found = layer(torch.from_numpy(x))[:, 0].detach().numpy()
    np.testing.assert_allclose(found, peer.decision_function(x), rtol=1e-9, atol=1e-9)


def test_one_neuron_is_gaussian_naive_bayes_of_any_dimension():
    x, y = two_classes(6, 1)
    peer = GaussianNB().fit(x, y)
    v0, v1 = peer.var_
    layer = set_to(
        Quadratic(6, 1),
        weight=(peer.theta_[1] / v1 - peer.theta_[0] / v0)[None],
        square_weight=((1 / v0 - 1 / v1) / 2)[None],
        square_bias=[0.0],
    )
    log = peer.predict_joint_log_proba(np.concatenate((x, np.zeros((1, 6)))))
    odds = log[:, 1] - log[:, 0]
    found = layer(torch.from_numpy(x))[:, 0].detach().numpy()
    np.testing.assert_allclose(found, odds[:-1] - odds[-1], rtol=1e-9, atol=1e-9)


def test_one_neuron_solves_exclusive_or_and_a_ring():
    exclusive = set_to(Quadratic(2, 1), weight=[[1.0, -1.0]], gate_weight=[[1.0, -1.0]], gate_bias=[-1.0])
    x = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    assert exclusive(x)[:, 0].tolist() == [0, 1, 1, 0]
    ring = set_to(Quadratic(2, 1), weight=[[0.0, 0]], square_weight=[[1.0, 1.0]], square_bias=[-4.0])
    angle = torch.linspace(0, 6, 20, dtype=torch.float64)
    circle = torch.stack((angle.cos(), angle.sin()), 1)
    assert (ring(1.9 * circle) < 0).all()
    assert (ring(2.1 * circle) > 0).all()


def test_a_linear_start_is_the_linear_layer_to_the_bit_and_a_random_one_is_not():
    x = torch.randn(7, 3, 5, generator=generator(1))
    layer = Quadratic(5, 4, generator=generator())
    assert (layer(x) == torch.nn.functional.linear(x, layer.weight, layer.bias)).all()
    random = Quadratic(5, 4, start="random", generator=generator())
    assert (random.weight == layer.weight).all()
    assert (random(x) - layer(x)).abs().mean() > 0.1
    silent = Quadratic(5, 4, start="random", spread=0.0, generator=generator())
    assert (silent(x) == layer(x)).all()


def test_start_has_the_declared_variances():
    layer = Quadratic(400, 300, start="random", spread=0.5, generator=generator())
    n = 400 * 300
    for weight, variance in ((layer.weight, 2 / 400), (layer.gate_weight, 0.5 / 400), (layer.square_weight, 0.5 / 400)):
        assert abs(weight.var().item() - variance) < 5 * variance * (2 / n) ** 0.5
    assert sum(one.numel() for one in layer.parameters()) == 3 * (n + 300)
    assert sum(one.numel() for one in layer.quadratic_parameters()) == 2 * (n + 300)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="start is one of linear, random"):
        Quadratic(2, 2, start="zero")
    with pytest.raises(ValueError, match="spread is 0 or more"):
        Quadratic(2, 2, spread=-1.0)
    with pytest.raises(ValueError, match="takes 2 features"):
        Quadratic(2, 2)(torch.zeros(3))
