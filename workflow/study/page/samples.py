"""The samples of each variant of a study."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples of the probed run of a variant: a row per temperature."""

    dataset: str
    variant: str
    seed: int
    image: Path  # PNG


def samples_of(runs_dir: Path, runs: Iterable[Mapping[str, Any]]) -> list[Samples]:
    """The samples that lie in the folders of these runs."""
    found = []
    for row in runs:
        dataset, variant, seed = row["dataset"], row["variant"], row["seed"]
        path = runs_dir / dataset / variant / f"seed{seed}" / "samples.png"
        if path.exists():
            found.append(Samples(dataset=dataset, variant=variant, seed=seed, image=path))
    return found
