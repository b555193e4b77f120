"""A whole training step: ours, that of a commit before, and openai/vdvae's, in turn.

    git worktree add /tmp/before COMMIT
    python benchmarks/step.py --before /tmp/before --reference PATH/TO/vdvae [--device cuda]

Each is a process of its own that steps when it is its turn, so that what else the machine does
meets all of them; the ratios are of neighbouring steps.  Medians and quartiles, in Markdown.  It
takes some five minutes on a GPU, ten on two CPU cores.  `--precisions fp32 bf16` compares these in
this checkout instead.  With --cuda-graph the step of this checkout as a CUDA graph is one more, and
precisions are compared with it.  On a GPU a turn is of several steps, as nobody waits between them.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles
from typing import get_args

import torch
from tabulate import tabulate

from model.config import Precision

ROOT = Path(__file__).parents[1]
STEPPER = Path(__file__).with_name("stepper.py")
MODELS = [  # dataset, variant, images per step on a CPU, on a GPU
    ("mnist", "x1", 32, 256),
    ("mnist", "r10", 32, 256),
    ("mnist", "vdvae", 32, 256),
    ("cifar10", "x1", 16, 32),
]
WARM_UP = 3  # turns
STEPS_PER_TURN_ON_GPU = 5


class Stepper:
    """A process that steps when it is told to."""

    def __init__(self, checkout: Path, arguments: list[str], *, is_ours: bool) -> None:
        # The benchmark itself is this checkout's, and so is what the reference needs of ours.
        ours = checkout if is_ours else ROOT
        implementation = "ours" if is_ours else "reference"
        paths = [checkout, ours, ours / "workflow"]
        self._process = subprocess.Popen(
            [sys.executable, STEPPER, implementation, ours / "config.yaml", *arguments],
            env={**os.environ, "PYTHONPATH": ":".join(map(str, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def step(self) -> float:
        """Seconds of one step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a process has ended before its time: what it says stands above")
        return float(answer)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def spread(values: list[float], digits: int) -> str:
    """Median and quartiles."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def start(checkouts: dict[str, Path], arguments: list[str]) -> dict[str, Stepper]:
    """A process for each checkout."""
    return {
        name: Stepper(path, arguments, is_ours=name != "reference")
        for name, path in checkouts.items()
    }


def measured(steppers: dict[str, Stepper], steps: int) -> dict[str, list[float]]:
    """Seconds per step of each process, whose n-th steps were neighbours; then all are ended."""
    try:
        seconds: dict[str, list[float]] = {name: [] for name in steppers}
        for number in range(WARM_UP + steps):
            for name in sorted(steppers, reverse=bool(number % 2)):
                seconds[name].append(steppers[name].step())
        return {name: values[WARM_UP:] for name, values in seconds.items()}
    finally:
        for stepper in steppers.values():
            stepper.end()


def compared(found: dict[str, list[float]], scale: float, digits: int) -> list[str]:
    """The first's time, the others' median times, and the ratios to the first of neighbours."""
    (_, first), *others = found.items()
    cells = [spread([scale * seconds for seconds in first], digits)]
    for _, values in others:
        ratios = [value / ours for value, ours in zip(values, first, strict=True)]
        cells += [f"{scale * median(values):.{digits}f}", spread(ratios, 2)]
    return cells


def headings(names: list[str], unit: str) -> list[str]:
    """Of the columns that `compared` gives."""
    first, *others = names
    ratios = [name for other in others for name in (f"{other}, {unit}", f"{other} / {first}")]
    return [f"{first}, {unit}", *ratios]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is measured beside this checkout, on what, and how often."""
    parser.add_argument("--before", type=Path, help="a checkout of a commit before")
    parser.add_argument("--reference", type=Path, help="a checkout of openai/vdvae")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20, help="or turns of several")


def find_checkouts(options: argparse.Namespace) -> dict[str, Path]:
    """This checkout, `now`, and those that the options name."""
    checkouts = {"now": ROOT}
    for name in ("before", "reference"):
        if (path := getattr(options, name)) is not None:
            checkouts[name] = path.resolve()
    return checkouts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--count", action="store_true", help="operations, not milliseconds")
    parser.add_argument("--precisions", choices=get_args(Precision), nargs="+")
    parser.add_argument("--cuda-graph", action="store_true")
    parser.add_argument("--only", choices=["/".join(model[:2]) for model in MODELS], nargs="+")
    options = parser.parse_args()
    checkouts = find_checkouts(options)
    names = options.precisions or [*checkouts, *(["graph"] if options.cuda_graph else [])]
    is_gpu = options.device != "cpu"
    rows = []
    for dataset, variant, on_cpu, on_gpu in MODELS:
        if options.only and f"{dataset}/{variant}" not in options.only:
            continue
        batch_size = on_gpu if is_gpu else on_cpu
        model = [dataset, variant, *map(str, (batch_size, options.device, options.threads))]
        if options.count:
            found = measured(start(checkouts, [*model[:2], "2", *model[3:], "--count"]), 2)
            row = [f"{dataset} {variant}", *(f"{median(counts):,.0f}" for counts in found.values())]
        else:
            if is_gpu:
                model += ["--per-line", str(STEPS_PER_TURN_ON_GPU)]
            graph = ["--cuda-graph"] if options.cuda_graph else []
            if options.precisions:
                steppers = {
                    precision: Stepper(
                        ROOT, [*model, *graph, "--precision", precision], is_ours=True
                    )
                    for precision in options.precisions
                }
            else:
                steppers = start(checkouts, model)
                if graph:
                    steppers["graph"] = Stepper(ROOT, [*model, *graph], is_ours=True)
            found = measured(steppers, options.steps)
            row = [f"{dataset} {variant}, {batch_size} images", *compared(found, 1e3, 1)]
        rows.append(row)
        print(*row, file=sys.stderr, flush=True)
    if options.count:
        print(tabulate(rows, ["operations of PyTorch per step", *checkouts], "pipe"))
        return
    name = torch.cuda.get_device_name() if is_gpu else f"{options.threads} threads"
    print(f"{name}, PyTorch {torch.__version__}, medians (quartiles) of {options.steps} steps\n")
    print(tabulate(rows, ["model", *headings(names, "ms")], "pipe"))


if __name__ == "__main__":
    main()
