"""Snakemake's own tests of executor plugins, on a real cluster: rules without `runtime`, groups."""

import os

import pytest
from cluster import SlurmCluster
from conformance import SnakemakesOwnTests

from snakemake_executor_plugin_submitit import ExecutorSettings

pytestmark = pytest.mark.slow


class TestSlurm(SnakemakesOwnTests):
    __test__ = True

    @pytest.fixture(autouse=True)
    def _on_login_node(self, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in set(os.environ) - set(slurm_cluster.environment):
            monkeypatch.delenv(name)
        monkeypatch.setenv("SLURM_CONF", slurm_cluster.environment["SLURM_CONF"])

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(cluster="slurm")
