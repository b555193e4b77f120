"""Copies of the project, one of them with a finished study."""

from pathlib import Path

import pytest
from project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose study `tiny` has run from nothing; tests that change it put it back."""
    project = Project(tmp_path_factory.mktemp("finished"))
    result = project.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    (project.directory / "terminal.txt").write_text(result.stdout + result.stderr)
    return project
