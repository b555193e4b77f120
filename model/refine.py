"""A trained run at other step sizes: `python -m model.refine RUN_DIR --repeats 1 2 10`.

Writes `refinement.parquet`: bounds of the model as it was trained, and with its plain blocks
applied so often instead.
"""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import argparse
import sys
from pathlib import Path

from model.config import RefineConfig
from model.measurement.command import load_run, measure, parser, write_tables
from model.measurement.trained import Refinement, TrainedRun


def refine(run: TrainedRun, options: argparse.Namespace, run_dir: Path) -> None:
    """Write the table, and print the mean bound at each step size."""
    config = RefineConfig(num_images=options.num_images, num_noises=options.num_noises)
    show = sys.stderr.isatty()
    refinement = Refinement(run, config, tuple(options.repeats), options.batch_size, show)
    table = write_tables("refine", refinement, run_dir)["refinement"]
    steps = table.group_by(["is_trained", "stochastic_depth"]).aggregate([("nll_nats", "mean")])
    for step in steps.sort_by("stochastic_depth").to_pylist():
        trained = ", as trained" if step["is_trained"] else ""
        nll = f"NLL {step['nll_nats_mean']:.3f} nats per image"
        print(f"{step['stochastic_depth']} stochastic layers{trained}: {nll}")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.refine", __doc__)
    commands.add_argument("--repeats", type=int, nargs="+", required=True)
    commands.add_argument("--num-images", type=int, default=RefineConfig.num_images)
    commands.add_argument("--num-noises", type=int, default=RefineConfig.num_noises)
    commands.add_argument("--batch-size", type=int, default=100)
    options = commands.parse_args(arguments)
    return measure(options, lambda: refine(load_run(options), options, options.run_dir))


if __name__ == "__main__":
    sys.exit(main())
