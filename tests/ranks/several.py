"""Run a job of rank_jobs.py in several processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
_SECONDS = 120


def start(n_processes, job, folder, *, script=HERE / "rank_jobs.py"):
    """Start the processes as torchrun does, by its variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n_processes)}
    paths = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    common |= {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return [
        subprocess.Popen(
            [sys.executable, str(script), str(folder), job],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(n_processes)
    ]


def ended(processes):
    """Exit status and output of each; all are ended in any case."""
    try:
        return [(process.communicate(timeout=_SECONDS)[0], process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()


def results(n_processes, job, folder):
    """What each rank has found."""
    folder.mkdir()
    for output, status in ended(start(n_processes, job, folder)):
        assert status == 0, output
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(n_processes)]
