"""A job as Snakemake hands it to an executor, without Snakemake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class InvalidResources(Mapping[str, Any]):
    """Resources that Snakemake evaluates when they are asked for, and finds invalid."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __getitem__(self, name: str) -> Any:
        raise ValueError(self.message)

    def __iter__(self) -> Any:
        raise ValueError(self.message)

    def __len__(self) -> int:
        return 1


@dataclass(kw_only=True)
class SnakemakeJob:
    """A job of one rule, or a group of some."""

    name: str = "train"
    output: Sequence[str] = ("out/a.txt",)
    inputs: Sequence[str] = ()
    wildcards: Sequence[str] = ()
    threads: int = 1
    resources: Mapping[str, Any] = field(default_factory=lambda: {"runtime": 60})
    non_derived_params: Sequence[Any] = ()
    is_local: bool = False
    jobs: Sequence["SnakemakeJob"] = ()

    def is_group(self) -> bool:
        return bool(self.jobs)

    def get_wait_for_files(self) -> Sequence[str]:
        return self.inputs

    def get_target_spec(self) -> Sequence[str]:
        return [f"{self.name}:wildcards"]
