import numpy as np
import pytest

from acestimator.datasets import ImageFolder

SIZE = 16  # of the folder's crops


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two classes, reddish and bluish noise, of 14 and 12 images of several sizes."""
    images = pytest.importorskip("PIL.Image")
    root, rng = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for name, channel, n_images in (("blue", 2, 14), ("red", 0, 12)):
        (root / name).mkdir()
        for i in range(n_images):
            pixels = rng.randint(0, 120, size=(20 + i, 24, 3)).astype(np.uint8)
            pixels[..., channel] += 120
            images.fromarray(pixels).save(root / name / f"{i:02}.png")
    return ImageFolder(root, SIZE)
