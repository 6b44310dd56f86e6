"""A study's own matplotlib figures as inline SVG that follows the page's light and dark, with ids of their own."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuropil.atlas.outcome import Table

INK = "#0a0b0c"
"""Stands for the page's text colour until the SVG is written."""
CYCLE = ("#2f86c9", "#d9722b", "#2a9d78", "#b865a4", "#b8961f", "#8a8f98")
"""Mid-tones that hold on white and on near-black, told apart with any colour vision (after the Okabe-Ito palette)."""


def draw(function: Callable[[Table], Figure], table: Table, name: str, caption: str) -> Markup:
    """Call a figure function and give its picture as SVG; ``name`` must be unique on the page. The same input gives the same bytes."""
    import matplotlib as mpl

    if "matplotlib.pyplot" not in sys.modules:
        mpl.use("Agg")
    from cycler import cycler

    ink = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "patch.edgecolor"), INK
    )
    clear = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none")
    style: Any = {
        **ink,
        **clear,
        "axes.prop_cycle": cycler(color=CYCLE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "font.size": 10,
        "grid.color": "#888888",
        "grid.alpha": 0.25,
        "image.cmap": "viridis",
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",
        "svg.hashsalt": "neuropil",
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        figure = function(table)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.04, metadata={"Date": None, "Creator": None})
        plt = sys.modules.get("matplotlib.pyplot")
        if plt is not None:
            plt.close(figure)
    return _inline(text.getvalue(), name, caption)


def _inline(svg: str, name: str, caption: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", svg, flags=re.DOTALL)
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    width, height = (float(view[1]), float(view[2])) if view else (480.0, 320.0)
    svg = svg[svg.index(">", svg.index("<svg")) + 1 :]
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    svg = re.sub(rf"{INK}|#000000|(?<=[: ])black(?=[;\"])", "currentColor", svg)
    svg = re.sub(r"(font: [^;\"]*?px )[^;\"]*", r"\1inherit-family", svg).replace("inherit-family", "var(--sans, sans-serif)")
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans, sans-serif)", svg)
    svg = re.sub(r">\s+<", "><", svg.strip())
    head = Markup(
        '<svg viewBox="0 0 {w} {h}" width="{W}" height="{H}" class="own" role="img" aria-labelledby="{n}-t" fill="currentColor"'
        ' stroke-linejoin="round" stroke-linecap="butt"><title id="{n}-t">{t}</title>'
    ).format(w=f"{width:g}", h=f"{height:g}", W=f"{width * 4 / 3:.0f}", H=f"{height * 4 / 3:.0f}", n=name, t=caption)
    return head + Markup(svg)
