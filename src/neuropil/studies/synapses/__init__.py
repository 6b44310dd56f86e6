"""Studies of the synapses family, one paper a file."""
