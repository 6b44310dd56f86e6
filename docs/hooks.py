"""Build hooks of the documentation site: docstrings read as they were meant, keys of papers are links."""

import re
from pathlib import Path

from markdown import Extension, Markdown
from markdown.inlinepatterns import SimpleTextInlineProcessor

KEYS = sorted(re.findall(r"^@\w+\{(\w+),", Path(__file__).parent.with_name("references.bib").read_text(encoding="utf-8"), re.MULTILINE))
KEY = re.compile(r"(?<![\w#>./-])(" + "|".join(KEYS) + r")(?!\w)(?![^<]*>)")


class Shapes(Extension):
    """Read ``[K][P]`` as a shape, which Markdown takes for a link."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        md.inlinePatterns.register(SimpleTextInlineProcessor(r"((?:\[[A-Z]\]){2,})"), "shapes", 175)


def on_config(config):
    config.markdown_extensions.append(Shapes())
    return config


def on_page_content(html, page, **_):
    if page.file.src_uri == "reference/papers.md":
        return re.sub(r">(\w+)<", lambda m: f' id="{m[1]}">{m[1]}<' if m[1] in KEYS else m[0], html)
    if page.file.src_uri.startswith("reference/"):
        html = KEY.sub(r'<a href="papers.html#\1">\1</a>', html)
    return html.replace("::</p>", ":</p>")
