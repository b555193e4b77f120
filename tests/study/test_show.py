"""What `study show` prints: tables, and runs."""

import dataclasses
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from examples import tiny_run
from rich.console import Console
from rich.text import Text
from written_results import (
    DATASETS,
    TRAIN,
    write_ablation,
    write_output,
    write_run,
    write_tables,
)

from model.config import ModelConfig
from model.definitions import DEFINITIONS
from model.run_config import RunConfig
from model.training.history import TABLE as HISTORY
from study.__main__ import main
from study.curve import drawn, mean_curve, read_curves
from study.show import OVERVIEW

Capture = pytest.CaptureFixture[str]


def show(tmp_path: Path, capsys: Capture, *arguments: str) -> str:
    """What the command prints, or says is wrong, in one line."""
    code = main(["show", "--results", str(tmp_path), *arguments])
    output = capsys.readouterr()
    assert code == 0 or output.err.count("\n") == 1
    return output.out if code == 0 else output.err


def shown(tmp_path: Path, capsys: Capture, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(show(tmp_path, capsys, "--json", *arguments))
    return found


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Runs of two datasets, which have different units."""
    write_run(tmp_path / "fake", "digits", "x1", 0, nll=80.0)
    write_run(tmp_path / "fake", "digits", "x1", 1, nll=79.0)
    write_run(tmp_path / "fake", "digits", "x2", 0, nll=81.0, blocks=2)
    write_run(tmp_path / "fake", "patches", "x1", 0, nll=4.0)
    write_tables(tmp_path / "fake")
    return tmp_path


def test_show(tmp_path: Path, capsys: Capture) -> None:
    assert "no study has tables yet: run snakemake first" in show(tmp_path, capsys)
    write_run(tmp_path / "fake")
    write_tables(tmp_path / "fake")
    assert "80.0000" in show(tmp_path, capsys)
    assert "no table 'sharing'" in show(tmp_path, capsys, "sharing")
    assert show(tmp_path, capsys, "sharing").count(" timings") == 1  # listed once
    assert "did you mean 'runs'?" in show(tmp_path, capsys, "rusn")
    assert "wall_seconds" in show(tmp_path, capsys, "timings")
    write_ablation(tmp_path / "fake", {"digits": ["vdvae"]})
    assert "sharing.parquet is missing" in show(tmp_path, capsys, "sharing")
    assert write_output(tmp_path / "fake") == 0
    assert "| digits" in show(tmp_path, capsys, "sharing", "--study", "fake")
    assert "other: no tables; there are those of fake" in show(tmp_path, capsys, "--study", "other")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--where dataset=digits --sort nll", ["79.0", "80.0", "81.0"]),
        ("--sort nll --reverse", ["81.0", "80.0", "79.0", "4.0"]),
        ("--where nll<80.5 --where nll>=79.5", ["80.0"]),
        ("--where variant=x1,x9 --where seed!=0", ["79.0"]),
        ("--where blocks=2", ["81.0"]),
        ("--sort variant,nll --where unit!=bits/dim", ["79.0", "80.0", "81.0"]),
    ],
)
def test_filters_and_order(
    results: Path, capsys: Capture, options: str, expected: list[str]
) -> None:
    """`nll` is in each dataset's own unit."""
    arguments = ["runs", *options.split(), "--columns", "nll"]
    _, *lines = show(results, capsys, *arguments).splitlines()
    assert [f"{float(line):.1f}" for line in lines] == expected
    assert [f"{row['nll']:.1f}" for row in shown(results, capsys, *arguments)] == expected


def test_columns_and_rows_for_programs(results: Path, capsys: Capture) -> None:
    found = shown(results, capsys, "runs", "--columns", "variant,seed", "--where", "dataset=digits")
    assert found[1] == {"variant": "x1", "seed": 1}
    every = shown(results, capsys, "runs")
    assert every[0]["betas"] == [0.9, 0.9]
    assert every[0]["likelihood_size"] is None
    assert shown(results, capsys, "segments")[0]["started"] == "2026-01-01T00:00:00+00:00"
    assert "no row meets" in show(results, capsys, "runs", "--where", "seed=7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sort", "nl"], "no column 'nl'; did you mean 'nll'?"),
        (["--columns", "dataset,sede"], "no column 'sede'; did you mean 'seed'?"),
        (["--where", "dataset"], "'dataset' is no condition: write COLUMN=VALUE"),
        (["--where", "dataset<3"], "the column holds no numbers: use = or !="),
        (["--where", "seed=one"], "'one' is no number"),
    ],
)
def test_mistakes_are_one_line(
    results: Path, capsys: Capture, options: list[str], message: str
) -> None:
    assert message in show(results, capsys, "runs", *options)


def test_of_several_studies_it_is_the_one_that_config_yaml_names(
    results: Path, capsys: Capture
) -> None:
    write_run(results / "other", "digits", "x1", 0, nll=70.0)
    assert "70.0000" in show(results, capsys, "digits/x1/seed0", "--study", "other")
    assert "name one with --study; there are fake, other" not in show(results, capsys)
    write_tables(results / "other")
    assert "name one with --study; there are fake, other" in show(results, capsys)
    (results / "config.yaml").write_text("study: other\n")
    named = ["--config", str(results / "config.yaml")]
    assert "70.0000" in show(results, capsys, *named)
    assert "70.0000" in show(results, capsys, "digits/x1/seed0", *named)
    assert "81.0000" in show(results, capsys, *named, "--study", "fake")
    (results / "config.yaml").write_text("study: third\n")
    assert "name one with --study; there are fake, other" in show(results, capsys, *named)


def test_while_a_study_trains_it_names_what_makes_tables(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path / "fake")
    message = show(tmp_path, capsys)
    assert "fake: no tables yet" in message
    assert "`study partial --study fake` makes those of the runs that have" in message
    assert message == show(tmp_path, capsys, "--study", "fake")


def test_settings_are_shown_as_typed(tmp_path: Path, capsys: Capture) -> None:
    """Two step sizes that 4 decimals would not tell apart; results are rounded."""
    for variant, rate in (("x1", 0.00015), ("x2", 0.00012)):
        train = dataclasses.replace(TRAIN, learning_rate=rate, iterations=20_000)
        model = ModelConfig(width=32, zdim=8, **DATASETS["digits"])
        run = RunConfig(
            dataset="digits",
            variant=variant,
            seed=0,
            definitions=DEFINITIONS,
            model=model,
            train=train,
        )
        write_run(tmp_path / "fake", "digits", variant, 0, config=run, nll=80.123456)
    write_tables(tmp_path / "fake")
    columns = "learning_rate,bottleneck_multiple,betas,iterations,likelihood_size,nll"
    _, *rows = show(tmp_path, capsys, "runs", "--columns", columns).splitlines()
    assert [row.split() for row in rows] == [
        [rate, "0.25", "[0.9,", "0.9]", "20000", "-", "80.1235"] for rate in ("0.00015", "0.00012")
    ]
    assert main(["compare", "--results", str(tmp_path), "digits/x1", "digits/x2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["train.learning_rate", "0.00015", "0.00012"] in lines
    assert ["training", "time", "12", "s", "12", "s"] in lines


def test_headings_name_columns(results: Path, capsys: Capture) -> None:
    """What a printed table calls a column, `--columns` and `--where` accept."""
    write_run(results / "fake", "digits", "x2", 1, nll=81.0, blocks=2)
    write_ablation(results / "fake", {"digits": ["x1", "x2"]})
    assert write_output(results / "fake") == 0
    for column, heading in OVERVIEW.items():
        (row, *_) = shown(results, capsys, "--columns", f"{column},{heading}")
        assert len(set(row.values())) == 1, row
    markdown = show(results, capsys, "sharing").splitlines()
    headings = [
        cell.strip() for cell in next(x for x in markdown if x.startswith("|"))[1:-1].split("|")
    ]
    for heading in headings:
        assert show(results, capsys, "sharing", "--columns", heading).startswith(heading)
    assert len(shown(results, capsys, "--where", "depth>0", "--where", "test NLL<5")) == 1


def test_an_unknown_column_lists_few(results: Path, capsys: Capture) -> None:
    message = show(results, capsys, "--where", "qqq=1")
    assert message.count("dataset,") == 1
    assert len(message) < 400
    assert "did you mean 'depth'?" in show(results, capsys, "--columns", "dept")


def test_a_run(results: Path, capsys: Capture) -> None:
    text = show(results, capsys, "digits/x2/seed0")
    assert text.startswith("digits/x2/seed0: finished after 2,000 steps")
    assert "model.blocks" in text
    assert "81.0000" in text
    assert "0 to 100" in text  # the first of its segments
    (run,) = shown(results, capsys, "digits/x2/seed0")
    assert run["settings"]["model"]["blocks"] == 2
    assert [segment["last_step"] for segment in run["segments"]] == [100, 2000]
    assert run["curves"]["valid"][-1][0] == 2000
    assert run["curves"]["train"][-1][1] - run["curves"]["valid"][-1][1] == pytest.approx(1)
    both = shown(results, capsys, "digits/x1")
    assert [found["run"] for found in both] == ["digits/x1/seed0", "digits/x1/seed1"]
    assert "no run digits/x9 in" in show(results, capsys, "digits/x9")


def test_a_run_in_training(tmp_path: Path, capsys: Capture) -> None:
    config = tiny_run()
    directory = tmp_path / "fake/runs/digits/x1/seed0"
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(config.dump())
    assert "digits/x1/seed0: not trained yet" in show(tmp_path, capsys, "digits/x1/seed0")
    row = dict.fromkeys(HISTORY.schema.names, 1.0)
    row |= {"step": 4, "split": "train", "weights": "raw", "nll_nats": 50.5, "skipped_updates": 0}
    HISTORY.write(HISTORY.of_rows([row]), directory / "state/history.parquet")
    (run,) = shown(tmp_path, capsys, "digits/x1/seed0")
    assert run["curves"] == {"train": [[4, 50.5]]}
    assert run["results"] == {}


def test_curves_are_in_the_dataset_s_unit(results: Path) -> None:
    history = results / "fake/runs/patches/x1/seed0/history.parquet"
    run = json.loads((history.parent / "train.json").read_text())
    model = ModelConfig(**{**run["settings"]["model"], "fourier_exponents": (5, 6)})
    assert read_curves(history, model)["valid"][-1][1] == pytest.approx(4.0, abs=0.1)


def test_a_drawing_shows_what_there_is() -> None:
    curve = [(step, 10 + 100 / step) for step in range(1, 101)]
    text = drawn(
        {"x1": curve, "x2": [(s, v + 1) for s, v in curve]}, "nats", 80, with_colours=False
    )
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "(nats)" in lines[0]
    assert any("x1" in line for line in lines[-2:])
    assert any("x2" in line for line in lines[-2:])
    # Half of the curve is below 12: the few high values at its start are left out.
    assert float(lines[1].split("|")[0].replace(",", "")) < 40
    # 99 columns of 100 steps would name 1, 20.8 and so on.
    assert [int(step) for step in lines[lines.index("Legend:") - 2].split()[1:]] == [
        *(0, 20, 40, 60, 80, 100)
    ]
    labels = [line.split("|")[0].strip() for line in lines[1:15]]
    assert len({label.partition(".")[2].__len__() for label in labels}) == 1
    assert drawn({"x1": [(1, float("nan"))]}, "nats", 80, with_colours=False) == ""
    assert mean_curve([[(1, 2.0), (2, 4.0)], [(2, 6.0)]]) == [(2, 5.0)]


@pytest.mark.parametrize("width", [40, 60, 80, 130])
@pytest.mark.parametrize(
    ("first", "last"), [(50, 100), (1, 98), (100, 2000), (500, 1_000_000), (7, 8)]
)
def test_an_axis_names_round_steps_and_leaves_no_half_blank(
    width: int, first: int, last: int
) -> None:
    lines = drawn({"x": [(first, 2.0), (last, 1.5)]}, "nats", width, with_colours=False)
    rows = lines.splitlines()
    axis = next(number for number, line in enumerate(rows) if line.endswith("> (step)"))
    named = [int(step.replace(",", "")) for step in rows[axis + 1].split()[1:]]
    (spacing,) = {after - before for before, after in pairwise(named)}
    assert int(str(spacing).rstrip("0")) in (1, 2, 4, 5)
    assert all(step % spacing == 0 for step in named)
    assert first - spacing < named[0] <= first
    assert last - spacing < named[-1] <= last + spacing / 10
    drawing = [row.partition("| ")[2].rstrip() for row in rows[1:axis]]
    assert max(map(len, drawing)) >= (last - named[0]) / spacing * 10 * 0.9


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> list[str]:
    """The lines that a terminal of this width shows."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, _environ={})
    for module in ("study.show", "study.show_run", "study.text_table"):
        monkeypatch.setattr(f"{module}.Console", lambda **_: console)
    assert main(["show", *arguments]) == 0
    lines = Text.from_ansi(screen.getvalue()).plain.splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_a_terminal_of_80_columns_gets_the_drawing(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = on_terminal(monkeypatch, 80, "--results", str(results), "digits/x2/seed0")
    assert any("> (step)" in line for line in lines)
    assert not any(line.startswith("valid ") for line in lines)  # the numbers of a pipe


def test_a_terminal_gets_an_ablation_s_table_of_its_width(
    results: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(results / "fake", "digits", "x2", 1, nll=81.0, blocks=2)
    write_ablation(results / "fake", {"digits": ["x1", "x2"]})
    assert write_output(results / "fake") == 0
    arguments = ["--results", str(results), "sharing"]
    piped = show(results, capsys, "sharing")
    assert piped == (results / "fake/tables/sharing.md").read_text()
    for width in (80, 300):
        lines = on_terminal(monkeypatch, width, *arguments)
        text = " ".join(lines)
        assert "| " not in text
        assert "81.0" in next(line for line in lines if line.startswith("digits   x2"))
        assert ("left out at 80 columns" in text) == (width == 80)


def test_a_narrow_terminal_says_what_it_leaves_out(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = on_terminal(monkeypatch, 80, "--results", str(results))
    text = " ".join(lines)
    assert "left out at 80 columns: rate (nats), parameters" in text
    assert "--columns names those to show" in text


def test_a_dataset_s_own_unit_stands_first(results: Path, capsys: Capture) -> None:
    def units(condition: str) -> list[str]:
        heading = show(results, capsys, "--where", condition).splitlines()[0]
        return [
            unit for unit in ("(nats)", "(bits/dim)") if f"status    test NLL {unit}" in heading
        ]

    assert units("dataset=digits") == ["(nats)"]
    assert units("dataset=patches") == ["(bits/dim)"]
