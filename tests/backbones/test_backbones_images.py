"""The paper's networks: sizes, shapes, one step of training, layouts."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from acestimator import backbones
from acestimator.backbones import pyramidnet, resnet, shake_shake, wide_resnet

IMAGE_NETWORKS = sorted(set(backbones.available()) - {"mlp", "small_resnet"})

# A small member of each family, from (input_shape, n_classes).
SMALL = {
    "resnet, CIFAR form, padded": lambda *args: resnet._cifar("small", *args, (4, 8, 16), (1, 2, 1), resnet._Pad),
    "resnet, CIFAR form, projected": lambda *args: resnet._cifar("small", *args, (4, 8), (1, 2), resnet._project),
    "resnet, ImageNet form": lambda *args: resnet._imagenet("small", *args, 4, (2, 1)),
    "wide_resnet": lambda *args: wide_resnet._build("small", *args, depth=10, widening=1),
    "shake_shake": lambda *args: shake_shake._build("small", *args, depth=14, width=4),
    "pyramidnet": lambda *args: pyramidnet._build("small", *args, depth=20, alpha=12),
}
small = pytest.mark.parametrize("family", SMALL)


def on_meta(name, shape, n_classes):
    """Shapes without numbers: quick for networks of any size."""
    with torch.device("meta"):
        return backbones.build(name, shape, n_classes)


@pytest.mark.parametrize(
    ("name", "shape", "n_classes", "count"),
    [
        ("resnet32", (3, 32, 32), 10, 464_154),
        ("resnet34", (3, 32, 32), 10, 21_282_122),
        ("resnet50", (3, 224, 224), 1000, 25_557_032),
        ("wide_resnet_40_2", (3, 32, 32), 10, 2_243_546),
        ("wide_resnet_40_2", (3, 32, 32), 100, 2_255_156),
        ("wide_resnet_28_10", (3, 32, 32), 10, 36_479_194),
        ("wide_resnet_28_10", (3, 32, 32), 100, 36_536_884),
        ("shake_shake_26_2x32d", (3, 32, 32), 10, 2_923_162),
        ("shake_shake_26_2x96d", (3, 32, 32), 10, 26_192_922),
        ("shake_shake_26_2x112d", (3, 32, 32), 10, 35_640_442),
        ("pyramidnet_272_a200_shakedrop", (3, 32, 32), 10, 26_210_842),
    ],
)
def test_parameters_are_as_many_as_published(name, shape, n_classes, count):
    """Gastaldi publishes 2.9, 26.2 and 35.6 million, the others are known exactly."""
    assert sum(parameter.numel() for parameter in on_meta(name, shape, n_classes).parameters()) == count


@pytest.mark.parametrize(
    ("name", "shape", "last"),
    [
        ("resnet32", (3, 32, 32), (64, 8, 8)),
        ("resnet34", (3, 32, 32), (512, 4, 4)),
        ("resnet50", (3, 224, 224), (2048, 7, 7)),
        ("wide_resnet_40_2", (3, 32, 32), (128, 8, 8)),
        ("wide_resnet_28_10", (3, 32, 32), (640, 8, 8)),
        ("shake_shake_26_2x96d", (3, 32, 32), (384, 8, 8)),
        ("pyramidnet_272_a200_shakedrop", (3, 32, 32), (864, 8, 8)),
    ],
)
def test_last_map_is_of_the_published_size(name, shape, last):
    assert on_meta(name, shape, 10)[:-3](torch.empty(1, *shape, device="meta")).shape[1:] == last


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
@pytest.mark.parametrize(
    ("shape", "n_classes"), [((3, 32, 32), 10), ((1, 28, 28), 2), ((3, 33, 47), 100), ((2, 9, 34), 3)]
)
def test_any_size_and_number_of_classes(name, shape, n_classes):
    if name == "resnet50":
        shape = (shape[0], shape[1] + 32, shape[2] + 32)
    network = on_meta(name, shape, n_classes)
    assert network(torch.empty(2, *shape, device="meta")).shape == (2, n_classes)


@small
def test_smallest_image_trains_in_a_batch_of_one(family):
    smallest = {"resnet, CIFAR form, projected": 3, "resnet, ImageNet form": 9}.get(family, 5)
    network = SMALL[family]((2, smallest, smallest), 3).train()
    assert network(torch.randn(1, 2, smallest, smallest)).shape == (1, 3)
    with pytest.raises(ValueError, match=f"at least {smallest} x {smallest} pixels"):
        SMALL[family]((2, smallest, smallest - 1), 3)


@pytest.mark.parametrize("name", ["resnet32", "wide_resnet_40_2", "shake_shake_26_2x32d"])
def test_make_takes_the_names(name):
    torch.manual_seed(0)
    network = backbones.make(name, torch.randn(2, 3, 16, 16), 5)
    assert next(network.parameters()).device.type == "cpu"


@small
@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "bfloat16 autocast"])
def test_a_step_reaches_every_parameter(family, mixed):
    torch.manual_seed(0)
    network = SMALL[family]((2, 13, 10), 3).train()
    x, y = torch.randn(8, 2, 13, 10), torch.arange(8) % 3
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    before = copy.deepcopy(network.state_dict())
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        logits = network(x)
    assert logits.dtype == (torch.bfloat16 if mixed else torch.float32)
    F.cross_entropy(logits.float(), y).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name
    optimizer.step()
    for name, value in network.state_dict().items():
        assert value.isfinite().all(), name
        assert not torch.equal(value, before[name]), name


@small
def test_gradients_are_those_of_finite_differences_in_evaluation(family):
    torch.manual_seed(0)
    network = SMALL[family]((1, 9, 9), 2).double().eval()
    x = torch.randn(1, 1, 9, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, x, fast_mode=True)


@small
def test_channels_last_stays_and_changes_nothing_else(family):
    torch.manual_seed(0)
    network = SMALL[family]((3, 13, 10), 3).train()
    x = torch.randn(8, 3, 13, 10)
    torch.manual_seed(1)
    expected = network(x)
    layouts = {}
    for name, module in network[:-3].named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: layouts.update({name: output}))
    torch.manual_seed(1)
    found = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    kept = {name for name, map_ in layouts.items() if map_.is_contiguous(memory_format=torch.channels_last)}
    assert kept == set(layouts)


@small
def test_copies_and_pickles_compute_the_same(family):
    torch.manual_seed(0)
    network, x = SMALL[family]((3, 9, 9), 3).train(), torch.randn(4, 3, 9, 9)
    outputs = []
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), network):
        torch.manual_seed(1)
        outputs.append(other(x))
    assert torch.equal(outputs[0], outputs[2])
    assert torch.equal(outputs[1], outputs[2])


@small
def test_convolutions_are_he_normal_by_fan_out_and_biases_zero(family):
    torch.manual_seed(0)
    for module in SMALL[family]((64, 9, 9), 3).modules():
        if isinstance(module, nn.Conv2d):
            weight, fan_out = module.weight, module.weight[0, 0].numel() * module.out_channels
            normalised = weight * (fan_out / 2) ** 0.5
            assert abs(normalised.std() - 1) < 5 / (2 * weight.numel()) ** 0.5
            assert abs(normalised.mean()) < 5 / weight.numel() ** 0.5
        elif isinstance(module, nn.Linear):
            assert not module.bias.any()


# --- shortcuts ---


def test_shortcut_a_of_resnet_takes_every_second_pixel_and_pads():
    x = torch.randn(2, 3, 5, 4)
    expected = torch.zeros(2, 7, 3, 2)
    expected[:, :3] = x[:, :, ::2, ::2]
    assert torch.equal(resnet._Pad(3, 7, 2)(x), expected)


def test_projection_of_wide_resnet_sees_the_activated_input():
    torch.manual_seed(0)
    block = wide_resnet._Block(3, 6, 2).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 6, 6)
    expected = F.conv2d(x.relu() / (1 + 1e-5) ** 0.5, block.projection.weight, stride=2)
    torch.testing.assert_close(block(x), expected)


def test_skip_of_shake_shake_sees_even_pixels_in_one_half_and_odd_ones_in_the_other():
    torch.manual_seed(0)
    skip = shake_shake._Skip(1, 2, 2).eval()
    x = torch.randn(1, 1, 6, 6)
    first, second = skip(x)[0] * (1 + 1e-5) ** 0.5
    torch.testing.assert_close(first, skip.conv1.weight.item() * x[0, 0, ::2, ::2])
    moved = torch.zeros(3, 3)
    moved[1:, 1:] = x[0, 0, 1:-1:2, 1:-1:2]
    torch.testing.assert_close(second, skip.conv2.weight.item() * moved)


def test_shortcut_of_pyramidnet_averages_and_pads():
    block = pyramidnet._Block(3, 2, 2, keep=0.5).eval()
    nn.init.zeros_(block.residual[-1].weight)
    x = torch.randn(2, 3, 5, 4)
    out = block(x)
    torch.testing.assert_close(out[:, :3, :2], F.avg_pool2d(x, 2))
    torch.testing.assert_close(out[:, :3, 2], x[:, :, 4].unflatten(-1, (2, 2)).mean(-1))
    assert not out[:, 3:].any()


def test_widths_of_pyramidnet_grow_evenly_and_keep_falls_to_a_half():
    blocks = [
        module
        for module in on_meta("pyramidnet_272_a200_shakedrop", (3, 32, 32), 10)
        if isinstance(module, pyramidnet._Block)
    ]
    inner = torch.tensor([16, *(block.width // 4 for block in blocks)], dtype=torch.float64)
    assert (inner - torch.linspace(16, 216, 91, dtype=torch.float64)).abs().max() <= 0.5
    keep = torch.tensor([block.keep for block in blocks], dtype=torch.float64)
    torch.testing.assert_close(keep, 1 - torch.arange(1, 91, dtype=torch.float64) / 180)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["resnet32", "wide_resnet_40_2", "shake_shake_26_2x32d"])
def test_cuda_in_bfloat16_and_channels_last_is_close_to_the_cpu(name):
    torch.manual_seed(0)
    network, x = backbones.build(name, (3, 32, 32), 10).eval(), torch.randn(16, 3, 32, 32)
    with torch.no_grad():
        expected = network(x)
        network = network.to("cuda", memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16):
            found = network(x.cuda().contiguous(memory_format=torch.channels_last))
    assert (found.float().cpu() - expected).norm() < 0.03 * expected.norm()
