"""What Snakemake asks of every executor plugin: its own tests, in this process."""

from pathlib import Path

import pytest
from snakemake.common.tests import TestWorkflowsLocalStorageBase


# submitit leaves the processes that it starts on this machine, and the logs of `debug`, to garbage.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
class SnakemakesOwnTests(TestWorkflowsLocalStorageBase):  # type: ignore[misc]
    """A workflow of plain rules and one with groups; a class for each cluster says which."""

    __test__ = False

    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Come back afterwards: Snakemake changes the working directory of its process."""
        monkeypatch.chdir(tmp_path)

    def get_executor(self) -> str:
        return "submitit"
