"""BaselineClassifier: the shell that peers are trained in."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.comparison import available
from acestimator.objectives import CrossEntropy
from acestimator.peers import METHODS, Method, Reading
from acestimator.phases import Phase

# Few epochs: enough for the checks, some of which ask for an accuracy. Samples that are held out at random cannot keep
# the equivalence of a weight of 2 with a sample given twice, so none are.
CHECKED = [
    BaselineClassifier("cross_entropy", max_epochs=30, random_state=0),
    BaselineClassifier("s_model", params={"holdout": 0.0}, max_epochs=15, random_state=0),
]


@parametrize_with_checks(CHECKED)
# One check is skipped, and warns that it is, where scikit-learn's array API support is not switched on.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_autocleansing_without_constants(noisy_digits, weighted):
    X, y = noisy_digits[0][:300], noisy_digits[1][:300]
    weight = np.random.RandomState(0).uniform(0.5, 2.0, len(y)) if weighted else None
    ours = AutoCleansingClassifier(alpha_lr=0, max_epochs=4, random_state=3).fit(X, y, weight)
    peer = BaselineClassifier(max_epochs=4, random_state=3).fit(X, y, weight)
    np.testing.assert_array_equal(peer.predict_proba(X), ours.predict_proba(X))
    assert [record["loss"] for record in peer.history_] == [record["loss"] for record in ours.history_]


def test_history_goes_over_all_phases(small):
    clf = BaselineClassifier("s_model", max_epochs=3, random_state=0).fit(*small)
    assert [record["phase"] for record in clf.history_] == [1, 1, 1, 2, 2, 2]
    assert [record["epoch"] for record in clf.history_[:3]] == [record["epoch"] for record in clf.history_[3:]]
    assert clf.n_iter_ == 6


def test_what_is_read_off_belongs_together(small):
    X, y = small
    names = np.array(["a", "b", "c"])
    given = np.where(np.arange(len(y)) < 15, (y + 1) % 3, y)
    clf = BaselineClassifier("gce", max_epochs=20, random_state=0).fit(X, names[given])
    assert clf.noise_rate_ == pytest.approx(clf.mislabel_proba_.mean())
    assert ((clf.mislabel_proba_ >= 0) & (clf.mislabel_proba_ <= 1)).all()
    changed = clf.suggested_labels_ != names[given]
    np.testing.assert_array_equal(changed, (clf.mislabel_proba_ > 0.5) & (clf.predict(X) != names[given]))
    assert changed[:15].mean() > 0.8  # clouds are four standard deviations apart: what is wrong there is plain
    assert changed[15:].mean() < 0.05


def test_samples_of_weight_zero_take_no_part(small):
    X, y = small
    weight = np.ones(len(y))
    weight[:10] = 0
    clf = BaselineClassifier(max_epochs=5, random_state=0).fit(X, y, weight)
    alone = BaselineClassifier(max_epochs=5, random_state=0).fit(X[10:], y[10:])
    np.testing.assert_allclose(clf.predict_proba(X), alone.predict_proba(X), rtol=1e-6)
    np.testing.assert_array_equal(clf.mislabel_scores_[:10], 0.0)
    np.testing.assert_allclose(clf.mislabel_proba_[:10], clf.noise_rate_)


@pytest.mark.parametrize("method", ["cross_entropy", "co_teaching", "s_model", "aum"])
def test_pickled_and_cloned(small, method):
    X, y = small
    clf = BaselineClassifier(method, max_epochs=2, random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict_proba(X), clf.predict_proba(X))
    assert clone(clf).get_params() == clf.get_params()
    assert clone(clf).fit(X, y).score(X, y) == clf.score(X, y)


def test_every_method_has_a_name_that_is_accepted(small):
    for method in METHODS:
        clf = BaselineClassifier(method, max_epochs=1, batch_size=200, random_state=0).fit(*small)
        assert np.isfinite(clf.mislabel_scores_).all(), method


def test_a_method_of_ones_own(small, monkeypatch):
    class Half(Method):
        def phases(self, labels, n_classes, generator):
            outcome = yield Phase(CrossEntropy())
            keep = torch.arange(0, len(labels), 2)
            yield Phase(CrossEntropy(), keep=keep)
            return Reading(outcome.logits[:, 0], torch.ones(len(labels)).index_fill(0, keep, 0.0))

    monkeypatch.setitem(METHODS, "half", Half)
    clf = BaselineClassifier("half", max_epochs=2, random_state=0).fit(*small)
    np.testing.assert_array_equal(clf.mislabel_proba_, np.arange(len(small[1])) % 2)
    assert "half" in available()


def test_errors_before_any_training(small, monkeypatch):
    from acestimator.phases import Trainer

    monkeypatch.setattr(Trainer, "run", lambda *args: pytest.fail("trained"))
    with pytest.raises(ValueError, match="method is 'nothing', expected one of 'abstention'"):
        BaselineClassifier("nothing").fit(*small)
    with pytest.raises(ValueError, match="method"):
        BaselineClassifier(3).fit(*small)
    with pytest.raises(ValueError, match="params has 'gamma', which 'gce' does not take: it takes 'q'"):
        BaselineClassifier("gce", params={"gamma": 1}).fit(*small)
    with pytest.raises(ValueError, match="q"):
        BaselineClassifier("gce", params={"q": -1.0}).fit(*small)
    with pytest.raises(ValueError, match="params"):
        BaselineClassifier("gce", params=3).fit(*small)
    with pytest.raises(ValueError, match=r"params is {'q': '0.7'}, which 'gce' cannot use .* defaults, {'q': 0.7}"):
        BaselineClassifier("gce", params={"q": "0.7"}).fit(*small)
    with pytest.raises(ValueError, match="at least 2 classes"):
        BaselineClassifier().fit(small[0], np.zeros(150))


def test_a_failed_fit_leaves_the_estimator_as_it_was(small):
    X, y = small
    clf = BaselineClassifier(max_epochs=2, random_state=0).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match="does not take"):
        clf.set_params(params={"q": 1}).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
