"""Backbones: shapes, the registry, independence of the batch, networks of other packages."""

import sys
import types

import pytest
import torch
from torch import nn

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


@pytest.mark.parametrize("name", ["small_resnet", "resnet32"])
def test_initialisation_repeats_under_a_seed(name):
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(torch.cat([parameter.flatten() for parameter in backbones.build(name, (1, 8, 8), 2).parameters()]))
    assert torch.equal(*drawn)


def test_a_callable_that_has_a_check_is_asked_and_nothing_else_is():
    class Picky:
        asked = None

        def __call__(self, input_shape, n_classes):
            return nn.Linear(input_shape[0], n_classes)

        def check(self, input_shape, n_classes):
            self.asked = (input_shape, n_classes)
            if n_classes > 3:
                raise ValueError("no more than 3 classes")

    class Module(nn.Linear):
        def check(self, *arguments):
            pytest.fail("asked")

    picky = Picky()
    backbones.check(picky, (5,), 3)
    assert picky.asked == ((5,), 3)
    with pytest.raises(ValueError, match="no more than 3"):
        backbones.check(picky, (5,), 4)
    for other in ("mlp", Module(5, 3), Module, nn.Linear, lambda input_shape, n_classes: nn.Linear(5, 3)):
        backbones.check(other, (5,), 3)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnet9000", (5,), "'resnet9000', expected one of 'auto', 'mlp', .*'timm:NAME', .* a torch.nn.Module"),
        ("mlp", (3, 8, 8), r"'mlp' takes vectors.*\(3, 8, 8\)"),
        *(
            (name, (8,), rf"'{name}' takes images.*\(8,\).*use 'mlp'")
            for name in backbones.available()
            if name != "mlp"
        ),
        ("resnet32", (3, 32, 4), r"'resnet32' takes images of at least 5 x 5 pixels.*\(3, 32, 4\): use 'small_resnet'"),
        ("resnet34", (3, 8, 8), "at least 9 x 9"),
        ("resnet50", (3, 32, 32), "at least 33 x 33"),
        ("wide_resnet_40_2", (3, 4, 4), "at least 5 x 5"),
        ("shake_shake_26_2x32d", (3, 4, 4), "at least 5 x 5"),
        ("pyramidnet_272_a200_shakedrop", (3, 4, 4), "at least 5 x 5"),
    ],
)
def test_errors(name, shape, message):
    with pytest.raises(ValueError, match=message):
        backbones.build(name, shape, 2)


@pytest.mark.parametrize(
    ("backbone", "draws"),
    [
        *(("auto", False), ("timm:resnet18", True), ("torchvision:resnet18", True)),
        *((nn.Linear(2, 2), True), (backbones.build, True)),
    ],
)
def test_what_may_draw_is_taken_to_draw(backbone, draws):
    assert backbones.draws_in_training(backbone) == draws


@pytest.mark.parametrize("name", backbones.available())
def test_what_training_draws_is_what_is_declared(name):
    torch.manual_seed(0)
    shape = {"mlp": (4,), "resnet50": (1, 33, 33)}.get(name, (1, 9, 9))
    network = backbones.build(name, shape, 2).train()
    before = torch.get_rng_state()
    with torch.no_grad():
        network(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before) != backbones.draws_in_training(name)


# --- networks of other packages ---


@pytest.fixture
def calls(monkeypatch):
    """Stand-ins for timm and torchvision, which know "known" alone, and the calls that they got."""
    calls = []

    def model(name, **options):
        calls.append((name, options))
        channels = options.get("in_chans", 3)
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, options["num_classes"]))

    timm = types.ModuleType("timm")
    timm.is_model, timm.create_model = "known".__eq__, model
    torchvision = types.ModuleType("torchvision")
    torchvision.models = types.ModuleType("torchvision.models")
    torchvision.models.list_models = lambda module: ["googlenet", "known"] if module is torchvision.models else []
    torchvision.models.get_model = model
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    return calls


def test_timm_and_torchvision_get_channels_and_classes(calls):
    assert backbones.make("timm:known", torch.zeros(2, 5, 8, 8), 7)(torch.zeros(3, 5, 8, 8)).shape == (3, 7)
    assert backbones.make("torchvision:known", torch.zeros(2, 3, 8, 8), 6)(torch.zeros(3, 3, 8, 8)).shape == (3, 6)
    backbones.build("torchvision:googlenet", (3, 8, 8), 2)
    assert calls == [
        ("known", {"pretrained": False, "in_chans": 5, "num_classes": 7}),
        ("known", {"weights": None, "num_classes": 6}),
        ("googlenet", {"weights": None, "num_classes": 2, "aux_logits": False, "init_weights": True}),
    ]


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("timm:other", (3, 8, 8), r"'timm:other', and timm has no such model: timm.list_models\(\)"),
        ("timm:known", (8,), "'timm:known' takes images"),
        ("torchvision:other", (3, 8, 8), "'torchvision:other', and torchvision has no such classifier"),
        ("torchvision:known", (8,), "'torchvision:known' takes images"),
        ("torchvision:known", (1, 8, 8), r"takes images of 3 channels.*\(1, 8, 8\)"),
    ],
)
def test_errors_of_other_packages_networks(name, shape, message):
    with pytest.raises(ValueError, match=message):
        backbones.build(name, shape, 2)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_missing_package_is_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)  # import fails
    with pytest.raises(ImportError, match=f"'{library}:net' needs {library}.*pip install {library}"):
        backbones.build(f"{library}:net", (3, 8, 8), 2)
