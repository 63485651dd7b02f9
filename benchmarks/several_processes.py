"""Two processes with one thread each against one with one thread, on the same batches; and how far two can get.

"MLP": the built-in perceptron (256-256) on 40,000 rows of 64 numbers, 10 classes, batches of 1,024; aim 1.5 times.
"ResNet-32": 1,024 images of 32 x 32 pixels, batches of 128; aim 1.8 times. Both with constants of all classes (AC1, the
paper's preset). The data are drawn at random: their content takes no time. Beside it what two processes do that know
nothing of each other, each all of the work: twice the time of one over their time is the most that two can reach here.

Run: python benchmarks/several_processes.py [--turns 5]. Takes turns one, together, apart. Prints a JSON line for each
model: medians of seconds, and the ratios. The time is that of the epochs, without imports and the start of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys

import numpy as np
import torch
from fit_speed import print_header

from acestimator import AutoCleansingClassifier

MODELS = {
    "MLP": ("auto", (40_000, 64), 1024, 6),
    "ResNet-32": ("resnet32", (1024, 3, 32, 32), 128, 1),
}


def work(model: str) -> float:
    """Seconds of the epochs of a fit in this process."""
    torch.set_num_threads(1)
    backbone, shape, batch_size, epochs = MODELS[model]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=shape).astype(np.float32), rng.integers(10, size=shape[0])
    clf = AutoCleansingClassifier(
        backbone, preset="paper", batch_size=batch_size, max_epochs=epochs, learning_rate=1e-3, random_state=0
    )
    return sum(record["seconds"] for record in clf.fit(X, y).history_)


def run(model: str, n_processes: int, *, together: bool) -> float:
    """Seconds of the slowest of so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    if together:
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n_processes)}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", model],
            env=variables | ({"RANK": str(rank)} if together else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(n_processes)
    ]
    return max(float(process.communicate()[0].splitlines()[-1]) for process in processes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--work", choices=MODELS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(work(arguments.work))
        return
    print_header()
    for model in MODELS:
        turns = [
            (run(model, 1, together=False), run(model, 2, together=True), run(model, 2, together=False))
            for _ in range(arguments.turns)
        ]
        one, two, apart = (statistics.median(times) for times in zip(*turns, strict=True))
        ratios = {"times_faster": round(one / two, 2), "at_most": round(2.0 * one / apart, 2)}
        seconds = {"one": round(one, 2), "two": round(two, 2), "apart": round(apart, 2)}
        print(json.dumps({"model": model, **ratios, "seconds": seconds, "turns": arguments.turns}), flush=True)


if __name__ == "__main__":
    main()
