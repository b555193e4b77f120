"""Unconditional samples of a run as an image: `python -m model.sample RUN_DIR`.

Writes `samples.png`: a temperature per row, a draw of the noise per column, shared by the rows.
"""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import sys
from collections.abc import Sequence
from pathlib import Path

from model.files import atomic_write
from model.measurement.command import load_run, measure, parser
from model.measurement.samples import image_grid, sample_rows
from model.measurement.trained import TrainedRun

TEMPERATURES, COLUMNS, MAGNIFICATION = (0.5, 0.75, 1.0), 10, 3


def sample(
    run: TrainedRun,
    run_dir: Path,
    temperatures: Sequence[float] = TEMPERATURES,
    columns: int = COLUMNS,
    magnification: int = MAGNIFICATION,
) -> None:
    """Draw samples and write them."""
    rows = sample_rows(run.model, temperatures, range(columns), run.config.seed)
    with atomic_write(run_dir / "samples.png") as temporary:
        image_grid(rows, magnification).save(temporary)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.sample", __doc__)
    commands.add_argument("--temperatures", type=float, nargs="+", default=TEMPERATURES)
    commands.add_argument("--columns", type=int, default=COLUMNS)
    commands.add_argument("--magnification", type=int, default=MAGNIFICATION)
    options = commands.parse_args(arguments)
    drawn = options.temperatures, options.columns, options.magnification
    return measure(options, lambda: sample(load_run(options), options.run_dir, *drawn))


if __name__ == "__main__":
    sys.exit(main())
