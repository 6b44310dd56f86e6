"""The one error the atlas raises for what a user can mend: a single sentence of what was given, what is accepted, what to do."""


class AtlasError(Exception):
    """What was given, what is accepted, what to do; the command line prints it and exits with 1."""


class InterruptionError(AtlasError):
    """Ctrl-C in mid-run: finished cells are kept; the command line exits with 130."""
