"""The paper's values beside ours."""

from math import isnan, pi, tan
from pathlib import Path

import pandas as pd
import pytest
from written_results import write_ablation, write_output, write_run, write_tables

from model.data.datasets import DATASETS


def test_the_papers_values_stand_beside_ours(tmp_path: Path) -> None:
    nll = {"vdvae": [80.30, 80.10], "ws-vdvae-232k": [79.9, 80.1]}
    for variant, values in nll.items():
        for seed, value in enumerate(values):
            write_run(tmp_path, "mnist", variant, seed, nll=value)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"mnist": list(nll)}, source="table1")
    assert write_output(tmp_path) == 0
    table = pd.read_parquet(tmp_path / "tables" / "sharing.parquet").set_index("variant")
    assert list(table.index) == ["vdvae", "ws-vdvae-232k", "NVAE"]
    ours = table.loc["ws-vdvae-232k"]
    assert (ours["published_nll"], ours["published_parameters"]) == (79.98, "232k")
    assert ours["nll_minus_published"] == pytest.approx(80.0 - 79.98)
    # Student's t with one degree of freedom: the 97.5 % quantile is tan(0.475 pi).
    assert ours["nll_interval_95"] == pytest.approx(0.1 * tan(0.475 * pi))
    nvae = table.loc["NVAE"]
    assert (nvae["origin"], nvae["published_nll"]) == ("published", 78.01)
    assert isnan(nvae["nll_mean"])
    markdown = (tmp_path / "tables" / "sharing.md").read_text()
    for shown in ["≤ 80.14", "+0.06", "NVAE (paper)", "33m", "80.00 ± 1.27", "table1"]:
        assert shown in markdown, shown
    assert r"$\le$ 79.98" in (tmp_path / "tables" / "sharing.tex").read_text()


def test_another_version_of_a_dataset_is_not_compared_with_the_paper(tmp_path: Path) -> None:
    version = DATASETS["imagenet32-old"].version
    write_run(tmp_path, "imagenet32", "vdvae", nll=3.7, dataset_version=version)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"imagenet32": ["vdvae"]}, source="table1")
    assert write_output(tmp_path) == 0
    lines = (tmp_path / "tables" / "sharing.md").read_text().splitlines()
    (ours,) = (line for line in lines if "| vdvae " in line)
    assert "≤ 3.67†" in ours
    assert "+0.03" not in ours
    (vdm,) = (line for line in lines if "VDM (paper)" in line)
    assert "≤ 3.72†" not in vdm
    assert "≤ 3.72 " in vdm
    assert "† another version of the dataset" in lines[0]
