"""Memory that tensors leave stays with the process."""

import subprocess
import sys

import pytest

STEPS = """
import resource, torch
from model.memory import keep_freed_memory
{call}
x = torch.ones(16_000_000)
for _ in range(3):
    y = x + 1
    z = y + 1
    del y, z
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    y = x + 1
    z = y + 1
    del y, z
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(call: str) -> int:
    """Of forty tensors of 64 MB, each made when another has gone."""
    command = [sys.executable, "-c", STEPS.format(call=call)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries")
def test_tensors_get_the_memory_of_those_before_them() -> None:
    assert page_faults("keep_freed_memory()") < page_faults("") / 4
