"""Estimators on sparse X, and on arrays in files: the fits are those of the same numbers, dense and in memory."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.augment import Cutout
from acestimator.inputs import standardize

SETTINGS = {"max_epochs": 8, "batch_size": 32, "random_state": 0, "device": "cpu"}
FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr")
D = 40


@pytest.fixture(scope="module")
def bags():
    """Bags (240, 40) of words of which each class has four of its own, and labels a tenth of which are wrong."""
    rng = np.random.RandomState(0)
    true = np.arange(240) % 3
    X = (rng.rand(240, D) < 0.08) * rng.exponential(size=(240, D))
    for _ in range(3):
        X[np.arange(240), 4 * true + rng.randint(0, 4, 240)] += 1.0
    X[7] = 0.0
    return X, np.where(rng.rand(240) < 0.1, (true + 1) % 3, true), true


def fits(X, y, kind=AutoCleansingClassifier, weight=None, **parameters):
    """Of sparse X, and of the same numbers, scaled alike."""
    sparse = kind(**(SETTINGS | parameters)).fit(sp.csr_array(X), y, sample_weight=weight)
    scale = 1.0 if sparse.scaler_ is None else sparse.scaler_.scale_
    dense = clone(sparse).set_params(standardize=False).fit(X / scale, y, sample_weight=weight)
    return sparse, dense, X / scale


def same(sparse, dense, X, scaled_X, atol=2e-4):
    """To what rounding in single precision becomes in the training."""
    np.testing.assert_allclose(sparse.decision_function(sp.csr_array(X)), dense.decision_function(scaled_X), atol=atol)
    np.testing.assert_allclose(sparse.mislabel_proba_, dense.mislabel_proba_, atol=atol)
    for ours, theirs in zip(sparse.history_, dense.history_, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=atol)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"standardize": False},
        {"variant": "AC2"},
        {"optimizer": "sgd"},
        {"preset": "paper", "learning_rate": 0.01, "max_epochs": 5},
        {"class_weight": "balanced"},
        {"penalty": ("l1", 0.05)},
    ],
)
def test_a_fit_is_that_of_the_same_numbers_dense(bags, parameters):
    X, y, _ = bags
    sparse, dense, scaled_X = fits(X, y, **parameters)
    same(sparse, dense, X, scaled_X)
    assert np.ptp(sparse.mislabel_proba_) > 0.01


def test_in_one_batch_it_is_so_to_rounding_in_double_precision(bags):
    X, y, _ = bags
    sparse, dense, scaled_X = fits(X[:60], y[:60], batch_size=64, max_epochs=60)
    same(sparse, dense, X[:60], scaled_X, atol=1e-9)


@pytest.mark.parametrize(
    "method", ["cross_entropy", "elr", "dynamic_bootstrapping", "s_model", "abstention", "co_teaching"]
)
def test_peers_too(bags, method):
    X, y, _ = bags
    same(*(found := fits(X, y, BaselineClassifier, method=method, max_epochs=4))[:2], X, found[2])


def test_it_finds_what_is_wrong(bags):
    X, y, true = bags
    clf = AutoCleansingClassifier(random_state=0).fit(sp.csr_matrix(X), y)
    assert clf.score(sp.csr_matrix(X), true) > 0.9
    assert np.mean((y != true)[clf.find_mislabeled(5)]) > 0.8


def test_weight_two_is_the_row_twice(bags):
    """As of dense X: to rounding, where the training is one batch."""
    X, y, _ = bags
    X, y, weight = X[:60], y[:60], np.where(np.arange(60) % 3, 1, 2)
    twice = np.repeat(np.arange(60), weight)
    settings = SETTINGS | {"batch_size": 128}
    weighted = AutoCleansingClassifier(**settings).fit(sp.csr_array(X), y, sample_weight=weight)
    repeated = AutoCleansingClassifier(**settings).fit(sp.csr_array(X[twice]), y[twice])
    np.testing.assert_allclose(weighted.scaler_.scale_, repeated.scaler_.scale_, rtol=1e-12)
    np.testing.assert_allclose(weighted.decision_function(X), repeated.decision_function(X), atol=1e-8)
    np.testing.assert_allclose(weighted.mislabel_proba_[twice], repeated.mislabel_proba_, atol=1e-8)


def test_weight_zero_is_the_rows_absence(bags):
    X, y, _ = bags
    weight = (np.arange(240) % 4 > 0).astype(float)
    kept = weight > 0
    with_it = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X), y, sample_weight=weight)
    without = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X[kept]), y[kept])
    np.testing.assert_array_equal(with_it.decision_function(X), without.decision_function(X))
    np.testing.assert_array_equal(with_it.mislabel_proba_[kept], without.mislabel_proba_)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_every_form_of_a_matrix_gives_the_same(bags, kind):
    X, y, _ = bags
    expected = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X), y)
    wide = kind(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    fixed = kind(X)  # as joblib's processes have it
    for part in (fixed.data, fixed.indices, fixed.indptr):
        part.flags.writeable = False
    for same in [kind(X).asformat(name) for name in FORMATS] + [wide, fixed]:
        clf = AutoCleansingClassifier(**SETTINGS).fit(same, y)
        np.testing.assert_array_equal(clf.predict_proba(same), expected.predict_proba(sp.csr_array(X)))
        assert clf.n_features_in_ == D


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_numbers_of_any_type(bags, dtype):
    X, y = (10 * bags[0]).astype(dtype), bags[1]
    clf = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(clf.decision_function(sp.csr_array(X)), clf.decision_function(X), atol=1e-5)


def test_dense_and_sparse_samples_are_predicted_alike_by_fits_of_either(bags):
    X, y, _ = bags
    for given in (X, sp.csr_array(X)):
        clf = AutoCleansingClassifier(**SETTINGS).fit(given, y)
        np.testing.assert_allclose(clf.predict_proba(sp.csr_array(X)), clf.predict_proba(X), atol=1e-12)
        np.testing.assert_allclose(
            clf.predict_proba(sp.csr_array(X[3:5])), clf.predict_proba(X)[3:5], atol=1e-12
        )  # no matter which others are asked for


class Recording(nn.Module):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(D, 3), []

    def forward(self, x):
        self.seen.append((type(x).__name__, tuple(x.shape[1:])))
        return self.linear(x)


def test_a_module_of_ones_own_is_given_dense_rows(bags):
    X, y, _ = bags
    module = Recording()
    clf = AutoCleansingClassifier(module, **SETTINGS).fit(sp.csr_array(X), y)
    assert clf.module_.seen[-1] == ("Tensor", (D,))
    clf.predict(sp.csr_array(X))
    assert set(clf.module_.seen) == {("Tensor", (D,))}
    dense = AutoCleansingClassifier(module, standardize=False, **SETTINGS).fit(X / clf.scaler_.scale_, y)
    np.testing.assert_allclose(clf.mislabel_proba_, dense.mislabel_proba_, atol=1e-5)


@pytest.mark.cuda
def test_a_gpu_gives_what_the_cpu_gives(bags):
    X, y, _ = bags
    one, two = (AutoCleansingClassifier(**(SETTINGS | {"device": d})).fit(sp.csr_array(X), y) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(
        one.decision_function(sp.csr_array(X)), two.decision_function(sp.csr_array(X)), atol=1e-2
    )
    np.testing.assert_allclose(one.mislabel_proba_, two.mislabel_proba_, atol=1e-2)


@pytest.mark.parametrize("parameters", [{"precision": "bfloat16"}, {"compile": True}])
def test_options_of_the_training_are_taken(bags, parameters, monkeypatch):
    """A network that is compiled is given dense rows."""
    X, y, true = bags
    seen = []

    def compiled(network):
        def call(x):
            seen.append(type(x).__name__)
            return network(x)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    clf = AutoCleansingClassifier(**(SETTINGS | {"max_epochs": 20}), **parameters).fit(sp.csr_array(X), y)
    assert clf.score(sp.csr_array(X), true) > 0.9
    assert set(seen) == ({"Tensor"} if "compile" in parameters else set())


def test_a_network_from_sparse_rows_may_be_the_backbone_of_another_fit(bags):
    X, y, _ = bags
    module = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X), y).module_
    clf = AutoCleansingClassifier(module, **SETTINGS).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(clf.predict_proba(sp.csr_array(X)), clf.predict_proba(X), atol=1e-6)


def test_a_fit_goes_on_from_its_checkpoint(bags, tmp_path):
    X, y, _ = bags
    X = sp.csr_array(X)

    class Stopped(AutoCleansingClassifier):
        _checkpoint_seconds = 0.0

    expected = AutoCleansingClassifier(**SETTINGS).fit(X, y)
    calls = 0

    def interrupt(*_):
        nonlocal calls
        calls += 1
        if calls > 500:
            raise KeyboardInterrupt

    clf = Stopped(**SETTINGS, checkpoint=tmp_path / "fit.pt")
    hook = nn.modules.module.register_module_forward_pre_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, y)
    finally:
        hook.remove()
    np.testing.assert_array_equal(clf.fit(X, y).decision_function(X), expected.decision_function(X))
    with pytest.raises(ValueError, match="another training: X is sparse float64 of shape"):
        clf.fit(2 * X, y)


def test_equal_rows_are_judged_in_the_same_half(bags):
    """A row that is given twice, with another label, is never judged by who has seen it: so neither seems right."""
    X, y, _ = bags
    order = np.r_[np.arange(240), np.arange(240)]
    labels = np.r_[y, (y + 1) % 3]
    sparse = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X[order]), labels)
    dense = AutoCleansingClassifier(**SETTINGS, standardize=False).fit(X[order] / sparse.scaler_.scale_, labels)
    np.testing.assert_allclose(sparse.mislabel_proba_, dense.mislabel_proba_, atol=2e-4)


def test_texts_in_a_pipeline_and_around_a_classifier():
    rng = np.random.RandomState(0)
    words = np.array([f"{name}{i}" for name in ("sun", "sea", "sky") for i in range(8)])
    y = np.arange(120) % 3
    texts = [" ".join(words[8 * k + rng.randint(0, 8, 5)]) for k in y]
    observed = np.where(rng.rand(120) < 0.1, (y + 1) % 3, y)
    clf = make_pipeline(TfidfVectorizer(), AutoCleansingClassifier(random_state=0)).fit(texts, observed)
    assert clf.score(texts, y) > 0.95
    X = TfidfVectorizer().fit_transform(texts)
    for strategy in ("drop", "relabel", "weight"):
        cleaned = CleanedClassifier(LogisticRegression(), strategy=strategy, random_state=0).fit(X, observed)
        assert cleaned.score(X, y) > 0.95
    assert CleanedClassifier(LogisticRegression()).__sklearn_tags__().input_tags.sparse


def test_frames_of_sparse_columns(bags):
    X, y, _ = bags
    frame = pd.DataFrame.sparse.from_spmatrix(sp.csr_array(X), columns=[f"w{j}" for j in range(D)])
    clf = AutoCleansingClassifier(**SETTINGS).fit(frame, y)
    assert clf.feature_names_in_[3] == "w3"
    expected = AutoCleansingClassifier(**SETTINGS).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(clf.predict_proba(frame), expected.predict_proba(X), atol=1e-6)


def test_bad_input(bags):
    X, y, _ = bags
    bad = sp.csr_array(X)
    bad.data[[0, 5]], bad.data[9] = np.nan, np.inf
    columns = sorted({int(j) for j in bad.indices[[0, 5, 9]]})
    message = f"2 NaN and 1 infinity entries, in {len(columns)} of 40 columns: {', '.join(map(str, columns))}"
    with pytest.raises(ValueError, match=message):
        AutoCleansingClassifier().fit(bad, y)
    with pytest.raises(ValueError, match="augment was given, and X is a sparse matrix of shape"):
        AutoCleansingClassifier(augment=Cutout(2)).fit(sp.csr_array(X), y)
    with pytest.raises(ValueError, match="takes images"):
        AutoCleansingClassifier("small_resnet").fit(sp.csr_array(X), y)
    with pytest.raises(ValueError, match=r"X is sparse and has shape \(240, 2, 20\), expected \(N, D\)"):
        AutoCleansingClassifier().fit(sp.coo_array(X).reshape((240, 2, 20)), y)
    clf = AutoCleansingClassifier(**(SETTINGS | {"max_epochs": 2})).fit(sp.csr_array(X), y)
    with pytest.raises(ValueError, match=r"X has 39 features, but .* is expecting 40 features"):
        clf.predict(sp.csr_array(X[:, 1:]))
    with pytest.raises(ValueError, match=message):
        clf.predict(bad)


# ------------------------------------------------------------------ arrays in files


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_array_in_a_file_is_fitted_as_the_one_in_memory(bags, tmp_path, monkeypatch, dtype):
    X, y = bags[0].astype(dtype), bags[1]
    np.save(tmp_path / "X.npy", X)
    weight = np.where(np.arange(240) % 5, 1.0, 0.0)
    expected = AutoCleansingClassifier(**SETTINGS).fit(X.astype(np.float64), y, sample_weight=weight)
    monkeypatch.setattr(standardize, "_CHUNK", 50 * D)
    read = []
    original = standardize.standardize
    monkeypatch.setattr(
        "acestimator.inputs.mapped.standardize", lambda X, *a: (read.append(len(X)), original(X, *a))[1]
    )
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    clf = AutoCleansingClassifier(**SETTINGS).fit(mapped, y, sample_weight=weight)
    np.testing.assert_allclose(clf.predict_proba(mapped), expected.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(clf.mislabel_proba_, expected.mislabel_proba_, atol=1e-4)
    assert 0 < max(read) < len(X)  # never all of it
    bad = np.load(tmp_path / "X.npy", mmap_mode="c")
    bad[200, 3] = np.nan
    with pytest.raises(ValueError, match="1 NaN and 0 infinity entries, in 1 of 40 columns: 3"):
        AutoCleansingClassifier().fit(bad, y)
