"""Shares of a ResNet-32 training step on a GPU: the augmentation's, and that of alpha.

Aim, batches of 256 CIFAR images, bfloat16, channels-last: AutoAugment with flip, crop and Cutout takes at most 15 % of
the step, and what alpha adds to it at most 0.5 %. Times are of CUDA events, medians of turns A B A B; alpha's share is
of captured graphs, in which no launch waits for the host: the gradient's and the rows' kernels against the whole step.
What was measured is in docs/experiments.md.

Run: python benchmarks/gpu_step.py [--repeats 50]. Prints a JSON line for each row; without a GPU it says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable

import torch
from fit_speed import print_header

from acestimator import augment, backbones
from acestimator.alpha import softmax_gradient

BATCH, CLASSES, N = 256, 10, 50_000


def milliseconds(function: Callable[[], object]) -> float:
    """Time between two events around a call."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    function()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))


def captured(function: Callable[[], object]) -> Callable[[], object]:
    """The function's kernels as one graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_step: there is no GPU, nothing was measured.")
        return
    device = torch.device("cuda")
    images = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8, device=device)
    labels = torch.randint(CLASSES, (BATCH,), device=device)
    network = backbones.build("resnet32", (3, 32, 32), CLASSES).to(device, memory_format=torch.channels_last)
    x = torch.randn(BATCH, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, fused=True)
    table, velocity = torch.zeros(2, N, CLASSES, device=device)
    index = torch.randperm(N, device=device)[:BATCH]
    transform = augment.pipeline("autoaugment", "cifar10")

    def step(constants: bool) -> None:
        with torch.autocast("cuda", torch.bfloat16):
            logits = network(x)
        logits = logits.float()
        rows = table.index_select(0, index) if constants else None
        grad, _ = softmax_gradient(logits.detach() if rows is None else logits.detach() + rows, labels)
        logits.backward(grad / BATCH)
        if rows is not None:  # momentum and decay, as the table takes them for a block at one go
            moved = torch.lerp(grad, velocity.index_select(0, index), 0.9)
            velocity.index_copy_(0, index, moved)
            table.index_copy_(0, index, torch.sub(rows, moved, alpha=0.1))
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    plain, with_alpha = captured(lambda: step(False)), captured(lambda: step(True))
    times: dict[str, list[float]] = {"step": [], "step with alpha": [], "augmentation": []}
    for turn in range(arguments.repeats + 5):
        row = {
            "step": milliseconds(plain),
            "step with alpha": milliseconds(with_alpha),
            "augmentation": milliseconds(lambda: transform(images)),
        }
        if turn >= 5:  # the first warm up
            for name, value in row.items():
                times[name].append(value)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print_header(gpu=torch.cuda.get_device_name(), batch=BATCH, repeats=arguments.repeats)
    for row, share, aim in (
        ("augmentation", medians["augmentation"] / (medians["augmentation"] + medians["step with alpha"]), 0.15),
        ("alpha", medians["step with alpha"] / medians["step"] - 1.0, 0.005),
    ):
        print(json.dumps({"row": row, "share": round(share, 4), "aim": aim, "milliseconds": medians}))


if __name__ == "__main__":
    main()
