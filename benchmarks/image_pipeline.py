"""The whole image pipeline on real CIFAR-10 without a GPU: ResNet-32, AutoAugment and Cutout, AC1.

Aim: 5,000 images and 3 epochs well under 5 minutes on two cores, reading, training, the closing pass over the training
images and the test included. What was measured is in docs/experiments.md.

Run: python benchmarks/image_pipeline.py --data FOLDER_OF_CIFAR_10 [--images 5000] [--epochs 3] [--threads 2]. Prints
JSON lines.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from fit_speed import print_header

from acestimator import AutoCleansingClassifier
from acestimator.experiments.images import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print_header(threads=arguments.threads)
    began = time.perf_counter()
    images = load("cifar10", arguments.data).first(arguments.images)
    clf = AutoCleansingClassifier.from_recipe(
        "cifar10", "resnet32", augment="autoaugment", max_epochs=arguments.epochs, device="cpu", random_state=0
    )
    clf.fit(images.X_train, images.y_train)
    accuracy = clf.score(images.X_test, images.y_test)
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "benchmark": "image_pipeline",
                "source": images.source,
                "n_train": len(images.y_train),
                "n_test": len(images.y_test),
                "epochs": arguments.epochs,
                "seconds": round(seconds, 1),
                "aim": 300,
                "seconds_of_epochs": [round(epoch["seconds"], 1) for epoch in clf.history_],
                "test_accuracy": round(100 * accuracy, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
