"""The two stages of the mislabel posterior, against a slow transcription and by their limits."""

import math

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from acestimator.comparison.runs import calibration_error
from acestimator.detection import mislabel_log_odds, mistaken, regularity, wrong_probability
from acestimator.mixture import ScoreMixture
from acestimator.noise import corrupt, pair_flip, symmetric
from acestimator.objectives import AutoCleansing, confusion
from acestimator.objectives.confusion import PRIOR
from acestimator.objectives.posterior import DECAY, ODDS, MislabelPosterior


@given(st.integers(0, 2**31 - 1), st.integers(2, 12), st.floats(0.05, 0.6))
def test_mistaken_is_bayes_rule(seed, n_classes, rate):
    """P(wrong | x, y) of a known process, 1 - pi_yy p_y / sum_k pi_ky p_k, from its relative entries and its rate."""
    rng = np.random.RandomState(seed)
    p = rng.dirichlet(np.ones(n_classes), size=20)
    labels = rng.randint(n_classes, size=20)
    relative = rng.uniform(size=(n_classes, n_classes))
    np.fill_diagonal(relative, 0.0)
    relative /= relative.sum(axis=1, keepdims=True) / (n_classes - 1)
    pi = rate / (n_classes - 1) * relative + (1 - rate) * np.eye(n_classes)
    every = np.arange(20)
    expected = 1 - pi[labels, labels] * p[every, labels] / np.einsum("kn,nk->n", pi[:, labels], p)
    wrong = mistaken(torch.from_numpy(p), torch.from_numpy(labels), torch.from_numpy(relative)).numpy()
    odds = rate / (1 - rate) / (n_classes - 1) * wrong / p[every, labels]
    np.testing.assert_allclose(odds / (1 + odds), expected, rtol=1e-9)
    without = mistaken(torch.from_numpy(p), torch.from_numpy(labels), None).numpy()
    np.testing.assert_allclose(without, 1 - p[every, labels], atol=1e-12)


@given(st.integers(0, 2**31 - 1), st.integers(3, 12))
def test_regularity_is_between_its_limits(seed, n_classes):
    rng = np.random.RandomState(seed)
    even = np.ones((n_classes, n_classes)) - np.eye(n_classes)
    single = np.roll(np.eye(n_classes), 1, axis=1) * (n_classes - 1)
    drawn = rng.exponential(size=(n_classes, n_classes)) * even
    values = [regularity(torch.from_numpy(r)) for r in (even, drawn, single)]
    assert values[0] == pytest.approx(0.0, abs=1e-12)
    assert 0 < values[1] < 1
    assert values[2] == pytest.approx(1.0)
    scaled = drawn * rng.uniform(0.1, 10.0, size=(n_classes, 1))
    assert regularity(torch.from_numpy(scaled)) == pytest.approx(values[1])  # how often each is mistaken is no pattern


def test_two_categories_leave_no_choice():
    assert regularity(torch.tensor([[0.0, 1.7], [0.3, 0.0]])) == 0.0


def test_log_odds_rise_with_suspicion():
    right = torch.linspace(0.999, 0.001, 50, dtype=torch.float64)
    odds = mislabel_log_odds(right, torch.ones(50, dtype=torch.float64), 10)
    assert (odds.diff() > 0).all()
    assert (mislabel_log_odds(right, torch.full((50,), 3.0, dtype=torch.float64), 10) > odds).all()
    # With two categories, no pattern, and an even prediction nothing is known.
    assert float(mislabel_log_odds(torch.tensor(0.5), torch.tensor(1.0), 2)) == pytest.approx(0.0)


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.2, 0.6])
def test_bayes_rule_finds_the_rate_of_scores_that_mean_what_they_say(rate):
    """Scores from two normal densities whose log ratio they are: the rate, and probabilities that are frequencies."""
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=50_000) < rate
    scores = torch.from_numpy(np.where(wrong, 4.5, -4.5) + 3.0 * rng.normal(size=len(wrong)))  # log ratio: s itself
    proba = wrong_probability(scores).numpy()
    assert proba.mean() == pytest.approx(rate, abs=0.005)
    assert calibration_error(proba, wrong) < 0.005


def test_the_rate_is_the_mean_and_weights_are_repeats():
    rng = np.random.RandomState(0)
    scores = torch.from_numpy(rng.normal(-1, 3, size=200))
    counts = torch.from_numpy(rng.randint(1, 4, size=200))
    weighted = wrong_probability(scores, counts.double())
    repeated = wrong_probability(scores.repeat_interleave(counts))
    torch.testing.assert_close(weighted.repeat_interleave(counts), repeated)
    rate = repeated.mean()
    torch.testing.assert_close(
        weighted, torch.sigmoid(scores + torch.logit(rate)), rtol=1e-6, atol=1e-6
    )  # EM has come to rest


def test_numpy_arrays_are_taken_and_given():
    rng = np.random.RandomState(0)
    p, labels, relative = rng.dirichlet(np.ones(4), size=9), rng.randint(4, size=9), rng.uniform(size=(4, 4))
    np.fill_diagonal(relative, 0.0)
    for function, arrays in (
        (mistaken, (p, labels, relative)),
        (mistaken, (p, labels, None)),
        (mislabel_log_odds, (p[:, 0], p[:, 1], 4)),
        (wrong_probability, (p[:, 0], p[:, 1])),
    ):
        of_tensors = function(*(torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arrays))
        of_arrays = function(*arrays)
        assert isinstance(of_arrays, np.ndarray)
        np.testing.assert_array_equal(of_arrays, of_tensors.numpy())
    assert regularity(relative) == regularity(torch.from_numpy(relative))


def slow(labels, weight, visits, constants, max_epochs, n_classes):
    """The same, sample by sample, in numpy; only the mixture is shared. Returns scores and probabilities at the end."""
    n = len(labels)
    switch = math.ceil(0.5 * max_epochs)
    first = set(range(math.ceil(0.3 * max_epochs) - 1, switch, max(1, round(max_epochs / 12))))
    second = set(range(switch, max_epochs - 1, max(1, round(max_epochs / 20))))
    scores, proba, mixture, relative, c = np.zeros(n), None, None, None, 1.0
    rights, others_seen, wrongs_seen = ([[] for _ in range(n)] for _ in range(3))
    for epoch in range(max_epochs):
        counts = np.zeros((n_classes, n_classes))
        for i in range(n):
            y, p = labels[i], softmax(visits[epoch][i])
            others = np.delete(np.arange(n_classes), y)
            rights[i].append(p[y])
            if epoch < switch and epoch in first:
                scores[i] = constants[epoch][i]
            if relative is not None:
                others_seen[i].append(p[others].sum())
                wrongs_seen[i].append((relative[others, y] * p[others]).sum())
            if proba is not None and (epoch in first | second or epoch == switch - 1):
                counts[others, y] += weight[i] * proba[i] * p[others] / p[others].sum()
                counts[y, y] += weight[i] * (1 - proba[i])
            if epoch >= switch:
                r = np.full(n_classes, c) if relative is None else c * relative[:, y]
                odds = np.log((r[others] * p[others]).sum()) - np.log(p[y])
                share = min(DECAY, (epoch - switch) / (epoch - switch + 1))
                scores[i] = share * scores[i] + (1 - share) * odds
        if counts.sum() > 0:
            rate = 1 - counts.diagonal().sum() / counts.sum()
            pi = counts + PRIOR * rate / (n_classes - 1)
            pi /= pi.sum(axis=1, keepdims=True)
            np.fill_diagonal(pi, 0.0)
            relative = pi / (pi.sum() / (n_classes * (n_classes - 1)))
        if epoch in first | second:
            seen = torch.from_numpy(scores if epoch < switch else expit(scores))
            if epoch == switch:
                mixture = None
            fresh = mixture is None
            weights = torch.from_numpy(weight)
            mixture = ScoreMixture.start(seen, weights) if fresh else mixture.refit(seen, weights)
            proba = mixture.posterior(seen).numpy()
            if epoch < switch:
                c = min(1.0, ODDS * mixture.rate / (1 - mixture.rate))
    right = np.array([np.mean(r) for r in rights])
    factor = (np.array([np.mean(w) for w in wrongs_seen]) + 1e-6) / (np.array([np.mean(o) for o in others_seen]) + 1e-6)
    shares = relative / relative.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1).mean()
    factor = 1 + (1 - entropy / np.log(n_classes - 1)) * (factor - 1)
    odds = 1.5 * (np.log(factor) + np.log((1 - right) / right) - 0.5 * np.log(n_classes - 1))
    rate = 0.1
    for _ in range(50):
        proba = expit(odds + np.log(rate / (1 - rate)))
        rate = (weight * proba).sum() / weight.sum()
    return expit(odds), proba


def observe(posterior, epoch, index, logits, constant):
    log_proba = torch.log_softmax(torch.from_numpy(logits), dim=1)
    posterior.observe(epoch, index, log_proba, log_proba.exp(), constant)


@pytest.mark.parametrize("max_epochs", [10, 25])
def test_against_a_slow_transcription(max_epochs):
    rng = np.random.RandomState(0)
    n, n_classes = 60, 4
    true = rng.randint(n_classes, size=n)
    labels = corrupt(true, pair_flip(n_classes, 0.3), rng)
    weight = rng.uniform(0.5, 2.0, size=n)
    visits = [3 * np.eye(n_classes)[true] + rng.normal(size=(n, n_classes)) for _ in range(max_epochs)]
    constants = [(labels != true) + 0.1 * rng.normal(size=n) for _ in range(max_epochs)]
    ours = MislabelPosterior(torch.from_numpy(labels), n_classes, max_epochs, torch.from_numpy(weight), torch.float64)
    for epoch in range(max_epochs):
        for index in np.array_split(rng.permutation(n), 3):
            at = torch.from_numpy(index)
            constant = torch.from_numpy(constants[epoch][index]) if ours.wants_constants(epoch) else None
            observe(ours, epoch, at, visits[epoch][index], constant)
        ours.end_epoch(epoch)
    got = ours.finish(torch.zeros(n, dtype=torch.float64), max_epochs)
    for mine, expected in zip(got, slow(labels, weight, visits, constants, max_epochs, n_classes), strict=True):
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-9, atol=1e-12)


def seen(labels, logits, constants, max_epochs=20, n_classes=4):
    """A posterior that was shown the same logits at every visit."""
    ours = MislabelPosterior(torch.from_numpy(labels), n_classes, max_epochs, None, torch.float64)
    everyone = torch.arange(len(labels))
    for epoch in range(max_epochs):
        constant = torch.from_numpy(constants) if ours.wants_constants(epoch) else None
        observe(ours, epoch, everyone, logits, constant)
        ours.end_epoch(epoch)
    return ours


def test_the_pattern_of_the_mistakes_is_learned():
    """Categories are mistaken for the next one: R says so, and whoever fits the pattern is the more suspicious."""
    rng = np.random.RandomState(0)
    true = rng.randint(4, size=2000)
    labels = corrupt(true, pair_flip(4, 0.3), rng)
    logits = 8 * np.eye(4)[true] + 0.5 * rng.normal(size=(2000, 4))
    ours = seen(labels, logits, (labels != true) + 0.1 * rng.normal(size=2000))
    relative = ours.confusion.relative.numpy()
    nexts = relative[np.arange(4), (np.arange(4) + 1) % 4]
    assert nexts.min() > 2.5  # of a mean of one; all would be 3
    assert relative.sum() - nexts.sum() < 1  # the eight others together
    p = torch.softmax(torch.tensor([[2.0, 1.9, 0.0, 0.0], [2.0, 0.0, 0.0, 1.9]]).double(), dim=1)
    wrong = mistaken(p, torch.tensor([0, 0]), ours.confusion.relative).log()
    assert wrong[1] > wrong[0] + 1.5  # 3 is labelled 0, 1 is not
    assert regularity(ours.confusion.relative) > 0.7


def test_even_mistakes_have_no_pattern():
    rng = np.random.RandomState(0)
    true = rng.randint(4, size=8000)
    labels = corrupt(true, symmetric(4, 0.3), rng)
    logits = 6 * np.eye(4)[true] + 0.1 * rng.normal(size=(8000, 4))
    ours = seen(labels, logits, (labels != true) + 0.1 * rng.normal(size=8000))
    off = ours.confusion.relative[~torch.eye(4, dtype=torch.bool)]
    # 2,400 wrong labels, 200 of each kind: off by a fifth would be three standard errors
    np.testing.assert_allclose(off.numpy(), 1.0, atol=0.2)
    assert regularity(ours.confusion.relative) < 0.02


def test_stages():
    """Constants are asked for in the first stage only, and the network is alone in the second only."""
    ours = MislabelPosterior(torch.tensor([0, 1]), 2, 60, None, torch.float64)
    assert ours.switch == 30
    assert [e for e in range(30) if ours.wants_constants(e)] == [17, 22, 27]
    assert not ours.in_second(40)  # nothing was found in the first: there is nothing to go on from
    ours.proba = torch.zeros(2)
    assert [ours.in_second(e) for e in (29, 30)] == [False, True]
    assert not ours.wants_constants(33)


@pytest.mark.parametrize("max_epochs", [1, 2, 3, 4, 5])
def test_short_trainings_have_scores(max_epochs):
    rng = np.random.RandomState(0)
    labels = rng.randint(4, size=100)
    constants = rng.normal(size=100)
    ours = seen(labels, rng.normal(size=(100, 4)), constants, max_epochs)
    scores, proba = ours.finish(torch.from_numpy(constants), max_epochs)
    assert torch.isfinite(scores).all()
    assert ((proba >= 0) & (proba <= 1)).all()
    if max_epochs == 1:
        np.testing.assert_array_equal(scores.numpy(), constants)


def test_equal_scores_set_nobody_apart():
    ours = seen(np.zeros(50, dtype=int), np.zeros((50, 4)), np.zeros(50))
    scores, proba = ours.finish(torch.zeros(50), 20)
    assert ours.mixture is None
    assert not proba.any()
    np.testing.assert_array_equal(scores, np.zeros(50))


def test_more_categories_than_a_matrix_is_kept_for(monkeypatch):
    rng = np.random.RandomState(0)
    true = rng.randint(4, size=500)
    labels = corrupt(true, pair_flip(4, 0.3), rng)
    logits = 4 * np.eye(4)[true] + 0.5 * rng.normal(size=(500, 4))
    monkeypatch.setattr(confusion, "LARGEST_CONFUSION", 3)
    ours = seen(labels, logits, (labels != true) + 0.1 * rng.normal(size=500))
    assert ours.confusion.relative is None
    assert ((ours.proba > 0.5).numpy() == (labels != true)).mean() > 0.98


def test_in_the_second_stage_the_network_sees_no_constants_and_the_table_still_moves():
    torch.manual_seed(0)
    labels = torch.randint(3, (8,))
    objective = AutoCleansing(variant="AC1", lr=0.3)
    started(objective, labels, 3, steps_per_epoch=2, max_epochs=10)
    index, logits = torch.randperm(8), torch.randn(8, 3, dtype=torch.float64)
    for epoch, proba in ((4, None), (5, torch.zeros(8, dtype=torch.float64))):
        objective.posterior.proba = proba
        before = objective.table.dense().clone()
        with_constants = torch.softmax(logits + before[index], dim=1) - torch.eye(3)[labels[index]]
        grads, losses = take(objective, logits, a_block(labels, index, [4, 4], epoch=epoch, lr_scales=[1.0, 0.5]))
        alone = torch.softmax(logits, dim=1) - torch.eye(3)[labels[index]]
        torch.testing.assert_close(grads, alone if epoch == 5 else with_constants)
        # The table moves by its own gradient, at each step's rate, in both stages.
        rates = torch.tensor([0.3] * 4 + [0.15] * 4)[:, None]
        torch.testing.assert_close(objective.table.dense()[index], before[index] - rates * with_constants)
        # and so does the loss that is recorded
        expected = -torch.log_softmax(logits + before[index], dim=1).gather(1, labels[index][:, None]).squeeze(1)
        torch.testing.assert_close(losses, expected)
