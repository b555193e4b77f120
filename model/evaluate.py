"""Evaluation of a run on the whole test set: NLL, rates, importance-weighted bound.

`python -m model.evaluate RUN_DIR` writes `test.parquet`, one row per test image.
"""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import argparse
import sys
from pathlib import Path
from statistics import fmean

from model.config import EvaluateConfig
from model.measurement.command import load_run, measure, parser, write_tables
from model.measurement.trained import Evaluation, TrainedRun


def evaluate(run: TrainedRun, config: EvaluateConfig, run_dir: Path) -> None:
    """Write the tables of the evaluation, and print their means."""
    evaluation = Evaluation(run, config, show_progress=sys.stderr.isatty())
    test = write_tables("evaluate", evaluation, run_dir)["test"]
    names = ("nll_nats", "rate_nats", "distortion_nats", "iw_nll_nats")
    nll, rate, distortion, iw_nll = (fmean(test[name].to_pylist()) for name in names)
    print(
        f"{test.num_rows} test images, averaged weights, nats per image: NLL {nll:.3f}, "
        f"rate {rate:.3f}, distortion {distortion:.3f}, "
        f"importance-weighted NLL {iw_nll:.3f} (K = {config.importance_samples})"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """How a run is evaluated."""
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--importance-samples", type=int, default=1)


def config_of(options: argparse.Namespace) -> EvaluateConfig:
    """What those options say; raises ConfigError."""
    return EvaluateConfig(
        batch_size=options.batch_size, importance_samples=options.importance_samples
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.evaluate", __doc__)
    add_options(commands)
    options = commands.parse_args(arguments)

    def write() -> None:
        config = config_of(options)
        evaluate(load_run(options), config, options.run_dir)

    return measure(options, write)


if __name__ == "__main__":
    sys.exit(main())
