"""The models of a study: `python -m study.models STUDY` prints their sizes, beside the published.

It counts with PyTorch, which the commands that Snakemake runs on results do without.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tabulate import tabulate

from model.config import ConfigError, ModelConfig
from model.network.hvae import HVAE
from study.comparing.published import published_rows
from study.planning.ablation import Ablation
from study.planning.study import Run, Study

HEADERS = [
    "ablation", "dataset", "variant", "parameters", "paper", "difference",
    "stochastic depth", "paper", "latents per image",
]  # fmt: skip
_SUFFIXES = {"k": 1e3, "m": 1e6}


def count_parameters(config: ModelConfig) -> int:
    """Trainable scalars of a model; nothing of its size is allocated."""
    with torch.device("meta"):
        return HVAE(config).num_parameters


def published_number(text: str) -> float:
    """A number of parameters as the paper writes it, such as 339k or 39m."""
    return float(text[:-1]) * _SUFFIXES[text[-1]]


def models_table(study: Study) -> str:
    """The models of all ablations of a study in Markdown, beside the published sizes."""
    rows = [
        _row(study, ablation, dataset, variant)
        for ablation in study.ablations.values()
        for dataset, variant in _models(ablation)
    ]
    alignment = ["left"] * 3 + ["right"] * 6
    return tabulate(rows, HEADERS, "pipe", disable_numparse=True, colalign=alignment) + "\n"


def _models(ablation: Ablation) -> Iterator[tuple[str, str]]:
    for dataset, variants in ablation.variants.items():
        for variant in variants:
            yield dataset, variant


def _row(study: Study, ablation: Ablation, dataset: str, variant: str) -> list[str]:
    config = study.run_config(Run(dataset, variant, 0)).model
    parameters = count_parameters(config)
    in_paper = depth = difference = ""
    if ablation.source is not None:
        rows = published_rows(ablation.source, dataset)
        rows = rows[rows["variant"] == variant]
        in_paper, depth = "".join(rows["params"]), "".join(rows["stochastic_depth"])
    if in_paper:
        difference = f"{100 * (parameters / published_number(in_paper) - 1):+.2f} %"
    return [
        ablation.name,
        dataset,
        variant,
        f"{parameters:,}",
        in_paper,
        difference.replace("-", "−"),
        str(config.stochastic_depth),
        depth,
        f"{config.num_latents:,}",
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command; prints a mistake as one line."""
    parser = argparse.ArgumentParser(prog="python -m study.models", description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    args = parser.parse_args(arguments)
    try:
        print(models_table(Study.load(args.config, args.study)), end="")
    except ConfigError as error:
        print(f"study.models: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
