"""A few rounds of kills; `make soak` plays many."""

import shutil
import signal
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comparison import differences, leftovers
from faulted_study import LOCAL, SUBMITIT_LOCAL, Executor, FaultedStudy
from kills import SIGNALS, WEIGHTS, plan
from rounds import Rounds
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SEEDS = {LOCAL: (8, 32), SUBMITIT_LOCAL: (9,)}


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    """Rounds that share an undisturbed study."""
    return Rounds(tmp_path_factory.mktemp("rounds"))


def test_a_seed_names_its_kills_and_many_seeds_name_all() -> None:
    for executor in (LOCAL, SUBMITIT_LOCAL):
        kills = [kill for seed in range(200) for kill in plan(seed, executor)]
        assert kills == [kill for seed in range(200) for kill in plan(seed, executor)]
        assert {number for kill in kills for number in kill.signals} == set(SIGNALS)
        of_jobs = {"inner head", "job"} if executor is LOCAL else set()
        assert {kill.target for kill in kills} == set(WEIGHTS) - of_jobs
        assert any(len(kill.signals) > 1 for kill in kills)
        # Nothing comes after SIGKILL but more of it.
        for kill in kills:
            first = [*kill.signals, signal.SIGKILL].index(signal.SIGKILL)
            assert set(kill.signals[first:]) <= {signal.SIGKILL}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("executor", "seed"),
    [(executor, seed) for executor, seeds in SEEDS.items() for seed in seeds],
    ids=lambda value: value.name if isinstance(value, Executor) else str(value),
)
def test_a_killed_study_ends_as_an_undisturbed_one(
    rounds: Rounds, executor: Executor, seed: int
) -> None:
    result = rounds.play(seed, executor)
    assert not result.faults, "\n".join([str(result), *result.faults])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_kill_could_change_or_leave_would_be_seen(rounds: Rounds) -> None:
    """A flipped bit, lost and foreign files, what a killed process leaves, and one that stays."""
    undisturbed = rounds.undisturbed(LOCAL)
    directory = rounds.directory / "damaged"
    study = FaultedStudy(directory, LOCAL)
    shutil.rmtree(directory)
    shutil.copytree(undisturbed.directory, directory)
    assert differences(study, undisturbed) == []
    assert leftovers(study) == []
    run = study.results / "runs/digits/x1/seed0"

    weights = load_file(run / "model.safetensors")
    name = min(weights)
    weights[name].reshape(-1)[:1].view(np.uint8)[0] ^= 1
    with safe_open(run / "model.safetensors", "numpy") as file:
        save_file(weights, run / "model.safetensors", file.metadata())
    curve = pq.read_table(run / "history.parquet")
    rows = [{**row, "nll_nats": np.nextafter(row["nll_nats"], 0)} for row in curve.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, curve.schema), run / "history.parquet")
    (study.results / "tables/faults.md").unlink()
    (study.results / "tables/other.md").write_text("foreign")
    assert differences(study, undisturbed) == [
        "tables/faults.md is missing",
        "tables/other.md is too much",
        "runs/digits/x1/seed0/history.parquet: nll_nats differs",
        f"runs/digits/x1/seed0/model.safetensors: {name} differs",
    ]

    (run / ".test.parquet.abc").mkdir()
    for number in range(3):
        (run / f"state/step00000000{number}-abc.pt").touch()
    lock = directory / ".snakemake/locks/0.input.lock"
    lock.touch()
    runs = "results/faults/runs/digits/x1/seed0"
    found = leftovers(study)
    assert {".snakemake/locks/0.input.lock", f"{runs}/.test.parquet.abc"} < set(found)
    assert f"{runs}/state/step000000000-abc.pt" in found

    sleeper = subprocess.Popen(["sleep", "600"], cwd=directory)
    (orphan,) = study.orphans(patience_s=1)
    assert orphan == f"{sleeper.pid} sleep 600"
    assert sleeper.wait(10) == -signal.SIGKILL
