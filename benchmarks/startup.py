"""What the commands of a run cost beside its training: CPU time of whole processes.

`python benchmarks/startup.py --before CHECKOUT --rounds 5` runs each command in this checkout and
in another one, in turn, on a tiny run of a single step, and prints medians, quartiles and the
median of the ratios of pairs, in Markdown.
"""

import argparse
import dataclasses
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from study.planning.study import Run, Study

ROOT = Path(__file__).parents[1]
PROBE = "--num-samples 20 --temperatures 0.5 1.0"
# What a checkout runs; where it can, all measurements are one process.
COMMANDS = {
    "train": ["model.train {run} --data-dir data --threads 1"],
    "evaluate": ["model.evaluate {run} --data-dir data --importance-samples 2"],
    "probe": [f"model.probe {{run}} --data-dir data {PROBE}"],
    "sample": ["model.sample {run}"],
    "all measurements": [
        "model.evaluate {run} --data-dir data --importance-samples 2",
        f"model.probe {{run}} --data-dir data {PROBE}",
        "model.sample {run}",
    ],
    "study collect": ["study collect --study tiny --tables tables {runs}"],
    "study collect, probed": ["study collect --runs probed --study tiny --tables tables {runs}"],
    "study ablation": [
        "study ablation comparison --ablation ablation.yaml --study-dir results/tiny"
    ],
    "study figures": ["study figures --ablations ablation.yaml --study-dir results/tiny"],
}
TOGETHER = "model.measure {run} --data-dir data --importance-samples 2 --also probe sample " + PROBE


def cpu_seconds(checkout: Path, lines: list[str], folder: Path, names: dict[str, str]) -> float:
    """User and system time of Python modules that a checkout runs in a folder, one by one."""
    total = 0.0
    for line in lines:
        environment = {**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'workflow'}"}
        command = [sys.executable, "-m", *shlex.split(line.format(**names))]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{checkout}: {line}: {said}")
        total += usage.ru_utime + usage.ru_stime
    return total


def prepare(folder: Path) -> dict[str, str]:
    """A study of two tiny runs in a folder, ready to be trained; names for the commands."""
    study = Study.load(ROOT / "config.yaml", "tiny")
    (ablation,) = (a for a in study.ablations.values() if a.name == "weight-sharing")
    dataset, variants = "digits", ablation.variants["digits"][:2]
    runs = []
    for variant in variants:
        run = study.run_config(Run(dataset, variant, 0))
        train = dataclasses.replace(run.train, iterations=1, log_every=1, validate_every=1)
        runs.append(Path("results/tiny/runs", dataset, variant, "seed0"))
        (folder / runs[-1]).mkdir(parents=True)
        (folder / runs[-1] / "config.yaml").write_text(dataclasses.replace(run, train=train).dump())
    small = dataclasses.replace(ablation, variants={dataset: variants}, seeds={dataset: 1})
    (folder / "ablation.yaml").write_text(small.dump())
    cpu_seconds(ROOT, [f"model.data preprocess {dataset} --data-dir data"], folder, {})
    for run_dir in runs:
        names = {"run": str(run_dir)}
        for command in ("train", "evaluate", "probe"):
            cpu_seconds(ROOT, COMMANDS[command], folder, names)
    return {"run": str(runs[0]), "runs": " ".join(map(str, runs))}


def quartiles(values: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=COMMANDS, nargs="+", default=[*COMMANDS])
    options = parser.parse_args()
    checkouts = {"before": options.before.resolve(), "now": ROOT}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = prepare(folder)
        for command in options.only:
            seconds: dict[str, list[float]] = {name: [] for name in checkouts}
            for number in range(options.rounds):
                for name in sorted(checkouts, reverse=bool(number % 2)):
                    lines = COMMANDS[command]
                    if len(lines) > 1 and (checkouts[name] / "model/measure.py").exists():
                        lines = [TOGETHER]
                    if command == "train":
                        subprocess.run(["rm", "-rf", folder / names["run"] / "state"], check=True)
                    seconds[name].append(cpu_seconds(checkouts[name], lines, folder, names))
            pairs = zip(seconds["before"], seconds["now"], strict=True)
            rows.append(
                [
                    command,
                    *map(quartiles, seconds.values()),
                    f"{statistics.median(now / before for before, now in pairs):.2f}",
                ]
            )
            print(*rows[-1], file=sys.stderr, flush=True)
    print(tabulate(rows, ["command", "before (CPU s)", "now (CPU s)", "ratio"], "pipe"))


if __name__ == "__main__":
    main()
