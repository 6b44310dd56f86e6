"""My part: parts and studies beside neuropil's own."""
