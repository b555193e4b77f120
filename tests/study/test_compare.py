"""Runs beside each other, against NumPy and SciPy on the files."""

import json
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student_t
from written_results import write_run

from study.__main__ import main


def compare(tmp_path: Path, *arguments: str) -> int:
    return main(["compare", "--results", str(tmp_path), *arguments])


def as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, Any]:
    assert compare(tmp_path, "--json", *names) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def nll(tmp_path: Path, run: str) -> Any:
    return pd.read_parquet(tmp_path / "fake/runs" / run / "test.parquet").nll_nats.to_numpy()


def half_width(values: Any) -> float:
    error = np.std(values, ddof=1) / len(values) ** 0.5
    return float(student_t.ppf(0.975, len(values) - 1) * error)


def test_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The unit is the dataset's; only settings that differ are told."""
    write_run(tmp_path / "fake", "patches", "x1", 0, nll=4.0)
    write_run(tmp_path / "fake", "patches", "x2", 1, nll=3.9, blocks=2)
    found = as_json(tmp_path, capsys, "patches/x1/seed0", "patches/x2/seed1")
    assert found["settings"] == {"variant": ["x1", "x2"], "seed": [0, 1], "model.blocks": [1, 2]}
    assert found["results"]["test NLL"] == pytest.approx([4.0, 3.9])
    assert found["results"]["unit of NLL"] == ["bits/dim"] * 2
    assert [curve[-1][0] for curve in found["curves"]] == [2000, 2000]
    assert found["curves"][1][-1][1] == pytest.approx(3.9, abs=0.1)  # bits per dimension, too
    (difference,) = found["differences"]
    dims = 16 * 16 * 3 * log(2)
    pairs = (nll(tmp_path, "patches/x2/seed1") - nll(tmp_path, "patches/x1/seed0")) / dims
    assert difference["mean"] == pytest.approx(pairs.mean()) == pytest.approx(-0.1)
    assert difference["interval_95_images"] == pytest.approx(half_width(pairs))
    assert difference["interval_95_seeds"] is None
    assert (difference["num_images"], difference["num_pairs"]) == (50, 1)


def test_all_seeds_of_variants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Paired by seed; what diverged, or has no partner, counts in no pair."""
    values = {"x1": [80.0, 81.0, 82.0], "x2": [79.0, 80.5, 85.0, 90.0]}
    for variant, seeds in values.items():
        for seed, value in enumerate(seeds):
            status = "diverged" if (variant, seed) == ("x2", 2) else "finished"
            write_run(tmp_path / "fake", "digits", variant, seed, nll=value, status=status)
    found = as_json(tmp_path, capsys, "digits/x1", "digits/x2")
    assert found["results"]["runs"] == [3, 4]
    assert found["results"]["diverged"] == [0, 1]
    assert found["results"]["test NLL"] == pytest.approx([81.0, (79.0 + 80.5 + 90.0) / 3])
    (difference,) = found["differences"]
    seeds = ("seed0", "seed1")
    pairs = [nll(tmp_path, f"digits/x2/{s}") - nll(tmp_path, f"digits/x1/{s}") for s in seeds]
    assert difference["num_pairs"] == 2
    assert difference["mean"] == pytest.approx(-0.75)
    assert difference["interval_95_seeds"] == pytest.approx(half_width([-1.0, -0.5]))
    assert difference["interval_95_images"] == pytest.approx(half_width(np.mean(pairs, axis=0)))


def test_what_cannot_be_paired_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "fake", "digits", "x1", 0)
    write_run(tmp_path / "fake", "digits", "x2", 0, dataset_sha256="ee" * 32)
    write_run(tmp_path / "fake", "digits", "x4", 0, num_images=40)
    write_run(tmp_path / "fake", "digits", "r2", 0, status="diverged")
    assert compare(tmp_path, "digits/x1", "digits/x2", "digits/x4", "digits/r2") == 0
    text = capsys.readouterr().out
    assert "digits/x2 and digits/x1: not of the same data" in text
    assert "digits/x4 and digits/x1: not evaluated on the same number of images" in text
    assert "digits/r2 and digits/x1: no finished runs of the same seed" in text
    assert as_json(tmp_path, capsys, "digits/x1", "digits/r2")["results"]["test NLL"][1] is None


def test_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for variant, value in (("x1", 80.0), ("r2", 79.5)):
        write_run(tmp_path / "fake", "digits", variant, 0, nll=value)
    folder = str(tmp_path / "fake/runs/digits/r2/seed0")
    assert compare(tmp_path, "digits/x1/seed0", folder) == 0
    text = capsys.readouterr().out
    assert "minus digits/x1/seed0, test NLL (nats): -0.5000" in text
    assert "how much another seed would change is not known" in text


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def mistake(*names: str) -> str:
        assert compare(tmp_path, *names) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    write_run(tmp_path / "fake", "digits", "x1", 0)
    write_run(tmp_path / "fake", "digits", "x1", 1, width=8)
    write_run(tmp_path / "other", "digits", "x4", 0)
    write_run(tmp_path / "fake", "digits", "x4", 0)
    assert "name another one" in mistake("digits/x1/seed0")
    assert "no trained run digits/x3" in mistake("digits/x1/seed0", "digits/x3")
    assert "there are digits/x1, digits/x4" in mistake("digits/x1/seed0", "digits/x3")
    assert "different settings; name one" in mistake("digits/x4", "digits/x1", "--study", "fake")
    assert "is in fake, other: name one with --study" in mistake("digits/x4", "digits/x4")
    config = tmp_path / "config.yaml"
    config.write_text("study: other\n")
    assert compare(tmp_path, "digits/x4", "digits/x4", "--config", str(config)) == 0
    assert ["study", "other", "other"] in [x.split() for x in capsys.readouterr().out.splitlines()]
    (tmp_path / "fake/runs/digits/x1/seed0/test.parquet").unlink()
    assert "test.parquet is missing" in mistake("digits/x1/seed0", "digits/x1/seed1")
