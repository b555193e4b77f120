"""A copy of the project to run the pipeline in, so that tests leave this checkout alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "config.yaml", "model", "workflow", "profiles", "slurm", "envs"]


class Project:
    """A copy of the checkout, and the snakemake commands that a user types there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for part in PARTS:
            source, target = ROOT / part, directory / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def snakemake(self, *arguments: str, study: str = "tiny") -> "subprocess.CompletedProcess[str]":
        """`snakemake --cores 2 --config study=STUDY ARGUMENTS`, as a user types it."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [sys.executable, "-m", "snakemake", "--cores", "2"]
        return subprocess.run(
            [*command, "--config", f"study={study}", *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def planned(self, *arguments: str, study: str = "tiny") -> dict[str, int]:
        """The jobs of a dry run, by rule, without the target rule; raises if it fails."""
        targets = arguments[arguments.index("--") :] if "--" in arguments else ()
        options = arguments[: len(arguments) - len(targets)]
        result = self.snakemake(*options, "--dry-run", *targets, study=study)
        assert result.returncode == 0, result.stdout + result.stderr
        output = result.stdout + result.stderr
        if "Nothing to be done" in output:
            return {}
        lines = output.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
        counts = {rule: int(count) for rule, count in (line.split() for line in lines if line)}
        return {rule: n for rule, n in counts.items() if rule not in ("all", "total")}

    def study(
        self, *arguments: str, environment: Mapping[str, str] = os.environ
    ) -> "subprocess.CompletedProcess[str]":
        """`study ARGUMENTS`, as a user types it."""
        return subprocess.run(
            [sys.executable, "-m", "study", *arguments],
            cwd=self.directory,
            env={**environment, "PYTHONPATH": f"{self.directory}:{self.directory / 'workflow'}"},
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """An edit that is taken back at the end, with the file's time."""
        file = self.directory / path
        before, times = file.read_text(), file.stat()
        self.edit(path, old, new)
        try:
            yield
        finally:
            file.write_text(before)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there once."""
        file = self.directory / path
        text = file.read_text()
        assert text.count(old) == 1, (path, old, text.count(old))
        file.write_text(text.replace(old, new))
