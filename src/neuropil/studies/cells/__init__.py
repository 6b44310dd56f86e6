"""Studies of neuron models."""
