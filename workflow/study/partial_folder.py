"""The folder `partial` of a study, which goes when its final tables are there."""

import shutil
from pathlib import Path

# Of every file README.md there: what does not begin so is the user's.
TITLE = "# Partial results of the study "


def remove_partial(study_dir: Path) -> None:
    """Delete the folder and what `write_partial_tables` wrote there; a user's own one stays."""
    directory = study_dir / "partial"
    readme = directory / "README.md"
    if readme.is_file() and readme.read_bytes().startswith(TITLE.encode()):
        shutil.rmtree(directory)
