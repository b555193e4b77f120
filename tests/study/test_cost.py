"""What variants cost in training: the numbers, and the files."""

import json
from pathlib import Path

import pandas as pd
import pytest
from written_results import write_ablation, write_output, write_run, write_tables


def test_numbers_and_files(tmp_path: Path) -> None:
    seconds = {"x1": (40.0, 60.0), "recomputing": (90.0, 110.0)}  # of 2000 iterations
    for variant, times in seconds.items():
        for seed, wall_seconds in enumerate(times):
            file = write_run(tmp_path, "digits", variant, seed) / "train.json"
            training = json.loads(file.read_text()) | {"wall_seconds": wall_seconds}
            training["peak_memory_bytes"] = 4 * 10**9 if variant == "x1" else 10**9
            file.write_text(json.dumps(training))
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["x1", "recomputing"]})
    assert write_output(tmp_path, output="cost") == 0

    table = pd.read_parquet(tmp_path / "tables" / "sharing-cost.parquet").set_index("variant")
    assert list(table["iteration_ms_mean"]) == pytest.approx([25.0, 50.0])
    assert list(table["iteration_ms_standard_error"]) == pytest.approx([5.0, 5.0])
    assert list(table["iteration_ms_ratio"]) == pytest.approx([1.0, 2.0])
    assert list(table["peak_memory_ratio"]) == pytest.approx([1.0, 0.25])
    assert table.loc["recomputing", "peak_memory_mb_mean"] == 1000.0
    text = (tmp_path / "tables" / "sharing-cost.md").read_text()
    assert [cell.strip() for cell in text.splitlines()[-1].strip("|").split("|")] == [
        "digits", "recomputing", "2", "CPU", "50.0 ± 63.5", "2.00", "1,000 ± 0", "0.25",
    ]  # fmt: skip
    suffixes = {path.suffix for path in (tmp_path / "figures").glob("sharing-cost.*")}
    assert suffixes == {".pdf", ".svg", ".png"}
