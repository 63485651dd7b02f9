"""X of either kind, on its way to the network: what both kinds do alike, and what each refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from acestimator.augment import Cutout
from acestimator.inputs.source import ArraySource, FolderSource, Wanted, prediction_source, training_source
from acestimator.inputs.standardize import fit_scaler, to_tensor

CPU = torch.device("cpu")
RNG = np.random.RandomState(0)
VECTORS = RNG.normal(2.0, 3.0, size=(30, 4))
IMAGES = RNG.randint(0, 256, size=(30, 3, 6, 5)).astype(np.uint8)


def wanted(scaler=None, **changes):
    defaults = {"dtype": torch.float32, "augment": None, "seed": 0, "channels_last": False}
    return Wanted(**({"device": CPU, "scaler": scaler} | defaults | changes))


def everything(source, scaler, dtype=torch.float32):
    return torch.cat(list(source.chunks(scaler, dtype, CPU)))


# ------------------------------------------------------------------ both kinds


def test_a_folder_is_the_array_of_its_evaluation_crops(folder):
    crops = folder.read(np.arange(len(folder))).numpy()
    weight = np.linspace(0.5, 2.0, len(folder))
    keep = np.array([7, 2, 20])
    scaler = fit_scaler(crops, weight)
    for array, files in (
        (ArraySource(crops), FolderSource(folder)),
        (ArraySource(crops).subset(keep), FolderSource(folder).subset(keep)),
    ):
        assert files.shape == array.shape
        part = weight[: array.shape[0]]
        np.testing.assert_allclose(files.statistics(part).mean_, array.statistics(part).mean_)
        torch.testing.assert_close(files.trial(scaler), array.trial(scaler))
        torch.testing.assert_close(everything(files, scaler), everything(array, scaler))


@pytest.mark.parametrize("kind", ["vectors", "images", "folder"])
def test_a_part_of_a_part(folder, kind):
    source = FolderSource(folder) if kind == "folder" else ArraySource({"vectors": VECTORS, "images": IMAGES}[kind])
    part = source.subset(np.array([5, 3, 9])).subset(np.array([2, 0]))
    assert part.shape == (2, *source.shape[1:])
    assert torch.equal(everything(part, None), everything(source, None)[[9, 5]])


def test_statistics_of_a_large_folder_are_those_of_some_of_its_images(folder, monkeypatch):
    monkeypatch.setattr("acestimator.inputs.source._SAMPLED_IMAGES", 6)
    weight = np.linspace(1.0, 2.0, len(folder))
    some = np.array([0, 5, 10, 15, 20, 25])
    expected = fit_scaler(folder.read(some).numpy(), weight[some])
    np.testing.assert_array_equal(FolderSource(folder).statistics(weight).mean_, expected.mean_)


def test_a_fingerprint_is_of_the_samples_and_of_nothing_else(folder):
    source = ArraySource(VECTORS)
    assert source.fingerprint() == ArraySource(np.asfortranarray(VECTORS)).fingerprint()
    changed = VECTORS.copy()
    changed[3, 1] += 1e-12
    files = FolderSource(folder)
    keep = np.arange(1, 20)
    others = [
        source,
        ArraySource(changed),
        ArraySource(VECTORS.astype(np.float32)),
        ArraySource(VECTORS.reshape(15, 8)),
        source.subset(keep),
        files,
        files.subset(keep),
        FolderSource(folder.seeded(1)),
    ]
    assert len({other.fingerprint() for other in others}) == len(others)
    assert files.subset(keep).fingerprint() == FolderSource(folder, keep).fingerprint()


# ------------------------------------------------------------------ training samples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_augmented_is_standardised_once(dtype):
    source = ArraySource(VECTORS)
    scaler = source.statistics(None)
    samples = source.samples(wanted(scaler, dtype=dtype))
    assert torch.equal(samples.features, to_tensor(VECTORS, scaler, dtype))
    assert (samples.dtype, samples.shape) == (dtype, (4,))


@pytest.mark.parametrize("X", [IMAGES.astype(np.float32), VECTORS])
def test_what_is_no_uint8_image_cannot_be_augmented(X):
    with pytest.raises(
        ValueError, match=r"augment was given, and X has shape .* of dtype uint8; leave augment at None"
    ):
        ArraySource(X).samples(wanted(augment=Cutout(2)))


def test_an_augmentation_is_copied_and_leaves_the_mean_colour_where_nothing_is():
    source, cutout = ArraySource(IMAGES), Cutout(2, random_state=0)
    scaler = source.statistics(None)
    preprocessing = source.samples(wanted(scaler, augment=cutout)).preprocessing
    assert preprocessing.augment.fill == scaler.mean_.round().astype(int).tolist()
    assert cutout.fill is None
    assert preprocessing.augment._generator is not cutout._generator
    assert source.samples(wanted(None, augment=cutout)).preprocessing.augment.fill is None
    assert source.samples(wanted(scaler, augment=Cutout(2, fill=9))).preprocessing.augment.fill == 9


# ------------------------------------------------------------------ what is made of what a user gives


def test_an_estimator_learns_what_scikit_learn_wants_it_to_know(folder):
    labels = np.arange(30) % 2
    estimator = BaseEstimator()
    source, y = training_source(estimator, pd.DataFrame(VECTORS, columns=list("abcd")), labels.tolist())
    assert isinstance(source, ArraySource)
    assert (estimator.n_features_in_, estimator.feature_names_in_.tolist()) == (4, list("abcd"))
    np.testing.assert_array_equal(y, labels)
    estimator = BaseEstimator()
    source, y = training_source(estimator, folder, folder.labels)
    assert isinstance(source, FolderSource)
    assert estimator.n_features_in_ == 3
    assert not hasattr(estimator, "feature_names_in_")


def test_labels_that_do_not_belong_to_a_folder(folder):
    with pytest.raises(ValueError, match=r"the folder has 26 images and y 25 labels: give one each"):
        training_source(BaseEstimator(), folder, folder.labels[1:])
    with pytest.raises(ValueError, match="NaN"):
        training_source(BaseEstimator(), folder, np.r_[np.nan, folder.labels[1:]])


@pytest.mark.parametrize("given", [np.asarray, torch.from_numpy, np.ndarray.tolist])
def test_images_of_another_shape_are_refused(given, folder):
    estimator = BaseEstimator()
    training_source(estimator, IMAGES, np.arange(30) % 2)
    assert prediction_source(estimator, given(IMAGES), (3, 6, 5)).shape == IMAGES.shape
    with pytest.raises(ValueError, match=r"one sample of X has shape \(3, 6, 5\), expected \(3, 5, 6\) as in fit"):
        prediction_source(estimator, given(IMAGES), (3, 5, 6))
    with pytest.raises(ValueError, match=r"one sample of X has shape \(3, 16, 16\), expected \(3, 6, 5\) as in fit"):
        prediction_source(estimator, folder, (3, 6, 5))
    with pytest.raises(ValueError, match=r"one sample of X has shape \(4,\), expected \(3, 6, 5\) as in fit"):
        prediction_source(estimator, VECTORS, (3, 6, 5))
