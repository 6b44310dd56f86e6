"""Studies of the growth family, one paper a file."""
