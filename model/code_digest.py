"""A digest of the sources that decide a number, which a result records: code is no trigger."""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What these decide is recorded by itself: the arrays by their content, the settings in full.
NOT_FOLLOWED = (
    "model.data.arrays",
    "model.files",
    "model.table",
    "model.validation",
    "model.yaml_file",
)


@cache
def code_digest(*modules: str) -> str:
    """A digest of modules of model/ and all that they import of it, 16 hexadecimal digits.

    Of their syntax trees without docstrings: neither comments nor formatting change it.
    """
    digest = hashlib.sha256()
    for module in sorted(_with_imports(modules)):
        digest.update(f"{module}\n{_source(module).syntax}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Source:
    imported: tuple[str, ...]  # modules of model/
    syntax: str


@cache
def _source(module: str) -> _Source:
    """Parsed once per process, however many digests it is part of."""
    tree = ast.parse(_path(module).read_bytes())
    # In this order: finding the imports drops what type checkers alone read, which a digest has.
    syntax = ast.dump(_without_docstrings(tree))
    return _Source(tuple(_imported(tree)), syntax)


def _with_imports(modules: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module not in NOT_FOLLOWED:
            found.add(module)
            waiting += _source(module).imported
    return found


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules of model/ that a file imports when it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []  # ast.walk has not come to it yet
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("model."):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in names if _path(name).is_file()]
            yield from modules
            if len(modules) < len(names):
                yield str(node.module)


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            # Texts below fields are documentation, too.
            node.body = [n for n in node.body if not _is_text(n)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
