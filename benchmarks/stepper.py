"""A process that takes training steps when it is told to; `step.py` lets several take turns.

    python benchmarks/stepper.py ours|reference CONFIG DATASET VARIANT BATCH_SIZE DEVICE THREADS

For each line on stdin it takes a step, or --per-line of them, on random images and writes its
seconds, or with --count how many operations PyTorch was asked for (views not counted): of the
whole loop, with noise, clipping, optimiser, averaged weights and bookkeeping.  With --task it
evaluates or draws that many images instead, for `sampling.py`; --no-waits makes it an error that a
step waits for the GPU.

`ours` is whatever checkout stands on PYTHONPATH, so that nothing may be imported here that older
ones lack; `reference` is openai/vdvae, whose `vae.py` stands there, trained as its `train.py` does;
where operations are counted, with the fused AdamW that ours has, too.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils._python_dispatch import TorchDispatchMode

from model.config import EvaluateConfig, ModelConfig, TrainConfig
from model.measurement.bounds import image_bounds
from model.measurement.samples import sample_images
from model.network.families import build_model
from model.network.layout import Block
from model.run_config import RunConfig
from model.training.checkpoints import Checkpoints
from model.training.loop import train
from model.training.ranks import Ranks
from model.training.state import Training
from study.planning.study import Run, Study

NEVER = 10**9
IMPORTANCE_SAMPLES = 5  # of each image, where --task evaluate


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class Counter(TorchDispatchMode):
    """How many operations PyTorch was asked for; one on a list of tensors is as many as these."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            is_of_lists = func.__name__.startswith(("_foreach_", "_fused_"))
            self.count += len(args[0]) if is_of_lists else 1
        return func(*args, **(kwargs or {}))


def answer_lines(
    device: torch.device, is_counted: bool, may_wait: bool, per_line: int
) -> Iterator[None]:
    """Yield for each line on stdin, and write how long what came after it took, or its count.

    Of several steps per line, between which nobody waits for a GPU, it is the mean.
    """
    for number, _ in enumerate(sys.stdin):
        if number == 3 and not may_wait:  # the first steps load libraries
            torch.cuda.set_sync_debug_mode("error")
        if is_counted:
            with Counter() as counter:
                yield
            print(counter.count, flush=True)
            continue
        wait(device)
        started = time.perf_counter()
        for _ in range(per_line):
            yield
        wait(device)
        print((time.perf_counter() - started) / per_line, flush=True)


def random_images(config: ModelConfig, batch_size: int) -> Tensor:
    high = 2 if config.likelihood == "bernoulli" else 256
    shape = (batch_size, config.image_channels, config.image_size, config.image_size)
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


class Batches:
    """The same batch at each step, which waits until it is asked for."""

    def __init__(self, images: Tensor, turns: Iterator[None]) -> None:
        self.images, self.turns = images, turns
        self.signal: int | None = None  # it is the stop flag, too

    def at(self, step: int, share: range) -> Tensor:
        if next(self.turns, self) is self:
            sys.exit()
        return self.images[share.start : share.stop]


def run_ours(run: RunConfig, device: torch.device, turns: Iterator[None]) -> None:
    """The project's own loop, which does not know that it is measured."""
    images = random_images(run.model, run.train.batch_size)
    training = Training(run, "random", build_model(run.model), device, Ranks())
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), run.identity("random"))
        checkpoints.claim()
        batches: Any = Batches(images, turns)
        train(training, batches, images, checkpoints, batches, checkpoint_minutes=NEVER)


def run_our_task(task: str, run: RunConfig, device: torch.device, turns: Iterator[None]) -> None:
    """What `model.evaluate` or `model.sample` do with a trained model, here one that is not."""
    model: Any = build_model(run.model)
    model.initialise(torch.Generator().manual_seed(0))
    model = model.to(device).eval()
    number = run.train.batch_size
    images = random_images(run.model, number)
    config = EvaluateConfig(batch_size=number, importance_samples=IMPORTANCE_SAMPLES)
    for _ in turns:
        if task == "evaluate":
            image_bounds(model, images, config, seed=0)
        else:
            sample_images(model, [1.0], number, seed=0)


class Bernoulli(nn.Module):
    """The likelihood of binary images, which openai/vdvae lacks, in place of its own."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.likelihood_size or config.image_size
        self.out_conv = nn.Conv2d(config.width, config.image_channels, kernel_size=1)

    def nll(self, features: Tensor, images: Tensor) -> Tensor:
        logits, targets = self.out_conv(features), images.permute(0, 3, 1, 2)
        margin = (logits.shape[-1] - self.size) // 2
        centre = (..., *[slice(margin, margin + self.size)] * 2)
        return binary_cross_entropy_with_logits(
            logits[centre], targets[centre], reduction="none"
        ).mean((1, 2, 3))

    def sample(self, features: Tensor) -> Any:
        """Images as the reference's likelihood gives them: uint8 [B, H, W, C] of NumPy."""
        return (
            self.out_conv(features).sigmoid().bernoulli().permute(0, 2, 3, 1).byte().cpu().numpy()
        )


def entry(block: Block) -> str:
    """The entry of a parameterised block in openai/vdvae's block strings."""
    if block.down is not None:
        return f"{block.resolution}d{block.down}"
    if block.mixin is not None:
        return f"{block.resolution}m{block.mixin}"
    return f"{block.resolution}x1"


def reference_model(config: ModelConfig) -> nn.Module:
    """openai/vdvae's model of a config; repeats are the same module, several times."""
    from vae import VAE  # type: ignore[import-not-found]

    options = SimpleNamespace(
        **{name: getattr(config, name) for name in ("image_size", "image_channels", "width")},
        **{name: getattr(config, name) for name in ("zdim", "num_mixtures", "no_bias_above")},
        bottleneck_multiple=config.bottleneck_multiple,
        custom_width_str="",
        dataset="",  # of 8 bits, as all but one
        enc_blocks=",".join(map(entry, config.bottom_up)),
        dec_blocks=",".join(map(entry, config.top_down)),
    )
    model: nn.Module = VAE(options)
    for tower, blocks in (("enc_blocks", config.bottom_up), ("dec_blocks", config.top_down)):
        half = model.encoder if tower == "enc_blocks" else model.decoder
        modules = zip(getattr(half, tower), blocks, strict=True)
        unrolled = [module for module, block in modules for _ in range(block.repeats)]
        setattr(half, tower, nn.ModuleList(unrolled))
    if config.likelihood == "bernoulli":
        model.decoder.out_net = Bernoulli(config)
    return model


def run_reference(
    config: ModelConfig,
    options: TrainConfig,
    device: torch.device,
    turns: Iterator[None],
    is_counted: bool,
) -> None:
    """openai/vdvae's training_step, on one process, without its communication between ranks."""
    model = reference_model(config).to(device)
    # The averaged weights alone: a copy of its modules would share their lambdas.
    ema = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=options.learning_rate,
        betas=options.betas,
        weight_decay=options.weight_decay,
        fused=is_counted or None,  # a choice of PyTorch's, not of the implementation
    )
    images = random_images(config, options.batch_size).permute(0, 2, 3, 1).contiguous()
    targets = images.float() if config.likelihood == "bernoulli" else (images / 127.5 - 1)
    for _ in turns:
        inputs = targets.to(device)
        model.zero_grad()
        bound = model(inputs, inputs)
        bound["elbo"].backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), options.gradient_clip).item()
        is_nan = bool(bound["distortion"].isnan()) or bool(bound["rate"].isnan())
        if not is_nan and norm < NEVER:
            optimiser.step()
            for ours, theirs in zip(model.parameters(), ema, strict=True):
                theirs.mul_(options.ema_rate).add_(ours.data * (1 - options.ema_rate))


@torch.no_grad()
def run_reference_task(
    task: str, config: ModelConfig, number: int, device: torch.device, turns: Iterator[None]
) -> None:
    """As many passes, or samples, of openai/vdvae; it has no importance-weighted bound."""
    model = reference_model(config).to(device).eval()
    images = random_images(config, number).permute(0, 2, 3, 1).contiguous()
    targets = images.float() if config.likelihood == "bernoulli" else (images / 127.5 - 1)
    for _ in turns:
        if task == "evaluate":
            inputs = targets.to(device)
            for _ in range(IMPORTANCE_SAMPLES):
                model(inputs, inputs)["elbo"].item()
        else:
            model.forward_uncond_samples(number, t=1.0)


def main() -> None:
    """Step when told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("implementation", choices=["ours", "reference"])
    parser.add_argument("config", type=Path, help="config.yaml of the checkout")
    parser.add_argument("dataset")
    parser.add_argument("variant")
    parser.add_argument("batch_size", type=int)
    parser.add_argument("device", type=torch.device)
    parser.add_argument("threads", type=int)
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--precision", help="of ours, from the commit on that has it")
    parser.add_argument("--cuda-graph", action="store_true", help="of ours, as --precision")
    parser.add_argument("--no-waits", action="store_true")
    parser.add_argument("--per-line", type=int, default=1, help="steps for each line on stdin")
    parser.add_argument("--task", choices=["step", "evaluate", "sample"], default="step")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = Study.load(options.config, "paper").run_config(Run(options.dataset, options.variant, 0))
    config: dict[str, Any] = dict(
        gpus=1, batch_size=options.batch_size, iterations=NEVER, validate_every=NEVER
    )
    if options.precision:  # else PyTorch's own: TF32 in convolutions on a GPU, in the reference too
        from model.network.precision import set_tf32

        config["precision"] = options.precision
        set_tf32(options.precision == "tf32")
    if options.cuda_graph:
        config["cuda_graph"] = True
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, **config))
    turns = answer_lines(options.device, options.count, not options.no_waits, options.per_line)
    if options.implementation == "ours":
        try:  # as `model.train` does, from the commit on that has it
            from model.memory import keep_freed_memory

            keep_freed_memory()
        except ImportError:
            pass
        if options.task == "step":
            run_ours(run, options.device, turns)
        else:
            run_our_task(options.task, run, options.device, turns)
    elif options.task != "step":
        number = options.batch_size
        run_reference_task(options.task, run.model, number, options.device, turns)
    else:
        run_reference(run.model, run.train, options.device, turns, options.count)


if __name__ == "__main__":
    main()
