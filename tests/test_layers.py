"""Who may import whom: the lower a module, the less it knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASE = {"code_digest", "config", "files", "randomness", "run_config", "table", "wording"}
MEASURING_COMMAND = {"config", "files", "measurement", "network", "stop_signals"}
# A package, or a module directly in model/, and what it may import of model/ besides itself.
LAYERS = {
    # The rules of block strings and options, which import no torch.
    "config": {
        "limits",
        "validation",
        "network.layout",
        "network.pooling",
        "network.resolutions",
        "network.sharing",
    },
    "run_config": {"config", "definitions", "validation", "yaml_file"},
    "code_digest": set(),
    "definitions": set(),
    "validation": set(),
    "limits": {"validation"},
    "yaml_file": {"validation"},
    "files": set(),
    "memory": set(),
    "randomness": set(),
    "run_tables": set(),
    "stop_signals": set(),
    "table": {"files"},
    "wording": set(),
    "network": {"config", "randomness"},
    "data": {
        *("config", "files", "randomness", "run_config", "stop_signals", "validation", "wording"),
    },
    # Any family of models can be trained: the interface is all that is known of one.
    "training": BASE | {"data", "network.generative_model", "network.precision", "stop_signals"},
    "measurement": BASE | {"run_tables", "data", "memory", "network", "stop_signals"},
    "train": {"config", "data", "memory", "network", "run_config", "stop_signals", "training"},
    "evaluate": MEASURING_COMMAND,
    "probe": MEASURING_COMMAND,
    "sample": MEASURING_COMMAND,
    "refine": MEASURING_COMMAND,
    "measure": {"measurement", "evaluate", "probe", "sample", "stop_signals"},
}
WALLS = [  # folder, packages that nothing in it imports
    ("model", ("study", "snakemake", "snakemake_executor_plugin_submitit", "submitit")),
    ("workflow/study", ("snakemake", "snakemake_executor_plugin_submitit", "submitit")),
    ("workflow/snakemake_executor_plugin_submitit", ("model", "study")),
]


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere in it, by their full names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from model.network import fourier` imports a module, `from x import name` may.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


@pytest.mark.parametrize("path", python_files("model"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    layer = path.relative_to(ROOT / "model").parts[0].removesuffix(".py")
    if layer == "__init__":
        assert list(imports(path)) == []
        return
    allowed = [f"model.{name}" for name in (LAYERS[layer] | {layer})]
    for module in imports(path):
        if is_in(module, "model"):
            assert any(is_in(module, name) for name in allowed), f"{path} imports {module}"


@pytest.mark.parametrize(("folder", "forbidden"), WALLS)
def test_walls_between_the_science_the_study_and_the_executor(
    folder: str, forbidden: tuple[str, ...]
) -> None:
    for path in python_files(folder):
        for module in imports(path):
            assert not any(is_in(module, name) for name in forbidden), f"{path} imports {module}"


def test_the_network_knows_neither_files_nor_runs() -> None:
    for path in python_files("model/network"):
        for module in imports(path):
            assert not is_in(module, "pathlib"), path
            assert not is_in(module, "os"), path
            assert module not in ("model.config.RunConfig", "model.config.TrainConfig"), path


def test_a_dry_run_imports_no_torch() -> None:
    """Outside of functions, what model/config.py imports does not import torch."""
    rules = [ROOT / "model" / f"{name.replace('.', '/')}.py" for name in LAYERS["config"]]
    for path in [ROOT / "model/config.py", ROOT / "model/network/__init__.py", *rules]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
                assert not any(is_in(module, "torch") for module in modules), path
