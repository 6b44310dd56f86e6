"""Studies of the memory family, one paper a file."""
