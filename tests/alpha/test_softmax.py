"""The softmax over few categories, which has a way of its own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from acestimator.alpha.softmax import log_softmax, softmax, softmax_gradient


@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(2, 40), st.sampled_from([1.0, 100.0]))
def test_is_torchs(seed, n_rows, n_classes, spread):
    logits = spread * torch.randn(n_rows, n_classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert_close(log_softmax(logits), torch.log_softmax(logits, dim=1))
    assert_close(softmax(logits), torch.softmax(logits, dim=1))
    assert_close(log_softmax(logits.float()), torch.log_softmax(logits.float(), dim=1))


@pytest.mark.parametrize("n_classes", [3, 16])
def test_logits_that_are_not_finite_are_not_hidden(n_classes):
    logits = torch.zeros(4, n_classes)
    logits[1, 0], logits[2, 1] = torch.nan, torch.inf
    finite = torch.isfinite(log_softmax(logits)).all(dim=1)
    assert finite.tolist() == [True, False, False, True]


@pytest.mark.parametrize("n_classes", [2, 15, 16, 40])
def test_gradient_is_autograds(n_classes):
    logits = torch.randn(20, n_classes, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.arange(20) % n_classes
    torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    assert_close(softmax_gradient(logits.detach(), labels)[0], logits.grad)
