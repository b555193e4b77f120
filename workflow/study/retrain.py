"""Training chosen runs of a study from scratch, beside what there is of them."""

from collections.abc import Iterable
from pathlib import Path

from model.table import ResultError


def set_runs_aside(study_dir: Path, names: Iterable[str]) -> list[Path]:
    """Move all that runs have into folders beside them, so that snakemake makes them anew.

    A name is DATASET/VARIANT, for all seeds, or DATASET/VARIANT/seedN.  Returns the new folders;
    raises ResultError, before anything is moved, for a name that no run has.
    """
    runs: list[Path] = []
    for name in names:
        found = [path for path in study_dir.glob(f"runs/{name}/seed*") if _is_run(path)]
        one = study_dir / "runs" / name
        found += [one] if _is_run(one) else []
        if not found:
            known = sorted(path.parent for path in study_dir.glob("runs/*/*/seed*"))
            names_there = dict.fromkeys(str(p.relative_to(study_dir / "runs")) for p in known)
            raise ResultError(
                f"{study_dir} has no run {name}; there are {', '.join(names_there) or 'none'}"
            )
        runs += found
    return [_set_aside(run) for run in dict.fromkeys(runs)]


def _is_run(path: Path) -> bool:
    return path.is_dir() and path.name.removeprefix("seed").isdecimal()


def _set_aside(run: Path) -> Path:
    number = 1
    while (aside := run.with_name(f"{run.name}-before-{number}")).exists():
        number += 1
    return run.rename(aside)
