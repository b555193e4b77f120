"""The tables for reading, which a study has in Markdown: as HTML, and cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markupsafe import Markup

# Text and tables are all that it knows: what a title or a name holds stays text, and is escaped.
_MARKDOWN = MarkdownIt("zero").enable("table")
_START = "<table>"


@dataclass(frozen=True, kw_only=True)
class ReadingTable:
    """A table's caption, and the table itself."""

    caption: str
    html: Markup
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_right: Sequence[bool]  # by column: aligned right


def reading_table(markdown: str) -> ReadingTable:
    """The caption and the table of a file that `study.tables.markdown.with_caption` made."""
    caption, _, _ = markdown.partition("\n\n|")
    body = markdown[len(caption) :].lstrip("\n")
    html = _MARKDOWN.render(body)
    tokens = _MARKDOWN.parse(body)
    headings: list[str] = []
    is_right: list[bool] = []
    rows: list[list[str]] = []
    for token, content in pairwise(tokens):
        if token.type == "th_open":
            headings.append(content.content)
            is_right.append("right" in str(token.attrs.get("style", "")))
        elif token.type == "tr_open" and headings:
            rows.append([])
        elif token.type == "td_open":
            rows[-1].append(content.content)
    return ReadingTable(
        caption=caption.strip(),
        html=Markup(html[html.index(_START) :]),
        headings=headings,
        rows=rows,
        is_right=is_right,
    )
