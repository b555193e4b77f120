"""The paper of a study: its order, what is set as it stands, and that everything is on the page."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_study import TITLE, write_page_study
from PIL import Image
from written_results import comparison_results, write_ablation, write_run, write_tables

from study.__main__ import main
from study.outputs import write_ablation_table
from study.page.output import Files
from study.paper.content import paper_content
from study.paper.write import typesetter
from study.planning.ablation import Ablation
from study.tables import comparison


def write_paper(results: Path) -> int:
    ablations = sorted(map(str, results.glob("ablations/*.yaml")))
    return main(["paper", "--ablations", *ablations, "--study-dir", str(results)])


def content_of(results: Path, missing: tuple[str, ...] = ()) -> dict[str, Any]:
    ablations = [Ablation.load(path) for path in sorted(results.glob("ablations/*.yaml"))]
    files = Files(tables=results / "tables", figures=results / "figures")
    return paper_content(results, ablations, files, missing)


def headings(content: dict[str, Any], results: Path) -> list[str]:
    """The text of each heading, as Typst has understood it."""
    bodies = json.loads(typesetter(content, results).query("heading", field="body"))
    return ["".join(_texts(body)) for body in bodies]


def _texts(element: dict[str, Any]) -> list[str]:
    if "children" in element:
        return [text for child in element["children"] for text in _texts(child)]
    return [" "] if element["func"] == "space" else [element["text"]]


def margins_hold_ink(content: dict[str, Any], results: Path) -> bool:
    """Whether anything reaches beyond the text to the left or right, by a millimetre."""
    pages = typesetter(content, results).compile(format="png", ppi=60)
    for page in pages if isinstance(pages, list) else [pages]:
        grey = np.asarray(Image.open(io.BytesIO(page)).convert("L"))
        margin = round(grey.shape[1] * 19 / 210)
        if grey[:, :margin].min() < 250 or grey[:, -margin:].min() < 250:
            return True
    return False


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("paper")
    write_page_study(results)
    return results


def test_titles_are_set_as_they_stand(study_dir: Path) -> None:
    content = content_of(study_dir)
    assert TITLE in headings(content, study_dir)
    content["study"] = TITLE  # and what may be a name somewhere
    content["parts"][0]["sections"][0]["outputs"][0]["table"]["rows"][0][1] = TITLE
    content["appendix"][0]["usual"][TITLE] = TITLE
    assert not margins_hold_ink(content, study_dir)


def test_equal_studies_give_equal_bytes_wherever_they_are(study_dir: Path, tmp_path: Path) -> None:
    assert write_paper(study_dir) == 0
    copy = tmp_path / "a copy"
    shutil.copytree(study_dir, copy, ignore=shutil.ignore_patterns("paper.pdf"))
    assert write_paper(copy) == 0
    paper = (copy / "paper.pdf").read_bytes()
    assert paper.startswith(b"%PDF")
    assert paper == (study_dir / "paper.pdf").read_bytes()


def test_the_papers_own_tables_and_figures_come_first(tmp_path: Path) -> None:
    for variant in ("vdvae", "ws-vdvae-232k"):
        write_run(tmp_path, "mnist", variant, 0)
    write_tables(tmp_path)
    sources = {"a": None, "b": "figure4", "c": "table3", "d": "table1"}
    for name, source in sources.items():
        write_ablation(tmp_path, {"mnist": ["vdvae", "ws-vdvae-232k"]}, name, source)
    for figure in ("instability", "samples", "block_norms"):
        path = tmp_path / "figures" / f"{figure}.svg"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    parts = content_of(tmp_path)["parts"]
    assert [[section["source"] for section in part["sections"]] for part in parts] == [
        [f"{source} of the paper" for source in ("table 1", "table 3", "figure 4", "figure 5")]
        + ["figure 6 of the paper"],
        [""],
        ["", *[""] * (len(parts[2]["sections"]) - 1)],
    ]
    assert parts[2]["sections"][0]["title"] == "Instability"


def test_wide_and_long_tables_stay_on_the_page(tmp_path: Path) -> None:
    """The most columns that a comparison has, the longest names, more rows than a page holds."""
    long = "ws-vdvae-232k-with-a-name-that-is-longer-than-others"
    variants = ["vdvae", "ws-vdvae-232k", *(f"{long}-{number}" for number in range(30))]
    for variant in variants:
        write_run(tmp_path, "mnist", variant, 0, num_images=2, num_parameters=123_456_789)
    write_run(tmp_path, "imagenet32", "vdvae", 0, nll=4.0, num_images=2)
    path = write_ablation(tmp_path, {"mnist": variants, "imagenet32": ["vdvae"]}, source="table1")
    tables, ablation = write_tables(tmp_path), Ablation.load(path)
    frame = comparison.rows(ablation, comparison_results(tmp_path, ablation))
    write_ablation_table("comparison", ablation, frame, tables)  # a figure takes long
    content = content_of(tmp_path)
    assert len(content["parts"][0]["sections"][0]["outputs"][0]["table"]["headings"]) >= 14
    assert not margins_hold_ink(content, tmp_path)


def test_the_appendix_says_in_what_variants_differ(study_dir: Path) -> None:
    digits = content_of(study_dir)["appendix"][0]
    assert digits["dataset"] == "digits"
    assert digits["usual"]["repeats"] == "5"  # as many runs have 1
    assert digits["differences"] == [{"variant": "x1", "settings": {"repeats": "1"}}]
    assert digits["usual"]["zdim"] == "8"
    assert digits["common"]["dataset digest"] == "d1" * 6
    assert len(digits["provenance"]["rows"]) == 6 * 2  # each run was resumed once
    assert "config hash" in digits["provenance"]["headings"]


def test_missing_runs_are_told(study_dir: Path) -> None:
    content = content_of(study_dir, missing=("digits/x2/seed0",))
    assert "Missing runs" in headings(content, study_dir)
    assert "Missing runs" not in headings(content_of(study_dir), study_dir)


def test_a_damaged_figure_is_told_in_a_line(
    study_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study_dir, copy, ignore=shutil.ignore_patterns("paper.pdf"))
    (copy / "figures/sharing.pdf").write_bytes(b"%PDF-1.4 and no more")
    assert write_paper(copy) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "paper.pdf: " in line
    assert not (copy / "paper.pdf").exists()
