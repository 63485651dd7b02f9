"""class_weight: in the network's loss what a sample weight is, and nowhere else."""

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from sklearn.base import clone
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.channel import Channel, levelled
from acestimator.estimators.labels import TrainingLabels
from acestimator.mixture import ScoreMixture
from acestimator.objectives.judge import Judgement
from acestimator.objectives.spared import Spared
from acestimator.peers.dynamic import BetaMixture

NAMES = np.array(["ape", "bee", "cow"])
BY_NAME = {"ape": 5.0, "cow": np.float32(0.3)}
SETTINGS = {"max_epochs": 6, "batch_size": 16, "random_state": 0, "device": "cpu"}
PAPER = {"preset": "paper", "learning_rate": 0.01}


@pytest.fixture
def uneven():
    """Three clouds of 80, 30 and 20 vectors, a tenth of their labels wrong, by name; and weights, some of them 0."""
    rng = np.random.RandomState(0)
    true = np.repeat([0, 1, 2], [80, 30, 20])
    X = rng.normal(size=(130, 4)) + 3.0 * np.eye(3, 4)[true]
    wrong = rng.uniform(size=130) < 0.1
    return X, NAMES[np.where(wrong, (true + 1) % 3, true)], rng.uniform(0.2, 3.0, size=130) * (rng.rand(130) > 0.1)


def product(class_weight, y, weight):
    """What to pass as sample_weight in place of a class weight, by scikit-learn."""
    if class_weight == "balanced":
        by_class = compute_class_weight("balanced", classes=NAMES, y=y, sample_weight=weight)
        by_class = by_class[np.searchsorted(NAMES, y)]
    else:
        by_class = np.array([class_weight.get(label, 1.0) for label in y])
    return by_class if weight is None else by_class * weight


def same_network(one, other, X):
    np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X))
    for ours, theirs in zip(one.history_, other.history_, strict=True):
        assert [ours[name] for name in ("loss", "accuracy")] == [theirs[name] for name in ("loss", "accuracy")]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("class_weight", [BY_NAME, "balanced"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **given: AutoCleansingClassifier(alpha_lr=0, **SETTINGS, **given),
        lambda **given: AutoCleansingClassifier(**SETTINGS, **PAPER, **given),
        lambda **given: BaselineClassifier(**(SETTINGS | {"batch_size": 500}), **given),  # one batch
    ],
)
def test_in_the_loss_it_is_the_product_with_the_sample_weights(uneven, make, class_weight, weighted):
    """Bit for bit, where sample weights reach nothing but the loss: without statistics, mixture and pull."""
    X, y, weight = uneven
    weight = weight if weighted else None
    ours = make(class_weight=class_weight, standardize=False).fit(X, y, weight)
    theirs = make(standardize=False).fit(X, y, product(class_weight, y, weight))
    same_network(ours, theirs, X)
    if hasattr(ours, "alpha_"):
        np.testing.assert_array_equal(ours.alpha_, theirs.alpha_)
    assert (ours.decision_function(X) != make(standardize=False).fit(X, y, weight).decision_function(X)).any()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        *(
            (name, {})
            for name in ("abstention", "aum", "elr", "forward", "gce", "joint_optimization", "s_model", "sop")
        ),
        ("co_teaching", {"noise_rate": 0.1}),
        ("dynamic_bootstrapping", {"warmup": 1.0}),  # mixtures come later
    ],
)
def test_so_it_is_in_the_losses_of_the_peers(uneven, method, params):
    X, y, weight = uneven
    peer = {"method": method, "params": params, "standardize": False, **SETTINGS, "max_epochs": 3}
    ours = BaselineClassifier(class_weight=BY_NAME, **peer).fit(X, y, weight)
    same_network(ours, BaselineClassifier(**peer).fit(X, y, product(BY_NAME, y, weight)), X)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_and_noise_rate_have_the_sample_weights_alone(uneven, weighted):
    X, y, weight = uneven
    weight = weight if weighted else np.ones(len(y))
    used = weight > 0
    plain, balanced = (
        AutoCleansingClassifier(class_weight=c, **SETTINGS).fit(X, y, weight) for c in (None, "balanced")
    )
    np.testing.assert_array_equal(balanced.scaler_.mean_, plain.scaler_.mean_)
    np.testing.assert_array_equal(balanced.scaler_.var_, plain.scaler_.var_)
    assert balanced.noise_rate_ == pytest.approx(np.average(balanced.mislabel_proba_, weights=weight))
    of_use = torch.from_numpy(weight[used])
    for method, mixture in (("gce", ScoreMixture.start), ("dynamic_bootstrapping", BetaMixture.fit)):
        peer = BaselineClassifier(method, class_weight="balanced", **SETTINGS).fit(X, y, weight)
        logits, labels = peer.decision_function(X[used]), np.searchsorted(NAMES, y[used])
        losses = torch.nn.functional.cross_entropy(*map(torch.from_numpy, (logits, labels)), reduction="none")
        expected = mixture(losses, of_use).posterior(losses)
        np.testing.assert_allclose(peer.mislabel_proba_[used], expected, rtol=1e-3, atol=1e-6)


def test_the_level_of_the_log_odds_has_the_sample_weights_alone():
    labels, weight = torch.arange(6) % 2, torch.rand(6, generator=torch.Generator().manual_seed(0)).double()
    judgement = Judgement(
        Channel(1.0, torch.full((2, 2), 0.5).double(), 0.0), torch.linspace(-3, 3, 6).double(), 0.2, (0.1, 1.0), 1, True
    )
    objective = Spared(judgement, variant="AC1", lr=0.3)
    started(objective, labels, 2, max_epochs=4, sample_weight=weight, loss_weight=weight * (1 + labels))
    take(objective, torch.zeros(6, 2, dtype=torch.float64), a_block(labels))
    objective.end_epoch(0)  # of a network that knows nothing, and a channel that says nothing: half of the judges'
    torch.testing.assert_close(objective.log_odds, levelled(judgement.log_odds / 2, 0.2, weight))


@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_is_scikit_learns_and_gives_each_class_the_same_sum(uneven, weighted):
    _, y, weight = uneven
    weight = weight if weighted else None
    labels = TrainingLabels.encode(y, weight, "balanced")
    used = slice(None) if weight is None else weight > 0
    np.testing.assert_array_equal(labels.loss_weight, product("balanced", y, weight)[used])
    total = len(y) if weight is None else weight.sum()
    np.testing.assert_allclose(np.bincount(labels.codes, labels.loss_weight), total / 3)
    if weight is None:
        np.testing.assert_array_equal(labels.loss_weight, compute_sample_weight("balanced", y))


def test_only_ratios_count_and_ones_are_none(uneven):
    X, y, weight = uneven
    fits = [
        [AutoCleansingClassifier(class_weight=c, **SETTINGS).fit(X, y, weight) for c in pair]
        for pair in (({"ape": 3.0}, {"ape": 12.0, "bee": 4, "cow": 4.0}), ({}, None), (dict.fromkeys(NAMES, 1), None))
    ]
    for one, other in fits:
        same_network(one, other, X)
        np.testing.assert_array_equal(one.mislabel_proba_, other.mislabel_proba_)


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float32, bool])
def test_labels_of_every_kind_are_found(kind):
    y = np.array([0, 1, 1, 0, 1]).astype(kind)
    labels = TrainingLabels.encode(y, None, {1: 4.0})
    assert labels.loss_weight.tolist() == [1.0, 4.0, 4.0, 1.0, 4.0]
    assert TrainingLabels.encode(y, None, {kind(1): 4}).loss_weight.tolist()[1] == 4.0


def test_a_class_of_weight_zero_alone_may_be_named(uneven):
    _, y, _ = uneven
    labels = TrainingLabels.encode(y, (y != "cow").astype(float), {"cow": 2.0, "bee": 3.0})
    assert labels.classes.tolist() == ["ape", "bee"]
    np.testing.assert_array_equal(labels.loss_weight, 1.0 + 2.0 * labels.codes)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        (
            {"ape": 1.0, "dog": 2.0},
            "class_weight has 'dog', which y has not, expected labels such as 'ape', 'bee', 'cow'",
        ),
        ({0: 1.0}, "class_weight has 0, which y has not.*give them as they are in y"),
        ({"ape": -1.0}, r"class_weight\['ape'\] is -1.0, expected a finite number above 0"),
        ({"ape": 0}, r"class_weight\['ape'\] is 0, .* give its samples a sample_weight of 0"),
        ({"bee": float("nan")}, r"class_weight\['bee'\] is nan"),
        ({"bee": float("inf")}, r"class_weight\['bee'\] is inf"),
        ({"bee": "2"}, r"class_weight\['bee'\] is '2'"),
        ({"bee": True}, r"class_weight\['bee'\] is True"),
        ({"bee": 1e308}, "class_weight times sample_weight goes from 1 to 1e.308, .* finite sum"),
        ("equal", "'class_weight' parameter of .* must be a str among {'balanced'}, an instance of 'dict' or None"),
        ([1.0, 2.0, 3.0], "'class_weight' parameter of .* must be"),
    ],
)
@pytest.mark.parametrize("kind", [AutoCleansingClassifier, BaselineClassifier])
def test_what_is_no_class_weight_is_refused_and_the_fit_is_kept(uneven, kind, class_weight, message):
    X, y, _ = uneven
    clf = kind(max_epochs=1, random_state=0).fit(X, y)
    before = clf.decision_function(X)
    with pytest.raises(ValueError, match=message):
        clf.set_params(class_weight=class_weight).fit(X, y)
    np.testing.assert_array_equal(clf.decision_function(X), before)


def test_a_product_that_vanishes_is_refused(uneven):
    X, y, _ = uneven
    with pytest.raises(ValueError, match="class_weight times sample_weight goes from 0 to"):
        AutoCleansingClassifier(class_weight={"ape": 1e-200}).fit(X, y, np.full(len(y), 1e-200))


def test_a_checkpoint_knows_it(uneven, tmp_path):
    X, y, _ = uneven
    clf = AutoCleansingClassifier(class_weight=BY_NAME, checkpoint=tmp_path / "fit.pt", **SETTINGS).fit(X, y)
    again = clone(clf).set_params(class_weight={"cow": BY_NAME["cow"], "ape": np.float64(5.0)}).fit(X, y)
    assert [record["seconds"] for record in again.history_] == [record["seconds"] for record in clf.history_]
    for other in ("balanced", None, {"ape": 5.0}):
        with pytest.raises(ValueError, match=r"another training: class_weight is .* here and .*'ape': 5.0.* there"):
            clf.set_params(class_weight=other).fit(X, y)
