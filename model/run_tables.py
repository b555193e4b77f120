"""The tables of one run: the command that writes each, and the module that owns its columns.

A module is named and not imported: a dry run needs the names of the files, but not PyTorch.
"""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Literal

Command = Literal["train", "evaluate", "probe", "refine"]


@dataclass(frozen=True)
class RunTable:
    """A file {name}.parquet in a run's folder."""

    command: Command  # python -m model.{command} writes it
    module: str  # holds `TABLE`, and `rows(...)` where others than train write it
    is_collected: bool = True  # a study has a table of the same name with the rows of all its runs


RUN_TABLES = {
    "history": RunTable("train", "model.training.history"),
    "test": RunTable("evaluate", "model.measurement.bounds", is_collected=False),
    "block_norms": RunTable("probe", "model.measurement.block_norms"),
    "instability": RunTable("probe", "model.measurement.instability"),
    "refinement": RunTable("refine", "model.measurement.refinement", is_collected=False),
    "conjugacy": RunTable("probe", "model.measurement.theory.conjugacy"),
    "regularisation": RunTable("probe", "model.measurement.theory.regularisation"),
    "increments": RunTable("probe", "model.measurement.theory.increments"),
    "learnt": RunTable("probe", "model.measurement.theory.learnt"),
}


def written_by(command: Command) -> list[str]:
    """The names of the tables that a command writes."""
    return [name for name, table in RUN_TABLES.items() if table.command == command]


def module_of(name: str) -> ModuleType:
    """The module that owns a table's columns."""
    return import_module(RUN_TABLES[name].module)
