"""What snakemake would do with each run of a study, why, and what it takes.

Says how many runs are done, which are trained for the first time or again and because of which
setting, the hours, the jobs and the disk space; on a cluster, what SLURM says to each distinct
request of the profile. Nothing is changed, and nothing started.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from study.place import add_place, data_of
from study.plan import plan_runs
from study.plan_cost import cost
from study.plan_pace import Paces, key_of
from study.plan_probe import probe
from study.plan_requests import slurm_answers
from study.plan_text import json_of, print_plan
from study.planning.models import count_parameters
from study.planning.study import Study
from study.profile import Profile
from study.slurm_client import has_cluster


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument(
        "--probe",
        action="store_true",
        help="do a few iterations of each model of unknown speed, for this plan only",
    )
    parser.add_argument("--json", action="store_true", help="all that is known, for programs")
    parser.add_argument(
        "--iterations", type=int, metavar="N", help="as in snakemake --config iterations=N"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="DIR",
        help="where a job's time limit stands; default: slurm, where SLURM is configured",
    )


def run(args: argparse.Namespace) -> None:
    study = Study.load(args.config, args.study)
    if args.iterations is not None:
        study = study.of_length(args.iterations)
    data = data_of(study, args.data_dir, args.results)
    runs = plan_runs(study, data, args.results)
    paces = Paces(args.results)
    tried = _probe(study, paces) if args.probe else []
    directory = args.profile or Path("slurm")
    seconds_per_job, requests = None, []
    if args.profile is not None or (directory / "config.yaml").is_file():
        is_here = has_cluster()
        if args.profile is not None or is_here:
            seconds_per_job = Profile.load(directory).seconds_per_job("train")
        if is_here:
            requests = slurm_answers(directory, args.config, _settings(study, args))
    plan = cost(study, runs, paces, args.results, count_parameters, seconds_per_job)
    plan = replace(plan, requests=requests, tried=tried)
    if args.json:
        print(json_of(plan))
    else:
        print_plan(plan)


def _settings(study: Study, args: argparse.Namespace) -> list[str]:
    """The same as snakemake would be told."""
    given = {"study": study.name, "data_dir": args.data_dir, "iterations": args.iterations}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def _probe(study: Study, paces: Paces) -> list[str]:
    """Measure the models of unknown speed; the names of those that were."""
    tried = []
    for run in study.runs:
        config = study.run_config(run)
        if run.seed == 0 and paces.of(config) is None:
            print(f"trying {run.dataset}/{run.variant}", file=sys.stderr, flush=True)
            try:
                paces.add(key_of(config.settings), probe(config))
                tried.append(f"{run.dataset}/{run.variant}")
            except (RuntimeError, MemoryError) as error:  # of PyTorch: it does not fit
                print(f"  {str(error).splitlines()[0]}", file=sys.stderr)
    return tried
