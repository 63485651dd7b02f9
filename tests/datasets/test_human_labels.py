"""CIFAR-10 in the comparison, with the labels that people gave to it."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from acestimator.comparison import Comparison, draw
from acestimator.comparison.tasks import NotPossibleError, load, make_task

N = 50_000


@pytest.fixture
def folder(tmp_path):
    """Five batches and a test batch of four images each, and human labels of 50,000, of which these are the first."""
    rng, inner = np.random.RandomState(0), tmp_path / "lossless"
    inner.mkdir()
    labels = np.arange(N) % 10
    labels[:10] = 6, 9, 9, 4, 1, 1, 2, 7, 8, 3  # as the published ones begin
    for i, name in enumerate((*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")):
        pixels = rng.randint(0, 256, size=(4, 3072)).astype(np.uint8)
        content = {b"data": pixels, b"labels": labels[4 * (i % 5) : 4 * (i % 5) + 4].tolist()}
        (inner / name).write_bytes(pickle.dumps(content, protocol=2))
    return inner, labels


def write_human(path, labels):
    wrong = (labels + 1) % 10
    np.savez(path, clean=labels, aggregate=np.where(np.arange(N) % 4, labels, wrong), random1=wrong)


def test_human_labels_belong_to_the_images_that_are_drawn(folder):
    inner, labels = folder
    write_human(inner.parent / "cifar10n.npz", labels)
    data = load("cifar10_12", seed=3, folder=inner)
    chosen = np.random.RandomState(3).permutation(20)[:12]
    assert data.X_train.shape == (12, 3, 32, 32)
    np.testing.assert_array_equal(data.y_train, labels[chosen])
    for process, rate in (("human_aggregate", np.mean(chosen % 4 == 0)), ("human_random1", 1.0)):
        task = make_task(data, process, 0)
        assert task.is_wrong.mean() == rate
        np.testing.assert_array_equal(task.observed != data.y_train, task.is_wrong)
    symmetric = make_task(data, "instance_40", 0)  # which looks at the images as vectors
    assert symmetric.X_train.shape == data.X_train.shape


def test_without_the_file_there_are_none(folder):
    data = load("cifar10_12", seed=0, folder=folder[0])
    with pytest.raises(NotPossibleError, match="file of CIFAR-10N is missing"):
        make_task(data, "human_random1", 0)
    with pytest.raises(NotPossibleError, match="nobody has labelled this data set anew"):
        make_task(load("iris", 0), "human_random1", 0)


def test_more_images_than_there_are(folder):
    with pytest.raises(ValueError, match="CIFAR-10 has 20 training images, and 21 are asked for"):
        load("cifar10_21", seed=0, folder=folder[0])


def test_human_processes_are_reported_and_drawn():
    keys = {"dataset": "cifar10_12", "seed": 0, "versions": ""}
    records = [
        {**keys, "process": process, "method": method, "accuracy": accuracy, "seconds": 1.0}
        for process in ("symmetric_20", "human_random1", "none")
        for method, accuracy in (("AutoCleansing", 0.9), ("cross_entropy", 0.8), ("oracle", 0.95))
    ]
    comparison = Comparison(records)
    assert [process for _, process in comparison.settings] == ["none", "human_random1", "symmetric_20"]
    assert comparison.noisy == comparison.settings[1:]
    texts = [text.get_text() for text in draw(comparison).findobj(Text)]
    assert "human random1" in texts
    plt.close("all")
