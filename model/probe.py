"""Norms of a finished run's state, and statistics of its samples: `python -m model.probe RUN_DIR`.

Writes `probe.parquet`, one row per applied block (measurement/state_norms.py),
`instability.parquet`, one row per temperature and resolution (measurement/instability.py), and
`samples.npy`, the scored pixels of the first samples of each temperature, uint8
[temperatures, 8, C, H, W].
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from model.config import ConfigError, ProbeConfig, RunConfig
from model.data.arrays import load_info
from model.data.batches import held_out_images
from model.data.sources import DataError
from model.files import atomic_write
from model.measurement.bounds import load_model
from model.measurement.instability import sample_images, scored_pixels, temperature_rows
from model.measurement.state_norms import block_rows

PICTURED = 8  # samples per temperature that are kept


def write_rows(path: Path, rows: list[dict[str, object]], metadata: dict[str, str]) -> None:
    """Write rows atomically, with what a reader must know about them in the file's metadata."""
    table = pa.Table.from_pylist(rows).replace_schema_metadata(metadata)
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.probe", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder, with model.safetensors")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--num-samples", type=int, default=1000, help="per temperature")
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[n / 10 for n in range(1, 11)]
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    run_dir: Path = options.run_dir
    try:
        config = ProbeConfig(
            num_samples=options.num_samples, temperatures=tuple(options.temperatures)
        )
        run = RunConfig.load(run_dir / "config.yaml")
        images = held_out_images(options.data_dir, run, "test")
        model = load_model(run_dir, run, "ema", torch.device(options.device))
        version = load_info(options.data_dir, run.dataset).version
    except (ConfigError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    metadata = {
        "dataset_version": version,
        "split": "test",
        "weights": "ema",
        "config_hash": run.hash,
    }
    blocks = block_rows(model, images, run.seed)
    write_rows(run_dir / "probe.parquet", blocks, metadata)
    samples = sample_images(model, config, run.seed)
    with atomic_write(run_dir / "samples.npy") as temporary:
        np.save(temporary, scored_pixels(samples[:, :PICTURED], run.model).numpy())
    temperatures = temperature_rows(samples, images, run, config)
    write_rows(run_dir / "instability.parquet", temperatures, metadata)
    print(
        f"{len(blocks)} applied blocks on {blocks[0]['num_images']} test images; "
        f"{config.num_samples} samples at each of {len(config.temperatures)} temperatures "
        f"against {len(images)} test images"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
