"""What comes on the screen once, and what never."""

import sys
import threading

import pytest

from snakemake_executor_plugin_submitit.notices import without_stderr


def test_only_what_this_thread_prints_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    others = threading.Thread(target=lambda: print("a traceback of another", file=sys.stderr))
    with without_stderr():
        print("sbatch: error: as submitit prints it", file=sys.stderr)
        others.start()
        others.join()
    print("afterwards", file=sys.stderr)
    assert capsys.readouterr().err == "a traceback of another\nafterwards\n"
