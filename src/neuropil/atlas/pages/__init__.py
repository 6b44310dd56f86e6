"""The report pages: wording, templates and style; ``neuropil.atlas.report`` puts them together."""
