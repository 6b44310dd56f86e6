"""Names are resolved as written, indices are read without evaluating anything."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from neuropil.observe import names
from neuropil.observe.names import locate, parse_index


class Duck(nn.Module):
    """A cell that knows nothing of neuropil."""

    emits = "spikes"

    class State(NamedTuple):
        v: Tensor
        bag: dict[str, Tensor]

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.register_buffer("rest", torch.zeros(3))

    def step(self, x, s):
        return x, s


def net():
    return nn.Sequential(nn.Linear(2, 3), Duck(), nn.Sequential(nn.Linear(3, 1, bias=False)))


def test_every_name_is_listed_and_found():
    expected = "output 0 0.weight 0.bias 1 1.spikes 1.v 1.gain 1.rest 2 2.0 2.0.weight"
    assert names(net()) == expected.split()
    assert all(locate(net(), name) for name in names(net()))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("0", "output"), ("0.output", "output"), ("output", "output"), ("1.spikes", "output"), ("1.v", "state"), ("1.bag", "state"),
        ("1.gain", "parameter"), ("1.rest", "buffer"), ("0.attention", "attention"), ("2.0.weight[0, :2]", "parameter"),
    ],
)  # fmt: skip
def test_kinds(name, kind):
    assert locate(net(), name).kind == kind


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("1.w", r"Sequential has nothing named '1.w'; nearest are "),
        ("1.spike", "nearest are '1.spikes'"),
        ("2.0.wieght", "nearest are '2.0.weight'"),
        ("encoder.layers.17", r"nothing named 'encoder.layers.17'; names\(model\) lists what there is"),
        ("0.spikes", "nothing named '0.spikes'"),
        ("2.0.bias", "nothing named '2.0.bias'"),
        ("", "nothing named ''"),
    ],
)
def test_unknown_names_say_the_nearest(name, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        locate(net(), name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "index",
    [":, 17", "0", "-1", "...", "..., 2", "1:5:2, [0, -2]", "::2", ":3", "[1, 2]"],
)
def test_indices_mean_what_they_mean_in_torch(index):
    tensor = torch.arange(8 * 18 * 4).view(8, 18, 4)
    assert torch.equal(tensor[parse_index("x", f"{index}]")], eval(f"tensor[{index}]"))


@pytest.mark.parametrize(
    "name",
    ["0[", "0[]", "0[1", "0[1]x", "0[1][2]", "0[__import__('os')]", "0[a]", "0[True]", "0[1.5]", "0[x for x in y]", "0[:, 'a']", "0[None]", "0[[1, ...]]", "0[-True]"],
)  # fmt: skip
def test_unreadable_indices_are_refused(name):
    with pytest.raises(ValueError, match="has no readable index; accepted are whole numbers, slices, lists"):
        locate(net(), name)


def test_a_name_is_a_text():
    with pytest.raises(TypeError, match=r"A name is a text such as 'hidden.v', a int was given"):
        locate(net(), 3)
