"""Gradient checkpointing: time of a training step, paired in one process, and peak memory.

    python benchmarks/gradient_checkpointing.py [--device cuda]

Each model of config.yaml is timed with and without, in turn; the ratio is of each pair.  Memory is
what the first step takes beside the model, each in a process of its own: the GPU's, or on a CPU the
growth of the resident memory.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil
import torch
from tabulate import tabulate

from model.config import ModelConfig
from model.network.hvae import HVAE
from model.randomness import Purpose, image_generators, make_generator
from model.training.provenance import peak_memory_bytes
from study.planning.study import Run, Study

CONFIG = Path(__file__).parents[1] / "config.yaml"
MODELS = [  # dataset, variant, images per step on a CPU, on a GPU
    ("mnist", "x1", 32, 256),
    ("mnist", "vdvae", 8, 256),
    ("cifar10", "x1", 4, 128),
    ("cifar10", "r5", 4, 128),
]


def model_config(dataset: str, variant: str) -> ModelConfig:
    return Study.load(CONFIG, "paper").run_config(Run(dataset, variant, 0)).model


def build(config: ModelConfig, device: torch.device) -> HVAE:
    model = HVAE(config)
    model.initialise(make_generator(0, Purpose.INITIALISATION))
    return model.to(device)


def step(model: HVAE, images: torch.Tensor) -> float:
    """Seconds of a forward and a backward pass."""
    noise = model.draw_noise(
        image_generators(0, Purpose.TRAINING_NOISE, images=range(len(images)), device=images.device)
    )
    is_cuda = images.device.type == "cuda"
    if is_cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    model(images, noise).nll_nats.sum().backward()
    if is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    model.zero_grad()
    return seconds


def batch(config: ModelConfig, size: int, device: torch.device) -> torch.Tensor:
    high = 2 if config.likelihood == "bernoulli" else 256
    shape = (size, config.image_channels, config.image_size, config.image_size)
    return torch.randint(high, shape, dtype=torch.uint8, device=device)


def step_memory(config: ModelConfig, size: int, device: torch.device) -> int:
    """Bytes that the first step takes beside the model and the batch, in this process."""
    model, images = build(config, device), batch(config, size, device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step(model, images)
        return torch.cuda.max_memory_allocated(device) - before
    before = psutil.Process().memory_info().rss
    step(model, images)
    return peak_memory_bytes(device) - before


def measured_memory(dataset: str, variant: str, size: int, device: str, checkpointing: bool) -> int:
    """`step_memory` in a process of its own."""
    command = [sys.executable, __file__, "--device", device, "--memory-of", dataset, variant]
    command += [str(size), str(int(checkpointing))]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(answer.stdout)


def paired_times(
    config: ModelConfig, size: int, device: torch.device, rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of `rounds` steps without and with checkpointing, in turn, after a warm-up."""
    models = [
        build(replace(config, gradient_checkpointing=checkpointing), device)
        for checkpointing in (False, True)
    ]
    images = batch(config, size, device)
    for model in models:
        step(model, images)
    pairs = [[step(model, images) for model in models] for _ in range(rounds)]
    without, with_it = zip(*pairs, strict=True)
    return list(without), list(with_it)


def row(dataset: str, variant: str, size: int, device: str, rounds: int) -> list[str]:
    config = model_config(dataset, variant)
    without, with_it = paired_times(config, size, torch.device(device), rounds)
    ratios = sorted(b / a for a, b in zip(without, with_it, strict=True))
    memory = [measured_memory(dataset, variant, size, device, r) / 1e6 for r in (False, True)]
    return [
        f"{dataset} {variant}, batch {size}",
        f"{1000 * median(without):,.0f}",
        f"{1000 * median(with_it):,.0f}",
        f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        f"{memory[0]:,.0f}",
        f"{memory[1]:,.0f}",
        f"{memory[0] / memory[1]:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        dataset, variant, size, checkpointing = options.memory_of
        config = replace(
            model_config(dataset, variant), gradient_checkpointing=bool(int(checkpointing))
        )
        print(step_memory(config, int(size), torch.device(options.device)))
        return
    rows = [
        row(dataset, variant, on_gpu if options.device == "cuda" else on_cpu, options.device,
            options.rounds)
        for dataset, variant, on_cpu, on_gpu in MODELS
    ]  # fmt: skip
    headings = ["model", "step (ms)", "with (ms)", "ratio", "memory (MB)", "with (MB)", "ratio"]
    alignment = ["left"] + ["right"] * 6
    is_gpu = options.device != "cpu"
    print(f"{torch.cuda.get_device_name() if is_gpu else 'CPU'}, PyTorch {torch.__version__}\n")
    print(tabulate(rows, headings, "pipe", disable_numparse=True, colalign=alignment))


if __name__ == "__main__":
    main()
