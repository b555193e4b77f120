"""Damaged or foreign files among results: one line that names the file, never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from written_results import write_probe, write_run

from model.run_tables import written_by
from study.__main__ import main
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]
RUN = Path("tiny/runs/digits/x1/seed0")
TRAINED = ("config.yaml", "train.json")
# What each command reads of a run.
READ = {
    "collect": (*TRAINED, "history.parquet", "test.parquet"),
    "collect --runs probed": (*TRAINED, *(f"{name}.parquet" for name in written_by("probe"))),
    "ablation": (*TRAINED, "history.parquet", "test.parquet"),
    "figures": (
        *TRAINED,
        *("block_norms.parquet", "instability.parquet", "learnt.parquet"),
        *("samples.npy", "learnt.npy"),
    ),
    "figures --runs probed": (
        *TRAINED,
        *("history.parquet", "test.parquet"),
        *(f"{n}.parquet" for n in ("increments", "learnt", "regularisation", "conjugacy")),
    ),
    "partial": (*TRAINED, "history.parquet", "test.parquet"),
}


def flipped(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80  # in a text: no longer UTF-8
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": truncated,
    "flipped": flipped,
    "empty": lambda path: path.write_bytes(b""),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00x"),
    "a folder": a_folder,
    "[]": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "a number": lambda path: path.write_text("3"),
    "no keys": lambda path: path.write_text("{}"),
    "deep": lambda path: path.write_text("[" * 100_000),
}


def study_of(results: Path) -> Study:
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "ablations": ["resolutions"]}
    (results / "config.yaml").write_text(yaml.safe_dump(content))
    return Study.load(results / "config.yaml", "tiny")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two runs of an ablation, trained, evaluated and probed; not to be changed."""
    results = tmp_path_factory.mktemp("results")
    study = study_of(results)
    for variant in ("x1", "single-resolution"):
        config = study.run_config(Run("digits", variant, 0))
        write_probe(write_run(results / "tiny", "digits", variant, config=config))
    path = results / "tiny/ablations/resolutions.yaml"
    path.parent.mkdir()
    path.write_text(study.ablations["resolutions"].dump())
    return results


@pytest.fixture
def results(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "results")


def run(command: str, results: Path) -> int:
    study_dir = results / "tiny"
    run_dirs = sorted(map(str, study_dir.glob("runs/*/*/*")))
    ablation = str(study_dir / "ablations/resolutions.yaml")
    name, *options = command.split()
    arguments = {
        "collect": ["--study", "tiny", "--tables", str(study_dir / "tables"), *run_dirs],
        "ablation": ["comparison", "--ablation", ablation, "--study-dir", str(study_dir)],
        "figures": ["--ablations", ablation, "--study-dir", str(study_dir)],
        "partial": [
            *("--study", "tiny", "--results", str(results)),
            *("--config", str(results / "config.yaml"), "--data-dir", str(results / "data")),
        ],
    }
    return main([name, *options, *arguments[name]])


@pytest.mark.parametrize("command", READ)
def test_what_is_not_damaged_works(command: str, results: Path) -> None:
    assert run(command, results) == 0


@pytest.mark.parametrize(
    ("command", "file", "damage"),
    [
        (command, file, damage)
        for command, files in READ.items()
        if command != "partial"
        for file in files
        for damage in DAMAGES
    ],
)
def test_a_damaged_file_is_one_line(
    command: str, file: str, damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[damage](results / RUN / file)
    assert run(command, results) == 1
    error = capsys.readouterr().err
    assert error.startswith("study: ")
    assert error.count("\n") == 1
    assert str(RUN / file) in error
    assert "delete it and give the same snakemake command again" in error
    assert len(error) < 500


@pytest.mark.parametrize("file", READ["partial"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "a folder", "[]"])
def test_partial_tables_leave_a_damaged_run_out(
    file: str, damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[damage](results / RUN / file)
    assert run("partial", results) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("study: skipped ")
    assert str(RUN / file) in line
    partial = results / "tiny/partial"
    assert "- digits/x1/seed0" in (partial / "README.md").read_text()
    table = (partial / "resolutions.md").read_text().splitlines()
    assert [row.split()[3] for row in table if row.startswith("| digits")] == [
        "x1",
        "single-resolution",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "running"),
        ("step", "15"),
        ("step", None),
        ("settings", []),
        ("settings", {}),
        ("segments", []),
        ("segments", {}),
        ("segments", [1]),
        ("sha256", {}),
        ("sha256", {"history.parquet": "0" * 64}),
        ("config_hash", "0" * 16),
        ("dataset_sha256", 7),
        ("wall_seconds", "long"),
    ],
)
def test_a_wrong_entry_of_train_json_is_one_line(
    key: str, value: object, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / RUN / "train.json"
    content = json.loads(path.read_text())
    for changed in ({**content, key: value}, {k: v for k, v in content.items() if k != key}):
        path.write_text(json.dumps(changed))
        assert run("collect", results) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(RUN / "train.json") in error or str(RUN / "history.parquet") in error
        assert key in error


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "not UTF-8", "a folder"])
@pytest.mark.parametrize("file", ["runs.parquet", "resolutions.md"])
def test_show_names_a_damaged_table(
    file: str, damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("collect", results) == run("ablation", results) == 0
    path = results / "tiny/tables" / file
    if (file, damage) == ("resolutions.md", "truncated"):
        pytest.skip("half a text is a text")
    DAMAGES[damage](path)
    arguments = ["show", "--results", str(results), "--study", "tiny", path.stem]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(path) in error


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ablation_is_one_line(
    damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "tiny/ablations/resolutions.yaml"
    if damage == "truncated":
        pytest.skip("half of a YAML file may be one")
    DAMAGES[damage](path)
    for command in ("ablation", "figures"):
        assert run(command, results) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(path) in error
