"""Arrays in files: the samples are those of the same array in memory, and nothing is copied as a whole."""

import numpy as np
import pytest
import torch

from acestimator.augment import Cutout
from acestimator.inputs import standardize
from acestimator.inputs.mapped import Selection, stays_in_its_file
from acestimator.inputs.source import ArraySource, MappedSource, Wanted
from acestimator.inputs.standardize import fit_scaler

CPU = torch.device("cpu")
BLOCKS = [torch.tensor([3, 1, 4]), torch.tensor([15, 9, 2, 6])]
DTYPES = [np.float16, np.float32, np.float64, np.int8]


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Array in a file; every third sample is looked at at one go."""
    monkeypatch.setattr(standardize, "_CHUNK", 36)

    def of(shape, dtype):
        X = np.random.RandomState(0).normal(20.0, 9.0, size=shape).clip(0, 120).astype(dtype)
        np.save(tmp_path / "X.npy", X)
        return np.load(tmp_path / "X.npy", mmap_mode="r")

    return of


def wanted(scaler, **changes):
    defaults = {"dtype": torch.float32, "augment": None, "seed": 0, "channels_last": False}
    return Wanted(**({"device": CPU, "scaler": scaler} | defaults | changes))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_stays_in_its_file_if_it_is_large_and_holds_numbers(mapped, dtype):
    X = mapped((20, 12), dtype)
    assert stays_in_its_file(X)
    assert stays_in_its_file(np.asarray(X))
    assert stays_in_its_file(X[2:, ::2])
    assert not stays_in_its_file(X[:3])  # not more than is looked at at one go
    assert not stays_in_its_file(X[np.arange(20)])  # a copy
    assert not stays_in_its_file(np.array(X))
    assert not stays_in_its_file(X.tolist())
    assert not stays_in_its_file(mapped((20, 12), np.complex64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 12), (20, 2, 3, 4)])
def test_samples_are_those_of_the_array_in_memory(mapped, shape, dtype):
    X = mapped(shape, dtype)
    weight = np.linspace(0.5, 2.0, 20)
    scaler = fit_scaler(np.asarray(X, dtype=np.float64), weight)
    ours, theirs = MappedSource(Selection(X)), ArraySource(np.array(X))
    found = ours.statistics(weight)
    np.testing.assert_allclose(found.mean_, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(found.scale_, scaler.scale_, rtol=1e-12)
    keep = np.array([17, 2, 9, 4, 11, 0, 19, 3, 8])
    for one, two in ((ours, theirs), (ours.subset(keep), theirs.subset(keep))):
        assert one.shape == two.shape
        assert torch.equal(one.trial(scaler), two.trial(scaler))
        assert torch.equal(*(torch.cat(list(s.chunks(scaler, torch.float64, CPU))) for s in (one, two)))
    part = ours.subset(keep).subset(np.array([2, 0]))
    assert torch.equal(part.trial(None), theirs.subset(np.array([9, 17])).trial(None))
    one, two = (each.samples(wanted(scaler)) for each in (ours, theirs))
    assert (one.shape, one.dtype) == (two.shape, two.dtype)
    assert torch.equal(one.keys(), two.keys())
    assert max(len(chunk) for chunk in one.evaluation()) <= 3
    some = torch.arange(19, 1, -1)
    for a, b in ((one, two), (one.subset(some), two.subset(some))):
        assert torch.equal(torch.cat(list(a.evaluation())), torch.cat(list(b.evaluation())))
        assert all(map(torch.equal, a.training(0, 1, BLOCKS), b.training(0, 1, BLOCKS)))


def test_images_are_augmented_as_those_in_memory(mapped):
    X = mapped((20, 3, 5, 4), np.uint8)
    scaler = fit_scaler(np.array(X), None)
    sources = MappedSource(Selection(X)), ArraySource(np.array(X))
    one, two = (s.samples(wanted(scaler, augment=Cutout(2, random_state=0), channels_last=True)) for s in sources)
    assert all(map(torch.equal, one.training(1, 3, BLOCKS), two.training(1, 3, BLOCKS)))
    assert torch.equal(torch.cat(list(one.evaluation())), torch.cat(list(two.evaluation())))
    assert next(one.evaluation()).is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match=r"augment was given, and X has shape \(20, 12\) and dtype float16"):
        MappedSource(Selection(mapped((20, 12), np.float16))).samples(wanted(None, augment=Cutout(2)))


def test_a_fingerprint_is_of_the_samples(mapped):
    source = MappedSource(Selection(mapped((20, 12), np.float16)))
    keep = np.arange(20)[::-1]
    assert source.subset(keep).subset(keep).fingerprint() == source.fingerprint()
    others = [
        source,
        source.subset(keep),
        source.subset(keep[1:]),
        MappedSource(Selection(mapped((20, 12), np.float32))),
    ]
    assert len({other.fingerprint() for other in others}) == len(others)
