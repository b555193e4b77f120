"""What a job may ask for, line by line of the plugin's README; and mistakes, in one line each."""

import math
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from snakemake_job import InvalidResources, SnakemakeJob

import snakemake_executor_plugin_submitit
from snakemake_executor_plugin_submitit import report
from snakemake_executor_plugin_submitit.resources import (
    JOB_RESOURCES,
    LOCAL_TIME_LIMIT_MIN,
    UNTIL_SETUP_IS_DONE,
    ResourceError,
    asked_for,
    evaluated_resources,
    submission_parameters,
)
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.slurm_answers import Ending

TRAP, NO_TRAP = UNTIL_SETUP_IS_DONE
TIMES = {None: 60.0, "short": 0.5, "gpu": 90.5, "long": math.inf}  # minutes, by partition
README = Path(snakemake_executor_plugin_submitit.__file__).with_name("README.md")


def parameters(
    resources: dict[str, Any] | None = None, *, threads: int = 1, **settings: Any
) -> dict[str, Any]:
    """The parameters of a job with an hour of runtime and these resources."""
    job = SnakemakeJob(threads=threads, resources={"runtime": 60} | (resources or {}))
    return submission_parameters(job, ExecutorSettings(**settings), TIMES.get)


def test_a_job_that_asks_for_nothing_else() -> None:
    assert parameters() == {
        "timeout_min": 60,
        "cpus_per_task": 1,
        "nodes": 1,
        "slurm_signal_delay_s": 120,
        "slurm_additional_parameters": {"requeue": True},
        "slurm_srun_args": [
            "--nodes=1",
            "--ntasks=1",
            "--cpus-per-task=1",
            "--overlap",
            "--export=ALL",
        ],
    }


@pytest.mark.parametrize(
    ("resources", "settings", "parameter", "value"),
    [
        ({"runtime": 90}, {}, "timeout_min", 90),
        ({"mem_mb": 1000}, {}, "slurm_mem", "1300M"),
        ({"mem_mb": 1000}, {"memory_overhead": 0}, "slurm_mem", "1000M"),
        ({"gpu": 2}, {}, "slurm_gres", "gpu:2"),
        ({"gpu": 2, "gpu_model": "h100"}, {}, "slurm_gres", "gpu:h100:2"),
        ({"nodes": 3}, {}, "nodes", 3),
        ({"slurm_partition": "gpu"}, {}, "slurm_partition", "gpu"),
        ({"slurm_partition": "gpu"}, {"partition": "main"}, "slurm_partition", "gpu"),
        ({}, {"partition": "main"}, "slurm_partition", "main"),
        ({"slurm_account": "a"}, {"account": "b"}, "slurm_account", "a"),
        ({}, {"account": "b"}, "slurm_account", "b"),
        ({"slurm_account": 12}, {}, "slurm_account", "12"),
        ({"slurm_qos": "long"}, {"qos": "normal"}, "slurm_qos", "long"),
        ({}, {"qos": "normal"}, "slurm_qos", "normal"),
        ({"constraint": "a100|h100"}, {}, "slurm_constraint", "a100|h100"),
        ({"exclude": "n[1-3]"}, {}, "slurm_exclude", "n[1-3]"),
        ({"slurm_setup": "module load a\nexport B=1"}, {"setup": "c"}, "slurm_setup",
         [TRAP, "module load a", "export B=1", NO_TRAP]),
        ({}, {"setup": "module load cuda"}, "slurm_setup", [TRAP, "module load cuda", NO_TRAP]),
        ({"slurm_extra": "--reservation=x --mail-type=END,FAIL"}, {}, "slurm_additional_parameters",
         {"reservation": "x", "mail-type": "END,FAIL", "requeue": True}),
        ({"slurm_extra": "--comment='two words' --exclusive"}, {}, "slurm_additional_parameters",
         {"comment": "two words", "exclusive": True, "requeue": True}),
        ({"slurm_extra": "--a=1"}, {"extra": "--a=2 --b=3"}, "slurm_additional_parameters",
         {"a": "1", "b": "3", "requeue": True}),
        ({"slurm_requeue": 0}, {"extra": "--requeue"}, "slurm_additional_parameters",
         {"no-requeue": True}),
        ({"slurm_requeue": True}, {}, "slurm_additional_parameters", {"requeue": True}),
        ({}, {"extra": "--no-requeue"}, "slurm_additional_parameters", {"no-requeue": True}),
        # At most a third of the limit.
        ({"runtime": 60}, {"signal_delay": 300}, "slurm_signal_delay_s", 300),
        ({"runtime": 2}, {}, "slurm_signal_delay_s", 40),
    ],
)  # fmt: skip
def test_what_a_job_may_ask_for(
    resources: dict[str, Any], settings: dict[str, Any], parameter: str, value: object
) -> None:
    assert parameters(resources, **settings)[parameter] == value


@pytest.mark.parametrize(
    ("resources", "settings", "variable", "minutes"),
    [
        ({}, {}, None, 60),
        ({"slurm_partition": "gpu"}, {"partition": "short"}, None, 90),
        ({}, {"partition": "gpu"}, "short", 90),
        ({}, {}, "gpu", 90),
        ({"slurm_partition": "short"}, {}, None, 1),  # SLURM counts in minutes
        ({"slurm_partition": "long"}, {}, None, LOCAL_TIME_LIMIT_MIN),
    ],
)
def test_a_job_without_runtime_has_the_default_of_its_partition(
    monkeypatch: pytest.MonkeyPatch,
    resources: dict[str, Any],
    settings: dict[str, Any],
    variable: str | None,
    minutes: int,
) -> None:
    monkeypatch.delenv("SBATCH_PARTITION", raising=False)
    if variable is not None:
        monkeypatch.setenv("SBATCH_PARTITION", variable)
    asked = parameters({"runtime": None} | resources, **settings)
    assert asked["timeout_min"] == minutes
    assert asked["slurm_signal_delay_s"] == min(120, 20 * minutes)


def run_setup(setup: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """What bash does with a job of this setup."""
    (tmp_path / "site.sh").write_text("false\n: $UNSET\n")
    lines = [*parameters({"slurm_setup": setup})["slurm_setup"], "false", "echo the job runs"]
    script = tmp_path / "submission.sh"
    script.write_text("\n".join(lines))
    return subprocess.run(
        ["bash", str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "setup",
    [
        "export A=1",
        "source ./site.sh",  # something in it fails, as in many start-up files
        "false || true",
        "[[ -n $NOT_THERE ]] && echo there",
        "if false; then\n  echo a\nfi",
        "f() { false; true; }\nf",
    ],
)
def test_a_setup_that_works_is_followed_by_the_job(setup: str, tmp_path: Path) -> None:
    assert run_setup(setup, tmp_path).stdout == "the job runs\n"


def test_a_line_of_the_setup_that_fails_fails_the_job_with_its_words(tmp_path: Path) -> None:
    ended = run_setup("export A=1\nls ./nowhere\nexport B=2", tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "cannot access" in ended.stderr
    assert ended.stderr.splitlines()[-1] == "setup failed, exit code 2: ls ./nowhere"
    ending = Ending("FAILED", "2:0", "n1")
    assert (
        report.reason(None, ending, ended.stderr) == "its setup failed, exit code 2: ls ./nowhere"
    )


def test_threads_are_cpus_also_for_the_one_process() -> None:
    asked = parameters(threads=8)
    assert asked["cpus_per_task"] == 8
    assert "--cpus-per-task=8" in asked["slurm_srun_args"]


def test_a_job_without_threads_gets_a_cpu() -> None:
    assert parameters(threads=0)["cpus_per_task"] == 1


@pytest.mark.parametrize("absent", ["slurm_mem", "slurm_gres", "slurm_partition", "slurm_setup"])
def test_what_is_not_asked_for_is_left_to_slurm(absent: str) -> None:
    assert absent not in parameters({"gpu": 0, "mem_mb": None, "gpu_model": "h100"})
    assert absent not in parameters({"mem_mb": 0})  # not --mem=0, which is all of a node's


@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_without_slurm_only_time_and_gpus_matter(cluster: str) -> None:
    asked = parameters({"gpu": 1, "mem_mb": 1000, "slurm_partition": "gpu"}, cluster=cluster)
    assert asked == {"timeout_min": 60, "cpus_per_task": 1, "nodes": 1, "gpus_per_node": 1}


def test_without_slurm_there_need_be_no_time_limit() -> None:
    job = SnakemakeJob(resources={})
    asked = submission_parameters(job, ExecutorSettings(cluster="local"), TIMES.get)
    assert asked["timeout_min"] >= 60 * 24 * 365


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            {"runtime": None, "slurm_partition": "nope"},
            "no time limit, and SLURM has none for its partition; set its resource runtime",
        ),
        ({"runtime": 0}, "runtime=0 is not a time limit"),
        ({"runtime": "1h"}, "runtime='1h' is not a whole number"),
        ({"gpu": 0.5}, "gpu=0.5 is not a whole number"),
        ({"gpu": True}, "gpu=True is not a whole number"),
        ({"nodes": -1}, "nodes=-1 is not a whole number"),
        ({"mem_mb": "8 GB"}, "mem_mb='8 GB' is not a whole number"),
        ({"slurm_requeue": "no"}, "slurm_requeue='no' is neither 0 nor 1"),
        ({"gpus": 1}, "unknown resource gpus; did you mean gpu?"),
        ({"run_time": 1}, "unknown resource run_time; did you mean runtime?"),
        ({"slurm_partiton": "a"}, "unknown resource slurm_partiton; did you mean slurm_partition?"),
        ({"slurm_time": 5}, "unknown resource slurm_time: constraint, exclude, gpu, "),
        ({"slurm_extra": "reservation=x"}, "slurm_extra: write 'reservation=x' as --option=value"),
        ({"slurm_extra": "-p gpu"}, "slurm_extra: write '-p' as --option=value"),
        ({"slurm_extra": "--comment='a"}, "No closing quotation"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_rule(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(ResourceError, match=re.escape(message)) as error:
        parameters(resources)
    assert str(error.value).startswith("rule train: ")
    assert "\n" not in str(error.value)


def test_a_mistake_in_the_settings_names_the_setting() -> None:
    with pytest.raises(ResourceError, match=r"^--submitit-extra: write 'a' as --option=value$"):
        parameters(extra="a")


@pytest.mark.parametrize("name", ["licenses", "disk_mb", "tmpdir", "_cores", "gpu_manufacturer"])
def test_resources_that_are_not_for_slurm_are_left_alone(name: str) -> None:
    assert parameters({name: "x"}) == parameters()


def test_what_snakemake_finds_wrong_is_one_line() -> None:
    message = "Error in file x, line 3:\n  Resource 'runtime' was given value 'soon'\n  Context:\n"
    job = SnakemakeJob(name="pair", resources=InvalidResources(message), jobs=[SnakemakeJob()])
    with pytest.raises(ResourceError, match=r"^group pair: Resource 'runtime' was given value"):
        evaluated_resources(job)


def test_what_a_job_asked_for_in_slurms_words() -> None:
    asked = parameters({"gpu": 2, "mem_mb": 700, "slurm_qos": "long"}, threads=4, partition="gpu")
    assert asked_for(asked) == (
        "partition=gpu, qos=long, gres=gpu:2, mem=1000M, nodes=1, cpus=4, minutes=60"
    )


def test_the_readme_has_each_resource() -> None:
    table = README.read_text().split("## What a job may ask for")[1].split("\n\nThe ")[0]
    first_column = " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line)
    assert set(re.findall(r"`(\w+)`", first_column)) == {"threads", *JOB_RESOURCES}
