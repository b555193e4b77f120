"""All that is computed from a run's weights, in one process: `python -m model.measure RUN_DIR`.

It does what `model.evaluate` does and, with `--also`, what `model.probe` and `model.sample` do, to
the same bytes: importing PyTorch takes longer than measuring a small model.
"""

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import sys

from model import evaluate, probe, sample
from model.measurement.command import load_run, measure, parser


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    commands = parser("model.measure", __doc__)
    commands.add_argument("--also", choices=["probe", "sample"], nargs="+", default=[])
    evaluate.add_options(commands)
    probe.add_options(commands)
    options = commands.parse_args(arguments)

    def write() -> None:
        evaluation, probing = evaluate.config_of(options), probe.config_of(options)
        run = load_run(options)
        evaluate.evaluate(run, evaluation, options.run_dir)
        if "sample" in options.also:
            sample.sample(run, options.run_dir)
        if "probe" in options.also:
            probe.probe(run, probing, options.run_dir)

    return measure(options, write)


if __name__ == "__main__":
    sys.exit(main())
