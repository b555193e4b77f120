"""Collecting runs into tables: numbers, types, order, and what is refused."""

import hashlib
import json
from dataclasses import fields
from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from written_results import write_ablation, write_run, write_tables

from model.config import ModelConfig, TrainConfig
from model.run_config import RunConfig
from model.table import ResultError, metadata_of, read_parquet, write_parquet
from study.__main__ import main
from study.collecting.collect import collect
from study.collecting.run_result import RunResult
from study.registry import tables_of
from study.tables import runs
from study.tables.identity import NAMES


def runs_by_variant(results: Path) -> pd.DataFrame:
    runs_table = pd.read_parquet(write_tables(results) / "runs.parquet")
    one_seed_each = runs_table.drop_duplicates(["dataset", "variant"])
    return one_seed_each.set_index(["dataset", "variant"])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two datasets, weight sharing, a diverged run: run directories of a study."""
    write_run(tmp_path, "digits", "vdvae", 0)
    write_run(tmp_path, "digits", "r3", 10, nll=79.0, repeats=3)
    write_run(tmp_path, "digits", "r3", 9, nll=79.5, repeats=3)
    write_run(tmp_path, "patches", "vdvae", 0, nll=4.5)
    write_run(tmp_path, "patches", "rms", 0, nll=np.nan, status="diverged", state_norm="rms")
    return tmp_path


def test_rows_are_in_a_fixed_order(results: Path) -> None:
    table = pd.read_parquet(write_tables(results) / "runs.parquet")
    found = list(zip(table["dataset"], table["variant"], table["seed"], strict=True))
    assert found == [
        ("digits", "r3", 9),
        ("digits", "r3", 10),
        ("digits", "vdvae", 0),
        ("patches", "rms", 0),
        ("patches", "vdvae", 0),
    ]


def test_runs_of_ablations_are_collected_each_once(results: Path) -> None:
    """As the workflow asks for them; a run that no ablation has is not in the table."""
    ours = [
        write_ablation(results, {"digits": ["vdvae"]}, "one"),
        write_ablation(results, {"digits": ["vdvae"], "patches": ["vdvae", "rms"]}, "two"),
    ]
    for path in ours:
        content = yaml.safe_load(path.read_text())
        content["seeds"] = dict.fromkeys(content["seeds"], 1)
        path.write_text(yaml.safe_dump(content))
    arguments = ["collect", "--study", "fake", "--tables", str(results / "tables")]
    assert main([*arguments, "--ablations", *map(str, ours)]) == 0
    table = pd.read_parquet(results / "tables/runs.parquet")
    assert list(zip(table["dataset"], table["variant"], table["seed"], strict=True)) == [
        ("digits", "vdvae", 0),
        ("patches", "rms", 0),
        ("patches", "vdvae", 0),
    ]


def test_means_are_those_of_the_images(results: Path) -> None:
    table = runs_by_variant(results)
    images = pd.read_parquet(results / "runs/patches/vdvae/seed0/test.parquet")
    row = table.loc[("patches", "vdvae")]
    nats = sum(images["nll_nats"]) / 50
    assert row["nll_nats"] == pytest.approx(nats, rel=1e-12)
    assert row["nll_bits_per_dim"] == pytest.approx(nats / 768 / log(2), rel=1e-12)
    assert row["nll_bits_per_dim"] == pytest.approx(4.5)
    deviation = sum((images["nll_nats"] - nats) ** 2) / 49
    assert row["nll_evaluation_error_nats"] == pytest.approx((deviation / 50) ** 0.5)
    assert row["iw_nll_nats"] == pytest.approx(sum(images["iw_nll_nats"]) / 50, rel=1e-12)
    assert row["rate_nats"] + row["distortion_nats"] == pytest.approx(nats)
    assert row["num_images"] == 50
    assert row["importance_samples"] == 16
    assert row["likelihood_dims"] == 16 * 16 * 3
    digits = table.loc[("digits", "vdvae")]
    assert digits["unit"] == "nats"
    assert digits["nll_nats"] == pytest.approx(80.0)
    assert digits["nll_bits_per_dim"] == pytest.approx(80.0 / 64 / log(2))


def test_last_validation_nll_is_that_of_the_ema_weights(results: Path) -> None:
    table = runs_by_variant(results)
    history = pd.read_parquet(results / "runs/digits/vdvae/seed0/history.parquet")
    last = history[(history["step"] == 2000) & (history["split"] == "valid")]
    assert table.loc[("digits", "vdvae"), "valid_nll_nats"] == last["nll_nats"].item()


def test_no_column_of_runs_mixes_units(results: Path) -> None:
    """So that a mean over datasets cannot add nats and bits."""
    names = pq.read_schema(write_tables(results) / "runs.parquet").names
    of_nll = [name for name in names if "nll" in name]
    assert len(of_nll) == 8
    assert all(name.endswith(("_nats", "_bits_per_dim")) for name in of_nll)


def test_diverged_run_is_a_row(results: Path) -> None:
    table = runs_by_variant(results)
    row = table.loc[("patches", "rms")]
    assert row["status"] == "diverged"
    assert row["iterations_done"] == 700
    assert row["iterations"] == 2000
    assert np.isnan(row["nll_nats"])


def test_every_config_field_is_a_typed_column(results: Path) -> None:
    table = pq.read_table(write_tables(results) / "runs.parquet")
    assert table.schema.names == [*NAMES, *runs.TABLE.schema.names]
    row = table.filter(pa.compute.field("variant") == "r3").to_pylist()[0]
    run = RunConfig.load(results / "runs/digits/r3/seed9/config.yaml")
    for config, cls in [(run.model, ModelConfig), (run.train, TrainConfig)]:
        for field in fields(cls):
            value = getattr(config, field.name)
            assert row[field.name] == (list(value) if isinstance(value, tuple) else value)
    assert row["repeats"] == 3
    assert row["betas"] == [0.9, 0.9]
    assert table.schema.field("likelihood_size").type == pa.int64()
    assert table.schema.field("fourier_exponents").type == pa.list_(pa.int64())


def test_rates_are_per_layer_over_the_images(results: Path) -> None:
    rates = pd.read_parquet(write_tables(results) / "rates.parquet")
    rates = rates[(rates["variant"] == "r3") & (rates["seed"] == 9)]
    # Plain blocks (1x1, 4x1, 8x1) three times, embedding blocks (4m1, 8m4) once.
    assert list(rates["layer"]) == list(range(11))
    assert list(rates["resolution"]) == [1, 1, 1, 4, 4, 4, 4, 8, 8, 8, 8]
    assert list(rates["repeat"]) == [0, 1, 2, 0, 0, 1, 2, 0, 0, 1, 2]
    images = pd.read_parquet(results / "runs/digits/r3/seed9/test.parquet")
    per_layer = np.stack(images["rate_per_layer_nats"].to_list()).astype(float)
    np.testing.assert_allclose(rates["rate_nats"], per_layer.mean(axis=0))
    np.testing.assert_allclose(rates["rate_nats_standard_deviation"], per_layer.std(axis=0, ddof=1))
    assert rates["rate_nats"].sum() == pytest.approx(images["rate_nats"].mean())


def test_history_is_that_of_all_runs(results: Path) -> None:
    history = pd.read_parquet(write_tables(results) / "history.parquet")
    one = history[(history["dataset"] == "digits") & (history["variant"] == "vdvae")]
    original = pd.read_parquet(results / "runs/digits/vdvae/seed0/history.parquet")
    pd.testing.assert_frame_equal(one[original.columns].reset_index(drop=True), original)
    assert len(history) == 2 * (4 * 20 + 7)


def test_two_executions_differ_in_timings_only(tmp_path: Path) -> None:
    for name, started in [("here", "2026-01-01T00:00:00+00:00"), ("there", "2026-02-01T08:00:00Z")]:
        for seed in (1, 0):
            write_run(tmp_path / name, seed=seed, started=started, host=name)
        write_tables(tmp_path / name)
    for table in ("runs", "rates", "history", "segments", "timings"):
        here, there = (
            (tmp_path / name / "tables" / f"{table}.parquet").read_bytes()
            for name in ("here", "there")
        )
        assert (here == there) == (table not in ("segments", "timings"))


def test_writing_again_gives_the_same_bytes(results: Path) -> None:
    output = write_tables(results)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    assert sorted(before) == [
        "history.parquet",
        "rates.parquet",
        "runs.parquet",
        "segments.parquet",
        "timings.parquet",
    ]
    write_tables(results)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_timings_are_typed(results: Path) -> None:
    timings = pd.read_parquet(write_tables(results) / "timings.parquet")
    assert timings["started"][0] == pd.Timestamp("2026-01-01", tz="UTC")
    assert timings["git_commit"].isna().all()
    assert set(timings["training_code_digest"]) == {"c0de" * 4}
    assert set(timings["evaluation_code_digest"]) == {"e7a1" * 4}


def test_segments_and_their_sums(tmp_path: Path) -> None:
    """Trained on two machines, with two versions of the code."""
    path = write_run(tmp_path, training_code=("aaaa" * 4, "bbbb" * 4)) / "train.json"
    training = json.loads(path.read_text())
    training["segments"][1] |= {"device": "GPU", "started": "2026-01-03T02:00:00+02:00"}
    for segment, commit in zip(training["segments"], "xy", strict=True):
        segment["git_commit"] = commit
    path.write_text(json.dumps(training))
    tables = write_tables(tmp_path)
    segments = pd.read_parquet(tables / "segments.parquet")
    assert list(segments["segment"]) == [0, 1]
    assert list(segments["started"]) == [
        pd.Timestamp("2026-01-01", tz="UTC"),
        pd.Timestamp("2026-01-03", tz="UTC"),
    ]
    assert list(segments["device"]) == ["CPU", "GPU"]
    assert list(segments["code_digest"]) == ["aaaa" * 4, "bbbb" * 4]
    assert list(segments["last_step"]) == [100, 2000]
    assert list(segments["torch_version"]) == ["2.13.0"] * 2
    (timing,) = pd.read_parquet(tables / "timings.parquet").to_dict("records")
    assert timing["started"] == pd.Timestamp("2026-01-01", tz="UTC")
    assert timing["device"] == "CPU; GPU"
    assert timing["git_commit"] == "x; y"
    assert timing["training_code_digest"] == f"{'aaaa' * 4}; {'bbbb' * 4}"
    assert timing["wall_seconds"] == segments["seconds"].sum() == 12.5
    assert timing["resumes"] == 1


def test_settings_are_those_of_the_training(results: Path) -> None:
    """Not those of today's defaults, which config.yaml leaves out."""
    path = results / "runs/digits/vdvae/seed0/train.json"
    training = json.loads(path.read_text())
    assert training["settings"]["model"]["skip"] == "last"
    training["settings"]["model"]["skip"] = "mirror"
    path.write_text(json.dumps(training))
    row = runs_by_variant(results).loc[("digits", "vdvae")]
    assert row["skip"] == "mirror"
    assert row["config_hash"] == training["config_hash"]
    assert row["dataset_sha256"] == training["dataset_sha256"]


def test_a_file_says_what_it_is(results: Path) -> None:
    schema = pq.read_schema(write_tables(results) / "runs.parquet")
    assert schema.metadata[b"table"] == b"runs"
    assert schema.metadata[b"schema_version"] == b"1"
    for stored, field in zip(list(schema)[len(NAMES) :], runs.TABLE.columns, strict=True):
        assert stored.metadata == field.metadata
    assert schema.field("rate_nats").metadata[b"unit"] == b"nats per image"


def test_path_must_name_the_run(results: Path) -> None:
    moved = results / "runs/digits/vdvae/seed7"
    (results / "runs/digits/vdvae/seed0").rename(moved)
    with pytest.raises(ResultError, match="is of digits/vdvae/seed0"):
        RunResult.read(moved)


@pytest.mark.parametrize("name", ["train.json", "test.parquet", "history.parquet", "config.yaml"])
def test_missing_file_is_named(
    results: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = results / "runs/digits/vdvae/seed0"
    (directory / name).unlink()
    arguments = ["collect", "--study", "fake", "--tables", str(results / "tables")]
    arguments.append(str(directory))
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert f"{name} is missing; make it with snakemake" in error
    assert error.count("\n") == 1
    assert not (results / "tables").exists()


def test_files_of_another_config_are_refused(results: Path) -> None:
    directory = results / "runs/digits/vdvae/seed0"
    text = (directory / "config.yaml").read_text()
    (directory / "config.yaml").write_text(text.replace("width: 32", "width: 64"))
    with pytest.raises(
        ResultError,
        match=r"train\.json is of an earlier training of this run; the same snakemake command",
    ):
        RunResult.read(directory)


def test_a_table_of_another_training_is_refused(results: Path) -> None:
    """By the digest of the learning curve, and by that of the data in the other tables."""
    ours, other = results / "runs/digits/r3/seed9", results / "runs/digits/r3/seed10"
    run = RunResult.read(ours)
    (ours / "history.parquet").write_bytes((other / "history.parquet").read_bytes())
    with pytest.raises(ResultError, match=r"history\.parquet: its config_hash is"):
        run.table("history")
    table = read_parquet(ours / "test.parquet")
    about = metadata_of(table)
    write_parquet(
        table.replace_schema_metadata(about | {"dataset_sha256": "0" * 64}), ours / "test.parquet"
    )
    with pytest.raises(ResultError, match=r"test\.parquet: its dataset_sha256 is 000"):
        run.table("test")
    del about["code_digest"]
    write_parquet(table.replace_schema_metadata(about), ours / "test.parquet")
    with pytest.raises(ResultError, match=r"test\.parquet: it does not say which code"):
        run.table("test")


def test_runs_of_different_versions_are_not_mixed(results: Path) -> None:
    """A table of a run with another column than the others': made by an older version."""
    path = results / "runs/digits/vdvae/seed0/history.parquet"
    history = read_parquet(path)
    renamed = history.rename_columns(["iteration", *history.column_names[1:]])
    write_parquet(renamed.replace_schema_metadata(history.schema.metadata), path)
    training = json.loads((path.parent / "train.json").read_text())
    training["sha256"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "train.json").write_text(json.dumps(training))
    directories = [path.parent, results / "runs/digits/r3/seed9"]
    with pytest.raises(ResultError, match="history has other columns than in"):
        collect("fake", ["history"], directories)


def test_a_table_of_an_older_version_is_one_line(results: Path) -> None:
    """Every byte is as it was written, but a column is missing, or of another type."""
    path = results / "runs/digits/vdvae/seed0/test.parquet"
    table = read_parquet(path)
    without = table.drop_columns("iw_nll_nats")
    for damaged in (without, without.append_column("iw_nll_nats", pa.array(["x"] * 50))):
        write_parquet(damaged.replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(ResultError, match=r"vdvae/seed0: runs: .*; train, evaluate"):
            collect("fake", tables_of("all"), [path.parent])
