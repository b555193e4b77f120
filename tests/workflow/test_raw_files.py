"""What a dataset is made of, in the dry run: published files, or images of the user's own."""

from project import Project

MINE = """
datasets:
  mine:
    model:
      {image_size: 8, image_channels: 3, likelihood: discretised_logistics, pixel_mean: 120,
       pixel_std: 64, encoder: "8x1,8d2,4x1", decoder: "4x1,8m4,8x1", width: 8, zdim: 4}
    train:
      {batch_size: 4, learning_rate: 0.001, ema_rate: 0.9, gradient_clip: 9, skip_threshold: 9}
"""
LENGTH = "{iterations: 2, validation_images: 1, validate_every: 1, log_every: 1}"


def study_one(project: Project, datasets: str) -> None:
    """Add the study `one` to config.yaml."""
    study = f"{{datasets: {datasets}, seeds: 1, ablations: [state-norm], train: {LENGTH}}}"
    project.edit("config.yaml", "\nstudies:\n", f"\nstudies:\n  one: {study}\n")


def test_a_published_dataset_is_fetched_and_preprocessed(project: Project) -> None:
    study_one(project, "[cifar10, celeba64]")
    planned = project.planned(study="one")
    assert planned["fetch"] == planned["preprocess"] == 2


def test_images_of_ones_own_must_be_there(project: Project) -> None:
    """What becomes of them when they change is in test_own_data.py."""
    project.edit("config.yaml", "\ndatasets:\n", MINE)
    study_one(project, "[mine]")
    result = project.snakemake("--dry-run", study="one")
    assert result.returncode == 1
    assert "data/raw/mine" in result.stdout + result.stderr
    images = project.directory / "data" / "raw" / "mine"
    images.mkdir(parents=True)
    planned = project.planned(study="one")
    assert planned["preprocess"] == 1
    assert "fetch" not in planned
