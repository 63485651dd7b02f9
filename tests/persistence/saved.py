"""Small fitted estimators, and what must be the same of an estimator that was saved and loaded."""

import json
import struct

import numpy as np
import pandas as pd
from torch import nn

from acestimator import AutoCleansingClassifier, load

SETTINGS = {"max_epochs": 1, "random_state": 0, "device": "cpu"}


class Narrow(nn.Module):
    """A user's own network for four features, of few numbers."""

    def __init__(self, n_classes=3):
        super().__init__()
        self.hidden, self.last = nn.Linear(4, 5), nn.Linear(5, n_classes)

    def forward(self, x):
        return self.last(self.hidden(x).tanh())


class Narrower(Narrow):
    """One of the same tensors, that computes something else."""

    def forward(self, x):
        return self.last(self.hidden(x).relu())


def narrow(input_shape, n_classes):
    return Narrow(n_classes)


def fitted(X, y, **parameters):
    return AutoCleansingClassifier(**{**SETTINGS, **parameters}).fit(X, y)


def again(clf, folder, backbone=None, **options):
    """The estimator, through a file."""
    path = folder / "model.safetensors"
    clf.save(path, **options)
    return load(path, backbone)


def assert_same(found, clf, X):
    """Of an estimator and the one that was saved: what it predicts, its attributes and its table, to the bit."""
    assert type(found) is type(clf)
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        a, b = getattr(found, name)(X), getattr(clf, name)(X)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert vars(found).keys() - {"_given_series"} == vars(clf).keys() - {"_given_series"}
    for name in vars(clf).keys() - {"module_", "scaler_", "backbone", "_given_series"}:
        assert_equal(vars(found)[name], vars(clf)[name], name)
    pd.testing.assert_frame_equal(found.label_issues(), clf.label_issues(), check_exact=True)


def assert_equal(a, b, name=""):
    """Two values of one type, which are equal to the bit."""
    assert type(a) is type(b), name
    if isinstance(b, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        np.testing.assert_array_equal(a, b, err_msg=name)
        assert [type(x) for x in a.ravel().tolist()] == [type(x) for x in b.ravel().tolist()], name
    elif isinstance(b, dict | list | tuple):
        assert len(a) == len(b), name
        keys = b if isinstance(b, dict) else range(len(b))
        for key in keys:
            assert_equal(a[key], b[key], f"{name}[{key!r}]")
    else:
        assert repr(a) == repr(b), name  # NaN is NaN, and 0.0 is not -0.0


def header_of(content):
    """Header of a safetensors file, as a dictionary, and the bytes after it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
