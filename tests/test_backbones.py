"""Backbones: shapes, the registry, independence of the batch."""

import pytest
import torch

from acestimator import backbones


@pytest.mark.parametrize(("name", "shape"), [("mlp", (5,)), ("small_resnet", (3, 17, 12)), ("small_resnet", (1, 1, 1))])
def test_output_does_not_depend_on_the_rest_of_the_batch(name, shape):
    torch.manual_seed(0)
    network = backbones.build(name, shape, 4)
    x = torch.randn(6, *shape)
    network.train()
    together = network(x)
    assert together.shape == (6, 4)
    alone = torch.cat([network(sample[None]) for sample in x])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_auto_chooses_by_the_shape_of_a_sample():
    assert isinstance(backbones.build("auto", (5,), 2)[0], torch.nn.Linear)
    assert isinstance(backbones.build("auto", (3, 8, 8), 2)[0], torch.nn.Conv2d)


def test_initialisation_repeats_under_a_seed():
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(backbones.build("small_resnet", (1, 8, 8), 2)[0].weight)
    assert torch.equal(*drawn)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnet9000", (5,), "'resnet9000', expected one of 'auto', 'mlp', 'small_resnet', a torch.nn.Module"),
        ("mlp", (3, 8, 8), r"'mlp' takes vectors.*\(3, 8, 8\)"),
        ("small_resnet", (8,), r"'small_resnet' takes images.*\(8,\)"),
    ],
)
def test_errors(name, shape, message):
    with pytest.raises(ValueError, match=message):
        backbones.build(name, shape, 2)
