"""The messages of docs/faq.md are those that the program prints."""

import ast
import re
from collections.abc import Iterator

import pytest
from documentation import ROOT

PAGE = "docs/faq.md"
# A question of the page is a message in bold: **`message`**; what differs from time to time is "…".
QUESTIONS = re.findall(
    r"^\*\*(`{1,2}) ?(.+?) ?\1\*\*$", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE
)


def texts(node: ast.AST) -> Iterator[str]:
    """The string literals of a source, each whole; what an f-string fills in is "…"."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        yield "".join(map(str, parts))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


@pytest.fixture(scope="module")
def printed() -> list[str]:
    files = [*ROOT.glob("model/**/*.py"), *ROOT.glob("workflow/**/*.py")]
    sources = [text for file in files for text in texts(ast.parse(file.read_text()))]
    # No Python: what is continued on the next line is joined.
    rules = [re.sub(r'"\n\s*f?"', "", file.read_text()) for file in ROOT.glob("workflow/**/*.smk")]
    return [*sources, *rules, (ROOT / "Makefile").read_text()]


@pytest.mark.parametrize("message", [message for _, message in QUESTIONS])
def test_a_message_of_the_page_is_still_printed(message: str, printed: list[str]) -> None:
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))))
    assert len(message.replace("…", "")) > 10, "too short to tell it from others"
    assert any(map(pattern.search, printed)), "docs/faq.md tells of a message that nothing prints"


def test_the_page_has_messages_of_each_part() -> None:
    assert len(QUESTIONS) > 20
