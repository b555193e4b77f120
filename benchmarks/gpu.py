"""All that a session with a GPU should measure, in at most 8 minutes, as Markdown.

    PYTHONPATH=.:workflow python benchmarks/gpu.py --before CHECKOUT --reference VDVAE > gpu.md

Whether a step waits for the GPU; the step, plain and as a CUDA graph, beside that of a commit
before and openai/vdvae's, and in each precision; evaluation and samples.  What does not end in its
share of the time is left out.
"""

import argparse
import platform
import subprocess
import sys
from pathlib import Path

import torch
from step import MODELS, ROOT, Stepper, add_options

HERE = Path(__file__).parent
MEASUREMENTS = {  # name: command, seconds
    "Step": (["step.py", "--cuda-graph"], 180),
    "Precisions": (["step.py", "--cuda-graph", "--precisions", "fp32", "tf32", "bf16"], 120),
    "Evaluation and samples": (["sampling.py"], 120),
}
STEPS = 10  # without waiting; fewer than between two logs


def waits() -> str:
    """What PyTorch says where a step waits for the GPU, for each model."""
    rows = []
    for dataset, variant, _, batch_size in MODELS:
        model = [dataset, variant, str(batch_size), "cuda", "2", "--no-waits"]
        stepper = Stepper(ROOT, model, is_ours=True)
        try:
            for _ in range(STEPS):
                stepper.step()
            rows.append(f"- {dataset} {variant}: {STEPS - 3} steps without")
        except SystemExit:
            rows.append(f"- {dataset} {variant}: **a step waits**, see above")
        finally:
            stepper.end()
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.set_defaults(device="cuda")
    options = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    is_gpu = options.device != "cpu"
    device = torch.cuda.get_device_name() if is_gpu else "CPU"
    print(f"{device}, commit {commit or 'unknown'}, Python {platform.python_version()}, ", end="")
    print(f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}\n", flush=True)
    if is_gpu:
        print(f"## Waits for the GPU in a step\n{waits()}\n", flush=True)
    common = ["--device", options.device, "--steps", str(options.steps)]
    for name, (command, seconds) in MEASUREMENTS.items():
        others = [] if "--precisions" in command else ["before", "reference"]
        paths = [(f"--{other}", getattr(options, other)) for other in others]
        given = [str(word) for pair in paths if pair[1] is not None for word in pair]
        script, *arguments = command
        print(f"## {name}", flush=True)
        try:
            subprocess.run(
                [sys.executable, HERE / script, *arguments, *common, *given], timeout=seconds
            )
        except subprocess.TimeoutExpired:
            print(f"(not done within {seconds} s: the rows so far are in what it wrote to stderr)")
        print(flush=True)


if __name__ == "__main__":
    main()
