"""Studies of the continual family, one paper a file."""
