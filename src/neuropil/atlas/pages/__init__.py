"""The report pages: wording, templates and style; ``neuropil.atlas.pages.report`` puts them together."""
