"""AlphaTable.cross_entropy with all that torch's takes, against torch's and autograd through a dense parameter."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from acestimator import AlphaTable

N, SAMPLES = 9, 6


@st.composite
def problems(draw):
    """Logits, constants, labels, positions and what else a loss is told, for some number of classes."""
    n_classes, kind = draw(st.sampled_from([2, 3, 20])), draw(st.sampled_from(["hard", "ignored", "soft", "mixup"]))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    labels = torch.randint(n_classes, (N,), generator=rng)
    index = torch.randint(N, (SAMPLES,), generator=rng)
    logits = draw(st.sampled_from([0.1, 5.0])) * torch.randn(SAMPLES, n_classes, generator=rng, dtype=torch.float64)
    alpha = torch.randn(N, n_classes, generator=rng, dtype=torch.float64)
    target = labels[index]
    if kind == "ignored":
        target = torch.where(torch.rand(SAMPLES, generator=rng) < 0.5, -100, target)
    elif kind == "soft":
        target = torch.rand(SAMPLES, n_classes, generator=rng, dtype=torch.float64)  # sums other than 1, as torch's
    elif kind == "mixup":
        onehot = F.one_hot(target, n_classes).double()
        target = 0.7 * onehot + 0.3 * onehot.flip(0)
    weight = draw(st.sampled_from([None, 0.1 + torch.rand(n_classes, generator=rng, dtype=torch.float64)]))
    smoothing = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return labels, index, logits, alpha, target, {"weight": weight, "label_smoothing": smoothing}


def table_at(alpha, **parameters):
    """A table with these constants, whose steps have the rate 1."""
    table = AlphaTable(*alpha.shape, lr=1.0, dtype=alpha.dtype, **parameters)
    table.step(torch.arange(len(alpha)), -alpha)
    return table


@given(problems(), st.sampled_from(["mean", "sum", "none"]), st.sampled_from(["AC1", "AC2", "rivals"]))
def test_value_and_both_gradients_are_autograds(problem, reduction, variant):
    """In the constants: the gradient of each sample's own loss, of the sum therefore, whatever the reduction."""
    labels, index, logits, alpha, target, options = problem
    rivals = alpha.shape[1] - 1 if variant == "rivals" else None
    table = table_at(alpha, variant=variant if variant != "rivals" else "AC1", rivals=rivals, labels=labels)
    mask = F.one_hot(labels, alpha.shape[1]).double() if variant == "AC2" else torch.ones_like(alpha)
    factor = torch.linspace(0.5, 2.0, SAMPLES).double() if reduction == "none" else torch.tensor(3.0).double()

    leaf = logits.clone().requires_grad_()
    loss = table.cross_entropy(leaf, target, index, reduction=reduction, **options)
    (loss * factor).sum().backward()
    before = table.dense().clone()
    table.step_pending()

    dense, other = (alpha * mask).requires_grad_(), logits.clone().requires_grad_()
    expected = F.cross_entropy(other + (dense * mask)[index], target, reduction=reduction, **options)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12, equal_nan=True)  # of no samples a mean is NaN
    (torch.nan_to_num(expected) * factor).sum().backward()
    torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-12, atol=1e-12)
    (in_constants,) = torch.autograd.grad(
        F.cross_entropy(logits + (dense * mask)[index], target, reduction="sum", **options), dense
    )
    torch.testing.assert_close(before - table.dense(), in_constants, rtol=1e-11, atol=1e-11)


def test_a_label_as_probabilities_is_the_label():
    generator = torch.Generator().manual_seed(0)
    alpha, logits = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    labels, index = torch.tensor([2, 0, 1, 1]), torch.arange(4)
    tables, leaves = [table_at(alpha) for _ in range(3)], [logits.clone().requires_grad_() for _ in range(3)]
    forms = (labels, F.one_hot(labels, 3).double(), F.one_hot(labels, 3).numpy().astype(np.float32))
    for table, leaf, form in zip(tables, leaves, forms, strict=True):
        table.cross_entropy(leaf, form, index).backward()
        table.step_pending()
        torch.testing.assert_close(table.dense(), tables[0].dense(), rtol=0, atol=1e-14)
        torch.testing.assert_close(leaf.grad, leaves[0].grad, rtol=0, atol=1e-14)


def test_smoothed_to_the_end_the_constants_lead_to_equal_probabilities():
    """Whatever the label: at label_smoothing=1 the gradient is ``softmax - 1 / K``, which is 0 there alone."""
    table = AlphaTable(2, 3, lr=1.0, dtype=torch.float64)
    logits = torch.tensor([[3.0, 0, -1], [0, 0, 2]], dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        table.cross_entropy(logits, [0, 1], torch.arange(2), label_smoothing=1.0).backward()
        table.step_pending()
    probability = torch.softmax(logits.detach() + table.dense(), dim=1)
    torch.testing.assert_close(probability, torch.full((2, 3), 1 / 3, dtype=torch.float64))


def test_a_class_that_the_network_rules_out_spoils_no_weighted_loss():
    """Logits of minus infinity, as of masked classes: the loss of another label is finite, as torch's."""
    table, index = AlphaTable(2, 3, lr=1.0), torch.arange(2)
    logits = torch.tensor([[0.0, 1.0, -torch.inf], [2.0, -torch.inf, 0.0]], requires_grad=True)
    loss = table.cross_entropy(logits, [0, 2], index, weight=[1.0, 2.0, 3.0])
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([0, 2]), weight=torch.tensor([1.0, 2, 3])))
    loss.backward()
    table.step_pending()
    assert torch.isfinite(table.dense()).all()


def test_what_the_loss_is_multiplied_by_slows_the_network_alone_and_class_weights_are_of_the_loss():
    weight, labels, index = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([0, 1, 2]), torch.arange(3)
    moved = []
    for inside in (False, True):
        table, logits = AlphaTable(3, 3, lr=1.0), torch.zeros(3, 3, requires_grad=True)
        if inside:
            loss = table.cross_entropy(logits, labels, index, reduction="none", weight=weight)
        else:
            loss = table.cross_entropy(logits, labels, index, reduction="none") * weight[labels]
        loss.sum().backward()
        table.step_pending()
        moved.append((table.dense().clone(), logits.grad))
    torch.testing.assert_close(moved[0][1], moved[1][1])
    torch.testing.assert_close(moved[1][0], weight[labels][:, None] * moved[0][0])


def test_announced_steps_take_the_same():
    alpha = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    soft = torch.softmax(alpha.flip(0), dim=1)
    tables, index = [table_at(alpha) for _ in range(2)], torch.tensor([3, 1])
    leaves = [torch.ones(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    options = {"label_smoothing": 0.2, "weight": np.array([0.5, 1, 2]), "reduction": "sum"}
    with tables[0].announce(index, [2]) as (step,):
        step.cross_entropy(leaves[0], soft[index], **options).backward()
        step.step()
    tables[1].cross_entropy(leaves[1], soft[index], index, **options).backward()
    tables[1].step_pending()
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad)


@pytest.mark.parametrize("labels", [torch.tensor([0, 1]), torch.eye(2, 3)], ids=["hard", "soft"])
def test_16_bits_are_computed_in_float32(labels):
    """Logits, probabilities and class weights alike."""
    table, weight = AlphaTable(2, 3, lr=1.0), torch.tensor([0.3, 0.7, 0.1])
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    labels = labels.bfloat16() if labels.dim() == 2 else labels
    loss = table.cross_entropy(logits, labels, torch.arange(2), weight=weight.double(), label_smoothing=0.1)
    wide = labels.float() if labels.dim() == 2 else labels
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), wide, weight=weight, label_smoothing=0.1))
    loss.backward()
    assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 1], {"label_smoothing": 1.1}, r"label_smoothing is 1\.1, expected a number from 0 to 1"),
        ([0, 1], {"label_smoothing": float("nan")}, "label_smoothing is nan"),
        ([0, 1], {"weight": [1.0, 2.0]}, r"weight is torch\.float32 of shape \(2,\), expected .* 3 classes"),
        ([0, 1], {"weight": torch.ones(3, requires_grad=True)}, r"weight requires a gradient.*weight\.detach\(\)"),
        (torch.eye(2, 3, requires_grad=True), {}, r"labels require a gradient.*labels\.detach\(\)"),
        (torch.eye(2), {}, r"labels \(2, 2\), expected \(2, 3\) and \(2,\), or \(2, 3\) for probabilities"),
        (torch.eye(2, 3)[None], {}, r"labels are torch\.float32, expected integers"),
    ],
)
def test_bad_losses_move_nothing(labels, options, message):
    table = AlphaTable(2, 3, lr=1.0)
    with pytest.raises(ValueError, match=message):
        table.cross_entropy(torch.zeros(2, 3, requires_grad=True), labels, torch.arange(2), **options)
    with pytest.raises(RuntimeError, match="no gradient is pending"):
        table.step_pending()


@pytest.mark.cuda
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cuda_equals_cpu(reduction, soft):
    generator = torch.Generator().manual_seed(0)
    alpha, logits = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    target = torch.softmax(logits.flip(0), dim=1) if soft else torch.tensor([0, 4, -100, 1, 1, 2])
    results = []
    for device in ("cpu", "cuda"):
        table, leaf = table_at(alpha.to(device), device=device), logits.to(device).requires_grad_()
        options = {"weight": [1.0, 2.0, 0.5, 1.0, 3.0], "label_smoothing": 0.1, "reduction": reduction}
        loss = table.cross_entropy(leaf, target.to(device), torch.arange(6, device=device), **options)
        loss.sum().backward()
        table.step_pending()
        results.append([each.detach().cpu() for each in (loss, leaf.grad, table.dense())])
    torch.testing.assert_close(*results)
