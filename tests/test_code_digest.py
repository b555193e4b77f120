"""The digest of the code: of what decides a number, not of how it is written down."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRAINING = ("model.training.loop", "model.network.families")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "model", directory / "model")
    return directory


def digest(copy: Path) -> str:
    code = f"from model.code_digest import code_digest; print(code_digest(*{TRAINING}))"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True).stdout


def edit(path: Path, old: str, new: str) -> Callable[[], object]:
    """Edit a file; what takes the edit back."""
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new, 1))
    return lambda: path.write_text(text)


@pytest.mark.parametrize(
    ("file", "old", "new", "is_another"),
    [
        ("network/blocks.py", "\nclass ", "\n# a comment\nclass ", False),
        ("network/hvae.py", '"""Where the weights are."""', '"""Their device."""', False),
        ("config.py", '"""channels of the residual state"""', '"""channels"""', False),
        ("measurement/instability.py", "BATCH_SIZE = 100", "BATCH_SIZE = 101", False),
        ("data/sources.py", "import hashlib\n", "import hashlib\nX = 1\n", False),
        ("training/ema.py", "(1 + self.updates)", "(2 + self.updates)", True),
        ("randomness.py", "TRAINING_NOISE = 3", "TRAINING_NOISE = 9", True),
        ("network/cell.py", "\nclass ", "\nX = 1\n\n\nclass ", True),
        ("data/batches.py", "* 255 <", "* 256 <", True),
        ("config.py", '"rms"] = "none"', '"rms"] = "l2"', True),
    ],
)
def test_it_follows_what_a_training_computes(
    copy: Path, file: str, old: str, new: str, is_another: bool
) -> None:
    before = digest(copy)
    take_back = edit(copy / "model" / file, old, new)
    try:
        assert (digest(copy) != before) == is_another
    finally:
        take_back()
