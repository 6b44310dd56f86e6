"""Studies of the interpret family, one paper a file."""
