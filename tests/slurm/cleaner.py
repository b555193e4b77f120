"""Deletes a cluster's directory and cgroups when standard input ends.

    python cleaner.py DIRECTORY [CGROUP ...]

Whoever started the cluster and every daemon hold the other end: it closes when the last of them
is gone, even if they were killed.
"""

import os
import shutil
import sys
import time

PATIENCE_S = 10.0


def remove(cgroup: str) -> None:
    """Remove a cgroup; the processes in it are dead, but their parent may not have noticed yet."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            os.rmdir(cgroup)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.stdin.read()
    shutil.rmtree(sys.argv[1])
    for cgroup in sys.argv[2:]:
        for path, _, _ in os.walk(cgroup, topdown=False):
            remove(path)
