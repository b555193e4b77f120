"""Runs a daemon so that nothing of it is left when it ends, or when standard input ends.

    python daemon.py PROGRAM [ARGUMENT ...]

Jobs detach themselves from slurmd. Here, a process whose parent has ended becomes a child of this
one; so killing children until none is left ends everything.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) != 0:
        sys.exit("daemon.py: the kernel has no PR_SET_CHILD_SUBREAPER (Linux 3.4)")
    daemon = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(daemon.pid, signal.SIGTERM))
    ending = threading.Event()

    def end_with_stdin() -> None:
        sys.stdin.read()
        ending.set()
        while True:  # children of a thread that ends move to another one, past who lists them
            kill_children()
            time.sleep(0.05)

    threading.Thread(target=end_with_stdin, daemon=True).start()
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.wait()
            if pid == daemon.pid:
                ending.set()
            if ending.is_set():
                kill_children()


def kill_children() -> None:
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children") as children:
            for pid in children.read().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    main()
