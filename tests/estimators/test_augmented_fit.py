"""Fits whose images are augmented at every visit."""

import numpy as np
import pytest
import torch

from acestimator import AutoCleansingClassifier, BaselineClassifier, augment

SETTINGS = {
    "max_epochs": 4,
    "batch_size": 8,
    "device": "cpu",
    "random_state": 0,
    "preset": "paper",
    "learning_rate": 0.05,
}
RNG = np.random.RandomState(0)
Y = np.arange(40) % 2
X = (60 * Y[:, None, None, None] + RNG.randint(0, 180, size=(40, 3, 12, 10))).astype(np.uint8)


class Recording:
    """Leaves images as they are, and keeps what it is given; in a list that copies share."""

    seen: list

    def __init__(self):
        type(self).seen = []

    def __call__(self, images):
        self.seen.append(images.clone())
        return images

    def begin_epoch(self, epoch, n_epochs, seed=None):
        self.seen.append((epoch, n_epochs, seed))


def fit(estimator=AutoCleansingClassifier, **parameters):
    return estimator(**(SETTINGS | parameters)).fit(X, Y)


def test_every_image_is_augmented_once_an_epoch_as_uint8():
    fit(augment=Recording())
    calls = [call for call in Recording.seen if isinstance(call, tuple)]
    assert [call[:2] for call in calls] == [(epoch, 4) for epoch in range(4)]
    assert len({call[2] for call in calls}) == 1
    images = [call for call in Recording.seen if not isinstance(call, tuple)]
    assert {part.dtype for part in images} == {torch.uint8}
    shown = torch.cat(images).reshape(4, len(X), -1)
    for epoch in shown:
        np.testing.assert_array_equal(np.unique(epoch.numpy(), axis=0), np.unique(X.reshape(len(X), -1), axis=0))


def test_an_augmentation_that_changes_nothing_changes_nothing():
    plain, augmented = fit(), fit(augment=Recording())
    # Standardised in float32 in place of float64
    np.testing.assert_allclose(augmented.decision_function(X), plain.decision_function(X), atol=1e-4)
    np.testing.assert_allclose(augmented.alpha_, plain.alpha_, atol=1e-5)


def test_suspects_are_read_off_the_images_as_they_are():
    clf = fit(augment=lambda images: torch.zeros_like(images), max_epochs=1)
    logits = torch.from_numpy(clf.decision_function(X))
    assert len(np.unique(logits.numpy())) == len(X)  # they differ, though the network saw only black ones
    alpha = torch.from_numpy(clf.alpha_).double()
    # The partition gauge of these logits, (N, 2) with the first at zero up to a constant
    both = torch.stack([torch.zeros_like(logits), logits], dim=1)
    torch.testing.assert_close(torch.logsumexp(both + alpha, dim=1), torch.logsumexp(both, dim=1), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("method", ["aum", "trimmed", "joint_optimization", "dynamic_bootstrapping"])
def test_peers_train_on_augmented_parts(method):
    clf = fit(BaselineClassifier, method=method, augment=augment.Baseline(padding=2), preset="default", optimizer="sgd")
    assert clf.mislabel_scores_.shape == (len(X),)
    assert np.isfinite(clf.decision_function(X)).all()


def test_the_user_s_transform_is_left_as_it_is_and_fits_repeat():
    transform = augment.Compose([augment.Baseline(padding=2), augment.Cutout(4)], random_state=5)
    first = fit(augment=transform).decision_function(X)
    np.testing.assert_array_equal(fit(augment=transform).decision_function(X), first)
    assert not np.allclose(fit(augment=transform, random_state=1).decision_function(X), first)


def test_what_is_left_empty_is_the_training_set_s_mean():
    seen = []

    class Watched(augment.Cutout):
        def __call__(self, images):
            result = super().__call__(images)
            changed = (result != images).any(dim=1)
            seen.append(result.permute(0, 2, 3, 1)[changed])
            return result

    fit(augment=Watched(6), max_epochs=1)
    mean = X.mean(axis=(0, 2, 3)).round().astype(np.uint8)
    np.testing.assert_array_equal(np.unique(torch.cat(seen).numpy(), axis=0), mean[None])


def test_a_given_fill_is_kept():
    seen = []

    class Watched(augment.Cutout):
        def __call__(self, images):
            result = super().__call__(images)
            seen.append(result[result != images])
            return result

    fit(augment=Watched(6, fill=7), max_epochs=1)
    assert torch.cat(seen).unique().tolist() == [7]


@pytest.mark.parametrize(
    ("transform", "made"),
    [
        (lambda images: images[:, :, :4], r"\(\(40, 3, 4, 10\), torch.uint8\)"),
        (lambda images: images.float(), r"\(\(40, 3, 12, 10\), torch.float32\)"),
        (lambda images: images.numpy(), "ndarray"),
    ],
)
def test_transforms_that_make_something_else_of_the_images(transform, made):
    with pytest.raises(ValueError, match=f"augment made {made} of images .*expected uint8 images of that shape"):
        fit(augment=transform)


@pytest.mark.parametrize("images", [X.astype(np.float32), X.reshape(len(X), -1)])
def test_augmentations_need_uint8_images(images):
    clf = AutoCleansingClassifier(**SETTINGS, augment=augment.Baseline())
    with pytest.raises(ValueError, match=r"augment was given, and X has shape .* of dtype uint8"):
        clf.fit(images, Y)
