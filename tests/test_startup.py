"""What the commands of a run do not import: it would take longer than the rest of their start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from examples import tiny_run
from written_results import write_run

HEAVY = [
    "torch._dynamo", "torch.distributed.elastic", "torch.distributed.launcher", "sympy",
    "pandas", "scipy", "sklearn", "matplotlib", "requests",
]  # fmt: skip


def imported_by(module: str, *arguments: str) -> set[str]:
    """The modules that `python -m MODULE` has imported at its end; it must succeed."""
    code = (
        "import json, runpy, sys\n"
        "try: runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", code, module, *arguments]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    (directory / "config.yaml").write_text(tiny_run().dump())
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "measure", "evaluate", "probe", "sample"])
def test_a_command_imports_nothing_that_takes_long(
    command: str, run_dir: Path, data_dir: Path
) -> None:
    data = [] if command == "sample" else ["--data-dir", str(data_dir)]
    few = ["--num-samples", "20", "--temperatures", "1"] if command in ("measure", "probe") else []
    options = [str(run_dir), *data, "--device", "cpu", *few]
    assert not imported_by(f"model.{command}", *options).intersection(HEAVY)


def test_collecting_runs_imports_nothing_that_draws(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path)
    options = ["collect", "--study", "fake", "--tables", str(tmp_path / "tables"), str(run_dir)]
    assert not imported_by("study", *options) & {"torch", "matplotlib", "scipy", "seaborn"}
