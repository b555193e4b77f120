"""How the next head recognises a job: by its outputs; and sees that it has changed."""

import os
from pathlib import Path

import pytest
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit.identity import (
    LARGE_FILE_BYTES,
    job_fingerprint,
    job_key,
    members,
)


class Value:
    """Its representation has an address."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source"
    file.write_text("content")
    return file


def job_of(source: Path) -> SnakemakeJob:
    return SnakemakeJob(inputs=[str(source)])


def test_the_outputs_are_the_key() -> None:
    key = job_key(SnakemakeJob(output=["a", "b"]))
    assert job_key(SnakemakeJob(output=["b", "a"], name="other", threads=9)) == key
    assert job_key(SnakemakeJob(output=["a"])) != key
    assert job_key(SnakemakeJob(output=["ab"])) != key


def test_without_outputs_the_target_is_the_key() -> None:
    assert job_key(SnakemakeJob(output=[], name="a")) != job_key(SnakemakeJob(output=[], name="b"))


def test_parameters_make_a_difference_and_their_order_does_not() -> None:
    fingerprint = job_fingerprint(SnakemakeJob(non_derived_params=[1, "two"]))
    assert job_fingerprint(SnakemakeJob(non_derived_params=["two", 1])) == fingerprint
    assert job_fingerprint(SnakemakeJob(non_derived_params=["two", "1"])) != fingerprint


def test_an_object_is_the_same_at_another_address() -> None:
    first, second = (SnakemakeJob(non_derived_params=[Value()]) for _ in range(2))
    assert job_fingerprint(first) == job_fingerprint(second)


def test_the_content_of_an_input_makes_a_difference_and_its_time_does_not(source: Path) -> None:
    fingerprint = job_fingerprint(job_of(source))
    os.utime(source, (1, 1))
    assert job_fingerprint(job_of(source)) == fingerprint
    source.write_text("changed")
    assert job_fingerprint(job_of(source)) != fingerprint


def test_a_large_input_is_known_by_its_size_and_time(source: Path) -> None:
    with source.open("wb") as file:
        file.truncate(LARGE_FILE_BYTES + 1)
    fingerprint = job_fingerprint(job_of(source))
    os.utime(source, (1, 1))
    assert job_fingerprint(job_of(source)) != fingerprint


def test_an_input_may_be_missing(source: Path) -> None:
    fingerprint = job_fingerprint(job_of(source))
    source.unlink()
    assert job_fingerprint(job_of(source)) != fingerprint


def test_a_group_has_the_parameters_of_its_members() -> None:
    first, second = SnakemakeJob(non_derived_params=[1]), SnakemakeJob(non_derived_params=[2])
    group = SnakemakeJob(jobs=[first, second])
    assert members(group) == [first, second]
    assert members(first) == [first]
    fingerprint = job_fingerprint(group)
    second.non_derived_params = [3]
    assert job_fingerprint(group) != fingerprint
