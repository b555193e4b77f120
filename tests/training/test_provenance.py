"""Where a result comes from: what is measured of the process itself."""

import subprocess
import sys


def test_peak_memory_is_not_that_of_the_process_that_started_this_one() -> None:
    large = b"x" * 10**9
    code = "import torch; from model.training.provenance import peak_memory_bytes as peak; "
    code += "print(peak(torch.device('cpu')))"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert 10**7 < int(answer.stdout) < len(large)
