"""Snakemake's executor plugin `submitit`: jobs that survive time limits and preemption."""

from snakemake_interface_executor_plugins.settings import CommonSettings

from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.incarnation import guard_this_process
from snakemake_executor_plugin_submitit.settings import ExecutorSettings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=True,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
)

# Each Snakemake imports this package, the one on the node, too.
guard_this_process()
