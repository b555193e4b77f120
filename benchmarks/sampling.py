"""Evaluating and drawing images: ours, that of a commit before, and openai/vdvae's, in turn.

    git worktree add /tmp/before COMMIT
    python benchmarks/sampling.py --before /tmp/before --reference PATH/TO/vdvae [--device cuda]

As in `step.py`, each is a process of its own, and the ratios are of neighbours.  To evaluate means
all bounds of a batch of images with 5 importance samples; of the reference, which has no such
bound, five passes.  It takes some three minutes on a GPU, six on two CPU cores.
"""

import argparse
import sys

import torch
from step import MODELS, add_options, compared, find_checkouts, headings, measured, start
from tabulate import tabulate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    checkouts = find_checkouts(options)
    is_gpu = options.device != "cpu"
    rows = []
    for task in ("evaluate", "sample"):
        for dataset, variant, on_cpu, on_gpu in MODELS:
            number = on_gpu if is_gpu else on_cpu
            model = [dataset, variant, *map(str, (number, options.device, options.threads))]
            found = measured(start(checkouts, [*model, "--task", task]), options.steps)
            rows.append([f"{task} {dataset} {variant}", *compared(found, 1e3 / number, 2)])
            print(*rows[-1], file=sys.stderr, flush=True)
    print(f"PyTorch {torch.__version__}, medians (quartiles) of {options.steps} batches\n")
    print(tabulate(rows, ["task and model", *headings([*checkouts], "ms per image")], "pipe"))


if __name__ == "__main__":
    main()
