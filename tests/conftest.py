import os

import hypothesis
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from acestimator.noise import corrupt, symmetric

# Derandomized: the suite is the same everywhere, and a failure is repeated by running it again.
hypothesis.settings.register_profile("default", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("default"), print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

torch.set_num_threads(1)  # small networks: a second thread costs more than it brings


@pytest.fixture(autouse=True)
def seeded():
    """torch's global generator begins anew for each test, whichever came before it in its process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def noisy_digits():
    """(X_train, observed labels, true labels, X_test, y_test), 20 % of the training labels replaced."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    return X_train, corrupt(y_train, symmetric(10, 0.2), random_state=0), y_train, X_test, y_test


@pytest.fixture
def small():
    """Three well separated clouds: 150 vectors of 4 features, true labels."""
    rng = np.random.RandomState(0)
    y = np.arange(150) % 3
    return rng.normal(size=(150, 4)) + 4.0 * np.eye(3, 4)[y], y
