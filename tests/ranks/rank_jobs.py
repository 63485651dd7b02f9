"""What each of several processes does in the tests: a fit by name, whose numbers go to a file."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import TensorSamples
from acestimator.noise import corrupt, symmetric
from acestimator.objectives import AutoCleansing, CrossEntropy
from acestimator.phases import Phase, Trainer
from acestimator.ranks import find_ranks
from acestimator.training import TrainingPlan

N, K = 203, 10  # N is in no multiple of batches or of processes


def data():
    X, y = load_digits(return_X_y=True)
    return X[:N], corrupt(y[:N], symmetric(K, 0.2), random_state=0)


def plan(**parameters):
    given = {"max_epochs": 3, "batch_size": 32, "learning_rate": 3e-3, "optimizer": "adamw", "momentum": 0.9}
    return TrainingPlan(**{**given, "weight_decay": 1e-2, **parameters})


TABLE = {"variant": "AC1", "lr": 0.4}
OBJECTIVES = {
    "plain": CrossEntropy,
    "AC1": lambda: AutoCleansing(**TABLE),
    "AC2": lambda: AutoCleansing(**{**TABLE, "variant": "AC2"}),
    "momentum": lambda: AutoCleansing(**TABLE, momentum=0.5, nesterov=True, weight_decay=1e-2),
    "paper": lambda: AutoCleansing(**TABLE, momentum=0.9, weight_decay=1e-3, mean_gradient=True),
    "l1": lambda: AutoCleansing(**TABLE, penalty=("l1", 1e-2)),
    "l2": lambda: AutoCleansing(**TABLE, penalty=("l2", 1e-2)),
    "group": lambda: AutoCleansing(**TABLE, penalty=("group", 1e-2)),
}


def trained(name, *, optimizer="adamw", batch_size=32, weighted=False, keep=False):
    """A training in float64; batches of 3 leave some processes without a sample."""
    X, y = data()
    weight = torch.from_numpy(np.random.RandomState(0).uniform(0.5, 2.0, N)) if weighted else None
    trainer = Trainer(
        make=lambda n_outputs: nn.Sequential(nn.Linear(64, 16), nn.GELU(), nn.Linear(16, n_outputs)),
        samples=TensorSamples(torch.from_numpy(X / 16.0), Preprocessing(torch.device("cpu"))),
        labels=torch.from_numpy(y),
        n_classes=K,
        sample_weight=weight,
        loss_weight=weight,
        plan=plan(optimizer=optimizer, batch_size=batch_size),
        dtype=torch.float64,
        seed=0,
        shuffle=True,
        draws=False,
        ranks=find_ranks(wanted=True, device=torch.device("cpu")),
    )
    objective = OBJECTIVES[name]()
    kept = torch.arange(N)[torch.arange(N) % 5 != 1] if keep else None
    network, history = trainer.run(Phase(objective, keep=kept))
    found = {"loss": [record["loss"] for record in history], "accuracy": [record["accuracy"] for record in history]}
    found["weights"] = torch.cat([p.detach().ravel() for p in network.parameters()])
    if hasattr(objective, "table"):
        found["alpha"] = objective.training.gathered(objective.table.dense())
        found["norm"] = [record["alpha_norm"] for record in history]
    found["logits"] = trainer.share().gather(torch.cat(list(trainer.logits(network))))
    return found


def fitted(kind, **parameters):
    """A fit of an estimator."""
    X, y = data()
    estimator = {"cleansing": AutoCleansingClassifier, "baseline": BaselineClassifier}[kind]
    weight = np.random.RandomState(0).uniform(0.5, 2.0, N) if parameters.pop("weighted", False) else None
    reviewed = None
    if parameters.pop("reviewed", False):
        reviewed = np.full(N, None, dtype=object)
        reviewed[::5] = load_digits().target[:N:5]
    given = {} if reviewed is None else {"reviewed": reviewed}
    clf = estimator(**{"random_state": 0, **parameters}).fit(X, y, sample_weight=weight, **given)
    names = ("mislabel_proba_", "suggested_labels_", "noise_rate_", "noise_rate_interval_", "left_out_", "alpha_")
    found = {name: value for name in names if (value := getattr(clf, name, None)) is not None}
    found["weights"] = torch.cat([p.detach().double().ravel() for p in clf.module_.parameters()])
    return found | {"predicted": clf.predict(X), "n_iter": clf.n_iter_, "rank": int(os.environ.get("RANK", 0))}


def main(folder, job):
    """Run a job, written as Python, and write what it returns."""
    torch.set_num_threads(1)
    found = eval(job, {"trained": trained, "fitted": fitted})
    name = f"{os.environ.get('RANK', 0)}.npz"
    np.savez(Path(folder) / name, **{key: np.asarray(value) for key, value in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
