"""Results side by side: what each run found, how the runs differ, and what therefore is not comparable."""

from neuropil.atlas.comparison.comparing import compare
from neuropil.atlas.comparison.layout import lay_out
from neuropil.atlas.comparison.reading import check_result, read_result

__all__ = ["check_result", "compare", "lay_out", "read_result"]
