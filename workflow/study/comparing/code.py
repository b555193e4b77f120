"""Which code computed the rows of a table, and the note where rows differ in it."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from model.table import column

_SHOWN = 8  # digits of a digest
_COMPUTED = {
    "training_code_digest": "training",
    "evaluation_code_digest": "evaluation",
    "probe_code_digest": "probe",
}


def code_columns(*computed: str) -> list[pa.Field]:
    """The columns {computed}_code_digest: "training", "evaluation" or "probe"."""
    return [
        column(
            f"{name}_code_digest",
            pa.string(),
            f"digest of the sources that decide the numbers of the {name}; several joined by ;",
        )
        for name in computed
    ]


def joined(digests: Iterable[str]) -> str:
    """Digests, or several that are joined already, each once: "1f3a...; 9b0c..."."""
    return "; ".join(dict.fromkeys(digest for text in digests for digest in text.split("; ")))


def code_note(frame: pd.DataFrame) -> str:
    """A sentence that tells which rows come of which code; "" where it is one for all."""
    parts = []
    for name, computed in _COMPUTED.items():
        if name not in frame:
            continue
        groups: dict[str, dict[str, None]] = {}
        for row in frame[frame[name].notna()].to_dict("records"):
            groups.setdefault(row[name], {})[_name(row)] = None
        if len({digest for text in groups for digest in text.split("; ")}) > 1:
            shown = [f"{_shown(text)}: {', '.join(rows)}" for text, rows in groups.items()]
            parts.append(f"{computed} by {'; '.join(shown)}")
    return f"Rows come of different code: {'. '.join(parts)}." if parts else ""


def with_note(caption: str, frame: pd.DataFrame) -> str:
    """A caption, and the note of the code if the table needs one."""
    return " ".join(filter(None, [caption, code_note(frame)]))


def _name(row: Mapping[Hashable, Any]) -> str:
    seed = f"/seed{row['seed']}" if "seed" in row else ""
    return f"{row['dataset']}/{row['variant']}{seed}"


def _shown(digests: str) -> str:
    return " + ".join(digest[:_SHOWN] for digest in digests.split("; "))
