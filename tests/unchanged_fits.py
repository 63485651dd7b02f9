"""Small seeded fits, by what they give: SHA-256 of their numbers. Run as a script, it prints them as JSON.

It uses public names alone, so that it runs in every checkout that has them: ``benchmarks/unchanged.py`` compares two.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from acestimator import AlphaTable, AutoCleansingClassifier, BaselineClassifier, augment


def digest(*arrays):
    """SHA-256 of the shapes, types and bytes of arrays and tensors."""
    sha = hashlib.sha256()
    for array in arrays:
        array = array.detach().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
        sha.update(f"{array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def processor():
    """SHA-256 of what the processor makes of the operations that a fit consists of: others round otherwise."""
    rng = np.random.default_rng(0)
    x, w = (torch.from_numpy(rng.standard_normal(shape)).float() for shape in ((32, 20), (256, 20)))
    hidden = torch.relu(nn.functional.linear(x, w))  # (32, 256)
    logits = hidden @ hidden[:10].T  # (32, 10)
    images = torch.from_numpy(rng.standard_normal((8, 3, 12, 12))).float()
    kernels = torch.from_numpy(rng.standard_normal((16, 3, 3, 3))).float()
    seen = nn.functional.group_norm(nn.functional.conv2d(images, kernels, padding=1), 4)
    double = x.double() @ w.double().T
    return digest(logits, torch.log_softmax(logits / 9, 1).exp(), torch.log_softmax(logits.T, 0), seen, double)


def clouds():
    """Vectors (240, 8) of four overlapping classes, and labels a quarter of which are wrong."""
    rng = np.random.default_rng(1)
    true = np.arange(240) % 4
    X = rng.standard_normal((240, 8)) + 2.5 * np.eye(4, 8)[true]
    return X, np.where(rng.random(240) < 0.25, rng.integers(0, 4, 240), true)


def images():
    """Images (96, 3, 12, 12) of uint8 of two classes, some of their labels wrong."""
    rng = np.random.default_rng(2)
    true = np.arange(96) % 2
    X = (60 * true[:, None, None, None] + rng.integers(0, 180, (96, 3, 12, 12))).astype(np.uint8)
    return X, np.where(rng.random(96) < 0.15, 1 - true, true)


def results(fitted):
    """Digests of what a fit has found."""
    found = {
        "weights": digest(*fitted.module_.state_dict().values()),
        "mislabel_scores_": digest(fitted.mislabel_scores_),
        "mislabel_proba_": digest(fitted.mislabel_proba_),
    }
    return found | ({"alpha_": digest(fitted.alpha_)} if hasattr(fitted, "alpha_") else {})


def cleansed(X, y, weight=None, **parameters):
    settings = {"max_epochs": 12, "batch_size": 32, "random_state": 0, "device": "cpu"} | parameters
    return results(AutoCleansingClassifier(**settings).fit(X, y, weight))


def peer(method, X, y):
    return results(BaselineClassifier(method, max_epochs=6, batch_size=32, random_state=0, device="cpu").fit(X, y))


def table_in_file(X, y):
    """A loop of one's own, with the constants in a file, momentum and decay."""
    torch.manual_seed(3)
    network = nn.Linear(8, 4)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    features, labels = torch.from_numpy(X).float(), torch.from_numpy(y)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"lr": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}
        table = AlphaTable(len(y), 4, file=Path(folder) / "alpha.table", **settings)
        for _ in range(3):
            for index in torch.randperm(len(y)).split(24):
                loss = table.cross_entropy(network(features[index]), labels[index], index)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                table.step_pending()
        return {"weights": digest(*network.state_dict().values()), "alpha": digest(table.dense())}


def fits():
    """Name of each fit, and a function that makes it and returns its digests."""
    X, y = clouds()
    pictures, classes = images()
    weight = np.random.default_rng(4).random(len(y)) * (np.arange(len(y)) % 7 > 0)
    augmentation = augment.Compose([augment.Baseline(), augment.Cutout(4)])
    paper = {"preset": "paper", "max_epochs": 8, "batch_size": 16, "learning_rate": 0.02}
    return {
        "AC1": lambda: cleansed(X, y),
        "AC2": lambda: cleansed(X, y, variant="AC2"),
        "paper": lambda: cleansed(X, y, **paper),
        "l1": lambda: cleansed(X, y, penalty=("l1", 0.05)),
        "group, of the label": lambda: cleansed(X, y, penalty=("group", 0.05), variant="AC2"),
        "momentum and decay": lambda: cleansed(X, y, alpha_momentum=0.9, alpha_weight_decay=1e-2),
        "weights": lambda: cleansed(X, y, weight),
        "one batch in float64": lambda: cleansed(X, y, batch_size=256, alpha_momentum=0.5),
        "augmented images": lambda: cleansed(pictures, classes, augment=augmentation, max_epochs=4),
        "augmented images, paper": lambda: cleansed(
            pictures, classes, augment=augmentation, **(paper | {"max_epochs": 3})
        ),
        **{
            method: lambda method=method: peer(method, X, y)
            for method in ("abstention", "aum", "forward", "joint_optimization", "s_model", "trimmed")
        },
        **{
            method: lambda method=method: peer(method, X, y)
            for method in ("co_teaching", "dynamic_bootstrapping", "elr", "sop")
        },
        "table in a file": lambda: table_in_file(X, y),
    }


def recorded():
    """Digests of all fits, on one thread, and what they hold for."""
    torch.set_num_threads(1)
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": processor(),
        "fits": {name: fit() for name, fit in fits().items()},
    }


if __name__ == "__main__":
    json.dump(recorded(), sys.stdout, indent=1)
    sys.stdout.write("\n")
