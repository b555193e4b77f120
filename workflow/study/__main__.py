"""The `study` command: `study COMMAND --help`, or `python -m study` without an installation."""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import argparse
import os
import sys
from importlib import import_module
from types import ModuleType

from model.config import ConfigError
from model.stop_signals import ending_quietly
from model.table import ResultError

# Each is a module in study/commands with `add_arguments` and `run`, imported where it is asked for:
# each command is a process of the workflow.
FOR_USERS = {
    "plan": "what snakemake would do, why, and what it takes",
    "status": "how far each run is, while snakemake makes the study",
    "show": "print a table of results, or a run with its learning curve",
    "compare": "runs beside each other: settings, results, difference, curves",
    "doctor": "what is wrong, and the command that mends it",
    "clean": "what could be deleted, and its size; deletes it if told",
    "partial": "tables and figures of the runs that have finished so far",
    "retrain": "set runs aside, so that snakemake trains them from scratch",
}
FOR_RULES = ("collect", "ablation", "figures", "page", "paper", "document")

_EPILOG = """\
The usual way:
  study plan demo                             what it will take
  snakemake --cores 2 --config study=demo     makes a study; typed again, it goes on
  study status demo --watch                   how far it is, in another terminal
  study show runs --study demo --sort nll     what came out, when it has ended
  study show digits/x1/seed0                  a run: settings, learning curve, who trained it
  study compare digits/x1 digits/r2           two variants, image by image

`study COMMAND --help` has the options of a command. The workflow itself calls
study collect, ablation, figures, page and paper; study document writes results/README.md.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code, and prints a mistake as one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with ending_quietly():  # on Ctrl-C, with which one ends `study status --watch`
            parser, command = _parser(arguments)
            args = parser.parse_args(arguments)
            if command is None:
                parser.print_help()
                return 0
            code: int = command.run(args) or 0
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # `study show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ConfigError, ResultError, OSError) as error:
        print(f"study: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _parser(arguments: list[str]) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser, with the options of the command that is called, and this command's module."""
    parser = argparse.ArgumentParser(
        prog="study",
        description="Look at a study while snakemake makes it, and at its results.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, what in FOR_USERS.items():
        commands.add_parser(name, help=what)
    for name in FOR_RULES:  # without help, they are not in the list
        commands.add_parser(name)
    called = arguments[0] if arguments else ""
    if called not in commands.choices:
        return parser, None
    command = import_module(f"study.commands.{called}")
    of_command = commands.choices[called]
    of_command.description = command.__doc__
    command.add_arguments(of_command)
    return parser, command


if __name__ == "__main__":
    sys.exit(main())
