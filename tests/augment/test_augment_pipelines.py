"""What the paper does to the images of each data set, and the colour of what is left empty."""

import numpy as np
import pytest
import torch
from pillow_reference import batch

from acestimator import augment


@pytest.mark.parametrize(
    ("method", "dataset", "parts"),
    [
        ("baseline", "cifar10", ["Baseline"]),
        ("baseline", "svhn", []),
        ("baseline", "imagenet", []),
        ("cutout", "cifar10", ["Baseline", "Cutout"]),
        ("cutout", "svhn", ["Cutout"]),
        ("autoaugment", "cifar100", ["Baseline", "AutoAugment", "Cutout"]),
        ("fast_autoaugment", "svhn", ["FastAutoAugment", "Cutout"]),
        ("pba", "cifar10", ["Baseline", "PopulationBasedAugment", "Cutout"]),
        ("autoaugment", "imagenet", ["AutoAugment"]),
    ],
)
def test_baseline_then_policy_then_cutout(method, dataset, parts):
    transforms = augment.pipeline(method, dataset).transforms
    assert [type(part).__name__ for part in transforms] == parts
    assert all(part.policy == dataset for part in transforms if hasattr(part, "policy"))
    sizes = {part.size for part in transforms if isinstance(part, augment.Cutout)}
    assert sizes <= {{"cifar10": 16, "cifar100": 8, "svhn": 20}.get(dataset)}


@pytest.mark.parametrize(
    ("method", "dataset", "message"),
    [
        ("mixup", "cifar10", "augment is 'mixup', expected one of 'baseline', 'cutout', 'autoaugment'"),
        ("baseline", "mnist", "dataset is 'mnist', expected one of 'cifar10', 'cifar100', 'svhn', 'imagenet'"),
        ("pba", "imagenet", "policy is 'imagenet', expected a data set that one was published for"),
        ("cutout", "imagenet", "the paper has for cifar10, cifar100, svhn only"),
    ],
)
def test_what_was_not_published(method, dataset, message):
    with pytest.raises(ValueError, match=message):
        augment.pipeline(method, dataset)


def test_a_colour_goes_where_none_was_given_and_nothing_is_changed():
    images = torch.from_numpy(batch(16))
    given, open_ = augment.Cutout(32, fill=7, random_state=0), augment.Cutout(32, random_state=0)
    transform = augment.Compose([given, augment.Compose([open_])])
    filled = transform.filled([1, 2, 3])
    assert (filled.transforms[0].fill, filled.transforms[1].transforms[0].fill) == (7, [1, 2, 3])
    assert transform.transforms[1].transforms[0].fill is None
    assert open_.fill is None

    def cut(fill):
        return augment.Cutout(32, fill=fill, random_state=0)(images).numpy()

    np.testing.assert_array_equal(open_.filled([1, 2, 3])(images).numpy(), cut([1, 2, 3]))
    np.testing.assert_array_equal(augment.Cutout(32, random_state=0)(images).numpy(), cut(0))
