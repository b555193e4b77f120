"""`study status` for a terminal, for a pipe, and as JSON."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from model.table import ResultError
from model.training.progress_file import duration
from study.status import RunStatus, StudyStatus
from study.text_table import Column, fitted, plain

COLOURS = {
    "running": "cyan",
    "done": "green",
    "waiting": "dim",
    "stopped": "yellow",
    "outdated": "yellow",
    "failed": "bold red",
    "diverged": "magenta",
}
QUIET = ("waiting", "done")  # of many runs, these are only counted
MANY = 40
WATCH_S = 5

# Heading, text, whether it is a number, and in which order columns go where a terminal is narrow.
_Column = tuple[str, Callable[[RunStatus], str], bool, int | None]
COLUMNS: tuple[_Column, ...] = (
    ("run", lambda run: run.run, False, None),
    ("state", lambda run: run.state, False, None),
    ("step", lambda run: f"{run.step}/{run.iterations}", True, None),
    ("s/iteration", lambda run: _number(run.seconds_per_iteration, ".3g"), True, 2),
    ("left", lambda run: "" if run.eta_seconds is None else duration(run.eta_seconds), True, None),
    ("train NLL", lambda run: _number(run.nll, "#.4g"), True, None),
    ("valid NLL", lambda run: _number(run.valid_nll, "#.4g"), True, 3),
    ("unit", lambda run: run.unit if run.nll or run.valid_nll else "", False, None),
    ("host", lambda run: (run.host or "").partition(".")[0], False, 0),
    ("job", lambda run: run.job_id or "", False, 1),
    ("requeues", lambda run: str(run.requeues) if run.job_id else "", True, 1),
)


def print_status(found: Sequence[StudyStatus], *, show_all: bool) -> None:
    """Print one study's runs, or of several studies the totals; plainly where nobody looks on."""
    console = Console()
    if console.is_terminal:
        console.print(_on_terminal(found, console.width, show_all=show_all))
    else:
        print(_plain(found))


def print_json(found: Sequence[StudyStatus]) -> None:
    """Print everything that is known: a list of studies."""
    studies = [
        {
            "study": status.study,
            "head": status.head,
            "totals": status.totals,
            "training_seconds_left": status.training_seconds_left,
            "seconds_to_end": status.seconds_to_end,
            "unread_data": list(status.unread_data),
            "runs": [dataclasses.asdict(run) for run in status.runs],
        }
        for status in found
    ]
    print(json.dumps(studies, indent=1))


def watch(read: Callable[[], Sequence[StudyStatus]], *, show_all: bool) -> None:
    """Show it again every few seconds, until Ctrl-C or until nothing is left to train."""
    console = Console()
    if not console.is_terminal:
        raise ResultError("--watch is for a terminal: leave it out, or use --json")
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            found = read()
            live.update(_on_terminal(found, console.width, show_all=show_all), refresh=True)
            if not any(status.training_seconds_left != 0 for status in found):
                return
            time.sleep(WATCH_S)


def summary(status: StudyStatus) -> str:
    """A study in a line: how many runs, in which states, and how long it takes yet."""
    counts = ", ".join(f"{number} {state}" for state, number in status.totals.items())
    left, end = status.training_seconds_left, status.seconds_to_end
    time_left = "" if not left else f"; {duration(left)} of training left"
    if left is None:
        time_left = "; time left unknown: nothing has been trained yet"
    if left and end is not None:
        running = status.totals["running"]
        time_left += f", about {duration(end)} with {running} at a time"
    return f"{status.study}: {len(status.runs)} runs: {counts}{time_left}"


def _head(status: StudyStatus) -> str:
    if status.head is not None:
        return f"made by {status.head}"
    if status.training_seconds_left == 0:
        return ""
    return "no snakemake makes it at the moment: the same snakemake command goes on"


def _on_terminal(found: Sequence[StudyStatus], width: int, *, show_all: bool) -> RenderableType:
    if len(found) != 1:
        return Group(*(Text(line) for line in _several(found)))
    (status,) = found
    shown = list(status.runs)
    if len(shown) > MANY and not show_all:
        shown = [run for run in shown if run.state not in QUIET]
    table = _table(shown, width)
    parts: list[RenderableType] = [Text(summary(status), style="bold")]
    if head := _head(status):
        parts.append(Text(head))
    if shown:
        parts += ["", table]
    if hidden := len(status.runs) - len(shown):
        parts.append(Text(f"and {hidden} runs that are done or wait: --all", style="dim"))
    if reasons := [*_reasons(status.runs), *_notes(status)]:
        parts += ["", *(Text(line) for line in reasons)]
    return Group(*parts)


def _table(runs: Sequence[RunStatus], width: int) -> Table:
    """The columns that a terminal has room for; the names of runs give way last."""
    return fitted(*_cells(runs), width, [COLOURS[run.state] for run in runs])


def _cells(runs: Sequence[RunStatus]) -> tuple[list[Column], list[list[str]]]:
    columns = [Column(heading, is_number, leaves) for heading, _, is_number, leaves in COLUMNS]
    return columns, [[text(run) for _, text, _, _ in COLUMNS] for run in runs]


def _plain(found: Sequence[StudyStatus]) -> str:
    if len(found) != 1:
        return "\n".join(_several(found))
    (status,) = found
    table = plain(*_cells(status.runs))
    lines = [summary(status), _head(status), table, *_reasons(status.runs), *_notes(status)]
    return "\n".join(filter(None, lines))


def _several(found: Iterable[StudyStatus]) -> list[str]:
    lines = [summary(status) for status in found]
    return [*lines, "the runs of one of them: study status STUDY"]


def _reasons(runs: Iterable[RunStatus]) -> list[str]:
    """A line for each run that needs a word, such as the error that ended it."""
    return [
        f"{run.run} {run.state}: {run.reason}{f' (log: {run.log})' if run.log else ''}"
        for run in runs
        if run.reason
    ]


def _notes(status: StudyStatus) -> list[str]:
    notes = []
    if number := sum(run.iterations != run.planned_iterations for run in status.runs):
        notes.append(
            f"{number} runs have another length than in config.yaml (--config iterations=N?)"
        )
    if status.unread_data:
        notes.append(
            f"the files of {', '.join(status.unread_data)} are not as they were read last: "
            f"`study plan {status.study}` says whether its runs are trained again"
        )
    return notes


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
