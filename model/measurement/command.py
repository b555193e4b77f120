"""What the commands that measure a trained run have in common."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import torch

from model.code_digest import code_digest
from model.config import ConfigError
from model.data.sources import DataError
from model.measurement.trained import Evaluation, Probe, Refinement, TrainedRun
from model.memory import keep_freed_memory
from model.network.precision import set_tf32
from model.run_tables import Command, module_of, written_by
from model.stop_signals import ending_quietly
from model.table import ResultError


def parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """The arguments that all of them take."""
    arguments = argparse.ArgumentParser(prog=f"python -m {prog}", description=description)
    arguments.add_argument("run_dir", type=Path, help="the run's folder, with model.safetensors")
    arguments.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--threads", type=int, default=1)
    return arguments


def load_run(options: argparse.Namespace) -> TrainedRun:
    """The run that the arguments name; raises ConfigError, ResultError or OSError."""
    return TrainedRun.load(options.run_dir, options.data_dir, torch.device(options.device))


def measure(options: argparse.Namespace, write: Callable[[], None]) -> int:
    """Measure a run and write the results; returns the exit code, prints a mistake as one line.

    A signal that asks to stop raises SystemExit: the same command measures again.
    """
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    set_tf32(False)
    try:
        with ending_quietly():
            write()
    except (ConfigError, DataError, ResultError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write_tables(
    command: Command, measured: Evaluation | Probe | Refinement, run_dir: Path
) -> dict[str, pa.Table]:
    """Write the tables that belong to a command, with settings and provenance as metadata."""
    tables = {}
    settings = {name: str(value) for name, value in asdict(measured.config).items()}
    for name in written_by(command):
        module = module_of(name)
        tables[name] = module.TABLE.of_rows(module.rows(measured))
        code = code_digest("model.network.families", module.__name__)
        about = {**measured.run.provenance, "code_digest": code, **settings}
        module.TABLE.write(tables[name], run_dir / f"{name}.parquet", about)
    return tables
