"""What the executor asks of SLURM holds, whatever SLURM's variables in the environment say."""

import os
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit import environment, slurm, submission

SCRIPT = """\
#!/bin/bash
#SBATCH --gres=gpu:1
#SBATCH --job-name=train
#SBATCH --mem=1000M
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=60
# not an option: #SBATCH --partition=low
"""


@pytest.mark.parametrize(
    "name",
    [
        *("SBATCH_TIMELIMIT", "SBATCH_JOB_NAME", "SBATCH_SIGNAL", "SBATCH_OPEN_MODE"),
        *("SBATCH_NO_REQUEUE", "SBATCH_REQUEUE", "SBATCH_GRES", "SBATCH_GPUS_PER_NODE"),
        *("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU"),
        # In any case: these would lose the output, or block the head until the job ends.
        *("SBATCH_OUTPUT", "SBATCH_ERROR", "SBATCH_WAIT", "SBATCH_ARRAY_INX"),
        *("SBATCH_EXPORT", "SLURM_EXPORT_ENV"),
        *("SLURM_TIMELIMIT", "SLURM_EXCLUSIVE", "SLURM_LABELIO", "SRUN_CPUS_PER_TASK"),
    ],
)
def test_what_would_override_the_executor(name: str) -> None:
    assert environment.overriding(SCRIPT, [name, "HOME"]) == {name}


@pytest.mark.parametrize(
    "name",
    [
        # Defaults of the user for what the executor says nothing about.
        *("SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_RESERVATION", "SBATCH_QOS", "SBATCH_HINT"),
        *("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_MPI_TYPE", "SLURM_CPU_BIND"),
        *("SLURM_ROOT", "SLURM_TIME_FORMAT"),
    ],
)
def test_what_stays_as_the_user_set_it(name: str) -> None:
    assert environment.overriding(SCRIPT, [name]) == set()


def test_what_the_executor_sets_it_sets() -> None:
    script = SCRIPT + "#SBATCH --partition=gpu\n#SBATCH --reservation=x\n"
    names = ["SBATCH_PARTITION", "SBATCH_RESERVATION", "SBATCH_ACCOUNT"]
    assert environment.overriding(script, names) == {"SBATCH_PARTITION", "SBATCH_RESERVATION"}


def test_the_environment_is_as_before_after_a_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    before = dict(os.environ)
    with pytest.raises(RuntimeError), environment.as_asked(SCRIPT):  # noqa: PT012
        assert "SBATCH_TIMELIMIT" not in os.environ
        assert os.environ["SBATCH_ACCOUNT"] == "mine"
        raise RuntimeError
    assert dict(os.environ) == before


def fake(folder: Path, name: str, script: str) -> None:
    """A command of SLURM that does what a test wants."""
    command = folder / name
    command.write_text(f"#!/bin/bash\n{script}\n")
    command.chmod(0o755)


def test_a_refusal_names_all_that_was_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake(
        tmp_path,
        "sbatch",
        'env > "$0.env"; echo "sbatch: error: Invalid qos specification" >&2; exit 1',
    )
    fake(tmp_path, "srun", "true")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("SBATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    monkeypatch.setenv("SBATCH_QOS", "nope")
    parameters = {"timeout_min": 60, "nodes": 1, "slurm_additional_parameters": {"requeue": True}}
    answer = submission.ask(tmp_path, parameters)
    assert answer.is_refusal
    assert answer.text == "Invalid qos specification (with SBATCH_QOS=nope from the environment)"
    seen = (tmp_path / "sbatch.env").read_text()
    assert "SBATCH_QOS=nope\n" in seen
    assert "SBATCH_TIMELIMIT" not in seen


def test_no_job_is_hidden_by_a_filter_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A job that is not in the queue would be taken for one that has ended."""
    fake(
        tmp_path,
        "squeue",
        '[[ -z $SQUEUE_PARTITION$SQUEUE_STATES ]] && printf "%-40s%-30s%-10s" 7 RUNNING 0; true',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SQUEUE_PARTITION", "debug")
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    assert list(slurm.queued_states()) == ["7"]


def test_a_federation_is_asked_as_the_user_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_FEDERATION", "1")
    monkeypatch.setenv("SCANCEL_INTERACTIVE", "1")
    assert environment.without_filters()["SQUEUE_FEDERATION"] == "1"
    assert "SCANCEL_INTERACTIVE" not in environment.without_filters()
