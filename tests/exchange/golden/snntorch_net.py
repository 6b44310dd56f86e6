"""Make ``snntorch_net.nir`` and ``snntorch_net.npz``: a recurrent spiking network as snnTorch exports it, and what snnTorch makes of an input.

    pip install snntorch==1.0.0 nir==1.0.8 nirtorch==2.6 && python tests/exchange/golden/snntorch_net.py

snnTorch exports for steps of 1e-4 s by forward Euler, ``tau = dt / (1 - beta)``. The neurons here reset to zero in the step of the spike.
"""

from pathlib import Path

import nir
import numpy as np
import snntorch
import torch
from snntorch.export_nir import export_to_nir

HERE = Path(__file__).parent
RESET = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(6, 8)
        self.rec = snntorch.RLeaky(beta=torch.linspace(0.7, 0.95, 8), threshold=torch.ones(8), linear_features=8, all_to_all=True, **RESET)
        self.fc2 = torch.nn.Linear(8, 3)
        self.last = snntorch.Synaptic(alpha=torch.full((3,), 0.6), beta=torch.full((3,), 0.85), threshold=torch.ones(3), **RESET)

    def forward(self, x):
        return self.last(self.fc2(self.rec(self.fc1(x))))


torch.manual_seed(0)
net = Net().eval()
with torch.no_grad():
    net.fc1.weight.mul_(3)
    net.fc2.weight.mul_(2)
    graph = export_to_nir(net, torch.zeros(1, 6), ignore_dims=[0])
    net.rec.spk, net.rec.mem = net.rec.reset_mem()
    net.last.reset_mem()
    x = (torch.rand(80, 2, 6, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    hidden, spikes, mem, syn = [], [], [], []
    net.rec.register_forward_hook(lambda _, __, y: hidden.append(y.clone()))
    for moment in x:
        spikes.append(net(moment))
        mem.append(net.last.mem.clone())
        syn.append(net.last.syn.clone())
nir.write(HERE / "snntorch_net.nir", graph)
traces = {"hidden": hidden, "spikes": spikes, "mem": mem, "syn": syn}
np.savez_compressed(HERE / "snntorch_net.npz", x=x.numpy(), **{name: torch.stack(trace).numpy() for name, trace in traces.items()})
print({name: float(torch.stack(trace).mean()) for name, trace in traces.items()})
