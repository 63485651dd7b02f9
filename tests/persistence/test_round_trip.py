"""An estimator that was saved and loaded is the same estimator."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved import SETTINGS, Narrow, Narrower, again, assert_equal, assert_same, fitted, narrow
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier, backbones, load
from acestimator.persistence.values import Described

FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
LABELS = st.one_of(
    st.lists(INTEGERS, min_size=3, max_size=3, unique=True).map(np.array),
    st.lists(st.integers(0, 200), min_size=3, max_size=3, unique=True).map(lambda v: np.array(v, dtype=">u2")),
    st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3, unique=True).map(lambda v: np.array(v, np.float32)),
    st.lists(st.text(min_size=1), min_size=3, max_size=3, unique_by=lambda v: v.rstrip("\0")).map(
        lambda v: np.array(v, dtype=object)
    ),
    st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=3, max_size=3, unique=True).map(
        np.array
    ),
    st.just(np.array([False, True])),
    st.just(pd.array([3, 1, 2], dtype="Int16")),
    st.just(pd.array(["ä", "", "日本"], dtype="string[python]")),
    st.just(pd.Categorical(["b", "a", "c"], categories=["c", "z", "a", "b"], ordered=True)),
)
PARAMETERS = st.fixed_dictionaries(
    {
        "variant": st.sampled_from(["AC1", "AC2"]),
        "alpha_lr": st.sampled_from([None, 0, 0.5, np.float32(0.1), "paper"]),
        "standardize": st.booleans(),
        "batch_size": st.sampled_from([None, 16, np.int64(200)]),
        "schedule": st.sampled_from([None, "cosine", (1,), (0.5, 0.75)]),
        "optimizer": st.sampled_from([None, "sgd"]),
        "device": st.sampled_from(["cpu", torch.device("cpu")]),
        "class_weight": st.sampled_from([None, "balanced"]),
    }
)


@pytest.fixture
def few(small):
    return small[0][:60], small[1][:60]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    return (60 * y[:, None, None, None] + rng.integers(0, 180, (24, 3, 8, 8))).astype(np.uint8), y


@FIXTURE
@given(labels=LABELS, parameters=PARAMETERS)
def test_of_all_settings_and_labels(few, tmp_path, labels, parameters):
    X, codes = few
    codes = codes % len(labels)
    y = (
        pd.Series(labels.take(codes))
        if hasattr(labels, "take") and not isinstance(labels, np.ndarray)
        else labels[codes]
    )
    clf = fitted(X, y, **parameters)
    found = again(clf, tmp_path)
    assert_same(found, clf, X)
    for name, value in clf.get_params().items():
        assert_equal(found.get_params()[name], value, name)
    assert repr(clone(found)) == repr(clone(clf))
    assert_same(again(found, tmp_path), clf, X)
    bare = again(clf, tmp_path, include_training=False)
    np.testing.assert_array_equal(bare.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(bare.classes_, clf.classes_)


def test_a_loaded_estimator_is_fitted_to_the_same_again(few, tmp_path):
    X, y = few
    clf = fitted(X, y, class_weight={0: 2.0, np.int64(1): np.float64(0.5)})
    found = again(clf, tmp_path).fit(X, y)
    for name in ("history_", "module_", "scaler_"):
        assert hasattr(found, name)
    np.testing.assert_array_equal(found.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(found.alpha_, clf.alpha_)


def test_frames_give_their_names_and_labels_their_weights(few, tmp_path):
    X, y = few
    X = pd.DataFrame(X, columns=["a", "b", "ç", "d e"])
    clf = fitted(X, y)
    found = again(clf, tmp_path)
    assert_same(found, clf, X)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(X.rename(columns={"a": "x"}))
    weight = np.arange(len(y)) % 4
    clf = AutoCleansingClassifier(**SETTINGS).fit(X, y, sample_weight=weight)
    found = again(clf, tmp_path)
    assert_same(found, clf, X)
    np.testing.assert_array_equal(found.find_mislabeled(30), clf.find_mislabeled(30))


def test_sparse_rows_stay_sparse(few, tmp_path):
    X, y = csr_array(np.where(few[0] > 1, few[0], 0.0)), few[1]
    clf = fitted(X, y)
    found = again(clf, tmp_path)
    assert found._takes_sparse_rows
    assert_same(found, clf, X)
    assert_same(found, clf, X.toarray())


@pytest.mark.parametrize("backbone", ["auto", "resnet32", "shake_shake_26_2x32d"])
def test_images_are_predicted_to_the_bit(images, tmp_path, backbone):
    X, y = images
    clf = fitted(X, y, backbone=backbone, batch_size=8)
    # A GPU's training, or a user, may leave kernels in this layout.
    for laid_out in (clf.module_, clf.module_.to(memory_format=torch.channels_last)):
        clf.module_ = laid_out
        found = again(clf, tmp_path)
        assert_same(found, clf, X)
        strides = [[part.stride() for part in each.module_.state_dict().values()] for each in (found, clf)]
        assert strides[0] == strides[1]


@pytest.mark.parametrize("method", ["cross_entropy", "co_teaching", "abstention", "s_model", "aum"])
def test_baselines_are_loaded_whatever_head_they_had(few, tmp_path, method):
    X, y = few
    clf = BaselineClassifier(method, **SETTINGS).fit(X, y)
    assert_same(again(clf, tmp_path), clf, X)


def test_a_recipe_s_network_has_a_name_and_its_augmentation_a_description(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (8, 3, 32, 32)).astype(np.uint8), np.arange(8) % 2
    clf = AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=1, random_state=0).fit(X, y)
    path = tmp_path / "model.safetensors"
    with pytest.warns(UserWarning, match=r"the file holds augment by description alone.*set_params"):
        clf.save(path)
    found = load(path)
    assert found.backbone == clf.backbone
    assert isinstance(found.augment, Described)
    np.testing.assert_array_equal(found.predict_proba(X), clf.predict_proba(X))
    with pytest.raises(ValueError, match=r"augment\._base\.Compose.*set_params"):
        found.fit(X, y)
    with pytest.warns(UserWarning, match="augment"):
        found.save(path)
    assert load(path).augment.text == found.augment.text
    np.testing.assert_array_equal(found.set_params(augment=clf.augment).fit(X, y).alpha_, clf.alpha_)


def test_a_generator_is_described_and_refused_by_the_next_fit(few, tmp_path):
    X, y = few
    clf = fitted(X, y, random_state=np.random.RandomState(0), checkpoint=None)
    with pytest.warns(UserWarning, match="random_state"):
        found = again(clf, tmp_path)
    np.testing.assert_array_equal(found.predict_proba(X), clf.predict_proba(X))
    with pytest.raises(ValueError, match=r"random_state.*described"):
        found.fit(X, y)


# ---------------------------------------------------------------- the user's own networks


@pytest.mark.parametrize("backbone", [Narrow(), narrow, Narrow, lambda shape, k: nn.LazyLinear(k)])
def test_an_own_backbone_is_given_to_load(few, tmp_path, backbone):
    X, y = few
    if backbone is Narrow:
        backbone = lambda shape, k: Narrow(k)  # noqa: E731
    clf = fitted(X, y, backbone=backbone)
    before = torch.get_rng_state()
    found = again(clf, tmp_path, backbone)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(found, clf, X)
    assert found.backbone is backbone
    with pytest.raises(ValueError, match=r"the user's own \(.*\).*load\(path, backbone=\.\.\.\)"):
        load(tmp_path / "model.safetensors")


def test_another_backbone_than_the_one_of_then_is_refused(few, tmp_path):
    X, y = few
    fitted(X, y, backbone=Narrow()).save(tmp_path / "own")
    with pytest.raises(ValueError, match="computes something else"):
        load(tmp_path / "own", Narrower())
    with pytest.raises(ValueError, match=r"tensors are not those of the network.*(?s:.*)last"):
        load(tmp_path / "own", Narrow(4))
    with pytest.raises(ValueError, match="not those of the network"):
        load(tmp_path / "own", nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"returned int, expected a torch\.nn\.Module"):
        load(tmp_path / "own", lambda shape, k: 3)
    fitted(X, y).save(tmp_path / "named")
    with pytest.raises(ValueError, match="backbone was given, and the networks in the file are rebuilt by their names"):
        load(tmp_path / "named", Narrow())


def test_a_network_of_another_library_is_rebuilt_by_name_and_compared(few, tmp_path, monkeypatch):
    class Scaled(Narrow):
        """It has a number that is in no state, so that it cannot be built without memory."""

        def __init__(self, n_classes, factor):
            super().__init__(n_classes)
            self.register_buffer("factor", torch.full((), factor), persistent=False)

        def forward(self, x):
            return self.factor * super().forward(x)

    X, y = few
    monkeypatch.setitem(backbones._LIBRARIES, "timm", lambda name, shape, k: Scaled(k, 2.0))
    clf = fitted(X, y, backbone="timm:scaled")
    before = torch.get_rng_state()
    assert_same(again(clf, tmp_path), clf, X)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setitem(backbones._LIBRARIES, "timm", lambda name, shape, k: Scaled(k, 3.0))  # another version of it
    with pytest.raises(ValueError, match=r"\(timm:scaled\), but it computes something else.*0\.5 of the largest"):
        load(tmp_path / "model.safetensors")


def test_a_state_that_is_no_tensor_is_named(few, tmp_path):
    class Extra(Narrow):
        def get_extra_state(self):
            return "a text"

        def set_extra_state(self, state):
            pass

    with pytest.raises(ValueError, match=r"_extra_state' is str.*buffer"):
        fitted(*few, backbone=Extra()).save(tmp_path / "extra")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- what is left out, and who cannot be held


@pytest.mark.parametrize("name", ["alpha_", "mislabel_scores_", "mislabel_proba_", "suggested_labels_", "left_out_"])
def test_without_the_training_samples_it_says_so(few, tmp_path, name):
    X, y = few
    clf = fitted(X, y)
    found = again(clf, tmp_path, include_training=False)
    assert hasattr(clf, name)
    assert not hasattr(found, name)
    for ask in (lambda: getattr(found, name), found.label_issues, found.find_mislabeled):
        with pytest.raises(AttributeError, match=r"include_training=False, without what belongs"):
            ask()
    assert (found.noise_rate_, found.history_) == (clf.noise_rate_, clf.history_)
    with pytest.raises(AttributeError, match="no attribute 'nothing_'"):
        found.nothing_  # noqa: B018
    with pytest.raises(AttributeError, match="include_training=False"):
        getattr(again(found, tmp_path), name)
    assert hasattr(found.fit(X, y), name)


def test_a_file_without_the_training_samples_has_nothing_that_grows_with_them(small, tmp_path):
    sizes = []
    for n in (60, 120):
        X, y = small[0][:n], small[1][:n].astype(str)
        fitted(X, y, alpha_lr=0).save(tmp_path / "model", include_training=False)
        sizes.append((tmp_path / "model").stat().st_size)
    assert abs(sizes[0] - sizes[1]) < 300  # the digits of the history


def test_cleaned_classifiers_of_our_own_members_are_held(few, tmp_path):
    X, y = few
    parts = {"cleanser": AutoCleansingClassifier(**SETTINGS), "random_state": 3}
    clf = CleanedClassifier(BaselineClassifier(**SETTINGS), **parts).fit(X, y)
    found = again(clf, tmp_path)
    assert repr(found) == repr(clf)
    np.testing.assert_array_equal(found.predict_proba(X), clf.predict_proba(X))
    pd.testing.assert_frame_equal(found.label_issues(), clf.label_issues(), check_exact=True)
    for name in ("classes_", "mislabel_proba_", "suggested_labels_"):
        assert_equal(getattr(found, name), getattr(clf, name))
    assert_same(found.cleanser_, clf.cleanser_, X)
    bare = again(clf, tmp_path, include_training=False)
    np.testing.assert_array_equal(bare.predict_proba(X), clf.predict_proba(X))
    for ask in (lambda: bare.cleanser_, lambda: bare.mislabel_proba_, bare.label_issues):
        with pytest.raises(AttributeError, match="include_training=False"):
            ask()
    assert hasattr(bare.fit(X, y), "cleanser_")
    assert not hasattr(bare, "_without_training")


def test_cleaned_classifiers_name_what_a_file_cannot_hold(few, tmp_path):
    X, y = few
    ours, tree = AutoCleansingClassifier(**SETTINGS), DecisionTreeClassifier()
    clf = CleanedClassifier(tree, cleanser=ours).fit(X, y)
    with pytest.raises(ValueError, match=r"estimator_ is sklearn\.tree.*DecisionTreeClassifier.*skops\.io\.dump"):
        clf.save(tmp_path / "model")
    clf.cleanser_.save(tmp_path / "cleanser")  # as the error says
    clf = CleanedClassifier(ours, cleanser=make_pipeline(StandardScaler(), ours)).fit(X, y)
    with pytest.raises(ValueError, match=r"cleanser_ is sklearn\.pipeline\.Pipeline.*include_training=False"):
        clf.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["cleanser"]
    clf.cleanser_[-1].save(tmp_path / "cleanser")
    with pytest.warns(UserWarning, match="cleanser by description alone"):
        found = again(clf, tmp_path, include_training=False)
    np.testing.assert_array_equal(found.predict(X), clf.predict(X))
    with pytest.raises(ValueError, match=r"cleanser.*described"):
        found.fit(X, y)


def test_what_is_not_fitted_or_of_another_class_is_not_saved(few, tmp_path):
    class Own(AutoCleansingClassifier):
        pass

    for clf in (AutoCleansingClassifier(), BaselineClassifier(), CleanedClassifier(AutoCleansingClassifier())):
        with pytest.raises(NotFittedError):
            clf.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"Own, and a file holds one of AutoCleansingClassifier"):
        Own(**SETTINGS).fit(*few).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- other processes, other years


LOAD = """
import sys
sys.modules["pandas"] = None  # as if it were not installed
import numpy as np
import acestimator
X, expected = (np.load(path) for path in sys.argv[2:])
assert (acestimator.load(sys.argv[1]).predict_proba(X) == expected).all()
assert not {"onnx", "onnxscript"} & {*sys.modules}
"""


def test_it_is_loaded_in_a_fresh_process_without_pandas(few, tmp_path):
    X, y = few
    clf = fitted(X, pd.Series(y).astype("category"))
    clf.save(tmp_path / "model")
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "expected.npy", clf.predict_proba(X))
    paths = [tmp_path / name for name in ("model", "X.npy", "expected.npy")]
    subprocess.run([sys.executable, "-c", LOAD, *paths], check=True)


def test_a_file_of_the_first_version_is_loaded():
    folder = Path(__file__).parent / "data"
    clf = load(folder / "version_1.safetensors", Narrow())
    table = np.load(folder / "version_1.npz", allow_pickle=False)
    assert clf.classes_.tolist() == ["ape", "bee", "çat"]
    assert clf.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    X = pd.DataFrame(table["X"], columns=clf.feature_names_in_)
    np.testing.assert_allclose(clf.predict_proba(X), table["proba"], rtol=1e-5)  # another processor rounds otherwise
    for name in ("alpha_", "mislabel_proba_", "suggested_labels_"):
        np.testing.assert_array_equal(getattr(clf, name), table[name])
    assert len(clf.label_issues()) == len(table["mislabel_proba_"])
    assert clf.get_params()["schedule"] == (1, 2)
    assert clf.get_params()["class_weight"] == {"ape": 2.0}
    assert clf.noise_rate_ == float(table["noise_rate"])


def test_no_warning_comes_from_plain_values(few, tmp_path):
    clf = fitted(*few, checkpoint=tmp_path / "fit.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert again(clf, tmp_path).checkpoint == tmp_path / "fit.pt"
