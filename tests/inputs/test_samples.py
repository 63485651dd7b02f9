"""Samples as the loop takes them: gathered, augmented, standardised, laid out."""

import numpy as np
import pytest
import torch

from acestimator.inputs import samples as module
from acestimator.inputs.device import move_if_it_fits, resolve_device
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import TensorSamples
from acestimator.inputs.standardize import Standardization

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (20, 3, 4, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
BLOCKS = [torch.tensor([3, 1, 4]), torch.tensor([15, 9, 2, 6])]
HALF = Standardization(torch.full((3, 1, 1), 10.0), torch.full((3, 1, 1), 2.0))


class Recorded:
    """Turns images upside down, and keeps which epochs began."""

    def __init__(self):
        self.epochs = []

    def begin_epoch(self, epoch, n_epochs, seed):
        self.epochs.append((epoch, n_epochs, seed))

    def __call__(self, images):
        return images.flip(2)


def test_blocks_are_gathered_and_a_subset_counts_anew():
    samples = TensorSamples(IMAGES, Preprocessing(CPU))
    assert all(torch.equal(x, IMAGES[block]) for block, x in zip(BLOCKS, samples.training(0, 1, BLOCKS), strict=True))
    part = samples.subset(torch.tensor([19, 5, 7]))
    (x,) = part.training(0, 1, [torch.tensor([2, 0])])
    assert torch.equal(x, IMAGES[[7, 19]])
    assert torch.equal(torch.cat(list(part.evaluation())), IMAGES[[19, 5, 7]])
    assert (samples.shape, samples.dtype) == ((3, 4, 5), torch.uint8)


def test_images_are_augmented_before_they_are_standardised_and_never_to_evaluate():
    augment = Recorded()
    samples = TensorSamples(IMAGES, Preprocessing(CPU, augment, HALF, seed=7))
    for block, x in zip(BLOCKS, samples.training(2, 9, BLOCKS), strict=True):
        torch.testing.assert_close(x, (IMAGES[block].flip(2).float() - 10) / 2)
    assert augment.epochs == [(2, 9, 7)]
    torch.testing.assert_close(torch.cat(list(samples.evaluation())), (IMAGES.float() - 10) / 2)
    assert samples.dtype == torch.float32


def test_what_is_standardised_at_one_go_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 3 * IMAGES[0].numel())
    chunks = list(TensorSamples(IMAGES, Preprocessing(CPU, standardization=HALF)).evaluation())
    assert [len(chunk) for chunk in chunks] == [3] * 6 + [2]


def test_images_are_handed_out_channels_last_where_that_is_asked_for():
    for standardization in (None, HALF):
        samples = TensorSamples(IMAGES, Preprocessing(CPU, standardization=standardization, channels_last=True))
        (x,) = samples.training(0, 1, BLOCKS[:1])
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert x.shape == (3, 3, 4, 5)


@pytest.mark.parametrize(
    ("augment", "made"),
    [
        (lambda images: images[:, :, :2], r"\(\(3, 3, 2, 5\), torch.uint8\)"),
        (lambda images: images.float(), r"\(\(3, 3, 4, 5\), torch.float32\)"),
        (lambda images: images.numpy(), "ndarray"),
    ],
)
def test_an_augmentation_must_make_images_of_the_same_kind(augment, made):
    samples = TensorSamples(IMAGES, Preprocessing(CPU, augment, HALF))
    with pytest.raises(ValueError, match=f"augment made {made}.* of images of shape .*expected uint8 images"):
        next(samples.training(0, 1, BLOCKS))


def test_the_device_is_the_one_that_is_named():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for unknown in ("tpu9", 3.5):
        with pytest.raises(ValueError, match=f"device is '{unknown}', which this installation of torch cannot use"):
            resolve_device(unknown)


def test_on_the_cpu_nothing_is_copied():
    assert move_if_it_fits(IMAGES, CPU) is IMAGES


@pytest.mark.cuda
def test_a_training_set_that_does_not_fit_stays_on_the_host_and_is_gathered_from_there(monkeypatch):
    device = torch.device("cuda")
    assert move_if_it_fits(IMAGES, device).is_cuda
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 * IMAGES.nbytes - 1, 0))
    kept = move_if_it_fits(IMAGES, device)
    assert kept.is_pinned()
    samples = TensorSamples(kept, Preprocessing(device, standardization=None))
    (x,) = samples.training(0, 1, [BLOCKS[0].to(device)])
    assert x.is_cuda
    np.testing.assert_array_equal(x.cpu(), IMAGES[BLOCKS[0]])
