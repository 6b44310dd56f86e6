"""Studies: one paper a file, under the family of its mechanism. Nothing imports a study."""
