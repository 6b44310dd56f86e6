"""Ways of changing structure while learning, one a file."""

__all__: list[str] = []
