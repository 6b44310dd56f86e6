"""Ways of looking inside a trained or training network, one a file."""

__all__: list[str] = []
