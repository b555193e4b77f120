"""The tables for reading, which a study has in Markdown, as HTML."""

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markupsafe import Markup

# Text and tables are all that it knows: what a title or a name holds stays text, and is escaped.
_MARKDOWN = MarkdownIt("zero").enable("table")
_START = "<table>"


@dataclass(frozen=True)
class ReadingTable:
    """A table's caption, and the table itself."""

    caption: str
    html: Markup


def reading_table(markdown: str) -> ReadingTable:
    """The caption and the table of a file that `study.tables.markdown.with_caption` made."""
    caption, _, _ = markdown.partition("\n\n|")
    html = _MARKDOWN.render(markdown[len(caption) :].lstrip("\n"))
    start = html.index(_START)
    return ReadingTable(caption.strip(), Markup(html[start:]))
