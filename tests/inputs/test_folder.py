"""Estimators on a folder of images: streamed, and as if the images were an array."""

import numpy as np
import pytest
import torch

from acestimator import AutoCleansingClassifier
from acestimator.datasets import ImageFolder

SETTINGS = {"max_epochs": 3, "batch_size": 8, "device": "cpu", "random_state": 0}


def fit(folder, **parameters):
    return AutoCleansingClassifier(**(SETTINGS | parameters)).fit(folder, folder.labels)


def test_a_folder_predicts_as_the_array_of_its_evaluation_crops(folder):
    clf = fit(folder, max_epochs=10)
    crops = folder.read(np.arange(len(folder))).numpy()
    np.testing.assert_allclose(clf.decision_function(folder), clf.decision_function(crops), atol=1e-4)
    assert clf.score(folder, folder.labels) > 0.9
    assert clf.input_shape_ == folder.shape
    assert clf.mislabel_scores_.shape == (len(folder),)
    np.testing.assert_allclose(clf.scaler_.mean_, crops.mean(axis=(0, 2, 3)))


def test_fits_repeat(folder):
    np.testing.assert_array_equal(fit(folder).decision_function(folder), fit(folder).decision_function(folder))


def test_training_crops_are_of_the_seed_the_epoch_and_the_images_in_use(folder):
    seen = []

    class Recording:
        def begin_epoch(self, epoch, n_epochs, seed):
            seen.append((epoch, seed, []))

        def __call__(self, images):
            seen[-1][2].append(images.flatten(1))
            return images

    weight = np.ones(len(folder))
    weight[::3] = 0.0
    clf = AutoCleansingClassifier(**SETTINGS, augment=Recording())
    seeds = set()
    for random_state in (0, 1):
        seen.clear()
        clf.set_params(random_state=random_state).fit(folder, folder.labels, sample_weight=weight)
        for number, (epoch, seed, blocks) in enumerate(seen):
            crops = {row.numpy().tobytes() for row in torch.cat(blocks)}
            expected = {row.tobytes() for row in folder.seeded(seed).read(np.flatnonzero(weight), epoch).numpy()}
            assert crops < expected if number < len(seen) - 3 else crops == expected  # judges see but a part
            seeds.add(seed)
        assert [epoch for epoch, *_ in seen[-3:]] == [0, 1, 2]
        assert len(seen) > 3
    assert len(seeds) == 2


def test_workers_change_nothing(folder):
    alone = fit(folder, max_epochs=1).decision_function(folder)
    workers = ImageFolder(folder.path(0).parents[1], folder.shape[1], workers=1)
    np.testing.assert_array_equal(fit(workers, max_epochs=1).decision_function(folder), alone)


def test_an_augmentation_sees_the_training_crops(folder):
    seen = []

    def augment(images):
        seen.append((images.dtype, tuple(images.shape)))
        return images

    clf = fit(folder, max_epochs=1, augment=augment)
    assert {str(dtype) for dtype, _ in seen} == {"torch.uint8"}
    assert sum(shape[0] for _, shape in seen) == 2 * len(folder)  # each by one judge, and by the network that predicts
    np.testing.assert_array_equal(clf.decision_function(folder), fit(folder, max_epochs=1).decision_function(folder))


def test_samples_of_weight_zero_are_not_decoded_for_training(folder):
    weight = np.ones(len(folder))
    weight[::3] = 0.0
    clf = AutoCleansingClassifier(**SETTINGS).fit(folder, folder.labels, sample_weight=weight)
    assert clf.mislabel_scores_.shape == (len(folder),)
    assert not clf.alpha_[::3].any()
    assert clf.alpha_[1::3].any()


def test_a_checkpoint_knows_the_folder_s_files(folder, tmp_path):
    clf = fit(folder, checkpoint=tmp_path / "fit.pt")
    weight = np.r_[0.0, np.ones(len(folder) - 1)]
    with pytest.raises(ValueError, match="another training: X is images of ImageFolder"):
        clf.fit(folder, folder.labels, sample_weight=weight)


def test_errors(folder):
    with pytest.raises(ValueError, match="the folder has 26 images and y 25 labels"):
        AutoCleansingClassifier().fit(folder, folder.labels[1:])
    clf = fit(folder, max_epochs=1)
    other = ImageFolder(folder.path(0).parents[1], 12)
    with pytest.raises(ValueError, match=r"one sample of X has shape \(3, 12, 12\), expected \(3, 16, 16\)"):
        clf.predict(other)


def test_the_statistics_of_a_folder_are_weighted(folder):
    weight = np.linspace(0.5, 1.5, len(folder))
    clf = AutoCleansingClassifier(**(SETTINGS | {"max_epochs": 1})).fit(folder, folder.labels, sample_weight=weight)
    means = folder.read(np.arange(len(folder))).numpy().mean(axis=(2, 3))  # (N, 3)
    np.testing.assert_allclose(clf.scaler_.mean_, np.average(means, axis=0, weights=weight))
