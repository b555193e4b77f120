"""The site of the documentation, by Sphinx (`make docs`), of the pages that a code host shows."""

import re
from typing import Any

project = "multires-hvae"
html_title = project
copyright = "the multires-hvae authors"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as a code host makes them: links to headings are checked

# The sources are the whole project, so that links between its folders are the same as there.
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "docs/*.md",
    "results/README.md",
    "workflow/snakemake_executor_plugin_submitit/README.md",
]
exclude_patterns = [".*", "build", "data", "results/*/**", "tests"]  # not walked through
html_theme = "furo"
html_extra_path = ["site/index.html"]  # leads to docs/
html_static_path = ["site/tables.css"]
html_css_files = ["tables.css"]
html_copy_source = False
html_use_index = False


def contents_of_links(_app: Any, name: str, source: list[str]) -> None:
    """The site's table of contents is the links of docs/index.md, with a caption for each part."""
    if name != root_doc:
        return
    for part in source[0].split("\n## ")[1:]:
        caption = part.splitlines()[0]
        pages = re.findall(r"\[(.*?)\]\((.*?)\)", part)
        lines = [f"{title.replace('`', '')} <{page}>" for title, page in pages]
        toctree = ["```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```"]
        source[0] += "\n" + "\n".join(toctree) + "\n"


def setup(app: Any) -> None:
    app.connect("source-read", contents_of_links)
