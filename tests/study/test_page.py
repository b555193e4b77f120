"""The page of a study: its sentences, what is escaped, and that it needs nothing but itself."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from page_study import write_page_study
from written_results import write_ablation, write_output, write_run

from model.table import read_parquet, write_parquet
from study.page.curves import curves_of
from study.page.finding import findings
from study.page.reading import reading_table


def of_seeds(results: Path, variant: str, nlls: list[float], **differences: Any) -> None:
    for seed, nll in enumerate(nlls):
        write_run(results, variant=variant, seed=seed, nll=nll, **differences)


def found(results: Path, variants: list[str]) -> tuple[str, int]:
    """The finding of an ablation on the digits, and how many differences it calls decided."""
    write_ablation(results, {"digits": variants})
    assert write_output(results) == 0
    rows = read_parquet(results / "tables" / "sharing.parquet").to_pylist()
    (finding,) = findings(rows)
    return finding.text, finding.num_decided


def test_a_difference_whose_interval_leaves_out_zero_is_a_sentence(tmp_path: Path) -> None:
    """Differences of -1.0, -0.9 and -0.8: standard error 0.0577, and t(2) is 4.303."""
    of_seeds(tmp_path, "x1", [80.0, 81.0, 82.0])
    of_seeds(tmp_path, "r5", [79.0, 80.1, 81.2])
    text, num_decided = found(tmp_path, ["x1", "r5"])
    assert text == (
        "r5 is better than x1 by 0.90 nats at equal parameters, 95 % interval 0.65 to 1.15, "
        "3 seeds."
    )
    assert num_decided == 1


def test_what_is_not_decided_says_so_with_its_interval(tmp_path: Path) -> None:
    """Differences of -1, 1 and 3: standard error 1.155, half the interval 4.97."""
    of_seeds(tmp_path, "x1", [80.0, 80.0, 80.0])
    of_seeds(tmp_path, "r5", [79.0, 81.0, 83.0])
    of_seeds(tmp_path, "x2", [90.0, 90.1, 90.2], num_parameters=160_000)
    text, num_decided = found(tmp_path, ["x1", "r5", "x2"])
    worse, rest = text.split(". ", maxsplit=1)
    assert worse.startswith("x2 is worse than x1 by 10.10 nats with 50 % more parameters")
    assert rest == ("Not decided against x1: r5 (+1.0 nats, 95 % interval −4.0 to +6.0, 3 seeds).")
    assert num_decided == 1


def test_what_is_equal_in_every_seed_is_not_called_undecided(tmp_path: Path) -> None:
    """As with gradient checkpointing, which changes no bit."""
    of_seeds(tmp_path, "x1", [80.0, 81.0])
    for seed in (0, 1):
        write_run(tmp_path, variant="same", seed=seed)
        bounds = tmp_path / f"runs/digits/same/seed{seed}/test.parquet"
        images = read_parquet(tmp_path / f"runs/digits/x1/seed{seed}/test.parquet")
        write_parquet(images.replace_schema_metadata(read_parquet(bounds).schema.metadata), bounds)
    text, num_decided = found(tmp_path, ["x1", "same"])
    assert text == "The same NLL as x1 in every seed: same."
    assert num_decided == 0
    lines = (tmp_path / "tables/sharing.md").read_text().splitlines()
    (row,) = [line.split("|") for line in lines if "| same " in line]
    assert "+0.00 ± 0.00" in [cell.strip() for cell in row]


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    of_seeds(tmp_path, "x1", [80.0])
    of_seeds(tmp_path, "r5", [70.0])
    text, num_decided = found(tmp_path, ["x1", "r5"])
    assert text == "Not decided against x1: r5 (−10.00 nats, 1 seed). One seed has no interval."
    assert num_decided == 0


def test_diverged_seeds_and_unused_latents_are_told(tmp_path: Path) -> None:
    of_seeds(tmp_path, "x1", [80.0, 81.0])
    of_seeds(tmp_path, "flat", [3.0, 3.2])  # a quarter of it is the rate
    of_seeds(tmp_path, "wild", [80.0, 81.0], status="diverged")
    text, _ = found(tmp_path, ["x1", "flat", "wild"])
    assert "wild diverged in 2 of 2 seeds." in text
    assert text.endswith("Latents unused (rate below 1 nat): flat.")


def test_the_papers_further_methods_are_no_finding_but_in_the_table(tmp_path: Path) -> None:
    for variant, nll in (("vdvae", 80.0), ("ws-vdvae-232k", 81.0)):
        write_run(tmp_path, "mnist", variant, 0, nll=nll)
    write_ablation(tmp_path, {"mnist": ["vdvae", "ws-vdvae-232k"]}, source="table1")
    assert write_output(tmp_path) == 0
    rows = read_parquet(tmp_path / "tables" / "sharing.parquet").to_pylist()
    further = [row["variant"] for row in rows if row["origin"] == "published"]
    (finding,) = findings(rows)
    assert finding.text.startswith("Not decided against vdvae: ws-vdvae-232k (+1.00 nats, 1 seed).")
    table = reading_table((tmp_path / "tables" / "sharing.md").read_text())
    assert further
    for method in further:
        assert method not in finding.text
        assert f"{method} (paper)" in table.html


def test_tables_are_read_as_text_whatever_stands_in_them() -> None:
    markdown = "A *caption* <i>.\n\n| variant | NLL |\n|:--|--:|\n| <b>x1</b> | −1 ± 2 |\n"
    table = reading_table(markdown)
    assert table.caption == "A *caption* <i>."
    assert "<td>" not in table.caption
    assert "&lt;b&gt;x1&lt;/b&gt;" in table.html
    assert re.search(r"<td[^>]*right[^>]*>−1 ± 2</td>", table.html)


class Page(HTMLParser):
    """What a page would load, which scripts it has, and its elements by name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.plots: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        loaded = {"src", "srcset", "poster", "data"} | ({"href"} if tag != "a" else set())
        self.addresses += [values[name] for name in loaded & values.keys()]
        if "data-spec" in values:
            self.plots.append(json.loads(values["data-spec"]))


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("page")
    write_page_study(results)
    return results


def test_the_page_loads_nothing_but_what_it_holds(study_dir: Path) -> None:
    text = (study_dir / "index.html").read_text()
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert "link" in page.names
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)", page_style(text))
    assert "default-src 'none'" in text


def page_style(text: str) -> str:
    return text[text.index("<style>") : text.index("</style>")]


def test_titles_and_names_are_escaped(study_dir: Path) -> None:
    text = (study_dir / "index.html").read_text()
    assert "<script>alert" not in text
    assert text.count("Weight &lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;more&#34;") >= 3
    assert "{{ 7 * 7 }}" in text


def test_the_page_has_each_run_with_what_differs(study_dir: Path) -> None:
    page = Page((study_dir / "index.html").read_text())
    runs = [name for name in page.ids if name.startswith("run-")]
    assert len(runs) == 12
    assert "run-patches/r5/seed2" in runs
    assert len(page.ids) == len(set(page.ids))
    text = (study_dir / "index.html").read_text()
    details = text[text.index('id="run-digits/r5/seed1"') :].split("</details>")[0]
    assert "<code>repeats</code></td><td>5</td>" in details
    assert "zdim" not in details  # all runs on the digits share it
    assert "12 runs of 2,000 iterations, 10 finished, 2 diverged" in text


def test_charts_are_of_the_curves_and_valid(study_dir: Path) -> None:
    """Vega-Lite compiles each; the values are those of the history in the dataset's unit."""
    page = Page((study_dir / "index.html").read_text())
    assert len(page.plots) == 2
    for spec in page.plots:
        assert vl_convert.vegalite_to_vega(spec | {"datasets": {"curves": []}})["marks"]
    tables = study_dir / "tables"
    history = read_parquet(tables / "history.parquet").to_pylist()
    runs = read_parquet(tables / "runs.parquet").to_pylist()
    curves = curves_of(history, runs)
    (curve,) = (
        c for c in curves["digits"]
        if (c["variant"], c["seed"], c["split"]) == ("x1", 1, "valid")
    )  # fmt: skip
    expected = [
        (row["step"], row["nll_nats"])
        for row in history
        if (row["dataset"], row["variant"], row["seed"], row["split"])
        == ("digits", "x1", 1, "valid")
    ]
    assert curve["steps"] == [step for step, _ in expected]
    assert curve["nlls"] == pytest.approx([nll for _, nll in expected], rel=1e-5)
    bits = [c["nlls"][-1] for c in curves["patches"] if c["variant"] == "x1"]
    assert all(3 < value < 6 for value in bits)
