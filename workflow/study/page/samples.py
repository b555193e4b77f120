"""The samples of each variant on the page of its study."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.page.section import image_address


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples of the probed run of a variant: a row per temperature."""

    dataset: str
    variant: str
    seed: int
    image: str  # as its address


def samples_of(runs_dir: Path, runs: Iterable[Mapping[str, Any]]) -> list[Samples]:
    """The samples that lie in the folders of these runs."""
    found = []
    for row in runs:
        dataset, variant, seed = row["dataset"], row["variant"], row["seed"]
        path = runs_dir / dataset / variant / f"seed{seed}" / "samples.png"
        if path.exists():
            found.append(
                Samples(dataset=dataset, variant=variant, seed=seed, image=image_address(path))
            )
    return found
