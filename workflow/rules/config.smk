# config.yaml: what is wrong in it is told before Snakemake reads it, which takes the last of two
# equal keys in silence and says of a syntax error neither line nor column.
import os
import shlex
import sys
from pathlib import Path

# Jobs call `python -m model...` and `python -m study...`: with the interpreter that runs Snakemake,
# unless a conda environment comes first, and with this checkout's packages in either case.
PACKAGES = [workflow.basedir, os.path.join(workflow.basedir, "workflow")]
sys.path[:0] = PACKAGES
shell.prefix(f"export PYTHONPATH={shlex.quote(os.pathsep.join(PACKAGES))}; ")
os.environ.update(PATH=os.path.dirname(sys.executable) + os.pathsep + os.getenv("PATH", ""))

from model.validation import ConfigError
from model.yaml_file import load_yaml
from study.planning.command_line import check_command_line

if not os.path.exists("config.yaml"):
    sys.exit(
        f"error: there is no config.yaml in {os.getcwd()}: go to the folder of the project, or add"
        f" -d {shlex.quote(os.path.normpath(workflow.basedir))}"
    )

# Of the command line or a profile: Snakemake has merged them already.
OVERLAYS = [os.path.relpath(path) for path in workflow.config_settings.configfiles]

try:
    check_command_line(workflow.config_settings.config_args, workflow.config_settings.config)
except ConfigError as error:
    sys.exit(f"error in --config: {error}")
for file in ["config.yaml", *OVERLAYS]:
    # JSON, which Snakemake reads too, may have tabs.
    if os.path.exists(file) and not file.endswith(".json"):
        try:
            if not isinstance(load_yaml(Path(file)), dict):
                raise ConfigError("expected a mapping: lines such as `study: demo`")
        except ConfigError as error:
            sys.exit(f"error in {file}: {error}")


configfile: "config.yaml"


def config_error(error):
    """The line with which a mistake in the merged settings ends the command."""
    is_typed = error.place.split(".")[0] in workflow.config_settings.config
    overlays = f" with {', '.join(OVERLAYS)} over it" if OVERLAYS else ""
    place = "--config" if is_typed else f"config.yaml{overlays}"
    return f"error in {place}: {error}"
