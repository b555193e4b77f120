"""The registries of tables and figures: what they name exists, and names collide with nothing."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from model.run_tables import RUN_TABLES, module_of
from model.table import Table
from study import registry
from study.registry import ABLATION_OUTPUTS, STUDY_FIGURES, STUDY_TABLES

ROOT = Path(__file__).parents[2]
CAPTIONS = ROOT / "workflow/report"


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", RUN_TABLES)
def test_a_run_tables_module_owns_it(name: str) -> None:
    module = module_of(name)
    assert isinstance(module.TABLE, Table)
    assert module.TABLE.name == name
    if RUN_TABLES[name].command != "train":
        assert len(parameters(module.rows)) == 1


@pytest.mark.parametrize("name", STUDY_TABLES)
def test_a_study_tables_module_owns_it(name: str) -> None:
    entry = STUDY_TABLES[name]
    if entry.module is None:
        assert RUN_TABLES[name].is_collected
        return
    module = import_module(entry.module)
    assert module.TABLE.name == name
    assert parameters(module.rows) == ["run"]
    assert hasattr(module, "to_markdown") == ("md" in entry.formats)
    assert hasattr(module, "to_latex") == ("tex" in entry.formats)


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_a_study_figure_is_drawn_from_tables_that_there_are(name: str) -> None:
    figure = STUDY_FIGURES[name]
    assert set(figure.tables) <= set(STUDY_TABLES)
    assert parameters(import_module(figure.module).draw) == ["ablations", "results"]


@pytest.mark.parametrize("name", ABLATION_OUTPUTS)
def test_an_ablations_output_is_of_an_ablation_that_there_is(name: str) -> None:
    output = ABLATION_OUTPUTS[name]
    known = yaml.safe_load((ROOT / "config.yaml").read_text())["ablations"]
    assert set(output.ablations or ()) <= set(known)
    assert set(output.tables) <= set(STUDY_TABLES)
    module = import_module(output.table)
    assert module.TABLE.name == name
    assert parameters(module.rows)[:2] == ["ablation", "results"]
    for suffix, function in (("md", "to_markdown"), ("tex", "to_latex")):
        assert hasattr(module, function) == (suffix in output.formats)
    assert parameters(import_module(output.figure).draw) == ["ablation", "results"]


def test_everything_in_the_report_has_a_caption() -> None:
    tables = [name for name, entry in STUDY_TABLES.items() if "md" in entry.formats]
    outputs = [
        f"{name}_{kind}"
        for name, output in ABLATION_OUTPUTS.items()
        for kind in (["table"] if "md" in output.formats else []) + ["figure"]
    ]
    wanted = {"runs", *tables, *STUDY_FIGURES, *outputs}
    assert {path.stem for path in CAPTIONS.glob("*.rst")} == wanted


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("runs", "a table or figure of every study"),
        ("samples", "a table or figure of every study"),
        ("latents-scaling", "an output of the ablation latents"),
        ("width", None),
        ("latents", None),
        ("width-scaling", None),
    ],
)
def test_names_that_are_taken(name: str, owner: str | None) -> None:
    assert registry.owner_of(name, ["latents", "cells"]) == owner


def test_a_dry_run_imports_neither_pytorch_nor_pandas_for_the_registry() -> None:
    slow = "{'torch', 'pandas', 'pyarrow'}"
    code = f"import sys; import study.registry; print({slow} & set(sys.modules))"
    paths = f"{ROOT}:{ROOT / 'workflow'}"
    result = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": paths}, capture_output=True, check=True
    )
    assert result.stdout.decode().strip() == "set()"
