"""Studies of the learning family, one paper a file."""
