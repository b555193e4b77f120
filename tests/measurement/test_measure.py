"""One process instead of three: the same files, in every byte."""

import shutil
from pathlib import Path

import pytest
from examples import tiny_run

from model.evaluate import main as evaluate
from model.measure import main as measure
from model.probe import main as probe
from model.run_tables import written_by
from model.sample import main as sample
from model.train import main as train

EVALUATION = ["--batch-size", "50", "--importance-samples", "2"]
PROBE = ["--num-samples", "20", "--temperatures", "0.5", "1"]
PROBED = {*(f"{name}.parquet" for name in written_by("probe")), "samples.npy", "learnt.npy"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    (directory / "config.yaml").write_text(tiny_run().dump())
    assert train([str(directory), "--data-dir", str(data_dir), "--device", "cpu"]) == 0
    return directory


def files(directory: Path, trained: Path) -> dict[str, bytes]:
    """What was computed in a copy of the trained run."""
    names = {path.name for path in directory.iterdir()} - {path.name for path in trained.iterdir()}
    return {name: (directory / name).read_bytes() for name in names}


def test_equal_to_the_commands_by_hand(trained: Path, tmp_path: Path, data_dir: Path) -> None:
    by_hand, at_once, evaluated = (tmp_path / name for name in ("hand", "once", "evaluated"))
    for directory in (by_hand, at_once, evaluated):
        shutil.copytree(trained, directory)
    data = ["--data-dir", str(data_dir), "--device", "cpu"]
    assert evaluate([str(by_hand), *data, *EVALUATION]) == 0
    assert probe([str(by_hand), *data, *PROBE]) == 0
    assert sample([str(by_hand), "--device", "cpu"]) == 0
    also = ["--also", "probe", "sample"]
    assert measure([str(at_once), *data, *EVALUATION, *PROBE, *also]) == 0
    assert measure([str(evaluated), *data, *EVALUATION]) == 0
    expected = files(by_hand, trained)
    assert set(expected) == {"test.parquet", "samples.png", *PROBED}
    assert files(at_once, trained) == expected
    assert files(evaluated, trained) == {"test.parquet": expected["test.parquet"]}


def test_a_mistake_is_one_line_before_anything_is_written(
    trained: Path, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(trained, directory)
    command = [str(directory), "--data-dir", str(data_dir), "--device", "cpu"]
    assert measure([*command, "--also", "probe", "--num-samples", "0"]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: num_samples: must be at least")
    assert files(directory, trained) == {}
