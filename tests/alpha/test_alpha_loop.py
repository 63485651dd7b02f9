"""AlphaTable in a training loop of the user's own."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from acestimator import AlphaTable

N, K = 12, 3
LABELS = torch.arange(N) % K


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(4, K)


@pytest.fixture
def features():
    return torch.randn(N, 4, generator=torch.Generator().manual_seed(0))


def table_of(**parameters):
    table = AlphaTable(N, K, labels=LABELS, **{"lr": 0.3, **parameters})
    table.step(torch.arange(N), torch.randn(N, K, generator=torch.Generator().manual_seed(1)))
    return table


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_value_and_gradient_are_those_of_the_shifted_logits(reduction, variant, features):
    table, index = table_of(variant=variant), torch.tensor([3, 0, 7, 7])
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0]) if reduction == "none" else torch.tensor(1.0)
    logits = network()(features)[index].detach()
    results = []
    for loss_of in (
        lambda x: table.cross_entropy(x, LABELS[index], index, reduction=reduction),
        lambda x: F.cross_entropy(x + table.dense()[index], LABELS[index], reduction=reduction),
    ):
        leaf = logits.clone().requires_grad_()
        loss = loss_of(leaf)
        (loss * weights).sum().backward()
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_the_three_lines_are_algorithm_1(variant, features):
    """Against a dense parameter under torch.optim.SGD, whose loss is the batch's sum: each row's own gradient."""
    table = AlphaTable(N, K, variant=variant, labels=LABELS, lr=0.3, momentum=0.9)
    alpha = torch.nn.Parameter(torch.zeros(N, K))
    mask = torch.ones(N, K) if variant == "AC1" else F.one_hot(LABELS, K).float()
    models = [network(), network()]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    dense = torch.optim.SGD([alpha], lr=0.3, momentum=0.9)
    for step in range(30):
        index = torch.randperm(N, generator=torch.Generator().manual_seed(step))[:5]
        x, y = features[index], LABELS[index]

        loss = table.cross_entropy(models[0](x), y, index)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        table.step_pending()

        loss = F.cross_entropy(models[1](x) + (alpha * mask)[index], y)
        optimizers[1].zero_grad()
        dense.zero_grad()
        loss.backward()
        alpha.grad *= len(index)
        optimizers[1].step()
        dense.step()
    torch.testing.assert_close(table.dense(), alpha.detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(models[0].weight, models[1].weight, rtol=0, atol=1e-5)


def test_accumulated_gradients_are_one_step_of_the_whole_batch(features):
    """Whatever the parts' losses are divided by; a sample in two parts takes the sum."""
    index = torch.tensor([3, 0, 7, 1, 3, 5])
    logits = network()(features).detach().requires_grad_()
    whole, parts = table_of(momentum=0.9), table_of(momentum=0.9)
    whole.cross_entropy(logits[index], LABELS[index], index).backward()
    whole.step_pending()
    for part in index.split(2):
        (parts.cross_entropy(logits[part], LABELS[part], part) / 3).backward()
    parts.step_pending()
    assert parts.clock == whole.clock == 2
    torch.testing.assert_close(parts.dense(), whole.dense(), rtol=0, atol=1e-6)


def test_a_loss_scale_does_not_reach_the_table(features):
    index, logits = torch.tensor([3, 0]), network()(features).detach().requires_grad_()
    scaled, plain = table_of(), table_of()
    (scaled.cross_entropy(logits[index], LABELS[index], index) * 2.0**16).backward()
    plain.cross_entropy(logits[index], LABELS[index], index).backward()
    for table in (scaled, plain):
        table.step_pending()
    assert torch.equal(scaled.dense(), plain.dense())


def test_a_skipped_step_leaves_the_table_as_it_was(features):
    table = table_of()
    before = table.dense().clone()
    logits = network()(features).detach().requires_grad_()
    table.cross_entropy(logits, LABELS, torch.arange(N)).backward()
    table.discard_pending()
    assert torch.equal(table.dense(), before)
    with pytest.raises(RuntimeError, match="no gradient is pending"):
        table.step_pending()


def test_a_loss_that_is_only_looked_at_moves_nothing(features):
    table = table_of()
    table.cross_entropy(network()(features), LABELS, torch.arange(N))
    with torch.no_grad():
        table.cross_entropy(network()(features), LABELS, torch.arange(N))
    with torch.inference_mode():
        table.cross_entropy(network()(features), LABELS, torch.arange(N))
    with pytest.raises(RuntimeError, match="no gradient is pending"):
        table.step_pending()


def test_a_diverged_step_is_refused_and_can_be_discarded(features):
    table = table_of()
    before = table.dense().clone()
    logits = torch.full((2, K), torch.nan, requires_grad=True)
    table.cross_entropy(logits, LABELS[:2], torch.tensor([0, 1])).backward()
    with pytest.raises(ValueError, match="grad is NaN or infinite in row 0"):
        table.step_pending()
    assert torch.equal(table.dense(), before)
    table.discard_pending()
    logits = torch.zeros(2, K, requires_grad=True)
    table.cross_entropy(logits, LABELS[:2], torch.tensor([0, 1])).backward()
    table.step_pending()
    assert torch.isfinite(table.dense()).all()


def test_16_bit_logits_are_computed_in_float32(features):
    table, logits = table_of(), network()(features).detach().bfloat16().requires_grad_()
    loss = table.cross_entropy(logits, LABELS, torch.arange(N))
    assert loss.dtype == torch.float32
    loss.backward()
    assert logits.grad.dtype == torch.bfloat16
    table.discard_pending()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = table.cross_entropy(logits, LABELS, torch.arange(N))
    torch.testing.assert_close(again, loss)


def test_an_index_that_the_loader_uses_again_is_remembered(features):
    table, index = AlphaTable(N, K, lr=1.0), torch.tensor([0, 1])
    logits = torch.zeros(2, K, requires_grad=True)
    table.cross_entropy(logits, LABELS[:2], index).backward()
    index.fill_(5)
    table.step_pending()
    assert table.dense().any(dim=1).nonzero().squeeze(1).tolist() == [0, 1]


def test_ids_in_a_loop():
    table = AlphaTable(3, K, lr=1.0, ids=["a", "b", "c"], momentum=0.9)
    for names in (["b"], ["c", "b"]):
        logits = torch.zeros(len(names), K, requires_grad=True)
        table.cross_entropy(logits, LABELS[: len(names)], names).backward()
    table.step_pending()
    assert table.dense().any(dim=1).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("logits", "labels", "index", "reduction", "error", "message"),
    [
        (torch.zeros(2, K + 1), LABELS[:2], torch.tensor([0, 1]), "mean", ValueError, r"logits has shape \(2, 4\)"),
        (torch.zeros(2, K), LABELS[:3], torch.tensor([0, 1]), "mean", ValueError, r"labels \(3,\)"),
        (torch.zeros(2, K), LABELS[:2], torch.tensor([0]), "mean", ValueError, "index has 1 entries"),
        (torch.zeros(2, K), LABELS[:2], torch.tensor([0, N]), "mean", IndexError, "expected positions 0 to 11"),
        (torch.zeros(2, K), LABELS[:2], torch.tensor([0, 1]), "max", ValueError, "reduction is 'max'"),
    ],
)
def test_bad_losses(logits, labels, index, reduction, error, message):
    with pytest.raises(error, match=message):
        AlphaTable(N, K, lr=1.0).cross_entropy(logits, labels, index, reduction=reduction)


def both(table, labels, reduction="mean", index=None):
    """Value and gradient of the table's loss and of torch's, at the same constants; the table's step is pending."""
    index = torch.arange(len(labels)) if index is None else index
    logits = torch.randn(len(labels), K, generator=torch.Generator().manual_seed(5))
    results = []
    for loss_of in (
        lambda x: table.cross_entropy(x, labels, index, reduction=reduction),
        lambda x: F.cross_entropy(x + table.dense()[index], torch.as_tensor(labels).long(), reduction=reduction),
    ):
        leaf = logits.clone().requires_grad_()
        loss = loss_of(leaf)
        loss.sum().backward()
        results.append((loss.detach(), leaf.grad))
    return results


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("labels", [[0, -100, 2, -100, 1], [0, 1, 2, 0, 1], [-100] * 5], ids=["some", "none", "all"])
def test_samples_without_a_label_are_left_out_as_torch_does(labels, reduction):
    """Without a gradient, for the network or the table, and not counted in the mean: of none it is NaN."""
    table = table_of(momentum=0.9)
    before, labels = table.dense().clone(), torch.tensor(labels)
    ours, theirs = both(table, labels, reduction)
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    expected = AlphaTable(N, K, lr=0.3, momentum=0.9)
    expected.load_state_dict(table_of(momentum=0.9).state_dict())
    shifted = torch.randn(5, K, generator=torch.Generator().manual_seed(5)) + before[:5]
    grad = torch.softmax(shifted, 1) - F.one_hot(labels.clamp(min=0), K)
    expected.step(torch.arange(5), grad * (labels >= 0)[:, None])
    table.step_pending()
    torch.testing.assert_close(table.dense(), expected.dense())


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 2, 1]),
        [0, 2, 1],
        (0, 2, 1),
        torch.tensor([0, 2, 1], dtype=torch.uint8),
        torch.tensor([0, 2, 1], dtype=torch.int32),
        np.array([0, 2, 1], dtype=np.uint8),
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')}",
)
def test_labels_may_be_any_integers(labels):
    """For a loss, and for a table that keeps a constant of them."""
    torch.testing.assert_close(*both(AlphaTable(3, K, lr=0.3), labels))
    table = AlphaTable(3, K, lr=0.3, variant="AC2", labels=labels)
    torch.testing.assert_close(*both(table, labels))
    table.step_pending()
    assert table.dense().ne(0).nonzero()[:, 1].tolist() == [0, 2, 1]
    table.extend(3, labels=labels)
    assert table.n_samples == 6


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 3, 1]), "labels run from 0 to 3, expected 0 to 2, or -100 for samples to leave out"),
        (torch.tensor([0, -1, 1]), "labels run from -1 to 1, expected 0 to 2"),
        (torch.tensor([-100, 7, 1]), "labels run from 1 to 7, expected 0 to 2"),
        (torch.tensor([0.0, 1, 2]), r"labels are torch\.float32, expected integers"),
        (torch.tensor([True, False, True]), r"labels are torch\.bool, expected integers"),
        (["a", "b", "c"], "labels are list of no numbers"),
        (None, "labels are NoneType of no numbers"),
        (F.one_hot(torch.tensor([0, 1, 2])), r"labels \(3, 3\), expected .* \(3,\)"),
    ],
)
def test_labels_that_are_none(labels, message):
    table = AlphaTable(3, K, lr=0.3)
    with pytest.raises(ValueError, match=message):
        table.cross_entropy(torch.zeros(3, K), labels, torch.arange(3))


def test_ac2_has_no_constant_of_another_label():
    """It once took the gradient of the label that it was made with, for a loss of another: the row ran away."""
    table, index, logits = (
        AlphaTable(3, K, lr=0.3, variant="AC2", labels=[0, 2, 1]),
        torch.tensor([2, 0]),
        torch.zeros(2, K),
    )
    message = r"labels has 2 in row 1, and the table was made with 0 for that sample"
    with pytest.raises(ValueError, match=message):
        table.cross_entropy(logits, torch.tensor([1, 2]), index)
    with pytest.raises(ValueError, match=message):
        table.gradient(logits, torch.tensor([1, 2]), index)
    with table.announce(index, [2]) as steps:
        for loss in (steps[0].cross_entropy, steps[0].gradient):
            with pytest.raises(ValueError, match=message):
                loss(logits, torch.tensor([1, 2]))
        steps[0].cross_entropy(logits, torch.tensor([-100, 0]))
    table.cross_entropy(logits, torch.tensor([-100, 0]), index)


def test_a_step_that_was_forgotten_is_told_once():
    """The same samples again, whose gradients are pending: in the next call, or before the first backward."""
    logits, index = torch.zeros(2, K, requires_grad=True), torch.tensor([0, 1])
    message = r"called again for samples whose gradients are pending.*call step_pending\(\) after each step"
    table = AlphaTable(N, K, lr=1.0)
    table.cross_entropy(logits, LABELS[:2], index).backward()
    with pytest.warns(UserWarning, match=message) as warned:
        again = table.cross_entropy(logits, LABELS[:2], index)
    assert warned[0].filename == __file__
    again.backward()
    table.cross_entropy(logits, LABELS[:2], index).backward()  # no second warning, which would be an error here
    table.step_pending()
    torch.testing.assert_close(table.dense()[0], torch.tensor([2.0, -1.0, -1.0]))
    table = AlphaTable(N, K, lr=1.0)
    with pytest.warns(UserWarning, match=message):
        (table.cross_entropy(logits, LABELS[:2], index) + table.cross_entropy(logits, LABELS[:2], index)).backward()
    table = AlphaTable(N, K, lr=1.0)
    table.cross_entropy(logits, LABELS[:2], index).backward()
    with pytest.warns(UserWarning, match=message):
        table.cross_entropy(logits, LABELS[:2].flip(0), index.flip(0))


def test_no_step_was_forgotten_where_nothing_is_pending_twice():
    """Other batches, a loss that is only looked at, and the same batch after a step or a skipped one."""
    logits, table = torch.zeros(2, K, requires_grad=True), AlphaTable(N, K, lr=1.0)
    for index in (torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([2, 0])):
        table.cross_entropy(logits, LABELS[index], index).backward()
        with torch.no_grad():
            table.cross_entropy(logits, LABELS[index], index)
        table.cross_entropy(logits.detach(), LABELS[index], index)
    for done in (table.step_pending, table.discard_pending, table.step_pending):
        done()
        table.cross_entropy(logits, LABELS[:2], torch.tensor([0, 1])).backward()
