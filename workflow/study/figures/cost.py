"""What the variants of an ablation cost in training: time per iteration and peak memory."""

import seaborn as sns
from matplotlib.figure import Figure

from study.figures.style import MAX_WIDTH, finish, in_style
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.cost import rows


@in_style
def draw(ablation: Ablation, results: StudyResults) -> Figure:
    """Time and memory, a panel each: a bar per dataset and variant."""
    table = rows(ablation, results)
    variants = list(dict.fromkeys(table["variant"]))
    datasets = list(dict.fromkeys(table["dataset"]))
    palette = sns.color_palette("colorblind", len(variants))
    thickness = 0.8 / len(variants)
    figure = Figure(figsize=(MAX_WIDTH, 0.6 + 0.3 * len(table)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, name, label in zip(
        axes,
        ("iteration_ms", "peak_memory_mb"),
        ("time per iteration (ms)", "peak memory (MB)"),
        strict=True,
    ):
        for index, (variant, colour) in enumerate(zip(variants, palette, strict=True)):
            bars = table[table["variant"] == variant].set_index("dataset")
            places = [datasets.index(dataset) + index * thickness for dataset in bars.index]
            ax.barh(
                places,
                bars[f"{name}_mean"],
                xerr=bars[f"{name}_interval_95"].fillna(0.0),
                height=0.9 * thickness,
                color=colour,
                capsize=2.5,
                label=variant,
            )
        ax.set_xlabel(label)
        sns.despine(ax=ax)
    middle = (len(variants) - 1) * thickness / 2
    axes[0].set_yticks([place + middle for place in range(len(datasets))], datasets)
    axes[0].invert_yaxis()
    handles, _ = axes[0].get_legend_handles_labels()
    title = f"{ablation.title}, cost of the training: study {ablation.study}"
    note = "Lower is better. Mean and 95 % interval over the runs (Student's t)."
    return finish(figure, title, note, handles)
