"""Studies of the plasticity family, one paper a file."""
