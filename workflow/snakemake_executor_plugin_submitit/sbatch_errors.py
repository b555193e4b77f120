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
NO_SUCH_NODES = re.compile(r"requested node configuration is not available", re.I)
REFUSAL = re.compile(
    r"invalid|sbatch --help|not permitted|permission denied|access denied"
    r"|requested node configuration is not available|can ?not be satisfied|not supported"
    r"|more processors requested|violates accounting|unable to open|no partition|unknown",
    re.I,
)
# A site's submit plugin (job_submit/lua) says why in its own words, and SLURM adds only this.
SITES_OWN_WORDS = re.compile(r"; (Batch job submission|allocation) fail(ed|ure): Unspecified error")
ARRAY = re.compile(r"invalid job array", re.I)
# What passes, however long it takes: the controller, its network, keys or disk are away; the site
# is in maintenance. From slurm_errno.c, and from commands that find no configuration.
PASSING = re.compile(
    r"unable to contact|timed out|connection|transport|zero bytes|standby mode"
    r"|message (send|receive) failure|communication \w+ failure|missing socket|find an address"
    r"|zero length message|message length|failed to send|header lengths"
    r"|authentication (error|agent|credential)|credential (invalid|expired|revoked|replayed)"
    r"|(generating|invalid) job credential|munge|incompatible versions"
    r"|try again|internal error|i/o error writing script|connect to database|stale file handle"
    r"|submissions disabled|presently disabled|partition in down state"
    r"|required (partition|node) not available|configuration not available now|nodes are busy"
    r"|reservation (is in use|not usable now)|due to maintenance reservation"
    r"|establish a configuration source|failed to fetch config",
    re.I,
)
# After these the controller may have the jobs although sbatch knows of none.
ANSWER_LOST = re.compile(
    r"timed out|receive failure|shutdown failure|zero bytes|zero length|message length"
    r"|header lengths|transport|reset by peer|connection failure",
    re.I,
)


class SubmissionError(Exception):
    """The jobs were not submitted, as far as sbatch knows; another try may succeed."""

    submission: str | None = None  # its name, if SLURM may have taken it nevertheless


class Refused(SubmissionError):
    """SLURM will never accept these jobs."""


class ArrayRefused(Refused):
    """The jobs are too many for one array, or there are no arrays here."""


class Unavailable(SubmissionError):
    """SLURM cannot take these jobs at present; worth retrying for as long as that takes."""


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
    if PASSING.search(text):
        return Unavailable(text)
    if ARRAY.search(text):
        return ArrayRefused(text)
    if REFUSAL.search(text) or SITES_OWN_WORDS.search(text):
        return Refused(text)
    return SubmissionError(text)


def is_answer_lost(error: SubmissionError) -> bool:
    """Whether the jobs may be in the queue nevertheless: nobody may repeat this without a look."""
    return type(error) is SubmissionError or bool(ANSWER_LOST.search(str(error)))
