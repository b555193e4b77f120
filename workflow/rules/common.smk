# The study, the targets made of it, and what every job needs; each function is named for its result.
import re
import subprocess
import tempfile
import time

import yaml

from snakemake import persistence as snakemake_persistence
from snakemake.logging import logger as snakemake_logger

from model.data.published import PUBLISHED
from model.run_tables import written_by
from model.training.curve_writers import check_installed
from study import registry
from study.head.guard import guard
from study.notify import Notifier
from study.plan_guard import retraining
from study.planning.content import StudyData
from study.planning.data import check_data
from study.planning.shorter import check_not_shorter
from study.planning.own_images import own_images as own_images_of
from study.planning.study import Run, Study

try:
    STUDY = Study.of_config(config)
    DATA_DIR = os.path.normpath(os.path.expanduser(config["data_dir"]))
    OWN_IMAGES = own_images_of(STUDY)
    DATA = StudyData(DATA_DIR, Path("results") / STUDY.name / "runs", OWN_IMAGES)
    if workflow.is_main_process:  # not in each job
        check_installed(STUDY.file.report_to)
        check_data(STUDY, DATA)
        check_not_shorter(STUDY, Path("results"))
except ConfigError as error:
    sys.exit(config_error(error))


def objection(jobs):
    """Why the command should not start its jobs, in a line: finished work would be done again."""
    trained = [job for rule, job in jobs if rule == "train"]
    runs = [Run(job["dataset"], job["variant"], int(job["seed"])) for job in trained]
    return retraining(STUDY, DATA, Path("results"), runs)


# One head per study, which ends by itself when it is told to; `snakemake` typed again goes on.
LEFT_OUT = set()  # files that are there, without the jobs that make them: see settled()
HEAD = guard(workflow, STUDY.name, snakemake_persistence, snakemake_logger, objection, LEFT_OUT)
NOTIFIER = Notifier(STUDY, Path("results"))
STARTED = time.time()


onstart:
    HEAD.jobs_start(is_local=workflow.local_exec)
    if workflow.is_main_process:  # not in each job's own Snakemake
        NOTIFIER.start()


onsuccess:
    if workflow.is_main_process:
        NOTIFIER.end(is_success=True)
        for report in map(Path, study_reports()):
            if report.exists() and report.stat().st_mtime >= STARTED:  # it was made now
                print(f"The study to look at: {report}", file=sys.stderr)


onerror:
    HEAD.jobs_end()  # which exits where a signal was the reason
    write_partial()
    if workflow.is_main_process:
        NOTIFIER.end(is_success=False)


# In the environment, not parameters: fetching once with a mirror and once without retrains nothing,
# nor does another place for learning curves.
os.environ.update(DATA_MIRROR=config["data_mirror"] or "", REPORT_TO=" ".join(STUDY.file.report_to))


# "<data>" in the paths of the rules
pathvars:
    data=DATA_DIR,


def one_of(names):
    """A pattern for names of config.yaml: a target that is misspelt has no rule."""
    return "|".join(map(re.escape, names))


wildcard_constraints:
    study=one_of([STUDY.name]),
    dataset=one_of(STUDY.file.datasets),
    variant=one_of(STUDY.file.variants),
    seed="[0-9]+",
    ablation=one_of(STUDY.ablations),


def run_of(wildcards):
    return Run(wildcards.dataset, wildcards.variant, int(wildcards.seed))


def trained_and_evaluated(wildcards):
    """What every run leaves; a function, so that not each job's Snakemake lists thousands of files."""
    runs = f"results/{wildcards.study}/runs"
    return [f"{runs}/{run.name}/{file}" for file in registry.EVALUATED for run in STUDY.runs]


def baseline_files(name):
    """One file of the first seed of each ablation's baseline."""
    return sorted(
        {
            f"results/{STUDY.name}/runs/{dataset}/{variants[0]}/seed0/{name}"
            for ablation in STUDY.ablations.values()
            for dataset, variants in ablation.variants.items()
        }
    )


def sample_images():
    return baseline_files("samples.png")


def probed_files(name):
    """One file of the first seed of every variant: what is probed, the cost of a start each."""
    runs = f"results/{STUDY.name}/runs"
    return [f"{runs}/{dataset}/{variant}/seed0/{name}" for dataset, variant in STUDY.pairs]


def run_table_files(command):
    """The tables that a command writes into a run's folder."""
    folder = "results/{study}/runs/{dataset}/{variant}/seed{seed}"
    return [f"{folder}/{name}.parquet" for name in written_by(command)]


def in_report(path, name, category):
    """A file that Snakemake's report shows, with the caption of its name."""
    return report(path, caption=f"../report/{name}.rst", category=category)


def study_table_files(runs):
    """The tables of a study that hold rows of these runs: all, or the probed ones."""
    files = [
        (f"results/{{study}}/tables/{name}.{suffix}", name)
        for name in registry.tables_of(runs)
        for suffix in registry.STUDY_TABLES[name].formats
    ]
    is_shown = lambda path, name: path.endswith(".md") or name == "runs"
    return [
        in_report(path, name, "Tables") if is_shown(path, name) else path for path, name in files
    ]


def figure_files(stem, name):
    """A figure in all its formats; the report shows the PNG."""
    others = [f"{stem}.{suffix}" for suffix in registry.FIGURE_FORMATS if suffix != "png"]
    return [*others, in_report(f"{stem}.png", name, "Figures")]


def study_figure_files(runs):
    """The figures of a study that are drawn from these runs: baselines, or all that are probed."""
    stem = "results/{study}/figures"
    return [
        file for name in registry.figures_of(runs) for file in figure_files(f"{stem}/{name}", name)
    ]


def ablation_files(name):
    """The table and the figure of an ablation's output, each in all its formats."""
    output = registry.ABLATION_OUTPUTS[name]
    stem = f"{{ablation}}{output.suffix}"
    tables = [f"results/{{study}}/tables/{stem}.{suffix}" for suffix in output.formats]
    tables = [in_report(f, f"{name}_table", "Tables") if f.endswith(".md") else f for f in tables]
    return [*tables, *figure_files(f"results/{{study}}/figures/{stem}", f"{name}_figure")]


def ablation_run_files(output_name):
    """Gives what such a table and figure of an ablation are made of: files of its own runs."""
    names = [*registry.EVALUATED, *registry.ABLATION_OUTPUTS[output_name].run_files]

    def files(wildcards):
        run_dirs = STUDY.ablations[wildcards.ablation].run_dirs(Path("results", STUDY.name))
        return [f"{run_dir}/{name}" for run_dir in run_dirs for name in names]

    return files


def study_figure_inputs(runs):
    """What those figures are made of: files of the first seed of the baselines, or of all."""
    of_figures = {
        file for figure in registry.figures_of(runs).values() for file in figure.run_files
    }
    tables = [f"{name}.parquet" for name in written_by("probe")]
    names = ["config.yaml", "train.json", *tables, *sorted(of_figures)]
    if runs == "probed":  # their settings are in the table of runs
        return [
            path
            for name in [*names, "history.parquet", "test.parquet"]
            for path in probed_files(name)
        ]
    return [path for name in names for path in baseline_files(name)]


def study_files():
    """All tables and figures of the study."""
    of_study = [
        *study_table_files("all"),
        *study_table_files("probed"),
        *study_figure_files("baselines"),
        *study_figure_files("probed"),
    ]
    of_ablations = [
        file.replace("{ablation}", ablation)
        for ablation, entry in STUDY.ablations.items()
        for name in registry.outputs_of(ablation, entry.refinement)
        for file in ablation_files(name)
    ]
    return [file.replace("{study}", STUDY.name) for file in [*of_study, *of_ablations]]


# What shows all of them: the file of each rule, whose name is its command's.
STUDY_REPORTS = {"page": "index.html", "paper": "paper.pdf"}


def study_reports():
    """The study to look at: in a browser, and in the layout of a paper."""
    return [f"results/{STUDY.name}/{file}" for file in STUDY_REPORTS.values()]


def write_partial():
    """Tables of what is there, after an error; of the config as the command line changed it."""
    if not workflow.is_main_process:  # each job's own Snakemake
        return
    command = [sys.executable, "-m", "study", "partial", "--study", STUDY.name]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PACKAGES)}
        subprocess.run([*command, "--config", file.name], env=environment, check=False)


def run_config_text(wildcards):
    return STUDY.run_config(run_of(wildcards)).dump()


def num_gpus(wildcards):
    return STUDY.run_config(run_of(wildcards)).train.gpus


def training_memory_mb(wildcards):
    """Of the machine, not of the GPUs: CUDA and the arrays that are being read, per process."""
    return 8000 * num_gpus(wildcards)


def ablation_text(wildcards):
    return STUDY.ablations[wildcards.ablation].dump()


def evaluation_options(wildcards):
    config = STUDY.evaluate_config(wildcards.dataset)
    return f"--batch-size {config.batch_size} --importance-samples {config.importance_samples}"


def probe_options(wildcards):
    config = STUDY.probe_config(wildcards.dataset)
    temperatures = " ".join(map(str, config.temperatures))
    return f"--also probe sample --num-samples {config.num_samples} --temperatures {temperatures}"


def refinement_options(wildcards):
    config = STUDY.refine_config(wildcards.dataset)
    repeats = " ".join(map(str, STUDY.refinement(wildcards.dataset, wildcards.variant)))
    return (
        f"--repeats {repeats} --num-images {config.num_images} --num-noises {config.num_noises}"
        f" --batch-size {STUDY.evaluate_config(wildcards.dataset).batch_size}"
    )


def raw_checksums(wildcards):
    """The verified raw files of a published dataset; their time says nothing."""
    if wildcards.dataset not in PUBLISHED:
        return []
    return settled(f"{DATA_DIR}/raw/{wildcards.dataset}/SHA256SUMS")


def own_images(wildcards):
    """What the preprocessed arrays of a user's own dataset are made of."""
    return DATA.own_files(wildcards.dataset)


def own_options(wildcards):
    """How a user's own images are made: nothing for other datasets."""
    own = OWN_IMAGES.get(wildcards.dataset)
    return own.arguments() if own else []


def dataset_file(wildcards):
    """dataset.json, whose time says nothing, unless it is about to be made of other files."""
    path = f"{DATA_DIR}/{wildcards.dataset}/dataset.json"
    return path if DATA.is_outdated(wildcards.dataset) else settled(path)


def settled(path):
    """A file whose time says nothing.

    Once it is there, what makes it is left out: if that is to run (a killed head has left it marked as
    incomplete, or it is forced), Snakemake forgets the jobs that need its `ancient` output, even
    those that lack their own, and ends as if all were done.
    """
    if not os.path.exists(path):
        return ancient(path)
    LEFT_OUT.add(path)
    return before_update(ancient(path))


def dataset_content(wildcards):
    """What makes a run again: the content of its data, wherever they lie and whenever they came."""
    run = run_of(wildcards)
    return DATA.content(run.dataset, run.variant, run.seed)
