"""Shake-Shake and ShakeDrop: what is drawn forward, backward, and expected in evaluation."""

import pytest
import torch
from torch import nn

from acestimator.backbones import _parts
from acestimator.backbones.pyramidnet import _Block as DropBlock
from acestimator.backbones.pyramidnet import shake_drop
from acestimator.backbones.shake_shake import _Block as ShakeBlock
from acestimator.backbones.shake_shake import shake

B = 4000  # images: enough for means within 5 standard errors to say something


def coefficients(function, dtype=torch.float64):
    """What one branch of ones is multiplied by, forward and backward: (B, C, H, W) each, in a map of 2 x 2 x 3."""
    torch.manual_seed(0)
    x = torch.ones(B, 2, 2, 3, dtype=dtype, requires_grad=True)
    y = function(x)
    y.sum().backward()
    return y.detach(), x.grad


def per_image(map_):
    """The one number that each image has, of shape (B,)."""
    assert (map_ == map_[:, :1, :1, :1]).all()
    return map_[:, 0, 0, 0]


def assert_uniform(values, low, high):
    """Moments of U(low, high), within five standard errors."""
    assert values.min() >= low
    assert values.max() <= high
    unit = (values - low) / (high - low)
    for power in (1, 2):
        moment = unit**power
        assert abs(moment.mean() - 1 / (power + 1)) < 5 * moment.std() / len(values) ** 0.5


def assert_uncorrelated(*values):
    """Between one another, and each between an image and the next."""
    shifted = [value[1:] for value in values] + [value[:-1] for value in values]
    correlation = torch.corrcoef(torch.stack(shifted)) - torch.eye(len(shifted))
    assert correlation.abs().max() < 5 / (len(values[0]) - 1) ** 0.5


def test_scale_has_one_factor_forward_and_another_backward():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 2, 2, requires_grad=True)
    forward, backward, gradient = torch.randn(3, 1, 1, 1), torch.randn(3, 1, 1, 1), torch.randn(3, 2, 2, 2)
    y = _parts.scale(x, forward, backward)
    assert torch.equal(y, x * forward)
    y.backward(gradient)
    assert torch.equal(x.grad, gradient * backward)


def test_shake_draws_alpha_forward_and_beta_backward_for_each_image():
    first = [per_image(c) for c in coefficients(lambda x: shake(x, torch.zeros_like(x)))]
    second = [per_image(c) for c in coefficients(lambda x: shake(torch.zeros_like(x), x))]
    for values in (*first, *second):
        assert_uniform(values, 0, 1)
    assert_uncorrelated(*first)
    # Under one seed the branches' factors are of the same draw: they sum to one, forward and backward.
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one + other, torch.ones_like(one), rtol=0, atol=1e-7)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9, 1.0])
def test_shake_drop_keeps_an_image_or_draws_its_factors(keep):
    forward, backward = (per_image(c) for c in coefficients(lambda x: shake_drop(x, keep)))
    kept = forward == 1
    assert torch.equal(kept, backward == 1)  # the same b both ways
    assert abs(kept.double().mean() - keep) <= 5 * (keep * (1 - keep) / B) ** 0.5
    if not kept.all():
        alpha, beta = forward[~kept], backward[~kept]
        assert_uniform(alpha, -1, 1)
        assert_uniform(beta, 0, 1)
        assert_uncorrelated(alpha, beta)
    if 0 < keep < 1:
        assert_uncorrelated(kept.double())
    # What evaluation takes for it.
    assert abs(forward.mean() - keep) <= 5 * forward.std() / B**0.5


def test_draws_do_not_depend_on_the_dtype():
    """Bfloat16 holds the nearest to what float64 has, not numbers on a coarser grid of its own."""
    for function in (lambda x: shake(x, torch.zeros_like(x)), lambda x: shake_drop(x, 0.5)):
        fine, coarse = coefficients(function), coefficients(function, torch.bfloat16)
        for one, other in zip(fine, coarse, strict=True):
            assert other.dtype == torch.bfloat16
            assert torch.equal(one.to(torch.bfloat16), other)


class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def shake_block():
    block = ShakeBlock(2, 2, 1)
    block.branch1, block.branch2 = nn.Identity(), Zero()
    return block


def drop_block():
    block = DropBlock(4, 1, 1, keep=0.25)
    block.residual = nn.Identity()
    return block


@pytest.mark.parametrize(("make", "width", "expected"), [(shake_block, 2, 0.5), (drop_block, 4, 0.25)])
def test_blocks_draw_in_training_and_take_the_mean_in_evaluation(make, width, expected):
    block, x = make().eval(), torch.rand(5, width, 3, 3, requires_grad=True)
    y = block(x)
    torch.testing.assert_close(y, (1 + expected) * x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 1 + expected))

    torch.manual_seed(0)
    before, block = torch.get_rng_state(), block.train()
    y = block(x)
    assert not torch.equal(torch.get_rng_state(), before)
    factors = ((y - x) / x).detach()
    torch.testing.assert_close(factors, factors[:, :1, :1, :1].expand_as(factors), rtol=1e-4, atol=1e-4)
    assert len(factors[:, 0, 0, 0].unique()) > 1


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own doing
@pytest.mark.parametrize(("make", "width"), [(lambda: ShakeBlock(2, 4, 2), 2), (lambda: DropBlock(2, 2, 2, 0.5), 2)])
def test_blocks_compile_without_a_break(make, width):
    torch.manual_seed(0)
    block, x = make().train(), torch.randn(4, width, 6, 6)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    results = []
    for run in (block, compiled):
        torch.manual_seed(1)
        block.zero_grad()
        y = run(x)
        y.square().sum().backward()
        results.append([y, *(parameter.grad for parameter in block.parameters())])
    torch.testing.assert_close(*results)
