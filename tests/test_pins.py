"""One version of each package: pyproject.toml, requirements.lock, envs/ and the imports agree."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = ROOT / "requirements.lock"
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))

FIRST_PARTY = {
    "model": ROOT / "model",
    "study": ROOT / "workflow" / "study",
    "snakemake_executor_plugin_submitit": ROOT / "workflow" / "snakemake_executor_plugin_submitit",
}
COUNT_PARAMETERS = {  # no rule runs them; they need torch
    FIRST_PARTY["study"] / "models.py",
    FIRST_PARTY["study"] / "planning" / "models.py",
    FIRST_PARTY["study"] / "plan_probe.py",
    FIRST_PARTY["study"] / "commands" / "plan.py",
}
NOT_LOCKED = {"wandb"}  # an extra, with 20 packages of its own
# Imports whose distribution has another name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "markdown_it": "markdown-it-py",
    "pywt": "pywavelets",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}


def pin(line: str) -> tuple[str, Version]:
    """Canonical name and version of `name==version`; a local version (`+cpu`) is no pin."""
    requirement = Requirement(line)
    specifier = str(requirement.specifier)
    assert re.fullmatch(r"==[^*+,]+", specifier), f"no exact pin: {line}"
    return canonicalize_name(requirement.name), Version(specifier.removeprefix("=="))


def locked() -> dict[str, Version]:
    """What requirements.lock pins, by canonical name."""
    lines = [line.partition("#")[0] for line in LOCK.read_text().splitlines()]
    return dict(pin(line) for line in lines if line)


def environment(path: Path) -> tuple[str, dict[str, Version]]:
    """The Python version of a conda environment, and the pins of all its packages but pip."""
    python = ""
    pins: dict[str, Version] = {}
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        for line in entry["pip"] if isinstance(entry, dict) else [entry]:
            if line.startswith("python="):
                python = line.removeprefix("python=")
            elif line != "pip":
                pins.update([pin(re.sub("=+", "==", line))])  # conda also writes name=version
    return python, pins


def direct_dependencies() -> list[Requirement]:
    """What pyproject.toml asks for: at run time, for development, and to build."""
    project = PROJECT["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    lines = [*project["dependencies"], *extras, *PROJECT["build-system"]["requires"]]
    return [Requirement(line) for line in lines]


def imports(path: Path, *, inside_functions: bool) -> Iterator[str]:
    """The modules that a file imports when it runs (`model.config`), so not those for types."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)  # may be a submodule
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
        elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(ast.iter_child_nodes(node))


def files_of(module: str) -> list[Path]:
    """The files that importing a module of ours loads: its package's __init__.py and its own."""
    package, *rest = module.split(".")
    own = FIRST_PARTY[package].joinpath(*rest).with_suffix(".py")
    return [path for path in [FIRST_PARTY[package] / "__init__.py", own] if path.exists()]


def distributions(files: list[Path]) -> dict[str, Path]:
    """Third-party distributions that files need, directly or through a file of ours that they load.

    Of a file that is only loaded, what its functions import does not count.
    """
    needed: dict[str, Path] = {}
    reached = set(files)
    pending = list(files)
    while pending:
        path = pending.pop()
        for module in imports(path, inside_functions=path in files):
            package = module.partition(".")[0]
            if package in FIRST_PARTY:
                new = set(files_of(module)) - reached
                reached |= new
                pending.extend(new)
            elif package not in sys.stdlib_module_names:
                name = canonicalize_name(DISTRIBUTIONS.get(package, package))
                needed[name] = path.relative_to(ROOT)
    return needed


@pytest.mark.parametrize("requirement", direct_dependencies(), ids=str)
def test_lock_pins_each_direct_dependency_within_its_bound(requirement: Requirement) -> None:
    pins = locked()
    name = canonicalize_name(requirement.name)
    if name in NOT_LOCKED:
        pytest.skip(f"who wants {name} installs it")
    assert name in pins, f"requirements.lock lacks {name}: run `make lock`"
    assert pins[name] in requirement.specifier


def test_bounds_admit_the_oldest_torch_and_a_newer_python() -> None:
    bounds = {line.name: str(line.specifier) for line in direct_dependencies()}
    assert Version("2.11.0") in SpecifierSet(bounds["torch"])
    assert Version("3.12.3") in SpecifierSet(PROJECT["project"]["requires-python"])
    assert not [name for name, bound in bounds.items() if "<" in bound]


def test_lock_leaves_cuda_to_torch() -> None:
    assert not [name for name in locked() if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.parametrize("path", [LOCK, *ENVIRONMENTS], ids=lambda path: path.name)
def test_pins_name_no_place_to_download_from(path: Path) -> None:
    place = re.compile(r"://|--(extra-)?index|--find-links|^\s*-[fi]\s", re.MULTILINE)
    assert not place.search(path.read_text())


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_environments_have_the_versions_of_the_lock(path: Path) -> None:
    python, pins = environment(path)
    assert pins == {name: locked().get(name) for name in pins}
    assert Version(python) in SpecifierSet(PROJECT["project"]["requires-python"])


@pytest.mark.parametrize(("name", "package"), [("train", "model"), ("report", "study")])
def test_environments_hold_what_the_code_imports(name: str, package: str) -> None:
    _, pins = environment(ROOT / "envs" / f"{name}.yaml")
    files = set(FIRST_PARTY[package].rglob("*.py")) - COUNT_PARAMETERS
    needed = distributions(sorted(files))
    assert not {needs: path for needs, path in needed.items() if needs not in {*pins, *NOT_LOCKED}}


def test_each_import_is_a_declared_dependency() -> None:
    declared = {canonicalize_name(line.name) for line in direct_dependencies()}
    needed = distributions(sorted([*ROOT.glob("model/**/*.py"), *ROOT.glob("workflow/**/*.py")]))
    assert not {needs: path for needs, path in needed.items() if needs not in declared}
