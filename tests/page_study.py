"""A study with its page, written without training."""

from pathlib import Path

import yaml
from written_results import write_ablation, write_output, write_probe, write_run, write_tables

from study.__main__ import main

# Nothing of it is markup: of HTML, of Jinja, of Typst.
TITLE = r'Weight <script>alert(1)</script> & "more" {{ 7 * 7 }} #f[*b*] _i_ $x$ @y <z> \ // `r` /*'


def write_page_study(results: Path) -> None:
    """Two datasets, three seeds, the last one of r5 diverged; a title that is no title."""
    for dataset, nll in (("digits", 80.0), ("patches", 4.0)):
        for seed in range(3):
            x1 = write_run(results, dataset, "x1", seed, nll=nll + 0.01 * seed)
            status = "diverged" if seed == 2 else "finished"
            nll_of_r5 = nll + 1 + 0.02 * seed
            write_run(results, dataset, "r5", seed, nll=nll_of_r5, status=status, repeats=5)
            if seed == 0:
                write_probe(x1)
    path = write_ablation(results, {"digits": ["x1", "r5"], "patches": ["x1", "r5"]})
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"title": TITLE}, sort_keys=False))
    write_tables(results)
    assert write_output(results) == 0
    assert main(["page", "--ablations", str(path), "--study-dir", str(results)]) == 0
