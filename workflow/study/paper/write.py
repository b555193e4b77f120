"""Writing the paper of a study: the same inputs and versions give the same bytes everywhere."""

import json
from collections.abc import Sequence
from pathlib import Path

import typst

from model.files import AGAIN, atomic_write
from model.table import ResultError
from study.page.output import Files
from study.paper.content import Content, paper_content
from study.planning.ablation import Ablation

NAME = "paper.pdf"
_TEMPLATE = Path(__file__).with_name("paper.typ")


def write_paper(
    study_dir: Path,
    ablations: Sequence[Ablation],
    directory: Path,
    files: Files,
    missing: Sequence[str] = (),
) -> Path:
    """Write a study's paper into a folder, of its tables and figures; raises ResultError.

    `missing` names the runs that are not there yet: then it is a paper of partial results.
    """
    content = paper_content(study_dir, ablations, files, missing)
    path = directory / NAME
    with atomic_write(path) as temporary:
        try:
            typesetter(content, study_dir).compile(
                output=temporary, format="pdf", timestamp=content["trained_until"]
            )
        except typst.TypstError as error:
            raise ResultError(f"{path}: {error.message}; {AGAIN}") from None
    return path


def typesetter(content: Content, study_dir: Path) -> typst.Compiler:
    """Typst with such content, whose files lie in the folder of the study."""
    return typst.Compiler(
        _TEMPLATE.read_bytes(),
        root=study_dir,
        # The content is data: nothing in it is read as markup.
        sys_inputs={"content": json.dumps(content)},
        # Its own fonts are the same on every machine, the system's are not.
        ignore_system_fonts=True,
    )
