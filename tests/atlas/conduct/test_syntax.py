"""Reading files whatever else the process does."""

import ast
import gc

from neuropil.atlas.conduct import syntax


def test_a_collection_of_garbage_that_parses_does_not_disturb_a_parse():
    """Dask and others call Python at each collection; below Python 3.11.8 a parse in there breaks the one around it (CPython issue 106905)."""
    text = "x = [" + ", ".join(f"f({i}, a.b[{i}])" for i in range(400)) + "]\n"
    expected = ast.dump(syntax.parse(text))
    called = []

    def nested(phase, _):
        called.append(phase)
        ast.parse("y = a + b")

    gc.callbacks.append(nested)
    try:
        gc.collect()
        assert len(called) == 2
        for _ in range(20):
            assert ast.dump(syntax.parse(text)) == expected
        assert gc.isenabled()
    finally:
        gc.callbacks.remove(nested)
