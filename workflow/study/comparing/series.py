"""Runs that differ in one setting alone: what figures draw along it."""

from dataclasses import fields

import pandas as pd

from model.config import ModelConfig, TrainConfig
from study.comparing.selection import finished

_SETTINGS = [field.name for config in (ModelConfig, TrainConfig) for field in fields(config)]


def series(runs: pd.DataFrame, setting: str) -> list[pd.DataFrame]:
    """The series of a table of runs along one setting: each by its values, of two at least.

    The runs of a series are of one dataset and seed and have all other settings in common;
    diverged runs are in none.
    """
    same = ["dataset", "seed", *(name for name in _SETTINGS if name != setting)]
    runs = finished(runs)
    # As text: some settings are lists, some are missing.
    alike = [str(values) for values in runs[same].itertuples(index=False, name=None)]
    groups = [
        of_group.drop_duplicates(setting).sort_values(setting)
        for _, of_group in runs.groupby(pd.Series(alike, runs.index), sort=False)
    ]
    return [of_group for of_group in groups if len(of_group) > 1]
