"""Evaluation of a run on the whole test set: NLL, rates, importance-weighted bound.

`python -m model.evaluate RUN_DIR` writes `test.parquet`, one row per test image.
"""

import argparse
import sys
from statistics import fmean

from model.config import EvaluateConfig
from model.measurement.command import load_run, measure, parser, write_tables
from model.measurement.trained import Evaluation


def evaluate(options: argparse.Namespace) -> None:
    """Write the tables of the evaluation."""
    config = EvaluateConfig(
        batch_size=options.batch_size, importance_samples=options.importance_samples
    )
    evaluation = Evaluation(load_run(options), config, show_progress=sys.stderr.isatty())
    test = write_tables("evaluate", evaluation, options.run_dir)["test"]
    names = ("nll_nats", "rate_nats", "distortion_nats", "iw_nll_nats")
    nll, rate, distortion, iw_nll = (fmean(test[name].to_pylist()) for name in names)
    print(
        f"{test.num_rows} test images, averaged weights, nats per image: NLL {nll:.3f}, "
        f"rate {rate:.3f}, distortion {distortion:.3f}, "
        f"importance-weighted NLL {iw_nll:.3f} (K = {config.importance_samples})"
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.evaluate", __doc__)
    commands.add_argument("--batch-size", type=int, default=100)
    commands.add_argument("--importance-samples", type=int, default=1)
    return measure(commands.parse_args(arguments), evaluate)


if __name__ == "__main__":
    sys.exit(main())
