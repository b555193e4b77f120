"""What `study plan` and `study status` cost for a study of many runs: CPU and wall time, memory.

`PYTHONPATH=.:workflow python benchmarks/plan.py --seeds 294` writes the records of 17 variants with
that many seeds, of which a third each are done, of another setting, and not trained, and prints
medians and quartiles in Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from startup import quartiles
from tabulate import tabulate

from model.run_tables import written_by
from study.planning.study import Study

ROOT = Path(__file__).parents[1]
FILES = ["model.safetensors", "history.parquet", "samples.npy", "learnt.npy", "samples.png"]
TABLES = [f"{name}.parquet" for command in ("evaluate", "probe") for name in written_by(command)]
DATA = "d1" * 32


def write_config(folder: Path, seeds: int) -> Study:
    """A config.yaml with the study `many`, in a folder."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["many"] = content["studies"]["tiny"] | {"seeds": seeds}
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return Study.load(folder / "config.yaml", "many")


def write_records(study: Study, folder: Path) -> None:
    """What two thirds of the trainings leave, as far as it is read."""
    for run in study.runs:
        if run.seed % 3 == 0:
            continue
        config = study.run_config(run)
        directory = folder / "results/many/runs" / run.name
        state = directory / "state" / config.identity(DATA)
        state.mkdir(parents=True)
        (state / f"step{15:09d}-0123456789abcdef.end.pt").touch()
        (directory / "config.yaml").write_text(config.dump())
        settings, digest = config.settings, config.hash
        if run.seed % 3 == 1:
            settings["model"]["width"], digest = 99, "other"
        record = {
            "status": "finished",
            "config_hash": digest,
            "dataset_sha256": DATA,
            "step": 15,
            "wall_seconds": 12.5,
            "gpu_hours": 0.0,
            "settings": settings,
            "segments": [{"device": "CPU", "gpus": 0, "started": "2026-01-01T00:00:00+00:00"}],
        }
        (directory / "train.json").write_text(json.dumps(record, indent=2))
        for name in [*FILES, *TABLES]:
            (directory / name).touch()


def measure(command: str, folder: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MB of `study COMMAND many`."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'workflow'}"}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "study", command, "many"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"study {command} failed")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[294])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for seeds in options.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            study = write_config(folder, seeds)
            write_records(study, folder)
            for command in ("plan", "status"):
                measured = [measure(command, folder) for _ in range(options.rounds)]
                cpu, wall, memory = (list(values) for values in zip(*measured, strict=True))
                costs = [*map(quartiles, (cpu, wall)), f"{max(memory):.0f}"]
                rows.append([command, len(study.runs), *costs])
    print(tabulate(rows, ["command", "runs", "CPU (s)", "wall (s)", "MB"], "pipe"))


if __name__ == "__main__":
    main()
