"""The circuit against a loop over its neurons, written from the paper's equations."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from neuropil.agents import NCAPSwimmer, ncap_torques, scale_angles, square_wave


def graded(x):
    return min(max(x, 0.0), 1.0)


def by_hand(q, wave, w, signed, right, left, speed, turn_joints):
    """One body, one moment, neuron by neuron; ``w`` maps a name to one weight a joint."""
    excite = (lambda x: max(x, 0.0)) if signed else (lambda x: x)
    inhibit = (lambda x: min(x, 0.0)) if signed else (lambda x: x)
    torques = []
    for i in range(len(q)):
        b = {"d": 0.0, "v": 0.0}
        if i > 0:
            b["d"] += excite(w["proprioception"][i]) * graded(q[i - 1])
            b["v"] += excite(w["proprioception"][i]) * graded(-q[i - 1])
        else:
            b["d"] += excite(w["oscillator"][i]) * (1.0 if wave > 0 else 0.0)
            b["v"] += excite(w["oscillator"][i]) * (0.0 if wave > 0 else 1.0)
        for side, command in (("d", right), ("v", left)):
            if "speed" in w:
                b[side] += inhibit(w["speed"][i]) * (1 - graded(speed))
            if "turn" in w and i < turn_joints:
                b[side] += excite(w["turn"][i]) * graded(command)
        b = {side: graded(x) for side, x in b.items()}
        muscles = [
            graded(excite(w["ipsilateral"][i]) * b[same] + inhibit(w["contralateral"][i]) * b[other])
            for same, other in (("d", "v"), ("v", "d"))
        ]
        torques.append(muscles[0] - muscles[1])
    return torques


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("units", [(), ("speed", "turn")])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_torques_are_those_of_the_equations_neuron_by_neuron(signed, units, kind):
    rng = np.random.default_rng(5)
    names = ("proprioception", "oscillator", "ipsilateral", "contralateral", *units)
    bodies, joints = 40, 5
    q = rng.uniform(-1.3, 1.3, (bodies, joints))
    w = {name: rng.normal(scale=1.2, size=(bodies, joints)) for name in names}  # one a joint, of either sign
    wave, right, left, speed = rng.choice([-1.0, 1.0], (bodies, 1)), *rng.uniform(-0.3, 1.3, (3, bodies, 1))
    lift = torch.from_numpy if kind == "torch" else (lambda x: x)
    commands = {"right": lift(right), "left": lift(left), "speed": lift(speed), "turn_joints": 2}
    found = ncap_torques(lift(q), lift(wave), {name: lift(value) for name, value in w.items()}, signed=signed, **commands)
    expected = [
        by_hand(
            q[b],
            wave[b, 0],
            {n: w[n][b] for n in names},
            signed,
            right[b, 0] if units else 0.0,
            left[b, 0] if units else 0.0,
            speed[b, 0],
            2,
        )
        for b in range(bodies)
    ]
    assert_allclose(np.asarray(found), expected, atol=1e-15)
    assert np.abs(expected).max() == 1.0
    assert (np.abs(expected) > 1e-3).mean() > 0.2


def test_shared_weights_broadcast_over_any_leading_axes():
    rng = np.random.default_rng(0)
    q, w = rng.uniform(-1, 1, (3, 4, 7)), rng.normal(size=(4, 3))
    names = ("proprioception", "oscillator", "ipsilateral", "contralateral")
    together = ncap_torques(q, 1.0, {n: v[:, None, None] for n, v in zip(names, w, strict=True)})
    alone = [[ncap_torques(q[m, e], 1.0, {n: float(v[m]) for n, v in zip(names, w, strict=True)}) for e in range(4)] for m in range(3)]
    assert_allclose(together, alone)


def test_the_unit_circuit_hands_each_angle_to_the_next_joint():
    """With weights 1, 1, 1, -1 opposed muscles leave the previous joint's angle, and the wave at the head."""
    q = np.array([0.3, -0.8, 0.1, 0.9])
    unit = {"proprioception": 1.0, "oscillator": 1.0, "ipsilateral": 1.0, "contralateral": -1.0}
    assert_allclose(ncap_torques(q, -1.0, unit), [-1.0, 0.3, -0.8, 0.1])
    # the authors' clamps: weights on the wrong side of zero count as zero, at use, not in storage
    assert_allclose(ncap_torques(q, 1.0, unit | {"proprioception": -2.0}), [1, 0, 0, 0])
    assert_allclose(ncap_torques(q, 1.0, unit | {"contralateral": 3.0}), ncap_torques(q, 1.0, unit | {"contralateral": 0.0}))
    assert ncap_torques(q, 1.0, unit | {"ipsilateral": -1.0}).tolist() == [0, 0, 0, 0]
    # where both sides of a joint are driven, only inhibition keeps muscles from working against each other
    both = unit | {"turn": 0.5}
    assert_allclose(ncap_torques(q, 1.0, both, right=1.0, left=1.0)[0], 0.5)
    assert_allclose(ncap_torques(q, 1.0, both | {"contralateral": 0.0}, right=1.0, left=1.0)[0], 0.5)


def test_speed_brakes_the_whole_body_and_turning_bends_the_head():
    q = np.full(4, 0.5)
    unit = {"proprioception": 1.0, "oscillator": 0.2, "ipsilateral": 1.0, "contralateral": -1.0}
    assert_allclose(ncap_torques(q, 1.0, unit | {"speed": -1.0}, speed=0.0), 0)
    assert_allclose(ncap_torques(q, 1.0, unit | {"speed": -1.0}, speed=0.8), [0, 0.3, 0.3, 0.3], atol=1e-15)
    turned = ncap_torques(q, 1.0, unit | {"turn": 0.6}, left=1.0)
    assert_allclose(turned, [0.2 - 0.6, 0.5, 0.5, 0.5])


def test_scaling_and_clock_are_the_authors():
    limit = 2 * np.pi / 6  # of a joint of the 6-link body
    assert_allclose(scale_angles(np.array([limit, -limit, limit / 2, 2 * limit, 0])), [1, -1, 0.5, 1, 0])
    assert_allclose(scale_angles(np.full(11, limit / 2)), 1.0)
    assert_allclose(scale_angles(np.full(11, limit / 2), joints=5), 0.5)
    assert [square_wave(t) for t in (0, 29, 30, 59, 60, 90)] == [1, 1, -1, -1, 1, -1]
    assert square_wave(np.array([0, 3, 4, 7]), 7).tolist() == [1, -1, -1, 1]  # 7 // 2 steps up, the rest down
    assert square_wave(torch.tensor([[31.0]])).tolist() == [[-1.0]]


def test_the_module_starts_as_the_authors_do():
    assert NCAPSwimmer().weight.tolist() == [1, 1, 1, -1]
    assert NCAPSwimmer(speed=True, turn=True).weight.tolist() == [1, 1, 1, -1, -1, 1]
    assert NCAPSwimmer(turn=True).names == ("proprioception", "oscillator", "ipsilateral", "contralateral", "turn")
    coins = torch.stack([NCAPSwimmer(signed=False, generator=torch.Generator().manual_seed(s)).weight.detach() for s in range(400)])
    assert set(coins.unique().tolist()) == {-1.0, 1.0}
    assert coins.mean(dim=0).abs().max() < 0.2
    assert 10 < (coins == torch.tensor([1.0, 1.0, 1.0, -1.0])).all(dim=1).sum() < 45  # 1 in 16 is the worm's
    free = torch.stack(
        [NCAPSwimmer(signed=False, start="random", generator=torch.Generator().manual_seed(s)).weight.detach() for s in range(400)]
    )
    assert -1 < free.min() < -0.9
    assert 0.9 < free.max() < 1
    signed = torch.stack([NCAPSwimmer(start="random", generator=torch.Generator().manual_seed(s)).weight.detach() for s in range(400)])
    assert ((signed * torch.tensor([1.0, 1.0, 1.0, -1.0])) >= 0).all()


def test_the_module_learns_by_gradient_where_nothing_is_clamped():
    circuit = NCAPSwimmer(generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        circuit.weight.copy_(torch.tensor([0.8, 0.7, 0.9, -0.5]))
    angles = (torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 0.5) * 0.4
    circuit(angles, 3).square().sum().backward()
    assert circuit.weight.grad[:3].abs().min() > 1e-3
    assert circuit.weight.grad[3] == 0  # nothing to inhibit: only one side of each joint is driven

    def loss(w):
        return ncap_torques(scale_angles(angles), 1.0, dict(zip(circuit.names, w, strict=True))).square().sum()

    assert torch.autograd.gradcheck(loss, circuit.weight.detach().clone().requires_grad_())
    clamped = NCAPSwimmer().double()
    with torch.no_grad():
        clamped.weight[0] = -0.1
    clamped(angles, 3).square().sum().backward()
    assert clamped.weight.grad[0] == 0


def test_one_module_drives_bodies_of_any_length_and_many_clocks():
    circuit = NCAPSwimmer(speed=True, turn=True)
    assert circuit(torch.zeros(2, 3, 11), 0).shape == (2, 3, 11)
    steps = torch.tensor([[0], [40]])
    assert circuit(torch.zeros(2, 5), steps)[:, 0].tolist() == [1.0, -1.0]
    assert circuit(torch.zeros(5), 0, speed=0.0).abs().max() == 0
    assert circuit(torch.zeros(5), 0, left=1.0)[0] == 0


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: ncap_torques(np.zeros(3), 1.0, {"proprioception": 1.0}), "The circuit has the weights proprioception, oscillator"),
        (
            lambda: ncap_torques(
                np.zeros(3), 1.0, dict.fromkeys(("proprioception", "oscillator", "ipsilateral", "contralateral", "x"), 1.0)
            ),
            "x were given",
        ),
        (lambda: NCAPSwimmer(start="zero"), "'zero' was given"),
        (lambda: NCAPSwimmer(period=1), "at least 2 steps, 1 was given"),
    ],
)
def test_what_cannot_be_is_refused(act, said):
    with pytest.raises(ValueError, match=said):
        act()
