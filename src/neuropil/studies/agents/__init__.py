"""Studies of the agents family, one paper a file."""
