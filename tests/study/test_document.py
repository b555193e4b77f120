"""Documentation that is written from the tables and from config.yaml is up to date."""

import shutil
from pathlib import Path

import pytest

from study.__main__ import main
from study.document import documents

ROOT = Path(__file__).parents[2]
FILES = ["results/README.md", "docs/ablations.md", "config.yaml"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for file in FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize("file", FILES[:2])
def test_a_document_is_up_to_date(file: str) -> None:
    written = documents(ROOT)[ROOT / file]
    assert (ROOT / file).read_text(encoding="utf-8") == written, "run `python -m study document`"


def test_an_ablation_of_config_yaml_gets_its_row(copy: Path) -> None:
    config = copy / "config.yaml"
    width = "  width:\n    title: Width\n    variants: [x1, db2-pooling]\n"
    config.write_text(config.read_text().replace("ablations:\n", f"ablations:\n{width}", 1))
    assert main(["document", "--root", str(copy)]) == 0
    row = "| `width` | **Width.**  | `x1`, `db2-pooling` | `pooling` | – |"
    assert row in (copy / "docs/ablations.md").read_text()
    before = [(copy / file).read_bytes() for file in FILES]
    assert main(["document", "--root", str(copy)]) == 0
    assert [(copy / file).read_bytes() for file in FILES] == before


def test_a_missing_marker_is_one_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "docs/ablations.md").write_text("no marker")
    assert main(["document", "--root", str(copy)]) == 1
    error = capsys.readouterr().err
    assert "docs/ablations.md: the line" in error
    assert error.count("\n") == 1
