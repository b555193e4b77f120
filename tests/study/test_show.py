"""What `study show` prints."""

from pathlib import Path

import pytest
from written_results import write_ablation, write_output, write_run, write_tables

from study.__main__ import main


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def show(*arguments: str) -> str:
        code = main(["show", "--results", str(tmp_path), *arguments])
        output = capsys.readouterr()
        return output.out if code == 0 else output.err

    assert "there is none yet" in show()
    write_run(tmp_path / "fake")
    write_tables(tmp_path / "fake")
    assert "80.0000" in show()
    assert "no table 'sharing'" in show("--table", "sharing")
    assert "timings, segments" in show("--table", "sharing")
    assert "wall_seconds" in show("--table", "timings")
    write_ablation(tmp_path / "fake", {"digits": ["vdvae"]})
    assert "sharing.parquet is missing" in show("--table", "sharing")
    assert write_output(tmp_path / "fake") == 0
    assert "| digits" in show("--study", "fake", "--table", "sharing")
    assert "other has no tables; there are fake" in show("--study", "other")
