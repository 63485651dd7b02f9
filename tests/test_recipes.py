"""Table 7 as data, and the estimators that follow it."""

import numpy as np
import pytest
from sklearn.base import clone

from acestimator import AutoCleansingClassifier, BaselineClassifier, recipes
from acestimator.training import TrainingPlan

# Table 7, typed from the paper row by row: rate, schedule, decay, batch size, epochs.
TABLE_7 = """
cifar10 resnet32 0.1 multi 0.0001 256 300
cifar10 wide_resnet_40_2 0.1 cosine 0.0002 128 200
cifar10 wide_resnet_28_10 0.1 cosine 0.0005 128 200
cifar10 shake_shake_26_2x32d 0.01 cosine 0.001 128 1800
cifar10 shake_shake_26_2x96d 0.01 cosine 0.001 128 1800
cifar10 shake_shake_26_2x112d 0.01 cosine 0.001 128 1800
cifar10 pyramidnet_272_a200_shakedrop 0.05 cosine 0.00005 64 1800
cifar100 resnet32 0.1 multi 0.0001 256 300
cifar100 wide_resnet_28_10 0.1 cosine 0.0005 128 200
cifar100 shake_shake_26_2x96d 0.01 cosine 0.0025 128 1800
cifar100 pyramidnet_272_a200_shakedrop 0.025 cosine 0.0005 64 1800
svhn wide_resnet_28_10 0.005 cosine 0.001 128 200
imagenet resnet50 0.1 multi 0.0001 256 270
"""
ROWS = [line.split() for line in TABLE_7.strip().splitlines()]
MILESTONES = {"cifar10": (150, 225), "cifar100": (150, 225), "imagenet": (90, 180, 240)}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_every_row_of_table_7(row):
    dataset, network, rate, schedule, decay, batch_size, epochs = row
    clf = AutoCleansingClassifier.from_recipe(dataset, network)
    assert clf.learning_rate == float(rate)
    assert clf.weight_decay == float(decay)
    assert clf.batch_size == int(batch_size)
    assert clf.max_epochs == int(epochs)
    assert clf.schedule == ("cosine" if schedule == "cosine" else MILESTONES[dataset])
    assert clf.alpha_weight_decay == (1e-5 if network.startswith("pyramidnet") else 5e-5)
    assert clf.preset == "paper"
    assert not recipes.find(dataset, network).inferred


def test_the_inferred_row_is_marked_and_cifar_10_s():
    inferred = [recipe for recipe in recipes.RECIPES if recipe.inferred]
    assert [(recipe.dataset, recipe.network) for recipe in inferred] == [("cifar100", "wide_resnet_40_2")]
    assert len(recipes.RECIPES) == len(ROWS) + 1
    other = vars(recipes.find("cifar10", "wide_resnet_40_2"))
    assert {**vars(inferred[0]), "dataset": "cifar10", "inferred": False} == other


@pytest.mark.parametrize("epochs", [4, 40, 300])
def test_milestones_keep_their_share_of_a_shorter_run(epochs):
    clf = AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=epochs)
    plan = TrainingPlan(epochs, 1, 0.1, "sgd", 0.9, 0.0, schedule=clf.schedule)
    n_steps = 7 * epochs
    falls = [
        step / n_steps for step in range(1, n_steps) if plan.lr_scale(step, n_steps) < plan.lr_scale(step - 1, n_steps)
    ]
    assert falls == [0.5, 0.75]


def test_parameters_take_precedence_and_clones_are_equal():
    clf = AutoCleansingClassifier.from_recipe(
        "cifar100",
        "wide_resnet_28_10",
        augment="autoaugment",
        variant="AC2",
        batch_size=64,
        alpha_lr=0,
        precision="float32",
    )
    assert (clf.variant, clf.batch_size, clf.alpha_lr, clf.precision) == ("AC2", 64, 0, "float32")
    parameters = clone(clf).get_params()
    assert repr(parameters.pop("augment")) == repr(clf.augment)
    assert parameters == {name: value for name, value in clf.get_params().items() if name != "augment"}


def test_parameters_of_a_recipe_fit_both_estimators():
    parameters = recipes.find("svhn", "wide_resnet_28_10").parameters("cutout")
    assert BaselineClassifier("aum", **parameters).max_epochs == 200
    assert AutoCleansingClassifier(**parameters).learning_rate == 0.005


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnist", "resnet32"), "dataset is 'mnist', expected one of 'cifar10', 'cifar100', 'svhn', 'imagenet'"),
        (("svhn", "resnet32"), "network is 'resnet32', and for svhn the paper has 'wide_resnet_28_10'"),
    ],
)
def test_recipes_that_are_not_there(arguments, message):
    with pytest.raises(ValueError, match=message):
        AutoCleansingClassifier.from_recipe(*arguments)


@pytest.mark.parametrize("epochs", ["three", 0, 2.5])
def test_epochs_that_are_none(epochs):
    with pytest.raises(ValueError, match=r"max_epochs is .*, expected an integer of at least 1"):
        AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=epochs)


def test_images_of_another_size_are_refused_before_training():
    clf = AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=1)
    X, y = np.zeros((20, 3, 28, 28), dtype=np.uint8), np.arange(20) % 10
    with pytest.raises(ValueError, match=r"cifar10 / resnet32 is for images of shape \(3, 32, 32\).*\(3, 28, 28\)"):
        clf.fit(X, y)


def test_one_class_more_than_the_data_set_has_is_refused():
    clf = AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=1)
    X, y = np.zeros((24, 3, 32, 32), dtype=np.uint8), np.arange(24) % 11
    with pytest.raises(ValueError, match="y holds 11 classes, and cifar10 has 10"):
        clf.fit(X, y)


def test_a_method_may_add_an_output_to_a_recipe_s_network():
    parameters = recipes.find("cifar10", "resnet32").parameters("baseline", 1)
    X, y = np.random.RandomState(0).randint(0, 256, (20, 3, 32, 32)).astype(np.uint8), np.arange(20) % 10
    clf = BaselineClassifier("abstention", **parameters, device="cpu", random_state=0).fit(X, y)
    assert clf.predict_proba(X[:2]).shape == (2, 10)


def test_no_epochs_given_are_the_recipe_s():
    clf = AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=None)
    assert (clf.max_epochs, clf.schedule) == (300, (150, 225))
