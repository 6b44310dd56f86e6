"""Memories: written in one presentation, read by content or position; one memory a file."""

__all__: list[str] = []
