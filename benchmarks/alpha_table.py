"""The alpha table at ImageNet's size: N = 1,281,167 samples, K = 1,000 classes, 1.28 billion constants.

Aim, on a CPU, one thread, medians of turns A B A B:

- the time of rows() + step() of a batch does not grow with N: at most 1.3 times that of N = 50,000 (batch 256,
  K = 1000; K = 10 and batch 32 are printed too), with momentum and without;
- it is at least 300 times shorter than a step of dense torch.optim.SGD(momentum=0.9, fused=True) of the same table;
- it takes at most 4 times as long as copying the bytes that it must move takes at the measured bandwidth;
- the process grows by at most 5.2 GB (float32), 10.4 GB (with momentum), 2.7 GB (bfloat16), 0.2 GB (8 rivals), every
  row touched;
- a whole AC1 fit of digits, momentum on, takes at most 1.08 times that of plain cross-entropy.

What was measured is in the docs. Rows without a target say what an option costs; the last one says what keeping 8
rivals of 199 loses.

Run: python benchmarks/alpha_table.py [--repeats 7] [--rows flat file dense floor memory fit sparse]. It needs 17 GB of
free memory. Prints a JSON line for each row.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_speed import autocleansing, compare, noisy_digits, print_header
from sklearn.metrics import roc_auc_score

from acestimator import AlphaTable, backbones
from acestimator.detection import observed_score

IMAGENET, SMALL, CLASSES, BATCH = 1_281_167, 50_000, 1000, 256
TABLES = {
    "momentum 0": {},
    "momentum 0.9": {"momentum": 0.9},
    "momentum 0.9, decay": {"momentum": 0.9, "weight_decay": 5e-5},
}
MEMORY = {  # parameters of the table, GB
    "float32": ({}, 5.2),
    "float32, momentum": ({"momentum": 0.9}, 10.4),
    "bfloat16": ({"dtype": torch.bfloat16}, 2.7),
    "8 rivals": ({"rivals": 8}, 0.2),
}
STEPS = 40  # batches a turn


def make(n_samples: int, n_classes: int, **parameters: Any) -> AlphaTable:
    """A table of which every page has been written to."""
    labels = torch.arange(n_samples) % n_classes
    table = AlphaTable(n_samples, n_classes, labels=labels, lr=0.3, **parameters)
    for array in table.state_dict()["arrays"].values():
        if array.is_floating_point() and len(array) == n_samples:
            array.fill_(0.01)
    return table


class Stepper:
    """Batches of random order, as an epoch has them; a call times rows() and step() of one turn."""

    def __init__(self, table: AlphaTable, batch: int, announced: bool = False) -> None:
        self.table, self.batch, self.announced = table, batch, announced
        generator = torch.Generator().manual_seed(0)
        self.grad = 0.1 * torch.randn(batch, table.n_classes, generator=generator)
        self.batches = torch.randperm(table.n_samples, generator=generator)
        self.at = 0

    def __call__(self) -> float:
        """Microseconds a batch: the median of a turn, or its mean where the work is done by the block."""
        if self.at + STEPS * self.batch > len(self.batches):
            self.at = 0
        index = self.batches[self.at : self.at + STEPS * self.batch]
        self.at += STEPS * self.batch
        spent = []
        began = time.perf_counter()
        for start in range(0, len(index), 8 * self.batch):
            block = index[start : start + 8 * self.batch]
            if self.announced:
                with self.table.announce(block, [self.batch] * 8) as steps:
                    for step in steps:
                        step.rows()
                        step.step(self.grad)
                continue
            for part in torch.split(block, self.batch):
                step_began = time.perf_counter()
                self.table.rows(part)
                self.table.step(part, self.grad)
                spent.append(time.perf_counter() - step_began)
        mean = (time.perf_counter() - began) / STEPS
        return 1e6 * (mean if self.announced else statistics.median(spent))


def turns(functions: list[Callable[[], float]], repeats: int) -> list[list[float]]:
    """Results of A B A B ... after one of each to warm up: one list a turn."""
    for function in functions:
        function()
    return [[function() for function in functions] for _ in range(repeats)]


def say(row: str, **values: Any) -> None:
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
    print(json.dumps({"row": row, **rounded}), flush=True)


def flat(repeats: int) -> None:
    """Time against N."""
    # A virtual machine's memory is slower until its host has paged all of it in, which is not the table's doing.
    make(IMAGENET, CLASSES, momentum=0.9)
    for n_classes, batch, announced, target in (
        (CLASSES, BATCH, False, 1.3),
        (CLASSES, BATCH, True, 1.3),
        (10, 32, False, None),
        (10, 32, True, None),
    ):
        for name, parameters in TABLES.items():
            steppers = [Stepper(make(n, n_classes, **parameters), batch, announced) for n in (IMAGENET, SMALL)]
            times = turns(steppers, repeats)
            say(
                f"flat in N, K = {n_classes}, batch {batch}, {name}" + (", in blocks of 8 steps" if announced else ""),
                ratio=statistics.median(large / small for large, small in times),
                target=target,
                large_us=statistics.median(large for large, _ in times),
                small_us=statistics.median(small for _, small in times),
            )


def file(repeats: int) -> None:
    """Time of a table in a file against one in memory: what it costs that a kill leaves every row whole."""
    with tempfile.TemporaryDirectory() as folder:
        for n_classes, batch, announced in ((CLASSES, BATCH, False), (10, 32, False), (10, 32, True)):
            for name, parameters in TABLES.items():
                path = Path(folder) / f"{n_classes} {announced} {name}"
                tables = [make(SMALL, n_classes, **parameters, **more) for more in ({"file": path}, {})]
                times = turns([Stepper(table, batch, announced) for table in tables], repeats)
                say(
                    f"in a file, K = {n_classes}, batch {batch}, {name}"
                    + (", in blocks of 8 steps" if announced else ""),
                    ratio=statistics.median(ours / memory for ours, memory in times),
                    target=None,
                    file_us=statistics.median(ours for ours, _ in times),
                    memory_us=statistics.median(memory for _, memory in times),
                )
                tables[0].close()
                path.unlink()


def bandwidth() -> float:
    """Bytes a second of a copy, read and written ones together."""
    source, target = torch.ones(1 << 27), torch.zeros(1 << 27)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        target.copy_(source)
        seconds.append(time.perf_counter() - began)
    return 2 * 4 * (1 << 27) / statistics.median(seconds)


def floor(repeats: int) -> None:
    """Time against the bytes that a step must move: rows and gradient once, the table's rows in and out."""
    speed = bandwidth()
    for name, parameters, n_arrays, size in (
        ("momentum 0", TABLES["momentum 0"], 1, 4),
        ("momentum 0.9", TABLES["momentum 0.9"], 2, 4),
        ("momentum 0.9, decay", TABLES["momentum 0.9, decay"], 2, 4),
        ("bfloat16, momentum 0", {"dtype": torch.bfloat16}, 1, 2),
        ("8 rivals, momentum 0", {"rivals": 8}, 1, None),
    ):
        stepper = Stepper(make(IMAGENET, CLASSES, **parameters), BATCH)
        measured = statistics.median(us for (us,) in turns([stepper], repeats))
        row = {"us": measured, "copy_gb_s": speed / 1e9}
        if size is not None:
            nbytes = BATCH * CLASSES * (2 * 4 + 2 * size * n_arrays)
            row |= {
                "ratio": measured * 1e-6 * speed / nbytes,
                "target": 4 if size == 4 else None,
                "floor_bytes": nbytes,
            }
        say(f"memory floor, K = 1000, {name}", **row)


def dense(repeats: int) -> None:
    """Time against dense SGD, which moves the same memory: beside a second table it would not fit."""
    table = make(IMAGENET, CLASSES, momentum=0.9)
    arrays = table.state_dict()["arrays"]
    parameter = torch.nn.Parameter(arrays["alpha"])
    parameter.grad = torch.full_like(arrays["alpha"], 1e-6)
    optimizer = torch.optim.SGD([parameter], lr=0.3, momentum=0.9, fused=True)
    optimizer.state[parameter]["momentum_buffer"] = arrays["velocity"]

    def dense_step() -> float:
        began = time.perf_counter()
        optimizer.step()
        return 1e6 * (time.perf_counter() - began)

    times = turns([Stepper(table, BATCH), dense_step], repeats)
    say(
        "dense fused SGD, momentum 0.9, over ours",
        ratio=statistics.median(theirs / ours for ours, theirs in times),
        target=300,
        ours_us=statistics.median(ours for ours, _ in times),
        dense_us=statistics.median(theirs for _, theirs in times),
    )


def resident(peak: bool) -> float:
    """GB of this process: its peak, or now."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e9


def memory_child(name: str) -> None:
    """Growth of a process that makes one table and steps over every row."""
    warm = AlphaTable(1000, CLASSES, labels=torch.zeros(1000, dtype=torch.int64), lr=0.3, **MEMORY[name][0])
    grad = torch.full((BATCH, CLASSES), 1e-3)
    warm.rows(torch.arange(BATCH)), warm.step(torch.arange(BATCH), grad)
    labels = torch.arange(IMAGENET) % CLASSES
    before = resident(peak=False)
    table = AlphaTable(IMAGENET, CLASSES, labels=labels, lr=0.3, **MEMORY[name][0])
    for index in torch.arange(IMAGENET).split(BATCH):
        table.rows(index)
        table.step(index, grad[: len(index)])
    table.flush()
    print(resident(peak=True) - before)


def memory(repeats: int) -> None:
    """Growth of memory, in processes of their own."""
    for name, (_, target) in MEMORY.items():
        command = [sys.executable, __file__, "--memory-of", name]
        growth = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        say(f"memory, {name}", gb=growth, target=target)


def fit(repeats: int) -> None:
    """A whole fit against plain cross-entropy."""
    X, y = noisy_digits()
    plain = functools.partial(autocleansing, X, y, alpha_lr=0)
    with_momentum = functools.partial(autocleansing, X, y, alpha_momentum=0.9)
    compare("AC1 fit, momentum 0.9, over cross-entropy", with_momentum, plain, max(repeats, 15), 1.08)


def clouds(n_classes: int, per_class: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping clouds: features (N, 64) and true labels."""
    rng = np.random.RandomState(seed)
    centres = np.random.RandomState(0).normal(size=(n_classes, 64))
    y = np.repeat(np.arange(n_classes), per_class)
    X = centres[y] + 1.1 * rng.normal(size=(len(y), 64))
    return torch.tensor(X, dtype=torch.float32), torch.tensor(y)


def sparse(repeats: int) -> None:
    """What 8 rivals of 199 lose: 200 clouds, 20,000 samples, 30 % of the labels wrong, half of these by one class."""
    n_classes, epochs = 200, 30
    X, true = clouds(n_classes, 100, seed=1)
    X_test, y_test = clouds(n_classes, 20, seed=2)
    rng = np.random.RandomState(0)
    shift = np.where(rng.rand(len(true)) < 0.5, 1, rng.randint(1, n_classes, size=len(true)))
    wrong = rng.rand(len(true)) < 0.3
    observed = torch.tensor(np.where(wrong, (true.numpy() + shift) % n_classes, true.numpy()))
    accuracy: dict[str, list[float]] = {"all": [], "8 rivals": []}
    auroc: dict[str, list[float]] = {"all": [], "8 rivals": []}
    replayed: list[float] = []
    for seed in range(3):
        for name, rivals in (("all", None), ("8 rivals", 8)):
            torch.manual_seed(seed)
            network = backbones.build("mlp", (64,), n_classes)
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
            table = AlphaTable(len(X), n_classes, labels=observed, rivals=rivals, lr=0.3)
            replay = AlphaTable(len(X), n_classes, labels=observed, rivals=8, lr=0.3)
            n_steps = epochs * math.ceil(len(X) / BATCH)
            for epoch in range(epochs):
                for step, index in enumerate(torch.randperm(len(X)).split(BATCH)):
                    done = (epoch * math.ceil(len(X) / BATCH) + step) / n_steps
                    scale = 0.5 * (1 + math.cos(math.pi * done))
                    optimizer.param_groups[0]["lr"] = 1e-3 * scale
                    logits = network(X[index])
                    loss = table.cross_entropy(logits, observed[index], index)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    if rivals is None:
                        replay.step(index, table.gradient(logits.detach(), observed[index], index)[0], 0.3 * scale)
                    table.step_pending(0.3 * scale)
            with torch.inference_mode():
                accuracy[name].append(float((network(X_test).argmax(1) == y_test).float().mean()))
                logits = network(X)
                auroc[name].append(roc_auc_score(wrong, observed_score(table.dense(), logits, observed)))
                if rivals is None:
                    full = table.dense() - table.dense().mean(1, keepdim=True)
                    kept = replay.dense() - replay.dense().mean(1, keepdim=True)
                    replayed.append(float((full - kept).norm() / full.norm()))
    say(
        "8 rivals of 199 against all: 200 clouds, 20,000 samples, three seeds",
        relative_difference_at_equal_gradients=statistics.mean(replayed),
        accuracy_all=statistics.mean(accuracy["all"]),
        accuracy_sparse=statistics.mean(accuracy["8 rivals"]),
        auroc_all=statistics.mean(auroc["all"]),
        auroc_sparse=statistics.mean(auroc["8 rivals"]),
    )


ROWS = {"flat": flat, "file": file, "dense": dense, "floor": floor, "memory": memory, "fit": fit, "sparse": sparse}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="turns a row (default 7, at least 5)")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS), help="rows to run (default all)")
    parser.add_argument("--memory-of", choices=list(MEMORY), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if arguments.memory_of:
        memory_child(arguments.memory_of)
        return
    print_header(threads=1)
    for name in arguments.rows:
        ROWS[name](max(5, arguments.repeats))


if __name__ == "__main__":
    main()
