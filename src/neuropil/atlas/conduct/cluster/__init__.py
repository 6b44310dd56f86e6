"""Cells on other machines: a Dask scheduler hands them to its workers, finished cells come back to the store of whoever asked."""
