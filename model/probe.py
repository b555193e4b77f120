"""Inside a trained run, and statistics of its samples: `python -m model.probe RUN_DIR`.

Writes the tables of `model/run_tables.py` that belong to this command, and images to draw, cut to
the pixels that the likelihood covers: `samples.npy`, the first samples of each temperature, uint8
[temperatures, 8, C, H, W], and `learnt.npy`, the first test images and their reconstructions up to
each resolution, ascending, uint8 [1 + resolutions, 8, C, H, W].
"""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import argparse
import sys
from pathlib import Path

import torch

from model.config import ProbeConfig
from model.measurement.command import load_run, measure, parser, write_tables
from model.measurement.kept_images import write_images
from model.measurement.trained import Probe, TrainedRun
from model.network.likelihood import covered_pixels

IMAGES_KEPT = 8  # per temperature, and per resolution


def probe(run: TrainedRun, config: ProbeConfig, run_dir: Path) -> None:
    """Write the tables of the probe, and images to draw."""
    probe, model = Probe(run, config), run.config.model
    write_tables("probe", probe, run_dir)
    white = 255 if model.likelihood == "bernoulli" else 1
    learnt = torch.stack([white * probe.reconstructed, *probe.reconstructions.values()])
    for name, images in [("samples", probe.samples), ("learnt", learnt)]:
        kept = covered_pixels(images[:, :IMAGES_KEPT], model)
        write_images(run_dir / f"{name}.npy", kept.numpy())


def add_options(parser: argparse.ArgumentParser) -> None:
    """How a run is probed."""
    parser.add_argument("--num-samples", type=int, default=1000, help="per temperature")
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[n / 10 for n in range(1, 11)]
    )


def config_of(options: argparse.Namespace) -> ProbeConfig:
    """What those options say; raises ConfigError."""
    return ProbeConfig(num_samples=options.num_samples, temperatures=tuple(options.temperatures))


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.probe", __doc__)
    add_options(commands)
    options = commands.parse_args(arguments)

    def write() -> None:
        config = config_of(options)
        probe(load_run(options), config, options.run_dir)

    return measure(options, write)


if __name__ == "__main__":
    sys.exit(main())
