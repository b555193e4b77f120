"""`study status` for a terminal, for a pipe, and as JSON."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from model.table import ResultError
from model.training.progress_file import duration
from model.wording import counted, nll_text
from study.status import STATES, RunStatus, StudyStatus
from study.text_table import Column, fitted, left_out, plain, without_empty

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
    ("train NLL", lambda run: _nll(run.nll), True, None),
    ("valid NLL", lambda run: _nll(run.valid_nll), True, 3),
    ("unit", lambda run: run.unit if run.nll or run.valid_nll else "", False, None),
    ("host", lambda run: (run.host or "").partition(".")[0], False, 0),
    ("job", lambda run: run.job_id or "", False, 1),
    ("requeues", lambda run: str(run.requeues) if run.job_id else "", True, 1),
)


def print_status(found: Sequence[StudyStatus], *, show_all: bool) -> None:
    """Print one study's runs, or of several studies the totals; plainly where nobody looks on."""
    console = Console()
    if console.is_terminal:
        console.print(_on_terminal(found, console, show_all=show_all))
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
            "at_a_time": status.at_a_time,
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
            height = console.height - 1  # the cursor stands below
            shown = _on_terminal(found, console, show_all=show_all, height=height)
            live.update(shown, refresh=True)
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
        time_left += f", about {duration(end)} with {status.at_a_time} at a time"
    return f"{status.study}: {counted(len(status.runs), 'run')}: {counts}{time_left}"


def _head(status: StudyStatus) -> str:
    if status.head is not None:
        return f"made by {status.head}"
    if status.training_seconds_left == 0:
        return ""
    if all(run.state == "waiting" and not run.step for run in status.runs):
        return f"it has not begun: snakemake --cores N --config study={status.study} begins it"
    return "no snakemake makes it at the moment: the same snakemake command goes on"


def _on_terminal(
    found: Sequence[StudyStatus], console: Console, *, show_all: bool, height: int | None = None
) -> RenderableType:
    """What a terminal shows; of so many lines, where it cannot be scrolled."""
    if len(found) != 1:
        return Group(*(Text(line) for line in _several(found)))
    (status,) = found
    shown = list(status.runs)
    if len(shown) > MANY and not show_all:
        shown = [run for run in shown if run.state not in QUIET]
    head = [Text(summary(status), style="bold"), *map(Text, filter(None, [_head(status)]))]
    notes = [Text(line) for line in _notes(status)]
    if height is not None:
        # Around the table: a blank line and its headings above, up to two lines in words below.
        room = height - _lines(head, console) - 2 - bool(left_out(*_cells(shown), console.width))
        needed = len(shown) + (1 + _lines(notes, console) if notes else 0)
        if needed + (len(shown) < len(status.runs)) > room:
            shown, notes = _cut(shown, notes, room - 1, console)
    parts: list[RenderableType] = [*head]
    if shown:
        columns, rows = _cells(shown)
        styles = [COLOURS[run.state] for run in shown]
        parts += ["", fitted(columns, rows, console.width, styles)]
        if missing := left_out(columns, rows, console.width):
            parts.append(Text(missing, style="dim", no_wrap=True, overflow="ellipsis"))
    if hidden := _not_shown(status.runs, shown):
        where = "--all" if len(status.runs) > MANY and not show_all else "without --watch"
        parts.append(Text(f"… {hidden}: {where}", style="dim"))
    if notes:
        parts += ["", *notes]
    return Group(*parts)


def _cut(
    runs: list[RunStatus], notes: list[Text], room: int, console: Console
) -> tuple[list[RunStatus], list[Text]]:
    """As many runs and notes as there is room for; running ones stay longest, waiting ones not."""
    running = sum(run.state == "running" for run in runs)
    # A blank line above the notes; at least a third of the room for them, if it can be spared.
    for_notes = max(room // 3, room - len(runs)) if notes else 0
    for_notes = max(0, min(for_notes, room - running, 1 + _lines(notes, console)))
    kept = list(notes)
    while kept and 1 + _lines(kept, console) + (len(kept) < len(notes)) > for_notes:
        kept.pop()
    if len(kept) < len(notes) and for_notes > 1:
        more = counted(len(notes) - len(kept), "more note")
        kept.append(Text(f"… {more}: without --watch", style="dim"))
    for_runs = max(1, room - (1 + _lines(kept, console) if kept else 0))
    by_need = sorted(runs, key=lambda run: STATES.index(run.state))[:for_runs]
    names = {run.run for run in by_need}
    return [run for run in runs if run.run in names], kept


def _lines(parts: Sequence[Text], console: Console) -> int:
    return sum(len(part.wrap(console, console.width)) for part in parts)


def _not_shown(runs: Sequence[RunStatus], shown: Sequence[RunStatus]) -> str:
    """How many runs the table leaves out, by state; "" if none."""
    names = {run.run for run in shown}
    states = [run.state for run in runs if run.run not in names]
    counts = [f"{states.count(state)} {state}" for state in STATES if state in states]
    return f"{len(states)} more ({', '.join(counts)})" if states else ""


def _cells(runs: Sequence[RunStatus]) -> tuple[list[Column], list[list[str]]]:
    columns = [Column(heading, is_number, leaves) for heading, _, is_number, leaves in COLUMNS]
    return without_empty(columns, [[text(run) for _, text, _, _ in COLUMNS] for run in runs])


def _plain(found: Sequence[StudyStatus]) -> str:
    if len(found) != 1:
        return "\n".join(_several(found))
    (status,) = found
    table = plain(*_cells(status.runs))
    lines = [summary(status), _head(status), table, *_notes(status)]
    return "\n".join(filter(None, lines))


def _several(found: Iterable[StudyStatus]) -> list[str]:
    lines = [summary(status) for status in found]
    return [*lines, "the runs of one of them: study status STUDY"]


def _notes(status: StudyStatus) -> list[str]:
    """A line for each run that needs a word, such as the error that ended it."""
    lines = [
        f"{run.run} {run.state}: {run.reason}{f' (log: {run.log})' if run.log else ''}"
        for run in status.runs
        if run.reason
    ]
    if number := sum(run.iterations != run.planned_iterations for run in status.runs):
        have = "has" if number == 1 else "have"
        lines.append(
            f"{counted(number, 'run')} {have} another length than in config.yaml "
            "(--config iterations=N?)"
        )
    if status.unread_data:
        lines.append(
            f"the files of {', '.join(status.unread_data)} are not as they were read last: "
            f"`study plan {status.study}` says whether its runs are trained again"
        )
    return lines


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def _nll(value: float | None) -> str:
    return "" if value is None else nll_text(value)
