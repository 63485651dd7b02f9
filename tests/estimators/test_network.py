"""What all estimators share: the network that is trained and predicts, and scikit-learn around it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from acestimator import AutoCleansingClassifier

LONG = {
    "max_epochs": 7,
    "batch_size": 16,
    "random_state": 0,
    "device": "cpu",
    "preset": "paper",
    "learning_rate": 0.01,
}
FITTED_ARRAYS = ("alpha_", "mislabel_scores_", "mislabel_proba_", "suggested_labels_")


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 3, "random_state": 0, **parameters})


def linear(input_shape, n_classes):
    return nn.Linear(input_shape[0], n_classes)


def test_predictions_are_the_modules_own(noisy_digits):
    """Prediction never sees alpha: logits, probabilities and labels are the softmax of module_ alone."""
    X, y, _, X_test, _ = noisy_digits
    clf = quick().fit(X, y)
    x = torch.from_numpy(clf.scaler_.transform(X_test))
    with torch.no_grad():
        logits = clf.module_(x)
    np.testing.assert_allclose(clf.decision_function(X_test), logits.numpy(), atol=1e-10)
    np.testing.assert_allclose(clf.predict_proba(X_test), logits.softmax(dim=1).numpy(), atol=1e-10)
    np.testing.assert_array_equal(clf.predict(X_test), logits.argmax(dim=1).numpy())


def test_log_probabilities_are_those_of_the_probabilities_and_finite_where_these_are_zero(small):
    X, y = small
    clf = quick(max_epochs=30).fit(X, y)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(clf.predict_proba(X)), rtol=1e-10, atol=1e-15)
    far = 1e6 * X[:7]
    with pytest.warns(UserWarning, match="in another unit"):
        logits, log_proba, proba = (
            ask(far) for ask in (clf.decision_function, clf.predict_log_proba, clf.predict_proba)
        )
    assert log_proba.shape == (7, 3)
    assert log_proba.dtype == np.float64
    assert (proba == 0).any()
    # The softmax has the logits' own differences, whatever their size.
    np.testing.assert_allclose(log_proba - log_proba[:, :1], logits - logits[:, :1], rtol=1e-12)
    np.testing.assert_allclose(log_proba.max(axis=1), 0, atol=1e-12)


def test_a_random_state_repeats_the_fit_exactly(noisy_digits):
    X, y = noisy_digits[:2]
    first, second, other = (quick(max_epochs=15, random_state=seed).fit(X, y) for seed in (1, 1, 2))
    for name in FITTED_ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.decision_function(X), second.decision_function(X))
    assert (first.decision_function(X) != other.decision_function(X)).any()


def test_a_module_is_copied_and_never_trained_in_place(small):
    X, y = small
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    before = copy.deepcopy(module.state_dict())
    clf = quick(backbone=module, batch_size=149).fit(X, y)  # a last batch of one would stop batch normalisation
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not torch.equal(clf.module_[0].weight, module[0].weight)
    assert not clf.module_.training


def test_a_callable_and_a_lazy_module(small):
    X, y = small
    assert quick(backbone=linear, max_epochs=20, learning_rate=0.05).fit(X, y).score(X, y) > 0.95
    assert quick(backbone=nn.LazyLinear(3)).fit(X, y).module_.weight.shape == (3, 4)


def test_a_module_with_float32_constants_inside_its_forward(small):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x):
            return self.linear(x) @ torch.eye(3)

    X, y = small
    clf = quick(backbone=Gated()).fit(X[:20], y[:20])
    assert clf.decision_function(X).shape == (150, 3)


def test_a_frozen_module_is_scored_and_not_trained(small):
    X, y = small
    module = nn.Linear(4, 3).requires_grad_(False)
    clf = quick(backbone=module).fit(X, y)
    assert torch.equal(clf.module_.weight, module.weight)
    assert clf.mislabel_scores_.any()


def test_prediction_uses_what_was_fitted_whatever_the_parameters_say_now(small):
    X, y = small
    clf = quick().fit(X, y)
    expected = clf.predict_proba(X)
    clf.set_params(backbone=nn.Linear(4, 3), device="cuda", standardize=False)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), expected)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("backbone", ["mlp", linear])
def test_fitting_inside_no_grad_and_inference_mode(small, context, backbone):
    expected = quick(backbone=backbone).fit(*small).decision_function(small[0])
    with context():
        np.testing.assert_array_equal(quick(backbone=backbone).fit(*small).decision_function(small[0]), expected)


def test_fits_in_threads_equal_fits_one_after_the_other(small):
    clfs = [quick(random_state=seed) for seed in range(6)]
    expected = [clone(clf).fit(*small).decision_function(small[0]) for clf in clfs]
    fitted = Parallel(n_jobs=3, backend="threading")(delayed(clf.fit)(*small) for clf in clfs)
    for clf, decision in zip(fitted, expected, strict=True):
        np.testing.assert_array_equal(clf.decision_function(small[0]), decision)


def test_a_subclass_keeps_its_own_attributes(small):
    class Sub(AutoCleansingClassifier):
        def fit(self, X, y):
            self.seen_ = len(X)
            return super().fit(X, y)

    assert Sub(max_epochs=1).fit(*small).seen_ == 150


def test_pipeline_grid_search_and_nested_names(small):
    X, y = small
    pipeline = make_pipeline(StandardScaler(), quick())
    pipeline.set_params(autocleansingclassifier__alpha_lr=0.1)
    search = GridSearchCV(pipeline, {"autocleansingclassifier__variant": ["AC1", "AC2"]}, cv=2).fit(X, y)
    assert search.best_estimator_[-1].alpha_lr == 0.1
    assert search.best_estimator_[-1].mislabel_scores_.shape == (150,)


def test_cross_val_score_in_two_processes_equals_one(small):
    scores = [cross_val_score(quick(), *small, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("copied", [lambda clf: pickle.loads(pickle.dumps(clf)), copy.deepcopy, copy.copy])
def test_pickle_and_copy(small, copied):
    X, y = small
    clf = quick().fit(X, y)
    again = copied(clf)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(again.mislabel_scores_, clf.mislabel_scores_)
    again.fit(X[:30], y[:30])  # and the original does not notice
    assert clf.mislabel_scores_.shape == (150,)


def test_clone_is_unfitted_and_keeps_the_parameters(small):
    clf = clone(quick(backbone=linear, penalty=("group", 0.1)).fit(*small))
    assert clf.penalty == ("group", 0.1)
    assert not hasattr(clf, "mislabel_scores_")


@pytest.mark.cuda
def test_cuda_fit_is_close_to_the_cpus_and_pickles_to_the_cpu(noisy_digits):
    X, y, _, X_test, y_test = noisy_digits
    scores = {}
    for device in ("cpu", "cuda"):
        clf = AutoCleansingClassifier(device=device, random_state=0).fit(X, y)
        scores[device] = clf.score(X_test, y_test)
    assert abs(scores["cpu"] - scores["cuda"]) < 0.03
    assert next(clf.module_.parameters()).is_cuda
    again = pickle.loads(pickle.dumps(clf))
    assert not next(again.module_.parameters()).is_cuda
    np.testing.assert_allclose(again.predict_proba(X_test), clf.predict_proba(X_test), atol=1e-6)


@pytest.mark.parametrize(
    ("n_samples", "weight", "exact"), [(32, 1, True), (33, 1, False), (16, 2, True), (17, 2, False), (20, 0.1, True)]
)
def test_float64_is_for_samples_and_weights_of_one_batch(small, n_samples, weight, exact):
    X, y = small[0][:n_samples], small[1][:n_samples]
    clf = quick(batch_size=32).fit(X, y, sample_weight=np.full(n_samples, weight))
    weights = clf.module_[0].weight
    assert weights.dtype == torch.float64
    assert torch.equal(weights, weights.float().double()) != exact


# ------------------------------------------------------------------ what a long training is given


def test_auto_is_float32_without_a_gpu():
    images, labels = np.random.RandomState(0).rand(20, 3, 6, 6), np.arange(20) % 2
    fits = [AutoCleansingClassifier(precision=p, **LONG).fit(images, labels) for p in ("auto", "float32")]
    np.testing.assert_array_equal(*(clf.decision_function(images) for clf in fits))


def test_a_compiled_network_is_trained_and_the_plain_one_is_kept(small, monkeypatch):
    compiled = []

    def compile_plainly(network):
        compiled.append(network)
        return torch._dynamo.optimize("aot_eager")(network)

    monkeypatch.setattr(torch, "compile", compile_plainly)
    clf = AutoCleansingClassifier(compile=True, **LONG).fit(*small)
    assert len(compiled) == 1
    assert type(clf.module_) is type(compiled[0])
    plain = AutoCleansingClassifier(**LONG).fit(*small)
    np.testing.assert_allclose(clf.decision_function(small[0]), plain.decision_function(small[0]), atol=1e-5)


def test_schedules_that_are_none_are_refused(small):
    for schedule in ((3, 1), (2, 2), (-1,), (float("nan"),), ("a",)):
        with pytest.raises(ValueError, match="schedule"):
            AutoCleansingClassifier(schedule=schedule).fit(*small)
    with pytest.raises(ValueError, match="'schedule' parameter"):
        AutoCleansingClassifier(schedule="linear").fit(*small)


def test_images_come_channels_last_to_our_networks_and_not_to_a_user_s():
    images = np.random.RandomState(0).randint(0, 256, size=(20, 3, 8, 8)).astype(np.uint8)
    labels = np.arange(20) % 2
    layouts = []

    class Watched(nn.Sequential):
        def forward(self, x):
            if self.training:
                layouts.append(x.is_contiguous())
            return super().forward(x)

    AutoCleansingClassifier(Watched(nn.Flatten(), nn.Linear(192, 2)), **LONG).fit(images, labels)
    assert all(layouts)
    clf = AutoCleansingClassifier("resnet32", **(LONG | {"max_epochs": 1})).fit(images, labels)
    weight = next(p for p in clf.module_.parameters() if p.ndim == 4)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
