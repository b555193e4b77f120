"""The runs of a dataset in the appendix of the paper: results, settings, provenance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from study.page.runs import DatasetRuns, PageRun, Setting

Content = dict[str, Any]
Record = Mapping[str, str]


def appendix(group: DatasetRuns) -> Content:
    """The runs on one dataset, for reading, as values that JSON has."""
    usual, differences = _settings(group)
    common, records = _common([record for run in group.runs for record in _records(run)])
    return {
        "dataset": group.dataset,
        "unit": group.unit,
        "version": group.version,
        "num_images": f"{group.num_images:,}",
        "results": _table([_result(run) for run in group.runs], num_left=3),
        "usual": usual,
        "differences": differences,
        "common": common,
        "provenance": _table(records, num_left=len(records[0])),
    }


def _result(run: PageRun) -> Record:
    return {
        "variant": run.variant,
        "seed": str(run.seed),
        "status": run.status,
        "test NLL": run.nll,
        "IW bound": run.iw_nll,
        "rate (nats)": run.rate,
        "parameters": run.parameters,
        "steps": run.steps,
        "time": run.time,
    }


def _records(run: PageRun) -> list[dict[str, str]]:
    """A record per stretch of a run between a start and a stop."""
    name = {"run": f"{run.variant}/seed{run.seed}"}
    return [
        {
            **name,
            "started": segment.started,
            "steps": segment.steps,
            "where": segment.where,
            "commit": segment.code,
            "versions": segment.versions,
            **run.identity,
        }
        for segment in run.segments
    ]


def _common(records: Sequence[Record]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What all records share, and the records without it: a value for all is no column."""
    shared = {
        name: value
        for name, value in records[0].items()
        if name != "run" and len({record[name] for record in records}) == 1
    }
    rest = [{n: v for n, v in record.items() if n not in shared} for record in records]
    return shared, rest


def _settings(group: DatasetRuns) -> tuple[dict[str, str], list[Content]]:
    """The value of each setting that most runs have, and by variant those that differ from it."""
    of_runs = [_values([*group.shared, *run.settings]) for run in group.runs]
    usual = {
        name: Counter(values[name] for values in of_runs).most_common(1)[0][0]
        for name in of_runs[0]
    }
    of_variants = {
        run.variant: {name: value for name, value in values.items() if value != usual[name]}
        for run, values in zip(group.runs, of_runs, strict=True)
    }
    differences = [
        {"variant": variant, "settings": settings}
        for variant, settings in of_variants.items()
        if settings
    ]
    return usual, differences


def _values(settings: Sequence[Setting]) -> dict[str, str]:
    return {setting.name: setting.value for setting in settings}


def _table(records: Sequence[Record], num_left: int) -> Content:
    names = list(records[0])
    return {
        "caption": "",
        "headings": names,
        "rows": [list(record.values()) for record in records],
        "is_right": [index >= num_left for index in range(len(names))],
    }
