"""The note of a table whose rows come of different code."""

from pathlib import Path

import pandas as pd
import pytest
from written_results import write_probe, write_run

from study.__main__ import main
from study.comparing.code import code_note, joined


def test_rows_are_grouped_by_their_code() -> None:
    frame = pd.DataFrame(
        {
            "dataset": ["digits"] * 4,
            "variant": ["x1", "r5", "x2", "paper"],
            "training_code_digest": ["a" * 16, "b" * 16, joined(["a" * 16, "b" * 16]), None],
            "evaluation_code_digest": ["c" * 16, "c" * 16, "c" * 16, None],
        }
    )
    assert code_note(frame) == (
        "Rows come of different code: training by aaaaaaaa: digits/x1; bbbbbbbb: digits/r5; "
        "aaaaaaaa + bbbbbbbb: digits/x2."
    )
    assert code_note(frame.iloc[[0, 0, 3]]) == ""
    assert "digits/x2" in code_note(frame.iloc[[2]])  # one row of two codes


@pytest.mark.parametrize("table", ["norm_segments", "temperatures", "theory"])
def test_probes_by_different_code_are_told(table: str, tmp_path: Path) -> None:
    """In the tables of probed runs, each run once."""
    run_dirs = [write_run(tmp_path, variant=variant) for variant in ("x1", "r5")]
    for run_dir, code in zip(run_dirs, ("1" * 16, "2" * 16), strict=True):
        write_probe(run_dir, probe_code=code)
    command = ["collect", "--runs", "probed", "--study", "s", "--tables", str(tmp_path)]
    assert main([*command, *map(str, run_dirs)]) == 0
    note = "Rows come of different code: probe by 22222222: digits/r5/seed0; 11111111: digits/x1"
    assert note in (tmp_path / f"{table}.md").read_text()
    write_probe(run_dirs[0], probe_code="2" * 16)
    assert main([*command, *map(str, run_dirs)]) == 0
    assert "different code" not in (tmp_path / f"{table}.md").read_text()
