"""All-to-all connections that work only when a spike comes."""

from torch import Tensor

from neuropil.dynamics.kernels.events import event_product
from neuropil.dynamics.registry import SYNAPSES
from neuropil.synapses.dense import Dense


@SYNAPSES.register(cites=("he2015", "mattia2000"), tags=("stateless", "event-driven"), example={"size": 4, "out_size": 3})
class EventDense(Dense):
    """Dense, computed event by event: an input that is 0 costs nothing, forwards and in the gradient of the weights.

    Equation: ``y = sum of x_j W_j over the j with x_j != 0``, which is ``W x``. Quicker than the dense product on a CPU where few inputs
    are not 0, as with spikes (``benchmarks/events.py`` measures how few); the gradient of ``x``, where it is wanted, is a dense product. Sums are taken in another order than
    ``Dense`` takes them, so numbers agree to rounding. With fewer than 64 outputs, without Numba, on other devices and dtypes, under autocast and ``torch.compile`` it is ``Dense``.

    ``x`` [..., N] -> ``y`` [..., M]; ``weight`` [M, N]. Raises as ``Synapse``; first derivatives only. Source: mattia2000 (event-driven simulation).
    Differs from Dense also in that 0 times a weight that is not finite is 0.
    """

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        """``W x``, event by event."""
        return event_product(x, weight)
