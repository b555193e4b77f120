"""The dry run: what a study plans, and the mistakes that stop it."""

import re

import pytest
import yaml
from project import Project

RUNS = 17  # of the study tiny: 8 variants on digits, 9 on patches, one seed


def test_tiny_plans_each_run_once_however_many_ablations_use_it(project: Project) -> None:
    assert project.planned() == {
        "preprocess": 2,
        "configure": RUNS,
        "train": RUNS,
        "measure": RUNS,
        "runs": 1,
        "describe_ablation": 4,
        "comparison": 4,
        "probes": 1,
        "figures": 1,
        "probed_figures": 1,
        "page": 1,
        "paper": 1,
    }


def test_a_variant_is_added_to_an_ablation_in_one_line(project: Project) -> None:
    project.edit("config.yaml", "variants: [x1, x2, r2, r5]", "variants: [x1, x2, r2, r5, r10]")
    assert project.planned()["train"] == RUNS + 2


def test_one_seed_of_each_variant_is_probed(project: Project) -> None:
    planned = project.planned(study="demo")
    assert planned["train"] == 24  # eight variants on digits, three seeds
    assert (planned["measure"], planned["evaluate"]) == (8, 16)
    assert planned["probes"] == planned["figures"] == planned["page"] == planned["paper"] == 1


def test_an_ablation_of_existing_options_is_a_few_lines_without_code(project: Project) -> None:
    project.edit("config.yaml", "variants:\n  x1: {}\n", "variants:\n  x1: {}\n" + WIDTHS)
    project.edit("config.yaml", "ablations:\n  weight-sharing:\n", "ablations:\n" + WIDTH_ABLATION)
    first = "studies:\n  tiny: # seconds: the whole pipeline, for tests\n"
    listed = "    datasets: [digits, patches]\n    seeds: 1\n    ablations: ["
    project.edit("config.yaml", first + listed, first + listed + "width, ")
    planned = project.planned()
    assert planned["train"] == RUNS + 4
    assert planned["comparison"] == 5


WIDTHS = "  width-4: {model: {width: 4}}\n  width-12: {model: {width: 12}}\n"
WIDTH_ABLATION = (
    "  width:\n    title: Width\n    variants: [x1, width-4, width-12]\n  weight-sharing:\n"
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("x2: {model: {blocks: 2}}", "x2: {model: {blcks: 2}}", "did you mean 'blocks'"),
        (
            "variants: [x1, x2, r2, r5]",
            "variants: [x1, x2, r2, r55]",
            "unknown variant 'r55'; did you mean 'r5'",
        ),
        ("data_mirror: null", "data_miror: null", "unknown key 'data_miror'"),
        ("learning_rate: 0.005", "learning_rate: 5e-3", "write 2.0e-3 or 0.002"),
        (
            "  normalised: {model: {state_norm: l2",
            "  normalised: {model: {state_norm: l1",
            "normalised.model.state_norm: 'l1' is none of none, l2, rms; did you mean 'l2'?",
        ),
        (
            "central 28x28\n    model:\n      image_size: 32\n      image_channels: 1\n"
            "      likelihood: bernoulli\n      likelihood_size: 28",
            "central 28x28\n    model:\n      image_size: 32\n      image_channels: 1\n"
            "      likelihood: bernoulli\n      likelihood_size: [28]",
            "datasets.mnist.model.likelihood_size: expected an integer, found [28]",
        ),
        (
            "encoder: 8x1,8d2",
            "encoder: 8x1,8d3",
            "datasets.digits.model.encoder: 8d3: 3 does not divide 8",
        ),
        (
            "digits: [x1, fourier-position]",
            "digits: [x1, fourier-value]",
            "variants.fourier-value.model.fourier: value is constant on binary data",
        ),
        (
            "r2: {model: {",
            "r2: {extends: x22, model: {",
            "unknown variant 'x22'; did you mean 'x2'",
        ),
        ("r2: {model: {", "r2: {extends: r2, model: {", "variants.r2.extends: r2 extends r2"),
        (
            "variants: [x1, x2, r2, r5]",
            "variants: [x1, vdvae]",
            "variant 'vdvae' is defined for mnist, cifar10",
        ),
        (
            "  resolutions:\n    title",
            "  samples:\n    title",
            "a table or figure of every study has this name",
        ),
        ("x2: {model: {blocks: 2}}", "x2: {model: {pooling: db3}}", "6 taps of db3 do not fit"),
        (
            "nvae-cell: {model: {cell: nvae",
            "nvae-cell: {model: {cell: nvea",
            "nvae-cell.model.cell: 'nvea' is none of vdvae, nvae, markov; did you mean 'nvae'?",
        ),
        ("fourier_exponents: [0, 1]}", "fourier_exponents: [0, 2]}", "below the Nyquist limit"),
        ("title: Weight sharing", "titel: Weight sharing", "did you mean 'title'"),
        ("temperatures: [0.5, 1.0]", "temperatures: [1.0, 0.5]", "one number or more, ascending"),
        ("probe: {num_samples: 100}", "probe: {samples: 100}", "did you mean 'num_samples'"),
        # Of studies that are not the chosen one.
        (
            "celeba64: {train: {gpus: 8}}",
            "celeba64: {train: {gpus: 800}}",
            "studies.paper.datasets.celeba64.train.gpus: 800 cannot split a batch_size of 128",
        ),
        (
            "    ablations: [weight-sharing]\n",
            "    ablations: [weight-sharin]\n",
            "studies.mnist.ablations: unknown ablation 'weight-sharin'",
        ),
    ],
)
def test_a_mistake_in_the_config_stops_the_dry_run_with_one_line(
    project: Project, old: str, new: str, message: str
) -> None:
    project.edit("config.yaml", old, new)
    result = project.snakemake("--dry-run", "--quiet")
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert len(errors) == 1, result.stderr
    assert errors[0].startswith("error in config.yaml: ")
    assert message in errors[0]
    assert "Traceback" not in result.stderr


def test_an_unknown_study_on_the_command_line_names_the_nearest(project: Project) -> None:
    result = project.snakemake("--dry-run", study="tyni")
    assert result.returncode == 1
    assert "unknown study 'tyni'; did you mean 'tiny'?" in result.stderr


def test_a_length_on_the_command_line_holds_for_every_run(project: Project) -> None:
    result = project.snakemake("iterations=7", "--dry-run", "-p", study="mnist")
    assert result.returncode == 0, result.stderr
    assert set(re.findall(r" iterations: (\d+)", result.stdout + result.stderr)) == {"7"}


def test_a_dataset_of_a_study_is_probed_in_its_own_way(project: Project) -> None:
    project.edit(
        "config.yaml",
        "patches: {train: {batch_size: 64, learning_rate: 0.01}}",
        "patches: {train: {batch_size: 64}, probe: {num_samples: 77, temperatures: [0.5]}}",
    )
    result = project.snakemake("--dry-run", "-p", study="small")
    assert result.returncode == 0, result.stderr
    probes = re.findall(
        r"runs/(\w+)/.* --num-samples (\d+) --temperatures ([\d. ]+)", result.stdout + result.stderr
    )
    all_temperatures = " ".join(f"{n / 10}" for n in range(1, 11))
    assert {(dataset, number, found.strip()) for dataset, number, found in probes} == {
        ("patches", "77", "0.5"),
        ("digits", "300", all_temperatures),
    }


def test_lint_is_clean(project: Project) -> None:
    result = project.snakemake("--lint")
    assert result.returncode == 0, result.stderr


def test_a_study_of_many_runs_fits_the_command_line(project: Project) -> None:
    """Linux takes 128 KiB in one argument, as which a shell gets its command."""
    path = project.directory / "config.yaml"
    content = yaml.safe_load(path.read_text())
    content["studies"]["tiny"]["seeds"] = 300
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    result = project.snakemake("--dry-run", "-p")
    assert result.returncode == 0, result.stderr
    commands = [line for line in result.stdout.splitlines() if "python -m" in line]
    assert len(commands) > 2 * 300
    assert max(map(len, commands)) < 2_000
