"""The atlas as a static site: it works from a folder, without network or server."""

from neuropil.atlas.pages.site.build import Built, build

__all__ = ["Built", "build"]
