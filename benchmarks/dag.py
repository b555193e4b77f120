"""What a dry run of a study of many runs costs: CPU time and memory of `snakemake --dry-run`.

`python benchmarks/dag.py --before CHECKOUT --seeds 60` plans 17 variants with that many seeds in
this checkout and in another one, in turn, and prints medians and quartiles in Markdown.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from startup import quartiles
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
STUDY = """
studies:
  many:
    datasets: [digits, patches]
    seeds: {seeds}
    ablations: [weight-sharing, state-norm, resolutions, fourier-features]
    train: {{iterations: 15, validation_images: 100, validate_every: 10, log_every: 5}}
    evaluate: {{importance_samples: 2}}
    probe: {{num_samples: 20, temperatures: [0.5, 1.0]}}
"""


def dry_run(checkout: Path, *options: str) -> tuple[float, float]:
    """CPU seconds and peak MB of a dry run, in a copy of a checkout without results."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in ("Snakefile", "config.yaml", "model", "workflow", "profiles", "envs"):
            copy = shutil.copytree if (checkout / part).is_dir() else shutil.copy
            copy(checkout / part, folder / part)
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", *options]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{checkout}: {' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--seeds", type=int, nargs="+", default=[60])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="preprocessed or not")
    options = parser.parse_args()
    checkouts = {"before": options.before.resolve(), "now": ROOT}
    rows = []
    for seeds in options.seeds:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as overlay:
            overlay.write(STUDY.format(seeds=seeds))
            overlay.flush()
            data = f"data_dir={options.data_dir.resolve()}"
            arguments = ["--configfile", overlay.name, "--config", "study=many", data]
            seconds: dict[str, list[float]] = {name: [] for name in checkouts}
            megabytes = []
            for number in range(options.rounds):
                for name in sorted(checkouts, reverse=bool(number % 2)):
                    cpu, peak = dry_run(checkouts[name], *arguments)
                    seconds[name].append(cpu)
                    megabytes += [peak] if name == "now" else []
        pairs = zip(seconds["before"], seconds["now"], strict=True)
        ratio = statistics.median(now / before for before, now in pairs)
        figures = map(quartiles, seconds.values())
        memory = f"{statistics.median(megabytes):.0f}"
        rows.append([17 * seeds, *figures, f"{ratio:.2f}", memory])
    print(tabulate(rows, ["runs", "before (CPU s)", "now (CPU s)", "ratio", "MB"], "pipe"))


if __name__ == "__main__":
    main()
