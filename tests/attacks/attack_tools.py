"""What the attacks share: how many there are, children that are killed, and fits that are compared bit for bit."""

import os
import signal
import time
import traceback
from contextlib import contextmanager

from sklearn.datasets import make_blobs

LONG = os.environ.get("ACESTIMATOR_ATTACKS") == "long"  # as nox -s attacks sets it

X, Y = make_blobs(90, centers=3, n_features=5, random_state=0, cluster_std=2.0)
SETTINGS = {"max_epochs": 6, "batch_size": 16, "random_state": 0, "device": "cpu"}


def count(short, long):
    """How many attacks: few in the suite, many in the session of their own."""
    return long if LONG else short


def forked(act):
    """Number of a process that runs ``act``, and ends with 0 if it raised nothing."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


@contextmanager
def child(act):
    """Process that is forked and runs ``act``; it is killed at the end, whatever it does."""
    pid = forked(act)
    try:
        yield pid
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def killed(act, delay):
    """Run ``act`` in a child that is killed after so many seconds; whether it was still at it."""
    with child(act) as pid:
        end = time.monotonic() + delay
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return False
            time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def status_of(act):
    """Exit status of ``act`` in a child: 0 if it raised nothing."""
    return os.waitstatus_to_exitcode(os.waitpid(forked(act), 0)[1])


def flipped(content, bit):
    """Content with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
