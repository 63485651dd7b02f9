"""The loop and the objectives: plain training, the paper's regime, AC2, failures; against references written out."""

import functools
import math

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from acestimator.channel import Channel
from acestimator.objectives import AutoCleansing, CrossEntropy, Objective, Training, softmax_gradient
from acestimator.objectives.judge import Judgement
from acestimator.objectives.spared import Spared
from acestimator.training import TrainingPlan, batch_sizes, train
from acestimator.training.blocks import Batches

K = 4
PLAN = TrainingPlan(max_epochs=3, batch_size=8, learning_rate=0.05, optimizer="sgd", momentum=0.9, weight_decay=1e-3)


def problem(n_samples=29, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n_samples, 5, generator=generator, dtype=dtype)
    labels = torch.randint(K, (n_samples,), generator=generator)
    torch.manual_seed(seed)
    return features, labels, nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, K)).to(dtype)


def run(objective, network, features, labels, plan=PLAN, **kwargs):
    generator = torch.Generator().manual_seed(0)
    return train(network, objective, features, labels, plan, n_classes=K, generator=generator, **kwargs)


def epochs_of_batches(n_samples, plan=PLAN):
    """The batches that the loop takes, and the rate of each step."""
    generator = torch.Generator().manual_seed(0)
    n_steps, step = plan.max_epochs * len(batch_sizes(n_samples, plan.batch_size)), 0
    for _ in range(plan.max_epochs):
        for index in torch.randperm(n_samples, generator=generator).split(batch_sizes(n_samples, plan.batch_size)):
            yield index, plan.learning_rate * 0.5 * (1 + math.cos(math.pi * step / n_steps))
            step += 1


def parameters_of(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_cross_entropy_equals_a_loop_written_by_hand_bit_for_bit(optimizer):
    """The hand-written loop feeds the same closed-form gradient to torch.optim."""
    features, labels, network = problem()
    reference = problem()[2]
    plan = TrainingPlan(
        max_epochs=3, batch_size=8, learning_rate=0.05, optimizer=optimizer, momentum=0.9, weight_decay=1e-2
    )
    run(CrossEntropy(), network, features, labels, plan)
    if optimizer == "sgd":
        torch_optimizer = torch.optim.SGD(
            reference.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=1e-2, fused=True
        )
    else:
        torch_optimizer = torch.optim.AdamW(reference.parameters(), lr=1.0, weight_decay=1e-2, fused=True)
    for index, lr in epochs_of_batches(len(labels), plan):
        torch_optimizer.param_groups[0]["lr"] = lr
        logits = reference(features[index])
        grad, _ = softmax_gradient(logits.detach(), labels[index])
        torch_optimizer.zero_grad()
        logits.backward(grad * (1.0 / torch.tensor(len(index), dtype=torch.float32)))
        torch_optimizer.step()
    assert torch.equal(parameters_of(network), parameters_of(reference))


def test_cross_entropy_equals_autograd_of_f_cross_entropy():
    features, labels, network = problem(dtype=torch.float64)
    reference = problem(dtype=torch.float64)[2]
    history = run(CrossEntropy(), network, features, labels)
    optimizer = torch.optim.SGD(reference.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=1e-3)
    losses = []
    for index, lr in epochs_of_batches(len(labels)):
        optimizer.param_groups[0]["lr"] = lr
        loss = F.cross_entropy(reference(features[index]), labels[index])
        losses.append(loss.item() * len(index))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(parameters_of(network), parameters_of(reference), rtol=0, atol=1e-12)
    expected = np.array(losses).reshape(PLAN.max_epochs, -1).sum(axis=1) / len(labels)
    np.testing.assert_allclose([record["loss"] for record in history], expected, rtol=1e-12)


@given(st.integers(9, 40), st.integers(0, 1000), st.sampled_from(["AC1", "AC2"]))
@settings(max_examples=15)
def test_the_papers_regime_equals_dense_sgd_on_the_mean_loss(n_samples, seed, variant):
    """alpha_lr="paper": network and a dense (N, K) alpha under one torch.optim.SGD; ragged last batch included."""
    features, labels, network = problem(n_samples, seed, torch.float64)
    reference = problem(n_samples, seed, torch.float64)[2]
    objective = AutoCleansing(
        variant=variant,
        lr=PLAN.learning_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-3,
        mean_gradient=True,
    )
    run(objective, network, features, labels)
    alpha = nn.Parameter(torch.zeros(n_samples, K, dtype=torch.float64))
    mask = F.one_hot(labels, K) if variant == "AC2" else torch.ones(n_samples, K)
    optimizer = torch.optim.SGD(
        [{"params": list(reference.parameters()), "weight_decay": 1e-3}, {"params": [alpha], "weight_decay": 5e-3}],
        lr=1.0,
        momentum=0.9,
        nesterov=True,
    )
    for index, lr in epochs_of_batches(n_samples):
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = F.cross_entropy(reference(features[index]) + (alpha * mask)[index], labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(objective.table.dense(), alpha.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(parameters_of(network), parameters_of(reference), rtol=0, atol=1e-12)


def equal_weights(n_samples, weight):
    return torch.full((n_samples,), weight, dtype=torch.float64)


@pytest.mark.parametrize("weight", [1.0, 1 / 29, 3.0, 1e-50, 1e50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_weights_of_any_scale_are_none_bit_for_bit(weight, dtype):
    results = []
    for sample_weight in (None, equal_weights(29, weight)):
        features, labels, network = problem(dtype=dtype)
        objective = AutoCleansing(variant="AC1", lr=PLAN.learning_rate, momentum=0.9, nesterov=True, mean_gradient=True)
        history = run(objective, network, features, labels, sample_weight=sample_weight)
        results.append((objective.table.dense(), parameters_of(network), [record["loss"] for record in history]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert results[0][2] == results[1][2]


def test_in_the_papers_regime_a_row_moves_by_the_mean_loss_whatever_the_weights():
    """At a frozen network: the same table as without weights, which sum up to anything."""
    tables = []
    for sample_weight in (None, torch.linspace(1e-50, 1e3, 29, dtype=torch.float64)):
        features, labels, network = problem()
        network.requires_grad_(False)
        objective = AutoCleansing(variant="AC1", lr=0.1, momentum=0.9, mean_gradient=True)
        run(objective, network, features, labels, sample_weight=sample_weight)
        tables.append(objective.table.dense())
    assert torch.equal(*tables)
    assert tables[0].abs().min() > 0


def test_constants_that_are_not_finite_are_an_error():
    """In the last epoch, too, after which no loss shows it."""
    features, labels, network = problem()
    plan = TrainingPlan(**{**vars(PLAN), "max_epochs": 1})
    with pytest.raises(
        FloatingPointError,
        match=r"constants, or their norm, became NaN or infinite in epoch 1, with rate 1e\+39: lower",
    ):
        run(AutoCleansing(variant="AC1", lr=1e39), network, features, labels, plan)


def test_ac2_equals_ac1_with_its_gradient_masked_to_the_observed_label():
    class Masked(AutoCleansing):
        def end_block(self, block, outputs, records, grads):
            return super().end_block(block, outputs, records, grads * F.one_hot(block.labels, K))

    tables, networks = [], []
    for objective in (AutoCleansing(variant="AC2", lr=0.3), Masked(variant="AC1", lr=0.3)):
        features, labels, network = problem()
        run(objective, network, features, labels)
        tables.append(objective.table.dense())
        networks.append(parameters_of(network))
    assert torch.equal(*tables)
    assert torch.equal(*networks)


def test_constants_that_do_not_move_leave_plain_cross_entropy():
    """The two share initialisation, batches and arithmetic: at a rate of 1e-30 they are equal bit for bit."""
    networks = []
    for objective in (CrossEntropy(), AutoCleansing(variant="AC1", lr=1e-30)):
        features, labels, network = problem()
        run(objective, network, features, labels)
        networks.append(parameters_of(network))
    assert torch.equal(*networks)


def test_a_row_moves_by_its_own_gradient_whatever_the_batch_size():
    """Per-sample units: one epoch at a frozen network gives the same table in batches of 3 and of 29."""
    tables = []
    for batch_size in (3, 29):
        features, labels, network = problem()
        for p in network.parameters():
            p.requires_grad_(False)
        network.append(nn.Linear(K, K, bias=False))
        nn.init.eye_(network[-1].weight)
        plan = TrainingPlan(1, batch_size, 1e-30, "sgd", 0.0, 0.0)
        plan = type("Constant", (TrainingPlan,), {"lr_scale": lambda self, step, n_steps: 1.0})(**vars(plan))
        objective = AutoCleansing(variant="AC1", lr=0.3)
        run(objective, network, features, labels, plan)
        tables.append(objective.table.dense())
    torch.testing.assert_close(*tables)
    grad, _ = softmax_gradient(network(features).detach(), labels)
    torch.testing.assert_close(tables[0], -0.3 * grad)


@given(st.integers(2, 30), st.integers(2, 8), st.integers(0, 10_000), st.floats(0.1, 1e3))
def test_the_closed_form_gradient_is_autograds(n_rows, n_classes, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n_rows, n_classes, dtype=torch.float64, generator=generator)
    labels = torch.randint(n_classes, (n_rows,), generator=generator)

    class ByAutograd(Objective):
        def loss(self, logits, labels, index):
            return F.cross_entropy(logits, labels, reduction="none")

    grad, losses = take(CrossEntropy(), logits, a_block(labels))
    expected_grad, expected_losses = take(ByAutograd(), logits, a_block(labels))
    torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-14)
    torch.testing.assert_close(losses, expected_losses)
    torch.testing.assert_close(grad.sum(dim=1), torch.zeros(n_rows, dtype=torch.float64), rtol=0, atol=1e-13)


@given(st.integers(1, 500), st.integers(1, 70))
def test_batches_cover_the_samples_and_none_is_alone(n_samples, batch_size):
    sizes = batch_sizes(n_samples, batch_size)
    assert sum(sizes) == n_samples
    assert max(sizes) <= batch_size + 1
    assert n_samples == 1 or batch_size == 1 or min(sizes) > 1


@pytest.mark.parametrize("early_learning", [None, 0.0, 2.0])
def test_blocks_do_not_change_the_result(monkeypatch, early_learning):
    results = []
    for steps in (1, 64):
        monkeypatch.setattr("acestimator.training.loop.Batches", functools.partial(Batches, block_steps=steps))
        features, labels, network = problem()
        objective = AutoCleansing(variant="AC1", lr=0.3)
        if early_learning is not None:
            channel = Channel(1.0, torch.full((K, K), 0.1, dtype=torch.float64).fill_diagonal_(1 - 0.1 * (K - 1)), 0.0)
            log_odds = torch.linspace(-4, 4, len(labels), dtype=torch.float64)
            judgement = Judgement(channel, log_odds, 0.3, (0.1, 1.0), 1, True)
            objective = Spared(judgement, early_learning=early_learning, variant="AC1", lr=0.3)
        history = run(objective, network, features, labels)
        results.append((parameters_of(network), objective.table.dense(), [record["loss"] for record in history]))
    # The steps are the same. The table's move, and the weights that come of it, are one operation for all of a block,
    # and a softmax over more samples at a time rounds otherwise.
    if early_learning == 0.0:  # the network does without both
        assert torch.equal(results[0][0], results[1][0])
    for one, other in zip(results[0][:2], results[1][:2], strict=True):
        torch.testing.assert_close(one, other)
    np.testing.assert_allclose(results[0][2], results[1][2], rtol=1e-6)


def test_a_loss_that_is_not_finite_names_its_step_and_rate():
    features, labels, network = problem(32)
    features[:] = 1.0
    features[10] = 1e38  # overflows in the second batch
    plan = TrainingPlan(**{**vars(PLAN), "batch_order": lambda epoch, generator: torch.arange(32)})
    rate = 0.05 * 0.5 * (1 + math.cos(math.pi / 12))
    with pytest.raises(FloatingPointError, match=f"epoch 1, at step 2 of 12, with learning rate {rate:.3g}"):
        run(CrossEntropy(), network, features * 10, labels, plan)


def test_parameters_that_the_loss_does_not_reach_stand_still():
    class Partial(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(5, K), nn.Linear(5, K)

        def forward(self, x):
            return self.used(x)

    features, labels, _ = problem()
    network = Partial()
    before = network.unused.weight.detach().clone(), network.used.weight.detach().clone()
    run(CrossEntropy(), network, features, labels)
    assert torch.equal(network.unused.weight, before[0])
    assert not torch.equal(network.used.weight, before[1])


@pytest.mark.parametrize("loss_weight", [None, torch.tensor([1.0, 2, 3, 4, 5, 6, 7])])
@pytest.mark.parametrize("weight", [None, torch.linspace(0, 1, 7)])
def test_a_batchs_scales_are_its_weights_over_its_sum_of_loss_weights(loss_weight, weight):
    index, labels = torch.tensor([6, 0, 2, 5, 1, 3, 4]), torch.zeros(7, dtype=torch.int64)
    plan = TrainingPlan(1, 4, 0.1, "sgd", 0.0, 0.0, batch_order=lambda epoch, generator: index)
    batches = Batches(plan, Training(nn.Identity(), labels, K, 2, 1, loss_weight=loss_weight), K)
    (block,) = batches.blocks(0, torch.Generator(), shuffle=True)
    scale = batches.gradient_scale(block, None if weight is None else weight[index]).squeeze(1)
    w = torch.ones(7) if loss_weight is None else loss_weight
    assert block.sizes == [4, 3]
    for part, batch in zip(scale.split(block.sizes), index.split(block.sizes), strict=True):
        expected = w[batch] / w[batch].sum() * (1 if weight is None else weight[batch])
        torch.testing.assert_close(part, expected)


@pytest.mark.parametrize("parameters", [{"weight_decay": 0.1}, {"penalty": ("l2", 0.1)}])
def test_decay_and_penalty_act_once_a_visit_whatever_the_batch_size(parameters):
    for batch_size in (2, 29):
        labels = torch.randint(K, (29,))
        objective = AutoCleansing(variant="AC1", lr=0.3, **parameters)
        steps = len(batch_sizes(29, batch_size))
        started(objective, labels, K, steps_per_epoch=steps)
        objective.table.dense().add_(1.0)  # the storage itself
        block, still = a_block(labels, sizes=batch_sizes(29, batch_size)), torch.zeros(29, K, dtype=torch.float64)
        objective.begin_block(block)
        objective.end_block(block, still, still, still)
        torch.testing.assert_close(objective.table.dense().mean().item(), math.exp(-0.3 * 0.1), rtol=1e-3, atol=0)


def test_training_works_inside_no_grad():
    results = []
    for context in (torch.enable_grad, torch.no_grad):
        features, labels, network = problem()
        with context():
            run(AutoCleansing(variant="AC1", lr=0.3), network, features, labels)
        results.append(parameters_of(network))
    assert torch.equal(*results)


def test_a_batch_order_is_a_permutation():
    features, labels, network = problem(32)
    plan = TrainingPlan(**{**vars(PLAN), "batch_order": lambda epoch, generator: torch.zeros(32, dtype=torch.int64)})
    with pytest.raises(ValueError, match="32 indices in epoch 1 that are no permutation of the 32 samples"):
        run(CrossEntropy(), network, features, labels, plan)


def test_an_objective_may_mix_the_inputs_of_each_step():
    """It is asked once a step, with the samples of that step, in training mode; the step is then on what it returns."""
    features, labels, network = problem()
    reference = problem()[2]

    class Halved(CrossEntropy):
        seen = 0

        def mix(self, network, x, step):
            assert network.training
            assert torch.equal(x, features[step.index])
            self.seen += len(x)
            return 0.5 * x

    assert Objective.mix is CrossEntropy.mix is None
    halved = Halved()
    history = run(halved, network, features, labels)
    expected = run(CrossEntropy(), reference, 0.5 * features, labels)
    assert halved.seen == PLAN.max_epochs * len(labels)
    assert torch.equal(parameters_of(network), parameters_of(reference))
    assert [record["loss"] for record in history] == [record["loss"] for record in expected]


class MeanLoss(Objective):
    def loss(self, logits, labels, index):
        return F.cross_entropy(logits, labels)


class SilentBlock(CrossEntropy):
    def end_block(self, block, outputs, records, grads):
        pass


class MeanOfBlock(CrossEntropy):
    def end_block(self, block, outputs, records, grads):
        return super().end_block(block, outputs, records, grads).mean()


class ForgetfulStart(CrossEntropy):
    def start(self, training):
        self.mean = 0.0


class Misspelt(CrossEntropy):
    state = ("means",)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (MeanLoss(), r"MeanLoss.loss gave shape \(\), expected \(8,\): return one loss for each sample, and not their"),
        (SilentBlock(), r"SilentBlock.end_block gave NoneType, expected a tensor of shape \(29,\): return one loss"),
        (MeanOfBlock(), r"MeanOfBlock.end_block gave shape \(\), expected a tensor of shape \(29,\)"),
        (ForgetfulStart(), r"ForgetfulStart.start has not kept the training: call super\(\).start\(training\)"),
        (Misspelt(), r"Misspelt.state names 'means', which Misspelt has not: set it in start, or leave it out"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_an_objective_that_leaves_something_out_is_told_what(objective, message):
    features, labels, network = problem()
    with pytest.raises(TypeError, match=message):
        run(objective, network, features, labels)
