"""What sbatch's error messages mean: give up, wait, or try again."""

import re

# sbatch's words, as in SLURM's slurm_errno.c.
LIMIT = re.compile(
    r"Max(Submit|Jobs)|job submit limit|temporarily unable to accept|Resource temporarily", re.I
)
# With AccountingStorageEnforce=limits and a QOS's DenyOnLimit, one sentence of SLURM stands for all
# limits ("job submit limit, user's size and/or time limits"); a line before it may name the one.
NAMED_LIMIT = re.compile(r"\b((?:QOS|Assoc)(?:Max|Min|Grp)\w+)")
ANY_LIMIT = re.compile(r"\(job submit limit, user's size and/or time limits\)")
REFUSAL = re.compile(
    r"invalid|sbatch --help|not permitted|permission denied|access denied"
    r"|requested node configuration is not available|can ?not be satisfied|not supported"
    r"|more processors requested|violates accounting|unable to open|no partition|unknown",
    re.I,
)
ARRAY = re.compile(r"invalid job array", re.I)
UNREACHABLE = re.compile(r"unable to contact|timed out|connection|transport|zero bytes", re.I)


class SubmissionError(Exception):
    """The jobs were not submitted; another try may succeed."""


class Refused(SubmissionError):
    """SLURM will never accept these jobs."""


class ArrayRefused(Refused):
    """The jobs are too many for one array, or there are no arrays here."""


class Unreachable(SubmissionError):
    """The controller does not answer; worth retrying for as long as that takes."""


class LimitReached(SubmissionError):
    """The cluster takes no more jobs of this user for now."""


def _needed_change(limit: str) -> str | None:
    """What to change where a limit is for one job alone; None if the end of others makes room."""
    if "MaxWall" in limit:
        return "set a shorter runtime"
    if re.fullmatch(r"\w+Max\w+Per(Job|Node)(Limit)?", limit):
        return "ask for less"
    return "ask for more" if "QOSMin" in limit else None


def meaning(message: str) -> SubmissionError:
    """The error that a message of sbatch stands for, with the message on one line."""
    lines = [
        re.sub(r"^\w+: (error: )?(allocation failure: )?", "", line)
        for line in message.splitlines()
        if line.strip()
    ]
    text = "; ".join(dict.fromkeys(line for line in lines if not line.startswith("-----")))
    if (limit := NAMED_LIMIT.search(text)) and (change := _needed_change(limit[1])):
        return Refused(f"{text} ({change})")
    if limit is None and ANY_LIMIT.search(text):
        text += " (SLURM does not say which: if it stays, the runtime or the size may be too large)"
    if LIMIT.search(text) or limit:
        return LimitReached(text)
    if UNREACHABLE.search(text):
        return Unreachable(text)
    if ARRAY.search(text):
        return ArrayRefused(text)
    if REFUSAL.search(text):
        return Refused(text)
    return SubmissionError(text)
