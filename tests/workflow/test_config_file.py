"""What is wrong in config.yaml, an overlay or --config stops `snakemake` with one line."""

import json
import re
import subprocess
import sys

from project import Project

from model.data.arrays import preprocess
from model.data.datasets import DATASETS


def error_of(project: Project, *arguments: str) -> str:
    """The only line about a mistake that a dry run ends with."""
    result = project.snakemake(*arguments, "--dry-run")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if re.search(r"[Ee]rror", line)]
    assert len(errors) == 1, result.stderr
    return errors[0]


def test_a_setting_on_the_command_line(project: Project) -> None:
    """More of them: tests/study/test_command_line.py."""
    assert error_of(project, "study=2024_10").startswith(
        "error in --config: study: Snakemake makes the number 202410 of 2024_10"
    )
    assert error_of(project, "iterations=1.5") == (
        "error in --config: iterations: expected an integer, found 1.5"
    )
    assert error_of(project, "report_to=[tensorbord]") == (
        "error in --config: report_to: 'tensorbord' is none of tensorboard, wandb; "
        "did you mean 'tensorboard'?"
    )


def test_another_folder_is_answered_with_the_option_that_helps(project: Project) -> None:
    elsewhere = project.directory / "elsewhere"
    elsewhere.mkdir()
    snakefile = [sys.executable, "-m", "snakemake", "--dry-run", "-s", "../Snakefile"]
    study = ["--config", "study=tiny"]

    def typed(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [*snakefile, *options, *study]
        return subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)

    result = typed()
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"error: there is no config.yaml in {elsewhere}: go to the folder of the project, or add"
        f" -d {project.directory}"
    )
    assert list(elsewhere.iterdir()) == []
    result = typed("-d", str(project.directory))
    assert result.returncode == 0, result.stderr
    assert "profiles/default" in result.stderr


def test_a_study_whose_name_looks_like_a_number_can_be_chosen(project: Project) -> None:
    project.edit("config.yaml", "\n  tiny: #", '\n  "2024_10": #')
    assert project.planned(study="!!str 2024_10")["runs"] == 1


def test_a_mistake_in_the_text_of_config_yaml(project: Project) -> None:
    path = project.directory / "config.yaml"
    text = path.read_text()
    lines = text.count("\n")
    for content, message in [
        (
            text + "variants: {}\n",
            f"line {lines + 1}, column 1: the key 'variants' stands there",
        ),
        (text + "\tx: 1\n", f"line {lines + 1}, column 1: a tab; YAML wants spaces"),
        (text.replace("r2: {model", "r2: {{model"), "line "),
        ("", "expected a mapping: lines such as `study: demo`"),
        ("- study\n", "expected a mapping: lines such as `study: demo`"),
    ]:
        path.write_text(content)
        assert error_of(project).startswith(f"error in config.yaml: {message}")
    path.write_bytes(text.encode("utf-16"))
    assert (
        error_of(project)
        == "error in config.yaml: line 1: not UTF-8 (byte 0xff); save the file as UTF-8"
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert project.planned()["runs"] == 1


def test_a_mistake_in_an_overlay_is_named_with_it(project: Project) -> None:
    overlay = project.directory / "mine.yaml"
    arguments = ("--configfile", "mine.yaml")
    overlay.write_text("base: {train: {log_every: 3}}\nbase: {}\n")
    assert error_of(project, *arguments).startswith(
        "error in mine.yaml: line 2, column 1: the key 'base' stands there twice, first in line 1"
    )
    overlay.write_text("base: {train: {log_evry: 3}}\n")
    assert error_of(project, *arguments).startswith(
        "error in config.yaml with mine.yaml over it: base.train: unknown key 'log_evry'; did you"
    )
    overlay.write_text("base: {train: {log_every: 3}}\n")
    assert project.planned(*arguments)["runs"] == 1


def test_data_that_do_not_fit_stop_the_dry_run(project: Project) -> None:
    preprocess(DATASETS["digits"], project.directory / "data")
    path = project.directory / "data/digits/dataset.json"
    info = json.loads(path.read_text())
    info["num_images"]["train"] = 31
    path.write_text(json.dumps(info))
    assert error_of(project) == (
        "error in config.yaml: datasets.digits: batch_size 32 of variant fourier-position of study "
        "tiny exceeds its 31 training images (data/digits/dataset.json)"
    )
