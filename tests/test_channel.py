"""The noise channel: its two fits against references, by what they must not depend on, and at their limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax, xlogy

from acestimator.channel import (
    COLDEST,
    HOTTEST,
    SUREST,
    Channel,
    _em_step,
    centred,
    fit_channel,
    judge,
    levelled,
    mistake_rate,
    rate_interval,
    shrunk,
    sure_counts,
)
from acestimator.channel import temperature as best_temperature
from acestimator.facts import Facts

SEEDS = st.integers(0, 2**31 - 1)
CLASSES = st.sampled_from([2, 3, 10, 100])


def draw(seed, n_classes, n_samples=60, scale=3.0, noise=0.3):
    """Logits (N, K), and labels (N,) drawn from them but for a share that is drawn evenly."""
    rng = np.random.RandomState(seed)
    logits = scale * rng.normal(size=(n_samples, n_classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    labels = np.where(rng.uniform(size=n_samples) < noise, rng.randint(n_classes, size=n_samples), labels)
    return torch.from_numpy(logits), torch.from_numpy(labels)


def a_matrix(seed, n_classes):
    """Transition matrix (K, K) whose labels are mostly right."""
    mistakes = np.random.RandomState(seed).dirichlet(np.ones(n_classes), size=n_classes)
    return torch.from_numpy(0.4 * mistakes + 0.6 * np.eye(n_classes))


# --- the temperature ---


@given(SEEDS, CLASSES, st.floats(-1.5, 1.5), st.floats(0.05, 1.0))
def test_the_temperature_is_that_of_the_largest_likelihood(seed, n_classes, log_scale, noise):
    logits, labels = draw(seed, n_classes, scale=10**log_scale, noise=noise)

    def loss(inverse):
        return -log_softmax(inverse * logits.numpy(), axis=1)[np.arange(len(labels)), labels.numpy()].mean()

    found = minimize_scalar(loss, bounds=(1 / HOTTEST, 1 / COLDEST), method="bounded", options={"xatol": 1e-9})
    temperature, log_likelihood = best_temperature(logits, labels)
    assert log_likelihood == pytest.approx(-loss(1 / temperature))
    assert log_likelihood == pytest.approx(-found.fun, abs=1e-6)


def test_a_likelihood_without_a_maximum_gives_the_bounds():
    labels = torch.arange(30) % 3
    logits = torch.nn.functional.one_hot(labels).double()
    assert best_temperature(0.01 * logits, labels)[0] == pytest.approx(COLDEST)  # always right: the surer the better
    assert best_temperature(logits, (labels + 1) % 3)[0] == pytest.approx(HOTTEST)  # always wrong


# --- EM ---


def log_posterior(logits, labels, weight, pi, pseudo, inverse):
    """Log-density that EM raises, written out."""
    eta = torch.softmax(inverse * logits, dim=1)
    likelihood = weight @ (eta * pi[:, labels].T).sum(dim=1).log()
    return float(likelihood + xlogy(pseudo.numpy(), pi.numpy()).sum())


def em_never_lowers(logits, labels, weight, pi, inverse, strength):
    share, total, logits = weight / weight.sum(), float(weight.sum()), centred(logits)
    pseudo = strength * total / len(pi) * pi
    density = log_posterior(logits, labels, weight, pi, pseudo, inverse)
    for _ in range(15):
        pi, inverse = _em_step(logits, labels, share, pi, pseudo / total, inverse)
        after = log_posterior(logits, labels, weight, pi, pseudo, inverse)
        assert after >= density - 1e-9 * (total + abs(density))
        assert 1 / HOTTEST <= inverse <= 1 / COLDEST
        torch.testing.assert_close(pi.sum(dim=1), torch.ones(len(pi), dtype=torch.float64))
        density = after


@given(SEEDS, CLASSES, st.floats(-1, 1.5), st.floats(-0.9, 1.3), st.floats(0.01, 3))
def test_no_step_of_em_lowers_the_posterior_density(seed, n_classes, log_scale, log_inverse, strength):
    logits, labels = draw(seed, n_classes, scale=10**log_scale)
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(0.1, 3, size=len(labels)))
    em_never_lowers(logits, labels, weight, a_matrix(seed, n_classes), 10**log_inverse, strength)


def test_nor_where_a_newton_step_is_too_long():
    """One label in 10,000 contradicts a margin of 11, where the curvature is next to nothing."""
    logits = torch.tensor([[11.0, 0.0]], dtype=torch.float64).repeat(10_000, 1)
    labels = torch.zeros(10_000, dtype=torch.int64).index_fill_(0, torch.tensor([0]), 1)
    em_never_lowers(logits, labels, torch.ones(10_000).double(), torch.eye(2, dtype=torch.float64), 1.0, 1.0)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_what_the_labels_were_drawn_from_is_found(temperature):
    """The matrix to four standard errors of the counts that its prior is made of, a tenth of all."""
    rng, n_samples, n_classes = np.random.RandomState(0), 40_000, 4
    logits = 15 * temperature * rng.normal(size=(n_samples, n_classes))  # sure enough for a tenth to be right
    true = (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)
    pi = np.array([[0.8, 0.2, 0, 0], [0, 0.7, 0.2, 0.1], [0.1, 0, 0.9, 0], [0.3, 0, 0, 0.7]])
    labels = (pi[true].cumsum(axis=1) < rng.uniform(size=(n_samples, 1))).sum(axis=1)
    fitted = fit_channel(torch.from_numpy(logits), torch.from_numpy(labels))
    error = np.sqrt(pi * (1 - pi) / (0.1 * n_samples / n_classes))
    assert (np.abs(fitted.pi.numpy() - pi) <= 4 * error + 3e-3).all()  # the counts are shrunk
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)
    wrong = torch.sigmoid(fitted.log_odds(torch.from_numpy(logits), torch.from_numpy(labels))).numpy()
    truly = labels != true
    assert wrong.mean() == pytest.approx(truly.mean(), abs=4 * math.sqrt(0.25 / (0.1 * n_samples)))
    for low, high in ((0.0, 0.1), (0.4, 0.6), (0.9, 1.0)):  # the probabilities are frequencies
        there = (wrong >= low) & (wrong <= high)
        assert truly[there].mean() == pytest.approx(wrong[there].mean(), abs=0.02 + 4 * math.sqrt(0.25 / there.sum()))


@given(SEEDS, CLASSES)
def test_the_order_of_the_categories_is_of_no_matter(seed, n_classes):
    logits, labels = draw(seed, n_classes)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(n_classes))
    renamed, names = logits[:, order], order.argsort()[labels]
    ours, theirs = fit_channel(logits, labels), fit_channel(renamed, names)
    assert theirs.temperature == pytest.approx(ours.temperature, rel=1e-6)
    torch.testing.assert_close(theirs.pi, ours.pi[order][:, order], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(theirs.log_odds(renamed, names), ours.log_odds(logits, labels), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(judge(renamed, names).log_odds, judge(logits, labels).log_odds, rtol=1e-6, atol=1e-6)


@given(SEEDS, CLASSES)
def test_a_number_added_to_a_row_of_logits_is_of_no_matter(seed, n_classes):
    logits, labels = draw(seed, n_classes)
    shifted = logits + torch.from_numpy(np.random.RandomState(seed).normal(scale=100, size=(len(labels), 1)))
    assert best_temperature(shifted, labels) == pytest.approx(best_temperature(logits, labels), rel=1e-6)
    torch.testing.assert_close(sure_counts(shifted, labels), sure_counts(logits, labels))
    ours, theirs = fit_channel(logits, labels), fit_channel(shifted, labels)
    torch.testing.assert_close(theirs.pi, ours.pi, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(theirs.log_odds(shifted, labels), ours.log_odds(logits, labels), rtol=1e-6, atol=1e-6)


@given(SEEDS, CLASSES)
def test_weight_two_is_a_sample_twice(seed, n_classes):
    logits, labels = draw(seed, n_classes)
    twice = torch.from_numpy(np.random.RandomState(seed).randint(1, 3, size=len(labels)))
    repeated = logits.repeat_interleave(twice, dim=0), labels.repeat_interleave(twice)
    assert best_temperature(logits, labels, twice.double()) == pytest.approx(best_temperature(*repeated), rel=1e-6)
    torch.testing.assert_close(sure_counts(logits, labels, twice.double()), sure_counts(*repeated))
    ours, theirs = fit_channel(logits, labels, twice.double()), fit_channel(*repeated)
    assert ours.temperature == pytest.approx(theirs.temperature, rel=1e-6)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood)
    torch.testing.assert_close(ours.pi, theirs.pi, rtol=1e-6, atol=1e-9)
    weighted, plain = judge(logits, labels, twice.double()).log_odds, judge(*repeated).log_odds
    torch.testing.assert_close(weighted.repeat_interleave(twice), plain, rtol=1e-6, atol=1e-6)


@given(SEEDS, CLASSES, st.floats(-1, 1))
def test_log_odds_are_those_of_bayes_rule(seed, n_classes, log_scale):
    """P(wrong | x, y) of a known process, 1 - pi_yy p_y / sum_k pi_ky p_k, written out."""
    logits, labels = draw(seed, n_classes, scale=10**log_scale)
    channel, y = Channel(1.7, a_matrix(seed, n_classes), 0.0), labels.numpy()
    p, pi = softmax(logits.numpy() / 1.7, axis=1), channel.pi.numpy()
    joint = p * pi[:, y].T  # (N, K)
    right = joint[np.arange(60), y]
    joint[np.arange(60), y] = 0.0
    expected = np.clip(np.log(joint.sum(axis=1)) - np.log(right), -SUREST, SUREST)
    np.testing.assert_allclose(channel.log_odds(logits, labels).numpy(), expected, rtol=1e-9, atol=1e-9)


# --- the surest samples ---


@given(SEEDS, CLASSES, st.integers(1, 400))
def test_counts_are_of_the_surest_of_all_samples(seed, n_classes, n_samples):
    """A tenth of them or thirty, whichever is more, the last of them in part; against a loop."""
    logits, labels = draw(seed, n_classes, n_samples=n_samples)
    top = logits.sort(dim=1, descending=True)
    margin, predicted = (top.values[:, 0] - top.values[:, 1]).numpy(), top.indices[:, 0].numpy()
    expected = np.zeros((n_classes, n_classes))
    left = min(max(0.1 * n_samples, 30.0), n_samples)
    for n in np.argsort(-margin):
        expected[predicted[n], labels[n]] += min(left, 1.0)
        left -= min(left, 1.0)
    np.testing.assert_allclose(sure_counts(logits, labels).numpy(), expected, atol=1e-9)


@given(SEEDS, CLASSES)
def test_many_counts_are_hardly_shrunk_and_none_are_even(seed, n_classes):
    counts = 1e9 * a_matrix(seed, n_classes)
    torch.testing.assert_close(shrunk(counts), counts / 1e9, rtol=1e-6, atol=1e-6)
    counts[0] = 0.0  # a category that nothing is predicted to be
    row, rate = shrunk(counts)[0], mistake_rate(counts)
    assert row[0] == pytest.approx(1 - rate)
    torch.testing.assert_close(row[1:], torch.full((n_classes - 1,), rate / (n_classes - 1), dtype=torch.float64))


@given(SEEDS, CLASSES, st.floats(0, 1e6))
def test_the_rate_of_mistakes_is_that_of_the_counts_and_of_two_halves(seed, n_classes, total):
    counts = total * a_matrix(seed, n_classes) / n_classes
    right = float(counts.trace())
    assert mistake_rate(counts) == pytest.approx((total - right + 0.5) / (total + 1), rel=1e-9, abs=1e-9)


def test_no_counts_say_nothing():
    assert mistake_rate(torch.zeros(3, 3)) == 0.5
    assert mistake_rate(7.0 / 3 * torch.eye(3)) == pytest.approx(1 / 16)
    assert mistake_rate(7.0 / 6 * (1 - torch.eye(3))) == pytest.approx(15 / 16)


# --- the level of the log-odds ---


@given(
    st.lists(st.floats(-8, 8), min_size=1, max_size=40),
    st.floats(0.001, 0.999),
    st.booleans(),
    SEEDS,
)
def test_levelled_log_odds_have_the_mean_and_their_differences(values, rate, weighted, seed):
    log_odds = torch.tensor(values, dtype=torch.float64)
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(0.1, 3, len(values))) if weighted else None
    found = levelled(log_odds, rate, weight).numpy()
    assert np.average(expit(found), weights=weight) == pytest.approx(rate, abs=1e-9)
    np.testing.assert_allclose(found - found[0], log_odds.numpy() - values[0], atol=1e-9)
    again = levelled(torch.from_numpy(found), rate, weight).numpy()
    np.testing.assert_allclose(again, found, atol=1e-6)


@given(st.lists(st.floats(-SUREST, SUREST), min_size=2, max_size=40), st.floats(1e-6, 1 - 1e-6))
def test_no_levelled_log_odds_are_beyond_the_surest_and_the_order_is_kept(values, rate):
    found = levelled(torch.tensor(values, dtype=torch.float64), rate).numpy()
    assert np.abs(found).max() <= SUREST
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()


@given(SEEDS, CLASSES)
def test_a_judge_s_rate_is_midway_between_its_own_and_that_of_the_surest(seed, n_classes):
    logits, labels = draw(seed, n_classes)
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(1, 3, size=len(labels)))
    counts = sure_counts(logits, labels, weight)
    fitted = fit_channel(logits, labels, weight, prior=shrunk(counts))
    own = expit(fitted.log_odds(logits, labels).numpy())
    eta = torch.softmax(logits.double() / fitted.temperature, dim=1).numpy()
    verdict = judge(logits, labels, weight)
    channel, log_odds = verdict.channel, verdict.log_odds
    assert torch.equal(channel.pi, fitted.pi)
    assert channel.temperature == fitted.temperature
    of_channel = np.clip(np.average(eta, axis=0, weights=weight) @ (1 - fitted.pi.diagonal().numpy()), 1e-6, 1 - 1e-6)
    wanted = expit((logit(of_channel) + logit(mistake_rate(counts))) / 2)
    low, high = verdict.interval
    assert 0 <= low <= high <= 1
    assert np.average(expit(log_odds.numpy()), weights=weight) == pytest.approx(wanted, abs=1e-6)
    inside = np.abs(log_odds.numpy()) < SUREST
    moved = (log_odds - torch.from_numpy(logit(own)))[torch.from_numpy(inside & (np.abs(logit(own)) < SUREST))]
    assert float(moved.max() - moved.min()) < 1e-6  # all by one number


def test_the_interval_starts_at_zero_where_no_sample_is_sure_and_narrows_with_their_number():
    widths = []
    for total in (40.0, 400.0, 4000.0):
        counts = total * torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
        low, high = rate_interval(counts, 0.2, 1000.0, 0.0)
        assert low < 0.2 < high
        widths.append(high - low)
        shifted, same = rate_interval(counts, 0.2, 1000.0, 0.05)
        assert shifted == pytest.approx(max(low - 0.05, 0.0))
        assert same == high
        assert rate_interval(counts, 0.2, 1000.0, 0.3)[0] == 0.0
    assert widths[0] > widths[1] > widths[2]
    none = torch.tensor([[20.0, 0.0], [0.0, 20.0]], dtype=torch.float64)
    assert rate_interval(none, 1e-9, 1000.0, 0.0)[0] == 0.0


# --- limits ---


@pytest.mark.parametrize("n_classes", [2, 3, 100])
def test_right_labels_of_sure_predictions_are_right(n_classes):
    labels = torch.arange(300) % n_classes
    logits = 12 * torch.nn.functional.one_hot(labels, n_classes) + torch.rand(300, n_classes, dtype=torch.float64)
    fitted = fit_channel(logits, labels)
    # The prior is of 30 counts, and as if half a mistake had been among them; it is a share of one of the labels
    assert (1 - fitted.pi.diagonal()).max() < 2 * 0.5 / 31
    log_odds = judge(logits, labels).log_odds
    assert (log_odds < -1).all()
    assert torch.sigmoid(log_odds).mean() < 0.5 / 31


def test_a_label_that_sure_predictions_contradict_is_wrong():
    true = torch.arange(400) % 4
    labels = torch.where(torch.arange(400) % 10 == 0, (true + 1) % 4, true)
    logits = 12 * torch.nn.functional.one_hot(true, 4) + torch.rand(400, 4, dtype=torch.float64)
    wrong = torch.sigmoid(fit_channel(logits, labels).log_odds(logits, labels))
    assert (wrong[labels != true] > 0.99).all()
    assert (wrong[labels == true] < 0.01).all()


@given(SEEDS, CLASSES)
def test_the_log_odds_fall_as_the_labels_own_logit_grows(seed, n_classes):
    logits, labels = draw(seed, n_classes)
    channel = Channel(1.3, a_matrix(seed, n_classes), 0.0)
    grown = torch.stack(
        [
            channel.log_odds(logits.scatter_add(1, labels[:, None], more.expand(60, 1)), labels)
            for more in torch.linspace(-40, 40, 9, dtype=torch.float64)
        ]
    )
    assert (grown.abs() <= SUREST).all()
    assert (grown.diff(dim=0) <= 1e-9).all()


def of_extremes(kind):
    rng = np.random.RandomState(0)
    logits, labels = rng.normal(size=(40, 5)), rng.randint(5, size=40)
    if kind == "huge":
        logits = 1e4 * np.sign(logits)
    if kind == "huge and right":
        logits = 1e4 * np.eye(5)[labels]
    if kind == "huge and right but once":
        logits = 1e4 * np.eye(5)[labels]
        logits[0] = -logits[0]
    if kind == "impossible":  # logarithms of probabilities of zero
        logits = np.where(logits < 0.5, -np.inf, logits)
        logits[:, 0] = 0.0
    if kind == "one sample":
        logits, labels = logits[:1], labels[:1]
    if kind == "one label":
        labels = np.full(40, 2)
    if kind == "never predicted":
        logits[:, 3] = -50.0
    if kind == "all alike":
        logits = np.zeros((40, 5))
    if kind == "two categories":
        logits, labels = logits[:, :2], labels % 2
    return torch.from_numpy(logits), torch.from_numpy(labels)


@pytest.mark.parametrize(
    "kind",
    [
        *("huge", "huge and right", "huge and right but once", "impossible", "one sample", "one label"),
        *("never predicted", "all alike", "two categories"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_give_numbers(kind, dtype):
    logits, labels = of_extremes(kind)
    logits = logits.to(dtype)
    temperature, log_likelihood = best_temperature(logits, labels)
    assert COLDEST <= temperature <= HOTTEST * (1 + 1e-9)
    assert math.isfinite(log_likelihood)
    fitted = fit_channel(logits, labels)
    assert math.isfinite(fitted.log_likelihood)
    assert ((fitted.pi >= 0) & (fitted.pi <= 1)).all()
    torch.testing.assert_close(fitted.pi.sum(dim=1), torch.ones(len(fitted.pi), dtype=torch.float64))
    for log_odds in (fitted.log_odds(logits, labels), judge(logits, labels).log_odds):
        assert (log_odds.abs() <= SUREST).all()  # and so none is NaN


# --- facts ---


def some_facts(seed, labels, n_classes, share=0.4):
    """Facts of some samples: pairs, and others whose label before is unknown."""
    rng = np.random.RandomState(seed)
    known = torch.from_numpy(rng.uniform(size=len(labels)) < share)
    truth = torch.where(known, torch.from_numpy(rng.randint(n_classes, size=len(labels))), labels)
    return Facts(known, truth, labels, known & torch.from_numpy(rng.uniform(size=len(labels)) < 0.7))


def log_posterior_with_facts(logits, labels, weight, pi, pseudo, inverse, facts):
    """Log-density that EM raises, sample by sample."""
    eta, total = torch.softmax(inverse * logits, dim=1), 0.0
    for n, label in enumerate(labels.tolist()):
        truth = int(facts.truth[n])
        if not facts.known[n]:
            likelihood = float(eta[n] @ pi[:, label])
        else:
            likelihood = float(eta[n, truth]) * (float(pi[truth, label]) if facts.paired[n] else 1.0)
        total += float(weight[n]) * math.log(likelihood)
    return total + float(xlogy(pseudo.numpy(), pi.numpy()).sum())


@given(SEEDS, st.sampled_from([2, 3, 10]), st.floats(0.2, 4.0), st.floats(0.01, 2.0))
def test_no_step_of_em_lowers_the_density_where_some_are_known(seed, n_classes, inverse, strength):
    logits, labels = draw(seed, n_classes, n_samples=30)
    logits, facts = centred(logits), some_facts(seed, labels, n_classes)
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(0.5, 2.0, len(labels)))
    share, total, pi = weight / weight.sum(), float(weight.sum()), a_matrix(seed, n_classes)
    pseudo = strength / n_classes * pi
    density = log_posterior_with_facts(logits, labels, weight, pi, total * pseudo, inverse, facts)
    for _ in range(8):
        pi, inverse = _em_step(logits, labels, share, pi, pseudo, inverse, facts)
        after = log_posterior_with_facts(logits, labels, weight, pi, total * pseudo, inverse, facts)
        assert after >= density - 1e-9 * (total + abs(density))
        density = after


@given(SEEDS, st.sampled_from([2, 5]), st.booleans())
def test_the_order_of_rows_and_copies_do_not_matter_where_some_are_known(seed, n_classes, as_copies):
    logits, labels = draw(seed, n_classes, n_samples=80)
    facts, rng = some_facts(seed, labels, n_classes), np.random.RandomState(seed)
    rows = torch.from_numpy(rng.permutation(80))
    weight = None
    if as_copies:
        weight = torch.from_numpy(rng.randint(1, 3, 80).astype(float))
        rows = rows.repeat_interleave(weight[rows].long())
    found = judge(logits, labels, weight, facts)
    other = Facts(*(part[rows] for part in (facts.known, facts.truth, facts.observed, facts.paired)))
    again = judge(logits[rows], labels[rows], None, other)
    torch.testing.assert_close(again.channel.pi, found.channel.pi, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(again.log_odds, found.log_odds[rows], rtol=1e-5, atol=1e-6)
    assert again.interval == pytest.approx(found.interval, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("are_pairs", [True, False])
def test_a_channel_of_facts_alone_is_counted(are_pairs):
    logits, labels = draw(0, 3, n_samples=300)
    truth = logits.argmax(dim=1)
    everything = torch.ones(300, dtype=torch.bool)
    facts = Facts(everything, truth, labels, everything if are_pairs else ~everything)
    prior, strength = torch.full((3, 3), 1 / 3, dtype=torch.float64), 0.3
    found = fit_channel(logits, labels, prior=prior, strength=strength, facts=facts)
    counts = 300 * strength / 3 * prior
    if are_pairs:
        counts.index_put_((truth, labels), torch.ones(300, dtype=torch.float64), accumulate=True)
    torch.testing.assert_close(found.pi, counts / counts.sum(dim=1, keepdim=True))
    assert 1 / found.temperature == pytest.approx(1 / best_temperature(logits, truth)[0], rel=1e-3)


def noisy_predictions(seed, rate=0.3, n_samples=4000, n_classes=5):
    """Logits that fit the truth at temperature 1, the truth, and labels of which a rate was flipped to the next one."""
    rng = np.random.RandomState(seed)
    logits = 3.0 * rng.normal(size=(n_samples, n_classes))
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    labels = np.where(rng.uniform(size=n_samples) < rate, (truth + 1) % n_classes, truth)
    return torch.from_numpy(logits), torch.from_numpy(truth), torch.from_numpy(labels)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.25])
@pytest.mark.parametrize("how", ["in the order of suspicion", "at random"])
def test_what_is_left_is_told_whatever_was_looked_at(share, how):
    logits, truth, labels = noisy_predictions(0)
    first = judge(logits, labels)
    order = (
        torch.argsort(first.log_odds, descending=True)
        if how != "at random"
        else torch.from_numpy(np.random.RandomState(1).permutation(len(labels)))
    )
    known = torch.zeros(len(labels), dtype=torch.bool)
    known[order[: int(share * len(labels))]] = True
    facts = Facts(known, torch.where(known, truth, labels), labels, known)
    found = judge(logits, labels, None, facts)
    true = float((truth != labels)[~known].double().mean())
    said = float(torch.sigmoid(found.log_odds[~known]).mean())
    assert said == pytest.approx(true, abs=0.02)
    assert found.interval[0] <= true <= found.interval[1]
    assert bool((found.log_odds[known] == -SUREST).all())
    # Counted among the surest of those left it would be far from that.
    if how != "at random" and share > 0.2:
        naive = mistake_rate(sure_counts(logits[~known], labels[~known]))
        assert abs(naive - true) > 2 * abs(said - true)


def test_facts_that_are_no_pairs_say_nothing_of_the_noise():
    logits, truth, labels = noisy_predictions(1)
    known = torch.zeros(len(labels), dtype=torch.bool)
    known[::2] = True
    facts = Facts(known, torch.where(known, truth, labels), labels, torch.zeros_like(known))
    others = Facts(known, facts.truth, labels.where(~known, (labels + 2) % 5), facts.paired)
    found, again = judge(logits, labels, None, facts), judge(logits, others.observed, None, others)
    torch.testing.assert_close(found.channel.pi, again.channel.pi, rtol=0, atol=0)
    torch.testing.assert_close(found.log_odds, again.log_odds, rtol=0, atol=0)
    assert float(found.channel.pi.diagonal().mean()) == pytest.approx(0.7, abs=0.03)


def test_levelled_log_odds_leave_facts_out():
    values = torch.tensor([-3.0, 0.0, 5.0, 2.0], dtype=torch.float64)
    known = torch.tensor([False, True, False, False])
    found = levelled(values, 0.4, None, known)
    assert found[1] == -SUREST
    torch.testing.assert_close(found[~known], levelled(values[~known], 0.4), rtol=0, atol=0)
