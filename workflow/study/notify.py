"""A command of the user's that is run when a run fails or diverges, and when the study ends."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from study.planning.study import Study
from study.status import RunStatus, StudyStatus, study_status

LOOK_S = 60.0  # between two looks at the runs, or so many times as long as one takes:
PATIENCE = 50
COMMAND_S = 60.0  # for the command
TOLD = ("failed", "diverged")


class Notifier:
    """Looks at the files of a study's runs while snakemake works, if there is a command to run.

    The command is for the shell. It gets STUDY, STUDY_EVENT (failed, diverged, finished or error),
    STUDY_RUN (of the first two) and STUDY_MESSAGE, one line. What becomes of it changes nothing.
    """

    def __init__(self, study: Study, results: Path) -> None:
        self._study, self._results = study, results
        self._command = study.file.notify
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="notify")
        self._known: set[tuple[str, ...]] = set()

    def start(self) -> None:
        """From now on, tell of each run that fails or diverges."""
        if self._command is not None:
            self._known = set(self._news())
            self._thread.start()

    def end(self, *, is_success: bool) -> None:
        """Tell of what has happened since, and that the study has ended."""
        if self._command is None:
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._look()
        from study.status_text import summary  # rich, which the jobs' own Snakemakes do without

        event = "finished" if is_success else "error"
        self._tell(event, {}, summary(self._status()))

    def _watch(self) -> None:
        pause = LOOK_S
        while not self._ended.wait(pause):
            start = time.monotonic()
            self._look()
            pause = max(LOOK_S, PATIENCE * (time.monotonic() - start))

    def _look(self) -> None:
        try:
            news = self._news()
        except (OSError, ValueError) as error:  # a file server that is away: later
            print(f"warning: notify: {error}", file=sys.stderr)
            return
        for key, run in news.items():
            if key not in self._known:
                self._known.add(key)
                reason = f": {run.reason}" if run.reason else ""
                log = f" (log: {run.log})" if run.log else ""
                message = f"{self._study.name}: {run.run} {run.state}{reason}{log}"
                self._tell(run.state, {"STUDY_RUN": run.run}, message)

    def _status(self) -> StudyStatus:
        return study_status(self._study, self._results)

    def _news(self) -> dict[tuple[str, ...], RunStatus]:
        """The runs to tell of; one that is tried again and fails once more is another."""
        return {
            (run.run, run.state, _time_of(run.log)): run
            for run in self._status().runs
            if run.state in TOLD
        }

    def _tell(self, event: str, about: Mapping[str, str], message: str) -> None:
        said = {"STUDY": self._study.name, "STUDY_EVENT": event, "STUDY_MESSAGE": message, **about}
        problem = ""
        try:
            code = subprocess.run(
                str(self._command),
                shell=True,
                env={**os.environ, **said},
                stdin=subprocess.DEVNULL,
                timeout=COMMAND_S,
                check=False,
            ).returncode
            problem = f"exit code {code}" if code else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if problem:
            print(f"warning: notify: the command failed ({problem})", file=sys.stderr)


def _time_of(log: str | None) -> str:
    try:
        return "" if log is None else str(os.stat(log).st_mtime_ns)
    except OSError:
        return ""
