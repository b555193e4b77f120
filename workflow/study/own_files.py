"""The command line of a table or figure of an ablation's own: `python -m study.MODULE --help`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from study.comparison import Ablation
from study.runs import ResultError, read_parquet


@dataclass(frozen=True)
class Inputs:
    """What a rule file in workflow/rules/ablations hands over, and where to write to."""

    ablation: Ablation
    tables: Path
    figures: Path

    def table(self, name: str) -> pd.DataFrame:
        """A table of the study, such as runs, timings, rates, history; raises ResultError."""
        return read_parquet(self.tables / f"{name}.parquet").to_pandas()


def command(
    write: Callable[[Inputs], None], description: str | None, arguments: Sequence[str] | None = None
) -> int:
    """Write an ablation's own files; returns the exit code, and prints a mistake as one line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ablation", type=Path, required=True, metavar="FILE.yaml")
    parser.add_argument("--tables", type=Path, required=True, help="directory with runs.parquet")
    parser.add_argument("--figures", type=Path, default=Path(), help="directory to write to")
    args = parser.parse_args(arguments)
    try:
        write(Inputs(Ablation.load(args.ablation), args.tables, args.figures))
    except (ResultError, OSError) as error:
        print(f"study: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0
