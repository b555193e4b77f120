"""Unconditional samples of a run as an image: `python -m model.sample RUN_DIR`.

Writes `samples.png`: a temperature per row, a draw of the noise per column, shared by the rows.
"""

import argparse
import sys

from model.files import atomic_write
from model.measurement.command import load_run, measure, parser
from model.measurement.samples import image_grid, sample_rows


def sample(options: argparse.Namespace) -> None:
    """Draw samples and write them."""
    run = load_run(options)
    columns = range(options.columns)
    rows = sample_rows(run.model, options.temperatures, columns, run.config.seed)
    with atomic_write(options.run_dir / "samples.png") as temporary:
        image_grid(rows, options.magnification).save(temporary)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.sample", __doc__)
    commands.add_argument("--temperatures", type=float, nargs="+", default=[0.5, 0.75, 1.0])
    commands.add_argument("--columns", type=int, default=10)
    commands.add_argument("--magnification", type=int, default=3)
    return measure(commands.parse_args(arguments), sample)


if __name__ == "__main__":
    sys.exit(main())
