"""The sections of a study's page: its ablations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.figures.variant_style import VariantStyle, variant_styles
from study.page.curves import chart
from study.page.finding import Finding, ablation_findings
from study.page.output import Files, Output, ablation_outputs
from study.planning.ablation import Ablation


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Learning curves on a dataset: a Vega-Lite chart, without its data."""

    dataset: str
    spec: str  # JSON


@dataclass(frozen=True, kw_only=True)
class AblationSection:
    """What the page shows of an ablation."""

    ablation: Ablation
    findings: Sequence[Finding]
    outputs: Sequence[Output]  # the comparison first
    charts: Sequence[Chart]


def ablation_section(
    ablation: Ablation, files: Files, curves: Mapping[str, Any], units: Mapping[str, str]
) -> AblationSection:
    """A section of what lies there of an ablation; raises ResultError for a damaged table.

    `curves` and `units` are those of each dataset.
    """
    styles = variant_styles(ablation)
    return AblationSection(
        ablation=ablation,
        findings=ablation_findings(ablation, files),
        outputs=ablation_outputs(ablation, files),
        charts=[
            _chart(dataset, {variant: styles[variant] for variant in variants}, drawn, units)
            for dataset, variants in ablation.variants.items()
            if (drawn := [c for c in curves.get(dataset, []) if c["variant"] in variants])
        ],
    )


def _chart(
    dataset: str,
    styles: Mapping[str, VariantStyle],
    curves: Sequence[Mapping[str, Any]],
    units: Mapping[str, str],
) -> Chart:
    return Chart(dataset=dataset, spec=json.dumps(chart(curves, styles, units[dataset])))
