"""Synapses: one kind of connection a file; the stateless ones are plain modules, those with a memory are Cells."""

from neuropil.synapses.active_dendrites import ActiveDendrites
from neuropil.synapses.conv import Conv
from neuropil.synapses.delayed_conv import DelayedConv
from neuropil.synapses.delayed_linear import DelayedLinear
from neuropil.synapses.dense import Dense
from neuropil.synapses.event_dense import EventDense
from neuropil.synapses.excitatory_inhibitory import ExcitatoryInhibitory
from neuropil.synapses.kuramoto_coupling import KuramotoCoupling, order_parameter
from neuropil.synapses.quadratic import Quadratic
from neuropil.synapses.recurrent import Recurrent
from neuropil.synapses.sign_constrained import SignConstrained
from neuropil.synapses.sparse import Sparse
from neuropil.synapses.synapse import Synapse

__all__ = [
    "ActiveDendrites",
    "Conv",
    "DelayedConv",
    "DelayedLinear",
    "Dense",
    "EventDense",
    "ExcitatoryInhibitory",
    "KuramotoCoupling",
    "Quadratic",
    "Recurrent",
    "SignConstrained",
    "Sparse",
    "Synapse",
    "order_parameter",
]
