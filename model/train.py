"""Training of one run, resumed by running the same command again.

`python -m model.train RUN_DIR` reads `config.yaml` there and writes `model.safetensors` (averaged
weights), `history.parquet` and `train.json`; the resume state is in `state/`.  SIGTERM, SIGINT and
SIGUSR2 make it save and exit with 128 + the signal's number.  With `gpus: N` in the config, this
process starts N others, one per GPU, which split each batch.
"""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import get_args

import torch

from model.config import ConfigError
from model.data.batches import TrainingBatches, held_out_images
from model.data.dataset_info import load_info
from model.data.sources import DataError
from model.memory import keep_freed_memory
from model.network.families import build_model
from model.network.precision import set_tf32
from model.run_config import RunConfig
from model.training.checkpoints import Checkpoints, OwnershipLost
from model.training.curve_writers import WriterName
from model.training.loop import train
from model.training.progress import opening
from model.training.ranks import Ranks, end_with_launcher, launch
from model.training.results import write_results
from model.training.state import Training, resume
from model.training.stop import StopFlag

log = logging.getLogger(__name__)


def train_or_resume(
    run: RunConfig, options: argparse.Namespace, device: torch.device, ranks: Ranks, stop: StopFlag
) -> int:
    """Bring a run as far as it gets, write its results if that is the end; the exit code."""
    info = load_info(options.data_dir, run.dataset)
    batches = TrainingBatches(options.data_dir, run)
    validation = held_out_images(options.data_dir, run, "valid")[: run.train.validation_images]
    checkpoints = Checkpoints(options.run_dir / "state", run.identity(info.dataset_sha256))
    model = build_model(run.model.with_pixel_moments(info.pixel_mean, info.pixel_std))
    training = Training(run, info.dataset_sha256, model, device, ranks)
    log.info("%s", opening(training, len(batches.images), options.data_dir))
    with ranks.writer_first():  # it renames damaged states
        if ranks.is_writer:
            checkpoints.claim()
        resume(training, checkpoints)
    if training.status == "running":
        minutes, report_to = options.checkpoint_minutes, options.report_to
        train(training, batches, validation, checkpoints, stop, minutes, report_to)
    if training.status == "running":
        number = signal.Signals(stop.signal or signal.SIGTERM)  # another rank's may be unknown here
        log.warning(
            "%s: saved at step %d; run the same command again to go on",
            *(number.name, training.progress.step),
        )
        return 128 + number
    if ranks.is_writer:
        checkpoints.check_ownership()
        write_results(options.run_dir, training, info.raw_sha256)
    log.info("%s after %d steps", training.status, training.progress.step)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; exit code 0 for a finished or diverged run, 128 + n after signal n."""
    parser = argparse.ArgumentParser(prog="python -m model.train", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder, with config.yaml")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--checkpoint-minutes", type=float, default=10.0)
    parser.add_argument(
        "--report-to",
        nargs="+",
        default=(),
        choices=get_args(WriterName),
        help="write the learning curve for these, too, beside the resume states",
    )
    parser.add_argument(
        "--ranks",
        type=int,
        nargs="?",
        const=0,
        metavar="LAUNCHER",
        help="be one of the ranks of a run with gpus: N, whose launcher has this process id; by "
        "hand: torchrun --nproc-per-node N -m model.train RUN_DIR --ranks",
    )
    options = parser.parse_args(arguments)
    stop = StopFlag()
    if options.ranks:
        end_with_launcher(options.ranks)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    is_rank = options.ranks is not None  # WORLD_SIZE may be there for other reasons
    is_first = not is_rank or os.environ.get("RANK", "0") == "0"
    logging.basicConfig(
        level=logging.INFO if is_first else logging.ERROR,
        format="%(asctime)s %(message)s",
        datefmt="%F %T",
    )
    try:
        run = RunConfig.load(options.run_dir / "config.yaml")
        if run.train.gpus > 1 and not is_rank:
            return launch(run.train.gpus, "model.train", arguments or sys.argv[1:], stop)
        set_tf32(run.train.precision == "tf32")
        device = torch.device(options.device)
        ranks = Ranks.join(device, run.train.gpus, stop) if is_rank else Ranks()
        exit_code = train_or_resume(run, options, device, ranks, stop)
        ranks.leave()
    except (ConfigError, DataError, OwnershipLost, OSError) as error:
        if is_first:
            print(f"error: {error}", file=sys.stderr)
        return 1
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
