"""How each variant of an ablation is drawn: the same in its figure and on the page."""

from dataclasses import dataclass
from typing import Literal

import seaborn as sns

from study.planning.ablation import Ablation

BASELINE_COLOUR = (0.2, 0.2, 0.2)
_LINES: list[Literal["-", "--", ":", "-."]] = ["-", "--", ":", "-."]


@dataclass(frozen=True)
class VariantStyle:
    """How a variant is drawn, the same in all panels."""

    colour: tuple[float, float, float]
    line: Literal["-", "--", ":", "-."]


def variant_styles(ablation: Ablation) -> dict[str, VariantStyle]:
    """A colour per variant: dark grey for baselines, then seaborn's colour-blind-safe ones."""
    palette = sns.color_palette("colorblind")
    # Its grey is too near the baseline's; its yellow and its pale pink are hard to see on white.
    colours = [palette[i] for i in (0, 1, 2, 4, 3, 9, 5)]
    baselines = {variants[0] for variants in ablation.variants.values()}
    variants = dict.fromkeys(v for variants in ablation.variants.values() for v in variants)
    grey = [v for v in variants if v in baselines]
    coloured = [v for v in variants if v not in baselines]
    styles = {v: VariantStyle(BASELINE_COLOUR, _LINES[i % 4]) for i, v in enumerate(grey)}
    for i, variant in enumerate(coloured):
        styles[variant] = VariantStyle(colours[i % 7], _LINES[i // 7 % 4])
    return {variant: styles[variant] for variant in variants}
