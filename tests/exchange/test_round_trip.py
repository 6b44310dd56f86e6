"""There and back: every registered part gives its trace again or says in one sentence why not; models, sizes, dtypes, files."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import neuropil.plasticity  # noqa: F401
from neuropil.cells import ALIF, LI, LIF, PLIF, CubaLIF
from neuropil.dynamics import Arctan, Cell, Chain, Circuit, Edge, FastSigmoid, Reset, Triangular, leaves
from neuropil.dynamics.registry import CELLS, RULES, SYNAPSES
from neuropil.exchange import CubaMembrane, Membrane, Scale, Threshold, from_nir, to_nir
from neuropil.synapses import Dense, Recurrent, SignConstrained, Sparse

nir = pytest.importorskip("nir")

SAYABLE = {
    "LI",
    "LIF",
    "PLIF",
    "CubaLIF",
    "Membrane",
    "CubaMembrane",
    "Dense",
    "EventDense",
    "ExcitatoryInhibitory",
    "Sparse",
    "SignConstrained",
    "Recurrent",
}
"""What NIR has words for; every other part registered is to be refused."""


def there_and_back(model, path, **how):
    nir.write(path, to_nir(model))
    return from_nir(nir.read(path), **how)


def x_for(model, size=None, T=60, dtype=torch.float32, drive=1.0):
    generator = torch.Generator().manual_seed(3)
    return (drive * torch.rand(T, 3, size or model.size, generator=generator, dtype=torch.float64)).to(dtype)


def same_trace(model, again, x, exact=True):
    """Outputs of every moment and the last state, from rest and going on from there."""
    y, s = model(x)
    y2, s2 = again(x)
    (more, s), (more2, s2) = model(x, s), again(x, s2)
    close = {"rtol": 0, "atol": 0} if exact else {}
    torch.testing.assert_close(torch.cat((y, more)), torch.cat((y2, more2)), **close)
    for (_, one), (_, two) in zip(leaves(s), leaves(s2), strict=True):
        torch.testing.assert_close(one, two, **close)
    return torch.cat((y, more))


@pytest.mark.parametrize("part", [*CELLS, *SYNAPSES, *RULES], ids=lambda part: part.name)
def test_every_registered_part_gives_its_trace_again_or_says_why_not(part, tmp_path):
    torch.manual_seed(0)
    model = part.small()
    if part.name not in SAYABLE:
        with pytest.raises(ValueError, match=rf"^{part.name} cannot be written for NIR: .+; .+\.$"):
            to_nir(model)
        return
    again = there_and_back(model, tmp_path / "part.nir")
    x = x_for(model, drive=2.0)
    if isinstance(model, Cell):
        assert type(again) is type(model)
        y = same_trace(model, again, x)
        assert y.float().mean() > 0, "a silent trace compares nothing"
    else:
        torch.testing.assert_close(again(x)[0], model(x))


def test_what_nir_can_say_is_registered():
    assert {part.name for part in (*CELLS, *SYNAPSES, *RULES)} >= SAYABLE


@pytest.mark.parametrize(
    "cell",
    [
        LI(4, tau=[0.01, 0.02, 0.03, 0.05], dt=1e-3, learnable=True),
        LIF(4, tau=[0.01, 0.02, 0.03, 0.05], threshold=[0.5, 1.0, 2.0, 3.0], dt=2e-3, surrogate=Triangular(0.5, 0.3)),
        LIF(4, dt=1e-3, reset=Reset("hard", detach=True, value=-0.3), surrogate=Arctan(3.0)),
        PLIF(4, per_neuron=True, dt=1e-3, reset="soft"),
        CubaLIF(4, tau=[0.01, 0.02, 0.03, 0.05], tau_syn=[0.004, 0.005, 0.006, 0.007], threshold=0.2, dt=1e-3),
        LIF(dt=1e-3),
        LIF(4, dt=1e-3).double(),
        CubaLIF(4, dt=1e-3).to(torch.bfloat16),
        Membrane(4, tau=None, r=[30.0, 40.0, 50.0, 60.0], v_threshold=1.0, v_reset=[0.0, 0.1, 0.2, -0.3], dt=1e-3, reset="soft"),
        Membrane(4, tau=None, dt=1e-3),
        Membrane(4, v_leak=[0.0, 0.1, 0.2, -0.3], dt=1e-3),
        CubaMembrane(4, w_in=[1.0, 2.0, 3.0, 4.0], r=2.0, v_leak=0.1, dt=1e-3),
        CubaMembrane(4, v_threshold=[0.1, 0.2, 0.3, 0.4], dt=1e-3, surrogate=FastSigmoid(25.0), reset=Reset("soft", detach=True)),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_numbers_shapes_gradients_and_kinds_come_back_bit_for_bit(cell, tmp_path):
    size = {} if cell.size else {"size": 4}
    nir.write(tmp_path / "cell.nir", to_nir(cell, **size))
    again = from_nir(nir.read(tmp_path / "cell.nir"))
    assert type(again) is type(cell)
    assert again.size == cell.size
    assert repr(again) == repr(cell)
    before, after = cell.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
        assert after[name].dtype == tensor.dtype
    assert {name for name, _ in again.named_parameters()} == {name for name, _ in cell.named_parameters()}
    x = x_for(cell, 4, dtype=next(iter(before.values())).dtype)
    gradients = []
    for one in (cell, again):
        inputs = x.clone().requires_grad_()
        one(inputs)[0].float().sum().backward()
        gradients.append(inputs.grad)
    assert torch.equal(*gradients)
    assert gradients[0].abs().sum() > 0


def models():
    torch.manual_seed(1)
    yield "one layer", Chain(Dense(4, 3))
    yield "layers", Chain(Dense(4, 6), LIF(dt=1e-3), nn.Linear(6, 5), CubaLIF(5, threshold=0.1, dt=1e-3), readout=LI(5, dt=1e-3))
    yield "eleven layers", Chain(*(Dense(4, 4, gain=1.5) if k % 2 == 0 else LI(4, dt=1e-3) for k in range(11)))
    yield "recurrent in a chain", Chain(SignConstrained(4, 6), Recurrent(LIF(6, dt=1e-3), Sparse(6, 6, density=0.5)), Dense(6, 2))
    yield "a biased recurrent", Recurrent(PLIF(4, dt=1e-3, threshold=0.3), nn.Linear(4, 4))
    yield "plain nodes", Chain(Scale(4, [1.0, 2.0, 3.0, 4.0]), Threshold(4, 0.7, Arctan(3.0)), LI(4, dt=1e-3))
    nodes = {"e": LIF(5, dt=1e-3), "i": LIF(2, dt=1e-3)}
    edges = [Edge("input", "e", 0, Dense(4, 5)), Edge("e", "i", 1, Dense(5, 2)), Edge("i", "e", 3, Dense(2, 5)), Edge("e", "e", 2)]
    yield "two populations", Circuit(nodes, edges, output="e")
    yield (
        "a late input",
        Circuit({"a": LI(4, dt=1e-3), "b": LI(dt=1e-3)}, [("input", "a"), ("a", "b"), ("input", "b", 2)], output="b", size=4),
    )
    yield (
        "an edge twice",
        Circuit({"a": LI(4, dt=1e-3), "b": LI(4, dt=1e-3)}, [("input", "a"), ("input", "a"), ("a", "b"), ("a", "b")], output="b"),
    )
    inner = Chain(Dense(4, 4), LIF(4, dt=1e-3))
    yield "a chain in a circuit", Circuit({"a": inner, "b": LI(4, dt=1e-3)}, [("input", "a"), ("a", "b"), ("b", "a", 1)], output="b")
    yield "a layer named output", Chain(first=LI(4, dt=1e-3), output=Dense(4, 2))


@pytest.mark.parametrize(("name", "model"), list(models()), ids=[name for name, _ in models()])
def test_models_give_their_trace_again(name, model, tmp_path):
    again = there_and_back(model, tmp_path / "model.nir")
    x = x_for(model, 4, drive=3.0)
    y, _ = model(x)
    # sums of several edges may be taken in another order
    torch.testing.assert_close(again(x)[0], y, rtol=1e-5, atol=1e-6)
    assert y.abs().sum() > 0
    if not isinstance(model, Circuit):
        assert type(again) is type(model)
        same_trace(model, again, x, exact=False)


def test_a_graph_is_nir_s_own_words():
    graph = to_nir(Chain(Dense(4, 3), LIF(3, tau=0.02, threshold=2.0, dt=1e-3, reset=Reset("hard", value=-0.5))))
    linear, lif = graph.nodes["0"], graph.nodes["1"]
    assert isinstance(linear, nir.Linear)
    assert isinstance(lif, nir.LIF)
    held = 1 - np.exp(-1e-3 / 0.02)
    np.testing.assert_allclose(lif.tau, np.full(3, 0.02), rtol=1e-6)
    np.testing.assert_allclose(lif.r, np.full(3, 1 / held), rtol=1e-6)
    np.testing.assert_array_equal(lif.v_threshold, np.full(3, 2.0))
    np.testing.assert_array_equal(lif.v_reset, np.full(3, -0.5))
    np.testing.assert_array_equal(lif.v_leak, np.zeros(3))
    assert graph.edges == [("input", "0"), ("0", "1"), ("1", "output")]


def test_another_dt_and_changed_arrays_count_before_the_notes():
    cell = LIF(4, dt=1e-3, surrogate=Arctan(5.0))
    coarse = from_nir(to_nir(cell), dt=2e-3)
    assert type(coarse) is Membrane
    assert (coarse.dt, coarse.reset.mode, coarse.surrogate.slope) == (2e-3, "soft", 5.0)
    graph = to_nir(cell)
    graph.nodes["lif"].r = graph.nodes["lif"].r / 2
    halved, x = from_nir(graph), x_for(cell, drive=2.0)
    assert type(halved) is Membrane
    torch.testing.assert_close(halved(x)[0], cell(x / 2)[0])
    graph = to_nir(cell)
    for key in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        setattr(graph.nodes["lif"], key, getattr(graph.nodes["lif"], key).astype(np.float32))
    assert type(from_nir(graph)) is LIF, "rounded to float32 is not changed"


def test_dtype_is_the_notes_unless_given():
    assert from_nir(to_nir(LI(2, dt=1e-3).double())).decay.log_tau.dtype == torch.float64
    assert from_nir(to_nir(LI(2, dt=1e-3)), dtype=torch.float64).decay.log_tau.dtype == torch.float64
    assert from_nir(nir.NIRGraph.from_list(nir.Linear(np.eye(2)))).layers[0].weight.dtype == torch.float32


def test_reading_takes_no_random_numbers():
    graph = to_nir(Chain(Dense(3, 2), nn.Linear(2, 2)))
    before = torch.get_rng_state()
    from_nir(graph)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("model", "how", "words"),
    [
        (ALIF(2, dt=1e-3), {}, "ALIF cannot be written for NIR: its threshold moves"),
        (Chain(Dense(2, 2), nn.Tanh()), {}, "Tanh cannot be written for NIR: no node"),
        (LIF(2, dt=1e-3, reset="none"), {}, "its neurons are reset and this one is not"),
        (Membrane(2, dt=1e-3, v_threshold=1.0, reset="none"), {}, "its neurons are reset and this one is not"),
        (LIF(dt=1e-3), {}, "give the cell its size, or to_nir the size of the input"),
        (Chain(nn.Linear(2, 2), input=LI(2, dt=1e-3)), {}, "choose another name"),
        (Chain(LI(2, dt=1e-3), LI(2, dt=2e-3)), {}, "give all of them the same dt"),
        (
            Circuit({"a": LI(2, dt=1e-3), "b": LI(2, dt=1e-3)}, [("input", "a"), ("a", "b")], output="a"),
            {},
            "'b' of this Circuit leads nowhere",
        ),
        (Circuit({"a": Dense(2, 2)}, [("input", "a"), ("a", "a", 1)], output="a"), {}, "no cell of this Circuit has a dt"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_sentence(model, how, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        to_nir(model, **how)
    assert str(caught.value).count("\n") == 0
