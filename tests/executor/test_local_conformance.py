"""Snakemake's own tests of executor plugins, on this machine; `tests/slurm` has them on SLURM."""

import pytest
from conformance import SnakemakesOwnTests

from snakemake_executor_plugin_submitit import ExecutorSettings

pytestmark = pytest.mark.slow


class TestLocal(SnakemakesOwnTests):
    __test__ = True

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="local")


class TestDebug(SnakemakesOwnTests):
    __test__ = True

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="debug")
