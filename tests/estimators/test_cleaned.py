"""CleanedClassifier: another classifier on cleansed labels."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.estimators.cleaned import clean_labels

STRATEGIES = ("weight", "relabel", "drop")


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 10, "random_state": 0, **parameters})


def tree():
    return DecisionTreeClassifier(random_state=0)


class Given(ClassifierMixin, BaseEstimator):
    """Cleanser whose verdict is known beforehand; it takes any X."""

    def __init__(self, proba=(), suggested=()):
        self.proba, self.suggested = proba, suggested

    def fit(self, X, y, sample_weight=None):
        self.mislabel_proba_, self.suggested_labels_ = np.array(self.proba), np.array(self.suggested)
        return self


@pytest.fixture
def noisy(small):
    X, y = small
    return X, np.where(np.arange(150) < 15, (y + 1) % 3, y)


CHECKED = [
    CleanedClassifier(LogisticRegression(), cleanser=quick(), strategy="relabel"),
    CleanedClassifier(GaussianNB(), cleanser=quick(), strategy="weight", random_state=0),
    CleanedClassifier(GaussianNB(), cleanser=quick(), strategy="drop"),
]


@parametrize_with_checks(CHECKED)
# One check is skipped, and warns that it is, where scikit-learn's array API support is not switched on. Labels that
# some checks draw at random may leave nobody of a class.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore:the cleanser leaves nobody")
def test_sklearn_checks(estimator, check):
    check(estimator)


# ------------------------------------------------------------------ what the classifier is fitted on


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_is_better_than_the_classifier_alone(noisy_digits, strategy):
    X, observed, _, X_test, y_test = noisy_digits
    cleaned = CleanedClassifier(tree(), strategy=strategy, random_state=0).fit(X, observed)
    assert cleaned.score(X_test, y_test) > tree().fit(X, observed).score(X_test, y_test) + 0.1


def test_what_the_network_was_spared_is_left_out_by_default(noisy):
    X, y = noisy
    default, drop = (CleanedClassifier(tree(), cleanser=quick(), **given) for given in ({}, {"strategy": "drop"}))
    ours, theirs = default.fit(X, y), drop.fit(X, y)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    kept = ~ours.cleanser_.left_out_
    assert not kept.all()
    np.testing.assert_array_equal(ours.predict_proba(X), tree().fit(X[kept], y[kept]).predict_proba(X))


def test_suspects_are_left_out_where_no_network_was_spared_any(noisy):
    X, y = noisy
    peer = BaselineClassifier(method="gce", max_epochs=5, random_state=0)
    for cleanser in (quick(preset="paper", max_epochs=30), peer):
        cleaned = CleanedClassifier(tree(), cleanser=cleanser).fit(X, y)
        kept = cleaned.mislabel_proba_ <= 0.5
        np.testing.assert_array_equal(cleaned.predict_proba(X), tree().fit(X[kept], y[kept]).predict_proba(X))


@pytest.mark.parametrize("weight", [None, np.arange(150) % 4 * 0.5])
def test_it_is_the_classifier_on_cleansed_labels(noisy, weight):
    X, y = noisy
    cleanser = quick().fit(X, y, weight)
    proba, suggested, learned = cleanser.mislabel_proba_, cleanser.suggested_labels_, ~cleanser.left_out_
    w = np.ones(150) if weight is None else weight
    for strategy, labels, weights in (
        ("weight", y, w * (1 - proba) * learned),
        ("relabel", suggested, w * (learned | (suggested != y))),
        ("drop", y, w * learned),
    ):
        used = weights > 0
        expected = tree().fit(X[used], labels[used], weights[used])
        cleaned = CleanedClassifier(tree(), cleanser=quick(), strategy=strategy).fit(X, y, weight)
        np.testing.assert_array_equal(cleaned.predict_proba(X), expected.predict_proba(X))
        np.testing.assert_array_equal(cleaned.mislabel_proba_, proba)
        np.testing.assert_array_equal(cleaned.suggested_labels_, suggested)
        pd.testing.assert_frame_equal(cleaned.label_issues(), cleanser.label_issues())


labels = st.integers(0, 4)
probabilities, some_weights = st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.9, 1.0]), st.sampled_from([0.0, 0.5, 3.0])
rows = st.tuples(labels, probabilities, labels, some_weights, st.booleans())


@given(st.lists(rows, min_size=1, max_size=12), st.sampled_from(STRATEGIES), st.booleans())
def test_no_class_is_lost_and_nothing_else_is_touched(table, strategy, weighted):
    y, proba, suggested, weight, left_out = (np.array(column) for column in zip(*table, strict=True))
    present = weight > 0 if weighted else np.ones(len(y), dtype=bool)
    suggested = np.where(np.isin(suggested, y[present]), suggested, y)  # a cleanser knows the classes that it saw
    kept, final, weights, restored = clean_labels(y, weight if weighted else None, proba, suggested, left_out, strategy)
    assert set(final) == set(y[present])
    assert (np.diff(kept) > 0).all()
    assert present[kept].all()
    back = np.isin(y, restored)
    np.testing.assert_array_equal(final, np.where(back | (strategy != "relabel"), y, suggested)[kept])
    kept_or_changed = ~left_out | (suggested != y)
    share = {"weight": (1 - proba) * ~left_out, "relabel": kept_or_changed * 1.0, "drop": ~left_out}[strategy]
    expected = np.where(back, 1.0, share) * (weight if weighted else 1.0)
    np.testing.assert_array_equal(kept, np.flatnonzero(present & (expected > 0)))
    assert (weights is None) == (strategy != "weight" and not weighted)
    if weights is not None:
        np.testing.assert_array_equal(weights, expected[kept])
    for label in set(y[present]) - set(restored):
        assert share[kept][final == label].sum() >= 0.5 or back[kept][final == label].any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_class_that_nobody_is_left_of_is_kept_as_it_was(small, strategy):
    X, y = small
    proba, suggested = np.where(y == 2, 1.0, 0.0), np.where(y == 2, 0, y)
    names = np.array(["ape", "bee", "cow"])
    cleaned = CleanedClassifier(GaussianNB(), cleanser=Given(proba, names[suggested]), strategy=strategy)
    with pytest.warns(UserWarning, match=r"leaves nobody of 'cow': .* as they were given\. .*label_issues"):
        cleaned.fit(X, names[y])
    np.testing.assert_array_equal(cleaned.predict_proba(X), GaussianNB().fit(X, y).predict_proba(X))
    assert cleaned.classes_.tolist() == names.tolist()


def test_classes_that_only_zero_weights_have_are_no_classes(small):
    X, y = small
    cleaned = CleanedClassifier(tree(), cleanser=quick()).fit(X, y, sample_weight=(y != 2).astype(float))
    assert cleaned.classes_.tolist() == cleaned.estimator_.classes_.tolist() == [0, 1]


# ------------------------------------------------------------------ members


def test_pipelines_as_members(noisy):
    X, y = noisy
    weight = 1.0 + np.arange(150) % 2
    scaled = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression()))
    cleanser = make_pipeline(StandardScaler(), quick(standardize=False))
    cleaned = CleanedClassifier(scaled, cleanser=cleanser, strategy="weight").fit(X, y, weight)
    alone = cleanser.fit(X, y, autocleansingclassifier__sample_weight=weight)[-1]
    right = weight * (1 - alone.mislabel_proba_) * ~alone.left_out_
    rows = right > 0
    scaled.fit(X[rows], y[rows], pipeline__logisticregression__sample_weight=right[rows])
    np.testing.assert_array_equal(cleaned.predict_proba(X), scaled.predict_proba(X))
    pd.testing.assert_frame_equal(cleaned.label_issues(), alone.label_issues())


def test_a_pipeline_under_metadata_routing(noisy):
    X, y = noisy
    classifier = LogisticRegression()
    with sklearn.config_context(enable_metadata_routing=True):
        scaled = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), classifier.set_fit_request(sample_weight=True)
        )
        routed = CleanedClassifier(scaled, cleanser=quick(), strategy="weight").fit(X, y)
    plain = CleanedClassifier(clone(scaled), cleanser=quick(), strategy="weight").fit(X, y)
    np.testing.assert_array_equal(routed.predict_proba(X), plain.predict_proba(X))


def test_gaps_and_categories_that_the_classifier_takes(noisy):
    X, y = noisy
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=pd.Categorical.from_codes(np.arange(150) % 2, ["p", "q"]))
    frame.loc[frame.index % 10 == 0, "d"] = np.nan
    boosting = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype", random_state=0)
    prepared = make_pipeline(OrdinalEncoder(encoded_missing_value=-1), quick())
    for strategy in STRATEGIES:
        cleaned = CleanedClassifier(boosting, cleanser=prepared, strategy=strategy).fit(frame, y)
        assert cleaned.feature_names_in_.tolist() == [*"abcd", "kind"]
        assert cleaned.estimator_.is_categorical_.tolist() == [False] * 4 + [True]
        assert cleaned.score(frame, y) > 0.8
    with pytest.raises(ValueError, match=r"1 of 5 columns .*'kind' \(categories, such as 'p'\)") as caught:
        CleanedClassifier(boosting).fit(frame, y)
    assert "cleanser=make_pipeline(" in caught.value.__notes__[0]


def test_a_baseline_cleanses_too(noisy):
    X, y = noisy
    baseline = BaselineClassifier("trimmed", max_epochs=10, random_state=0)
    cleaned = CleanedClassifier(KNeighborsClassifier(), cleanser=baseline, strategy="drop").fit(X, y)
    np.testing.assert_array_equal(cleaned.mislabel_proba_, clone(baseline).fit(X, y).mislabel_proba_)


def test_it_has_the_methods_that_the_classifier_has(noisy):
    X, y = noisy
    machine = CleanedClassifier(LinearSVC(random_state=0), cleanser=quick())
    assert not hasattr(machine, "predict_proba")
    np.testing.assert_array_equal(machine.fit(X, y).decision_function(X).argmax(axis=1), machine.predict(X))
    forest = CleanedClassifier(tree(), cleanser=quick())
    assert not hasattr(forest, "decision_function")
    forest.fit(X, y)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(forest.predict_log_proba(X), np.log(forest.predict_proba(X)))


def test_random_state_seeds_both_or_neither(noisy):
    X, y = noisy
    forest = DecisionTreeClassifier(max_features=1, random_state=5)
    fits = [CleanedClassifier(forest, cleanser=quick(), random_state=1).fit(X, y) for _ in range(2)]
    assert fits[0].estimator_.random_state == fits[1].estimator_.random_state != 5
    assert fits[0].cleanser_.random_state == fits[1].cleanser_.random_state != 0
    np.testing.assert_array_equal(*(fit.predict_proba(X) for fit in fits))
    alone = CleanedClassifier(forest, cleanser=quick()).fit(X, y)
    assert (alone.estimator_.random_state, alone.cleanser_.random_state) == (5, 0)


# ------------------------------------------------------------------ with the rest of scikit-learn


def test_nested_search_cross_validation_and_pickle(noisy):
    X, y = noisy
    cleaned = CleanedClassifier(make_pipeline(StandardScaler(), tree()), cleanser=quick(max_epochs=20))
    grid = {
        "strategy": STRATEGIES,
        "estimator__decisiontreeclassifier__max_depth": [1, 2],
        "cleanser__alpha_lr": [0.2],
    }
    search = GridSearchCV(cleaned, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.cleanser_.alpha_lr == 0.2
    assert search.best_estimator_.estimator_[-1].max_depth == 2  # three classes
    assert cross_val_score(cleaned, X, y, cv=3).mean() > 0.8  # a tenth of the labels is wrong
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))
    pd.testing.assert_frame_equal(again.label_issues(), search.best_estimator_.label_issues())
    assert clone(again).strategy == search.best_params_["strategy"]


def test_the_members_that_are_given_are_never_fitted(noisy):
    classifier, cleanser = tree(), quick()
    CleanedClassifier(classifier, cleanser=cleanser).fit(*noisy)
    assert not hasattr(classifier, "classes_")
    assert not hasattr(cleanser, "classes_")


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("parameters", "weight", "error", "message"),
    [
        ({"estimator": KNeighborsClassifier(), "strategy": "weight"}, None, ValueError,
         r"estimator is KNeighborsClassifier\(\), whose fit does not take sample_weight.*\"relabel\" or \"drop\""),
        ({"estimator": KNeighborsClassifier()}, np.ones(150), ValueError, "does not take sample_weight.*give no"),
        ({"cleanser": KNeighborsClassifier()}, np.ones(150), ValueError, "cleanser is KNeighb.* does not take"),
        ({"cleanser": tree()}, None, TypeError,
         "cleanser is DecisionTree.*no mislabel_proba_ and no suggested_labels_ once fitted, expected AutoCleansing"),
        ({"estimator": StandardScaler()}, None, ValueError, "'estimator' parameter"),
        ({"estimator": Ridge()}, None, ValueError, r"estimator is Ridge\(\), a regressor, expected a classifier"),
        ({"cleanser": 3}, None, ValueError, "'cleanser' parameter"),
        ({"strategy": "weights"}, None, ValueError, "'strategy' parameter"),
        ({}, -np.ones(150), ValueError, "[Nn]egative"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_leaves_the_fit_as_it_was(noisy, parameters, weight, error, message):
    X, y = noisy
    cleaned = CleanedClassifier(tree(), cleanser=Given(np.zeros(150), y)).fit(X, y)
    before, usable = cleaned.predict_proba(X), cleaned.get_params(deep=False)
    with pytest.raises(error, match=message):
        cleaned.set_params(**parameters).fit(X, y, weight)
    cleaned.set_params(**usable)
    np.testing.assert_array_equal(cleaned.predict_proba(X), before)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "label_issues"])
def test_use_before_fit(method):
    arguments = () if method == "label_issues" else (np.zeros((2, 4)),)
    with pytest.raises(NotFittedError):
        getattr(CleanedClassifier(tree()), method)(*arguments)
