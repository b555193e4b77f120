"""Tables of what has finished, while the rest trains."""

from pathlib import Path

import pytest
import yaml
from written_results import write_run

from study.__main__ import main
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]


def test_partial_tables_mark_what_has_not_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of four runs: a table that says so, and none where Snakemake writes."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "seeds": 2}
    content["studies"]["tiny"]["ablations"] = ["resolutions"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    study = Study.load(tmp_path / "config.yaml", "tiny")
    command = ["partial", "--study", "tiny", "--config", str(tmp_path / "config.yaml")]
    command += ["--results", str(tmp_path)]
    assert main(command) == 1
    assert "no run has finished yet" in capsys.readouterr().err
    for seed, nll in enumerate([80.0, 81.0]):
        config = study.run_config(Run("digits", "x1", seed))
        write_run(tmp_path / "tiny", "digits", "x1", seed, nll=nll, config=config)
    assert main(command) == 0
    directory = tmp_path / "tiny" / "partial"
    markdown = (directory / "resolutions.md").read_text()
    (x1, single) = (line for line in markdown.splitlines() if line.startswith("| digits"))
    assert "80.5 ± 6.4" in x1
    assert single.count("…") >= 6
    assert "… marks what has not finished" in markdown
    assert not (tmp_path / "tiny" / "tables").exists()
