"""Real SLURM clusters for tests; see `cluster.py`."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from cluster import SlurmCluster, has_cgroups, missing_programs, new_directory
from configuration import ClusterOptions, Proctrack


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of sites, which take long, unless they are asked for; longest first.

    So none of those that take minutes is begun when all others are done.
    """
    if "sites" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("sites")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=_allowed_s, reverse=True)


def _allowed_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return 0.0 if marker is None else float(marker.args[0])


@pytest.fixture(scope="session")
def slurm_packages() -> None:
    """Skips where SLURM is not installed, or fails if the environment has REQUIRE_SLURM=1."""
    if missing := missing_programs():
        reason = f"no {', '.join(missing)}: `make test-slurm` installs SLURM and runs these tests"
        if os.environ.get("REQUIRE_SLURM") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def slurm_cluster(slurm_packages: None) -> Iterator[SlurmCluster]:
    """A cluster with the default options, shared by the tests of a module."""
    with SlurmCluster(new_directory(), ClusterOptions()) as cluster:
        yield cluster


@pytest.fixture
def start_cluster(slurm_packages: None) -> Iterator[Callable[[ClusterOptions], SlurmCluster]]:
    """Starts clusters with other options; they stop after the test.

    pytest shows what their controllers logged where a test fails.
    """
    with ExitStack() as clusters:

        def start(options: ClusterOptions) -> SlurmCluster:
            cluster = clusters.enter_context(SlurmCluster(new_directory(), options))
            log = cluster.directory / "log/slurmctld.log"

            def show() -> None:
                if log.exists():  # the test has not stopped the cluster
                    print(*log.read_text().splitlines()[-80:], sep="\n")

            clusters.callback(show)
            return cluster

        yield start


@pytest.fixture(params=["linuxproc", "cgroup"])
def proctrack(request: pytest.FixtureRequest, slurm_packages: None) -> Proctrack:
    """Each way of tracking a job's processes that the kernel offers."""
    if request.param == "cgroup" and not has_cgroups():
        pytest.skip("no cgroups of version 1 with a freezer that this user may write")
    return request.param
