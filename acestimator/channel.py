r"""A noise channel: how often each category is labelled as another, from predictions that have not seen the labels.

A network that has not seen sample n's label gives its logits :math:`L_n`. The model of the observed label is

.. math:: P(y_n) = \sum_k \eta_{nk} \pi_{k y_n}, \qquad \eta_n = \mathrm{softmax}(L_n / T) ,

with the transition matrix :math:`\pi` and a temperature T: above one it takes back what the network is too sure of,
below one it sharpens what wrong labels have flattened. Both are fitted to the observed labels alone, by EM:
:math:`\pi` in closed form, :math:`1 / T`, in which the bound is concave, by Newton's method. Bayes' rule then gives the
probability that a label is wrong, :math:`1 - \eta_{ny} \pi_{yy} / P(y_n)`.

T and :math:`\pi` can stand for each other: flat predictions fit as well as sharp ones with many mistakes. What decides
is the samples that the network is surest of. Little but mistakes is left to make their labels disagree with it, so
that :math:`\pi` can be counted there (:func:`sure_counts`), and it has these counts as its prior.

The rate of mistakes is known twice, then: as the fitted channel's, :math:`\sum_k \bar\eta_k (1 - \pi_{kk})`, and as
counted among the surest. The first is too low where mistakes follow a rule, which networks learn in part and then
predict; the second is too high where even the surest predictions err, and rests on few samples. :func:`judge` takes the
middle of their log-odds, and moves those of the labels by one number so that the probabilities have that rate as their
mean. (Unmoved, their mean is lower than the channel's rate where the channel does not fit: a label that a network has
learned to predict seems right, whatever pi is.)

Of some samples the true category may be known (:class:`acestimator.facts.Facts`). Their posterior is that category; one
whose label before is unknown moves the temperature alone. The rate among the others is not the channel's, for what was
looked at first was the likeliest to be wrong; nor can it be counted among the surest of the others, of whose mistakes
most may have been found. So both rates are those of all labels as they were before, the facts' mistakes among them, and
the mean of the others' probabilities is moved as far as that of all would be (:class:`acestimator.facts.Left`).

Logits may be logarithms of probabilities, those of zero among them. Products of probabilities are sums of logarithms
here, so that no sample, however unlikely, is zero divided by zero.

Legend: N samples, K categories. All is in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from acestimator.facts import LEAST_RATE, SUREST, Facts, Left

SURE_SHARE, SURE_LEAST = 0.1, 30.0  # of the weight, and in units of weight
_SHRINKAGE = 3.0  # labels a category that the counts are shrunk by, towards mistakes that are all as frequent
_LEVELLING = 50  # halvings of where the number lies that log-odds are moved by
_STARTS = (0.3, 0.8, 1.6)  # temperatures that EM starts from: the likelihood can have several maxima
_EM_STEPS, _NEWTON_STEPS = 15, 12
_CLOSE = 1e-6  # change of 1 / T, as a share of it, after which it is not looked for any more
COLDEST, HOTTEST = 0.05, 8.0
_HALVINGS = 10  # of a Newton step that lowers what it should raise
_CHUNK_ELEMENTS = 1 << 15  # numbers of rows that are worked on at one go
_LEAST_LOG = -750.0  # in place of minus infinity: the least logarithm of a float64 is -745


@dataclass(frozen=True, eq=False)
class Channel:
    """A fitted channel.

    Parameters
    ----------
    temperature : float
        T.
    pi : Tensor of float64, shape (K, K)
        Row k: the probabilities of the labels that samples of category k are given.
    log_likelihood : float
        Mean log-probability of the observed labels.
    """

    temperature: float
    pi: Tensor
    log_likelihood: float

    def log_odds(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Log-odds that each label is wrong, (N,), by logits (N, K) and observed labels (N,).

        The logits may be others than the channel was fitted to, if they are as sure as these.
        """
        joint = _log_joint(centred(logits), labels, 1.0 / self.temperature, self.pi)
        right = joint.gather(1, labels[:, None]).squeeze(1)
        others = torch.logsumexp(joint.scatter(1, labels[:, None], -torch.inf), dim=1)
        return torch.nan_to_num(others - right, nan=0.0).clamp(-SUREST, SUREST)  # NaN where both are impossible


def temperature(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> tuple[float, float]:
    """Temperature of the best likelihood where no label is wrong.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
    labels : Tensor of int64, shape (N,)
    weight : Tensor of float64, shape (N,), optional
        Weight 2 is a sample twice.

    Returns
    -------
    temperature : float
    log_likelihood : float
        Mean log-probability of the labels.
    """
    logits, share = centred(logits), _shares(labels, weight)
    observed = logits.gather(1, labels[:, None]).squeeze(1)
    inverse, last = 1.0, 0.0
    for _ in range(_NEWTON_STEPS):
        if abs(inverse - last) <= _CLOSE * inverse:
            break
        inverse, last = _newton_step(logits, observed, share, inverse), inverse
    return 1.0 / inverse, _expected(logits, observed, share, inverse)


def sure_counts(logits: Tensor, labels: Tensor, weight: Tensor | None = None, facts: Facts | None = None) -> Tensor:
    """Count the observed labels of the samples whose predicted category is the surest.

    In the order of their margin (the largest logit less the next), the first are taken, until they have a tenth of the
    weight, or weigh 30.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
    labels : Tensor of int64, shape (N,)
    weight : Tensor of float64, shape (N,), optional
        Weight 2 is a sample twice.
    facts : Facts, optional

    Returns
    -------
    Tensor of float64, shape (K, K)
        Row k: the weights of the labels, of those that are predicted k, or are k for a fact.
    """
    return _counted(logits, labels, *surest(logits, labels, weight), facts)


def _counted(logits: Tensor, labels: Tensor, order: Tensor, taken: Tensor, facts: Facts | None = None) -> Tensor:
    """Weights (K, K) of predicted category and label, of what :func:`surest` takes; of facts the true category."""
    n_classes, predicted = logits.shape[1], logits.argmax(dim=1)
    if facts is not None:
        predicted, taken = torch.where(facts.known, facts.truth, predicted), taken * facts.teaching[order]
    counts = torch.zeros(n_classes, n_classes, dtype=torch.float64, device=labels.device)
    return counts.index_put_((predicted[order], labels[order]), taken, accumulate=True)


def surest(logits: Tensor, labels: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Order samples by how sure predictions are, and take the first, a tenth of the weight or a weight of 30.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
    labels : Tensor of int64, shape (N,)
    weight : Tensor of float64, shape (N,), optional

    Returns
    -------
    order : Tensor of int64, shape (N,)
        Positions of the samples, the surest first.
    taken : Tensor of float64, shape (N,)
        What is taken of the weight of each, in that order.
    """
    weight = weights(labels, weight)
    top = centred(logits).topk(2, dim=1).values  # (N, 2)
    order = torch.argsort(top[:, 0] - top[:, 1], descending=True, stable=True)
    weight = weight[order]
    before = torch.cumsum(weight, 0) - weight  # weight of the surer ones
    wanted = max(SURE_SHARE * float(weight.sum()), SURE_LEAST)
    return order, (wanted - before).clamp(min=0.0).minimum(weight)


def mistake_rate(counts: Tensor) -> float:
    """Share of mistakes among counts (K, K), as if half a mistake and half a right label had been seen before.

    So that a few counts without a mistake do not say that there is none (Jeffreys' prior).
    """
    total = float(counts.sum())
    return (max(total - float(counts.trace()), 0.0) + 0.5) / (total + 1.0)


def shrunk(counts: Tensor) -> Tensor:
    """Transition matrix (K, K) of counts, shrunk towards one whose mistakes all have the average frequency."""
    n_classes, rate = len(counts), mistake_rate(counts)
    even = torch.full_like(counts, rate / max(n_classes - 1, 1)).fill_diagonal_(1.0 - rate)
    counts = counts + _SHRINKAGE * even
    return counts / counts.sum(dim=1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What predictions say that have not seen the labels.

    Parameters
    ----------
    channel : Channel
    log_odds : Tensor of float64, shape (N,)
        That each label is wrong; at most :data:`SUREST` in size, and the least of facts.
    interval : tuple of float
        90 % interval of the rate of wrong labels among those that are no facts.
    low_before : float, optional
        Where there are facts, the low end of that rate among all labels, as they were before anybody looked.
    left : Left, optional
        Where there are facts.
    """

    channel: Channel
    log_odds: Tensor
    interval: tuple[float, float]
    low_before: float | None = None
    left: Left | None = None


def judge(logits: Tensor, labels: Tensor, weight: Tensor | None = None, facts: Facts | None = None) -> Verdict:
    """Judge labels by predictions that have not seen them.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
    labels : Tensor of int64, shape (N,)
        As they were observed, those that are facts now, too.
    weight : Tensor of float64, shape (N,), optional
        Weight 2 is a sample twice.
    facts : Facts, optional
        Not all samples are known, or nothing is left to judge.
    """
    order, taken = surest(logits, labels, weight)
    counts, share = _counted(logits, labels, order, taken, facts), _shares(labels, weight)
    channel = fit_channel(logits, labels, weight, prior=shrunk(counts), facts=facts)
    log_odds = channel.log_odds(logits, labels)
    eta = torch.softmax(centred(logits / channel.temperature), dim=1)
    error = 1.0 - float(taken @ eta.amax(dim=1)[order] / taken.sum())
    left = None if facts is None else _what_is_left(log_odds, labels, weights(labels, weight), facts)
    expected = float(share @ eta @ (1.0 - channel.pi.diagonal())) if left is None else left.expected
    total = float(weights(labels, weight).sum()) if left is None else left.total
    rates = torch.tensor([expected, mistake_rate(counts)], dtype=torch.float64)
    rate = float(torch.sigmoid(torch.logit(rates, eps=LEAST_RATE).mean()))
    interval = rate_interval(counts, expected, total, error)
    if facts is None or left is None:
        return Verdict(channel, levelled(log_odds, rate, share), interval)
    own = _proportion(left.rate * left.n, left.n)
    of_left = left.interval(interval, (max(0.0, own[0] - error), own[1]))
    return Verdict(channel, levelled(log_odds, left.share_of(rate), weight, facts.known), of_left, interval[0], left)


def _what_is_left(log_odds: Tensor, labels: Tensor, weight: Tensor, facts: Facts) -> Left:
    left = weight * ~facts.known
    n = float(left.sum())
    found = float((weight * (facts.paired & (labels != facts.truth))).sum())
    return Left(n, float(left @ torch.sigmoid(log_odds)) / n, found, float((weight * facts.teaching).sum()))


def rate_interval(counts: Tensor, expected: float, total: float, error: float) -> tuple[float, float]:
    """90 % interval of the rate of wrong labels, from the two things that are known of it.

    It goes from the lower to the higher of two intervals: of the mistakes that were counted among the surest samples,
    and of the channel's rate as if it had been counted among all. The mistakes that the surest predictions make
    themselves may be all that was counted: the lower end is less by them, and zero where no sample is sure.

    Parameters
    ----------
    counts : Tensor, shape (K, K)
        Of the surest samples.
    expected : float
        The channel's rate.
    total : float
        Weight of all samples.
    error : float
        Probability that a prediction of the surest samples is wrong.
    """
    n_sure = float(counts.sum())
    n_mistakes = max(n_sure - float(counts.trace()), 0.0)
    of_counts, of_all = _proportion(n_mistakes, n_sure), _proportion(expected * total, total)
    return max(0.0, min(of_counts[0], of_all[0]) - error), max(of_counts[1], of_all[1])


def _proportion(count: float, total: float) -> tuple[float, float]:
    """Jeffreys' 90 % interval of a proportion; from zero, and up to one, where nothing and everything was counted."""
    ends = special.betaincinv(count + 0.5, max(total - count, 0.0) + 0.5, (0.05, 0.95))
    return float(ends[0]) if count >= 0.5 else 0.0, float(ends[1]) if total - count >= 0.5 else 1.0


def mean_probability(log_odds: Tensor, weight: Tensor | None = None) -> float:
    """Mean of the probabilities of log-odds (N,): the share of labels that is to be expected wrong."""
    return float(_shares(log_odds, weight) @ torch.sigmoid(log_odds))


def levelled(log_odds: Tensor, rate: float, weight: Tensor | None = None, known: Tensor | None = None) -> Tensor:
    """Log-odds (N,), moved by one number so that their probabilities have a mean; none is then above ``SUREST``.

    Parameters
    ----------
    log_odds : Tensor, shape (N,)
    rate : float
        Above 0 and below 1.
    weight : Tensor of float64, shape (N,), optional
        Of the mean.
    known : Tensor of bool, shape (N,), optional
        Facts: they are no part of the mean, and have the least log-odds.
    """
    if known is not None:
        found = torch.full_like(log_odds, -SUREST, dtype=torch.float64)
        found[~known] = levelled(log_odds[~known], rate, None if weight is None else weight[~known])
        return found
    log_odds, share = log_odds.double(), _shares(log_odds, weight)
    low, high = -2.0 * SUREST, 2.0 * SUREST
    for _ in range(_LEVELLING):
        middle = 0.5 * (low + high)
        too_high = float(share @ torch.sigmoid(log_odds + middle)) > rate
        low, high = (low, middle) if too_high else (middle, high)
    return (log_odds + 0.5 * (low + high)).clamp(-SUREST, SUREST)


def fit_channel(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None = None,
    *,
    prior: Tensor | None = None,
    strength: float = 1.0,
    facts: Facts | None = None,
) -> Channel:
    """Temperature and transition matrix of a maximum of the posterior density.

    EM goes from several temperatures, and of what it finds, the most likely is taken.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
        Of networks that have not seen the labels.
    labels : Tensor of int64, shape (N,)
        Observed labels.
    weight : Tensor of float64, shape (N,), optional
        Weight 2 is a sample twice.
    prior : Tensor of float64, shape (K, K), optional
        A transition matrix, by default that of the surest samples. EM starts from it. What it holds to be impossible,
        an entry of zero, stays so, unless a fact shows it; but some category must have each of the labels.
    strength : float, default=1.0
        Labels that the prior counts for, as a share of the samples' weight: the K rows share them. Positive.
    facts : Facts, optional
        The likelihood of a fact is that of its true category, and of its observed label where that is known.

    Returns
    -------
    Channel
    """
    if prior is None:
        prior = shrunk(sure_counts(logits, labels, weight, facts))
    share, logits = _shares(labels, weight), centred(logits)
    pseudo = strength / len(prior) * prior  # (K, K) labels, as shares of the samples' weight
    fits = [_maximise(logits, labels, share, prior, pseudo, 1.0 / start, facts) for start in _STARTS]
    return max(fits, key=lambda fit: fit.log_likelihood)


def _maximise(
    logits: Tensor,
    labels: Tensor,
    share: Tensor,
    pi: Tensor,
    pseudo: Tensor,
    inverse: float,
    facts: Facts | None = None,
) -> Channel:
    """EM from a transition matrix and one over a temperature."""
    for _ in range(_EM_STEPS):
        pi, inverse = _em_step(logits, labels, share, pi, pseudo, inverse, facts)
    return Channel(1.0 / inverse, pi, float(share @ _log_likelihoods(logits, labels, inverse, pi, facts)))


def _log_likelihoods(logits: Tensor, labels: Tensor, inverse: float, pi: Tensor, facts: Facts | None) -> Tensor:
    """Log-probability (N,) of what is known of each sample."""
    log_joint = _log_joint(logits, labels, inverse, pi)
    log_p = torch.logsumexp(log_joint, dim=1)
    if facts is None:
        return log_p
    truth = facts.truth[:, None]
    of_truth = torch.log_softmax(inverse * logits, dim=1).gather(1, truth).squeeze(1)
    of_pair = log_joint.gather(1, truth).squeeze(1)
    return torch.where(facts.known, torch.where(facts.paired, of_pair, of_truth), log_p)


def _em_step(
    logits: Tensor,
    labels: Tensor,
    share: Tensor,
    pi: Tensor,
    pseudo: Tensor,
    inverse: float,
    facts: Facts | None = None,
) -> tuple[Tensor, float]:
    """Transition matrix and one over the temperature, whose posterior density is no less."""
    counts, log_pi = torch.zeros_like(pi), pi.log().T.contiguous()  # (K, K), rows by label
    wanted, moments = torch.empty_like(share), _no_moments(share)
    taught = share if facts is None else share * facts.teaching
    for rows in chunks(logits):
        part, observed = logits[rows], labels[rows]  # (n, K), (n,)
        log_eta = torch.log_softmax(inverse * part, dim=1)
        posterior = torch.softmax(log_eta + log_pi[observed], dim=1)  # (n, K), of the true category
        if facts is not None:
            certain = torch.zeros_like(posterior).scatter_(1, facts.truth[rows, None], 1.0)
            posterior = torch.where(facts.known[rows, None], certain, posterior)
        counts.index_add_(0, observed, posterior * taught[rows, None])
        wanted[rows] = (posterior * part).sum(dim=1)
        _set_moments(moments, rows, part, log_eta)
    counts = counts.T + pseudo
    return counts / counts.sum(dim=1, keepdim=True), _newton_step(logits, wanted, share, inverse, moments)


def _log_joint(logits: Tensor, labels: Tensor, inverse: float, pi: Tensor) -> Tensor:
    """Log-probabilities (N, K) of each true category together with the label as it was observed."""
    return torch.log_softmax(inverse * logits, dim=1) + pi.log()[:, labels].T


def _no_moments(share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Room for what :func:`_set_moments` sets; each is an array of its own, for a sum rounds by where one begins."""
    return torch.empty_like(share), torch.empty_like(share), torch.empty_like(share)


def _set_moments(moments: tuple[Tensor, Tensor, Tensor], rows: slice, logits: Tensor, log_eta: Tensor) -> None:
    """Set the mean logit of each of these samples, its variance, and the largest log-probability (n, K)."""
    mean, variance, highest = (moment[rows] for moment in moments)
    eta = log_eta.exp()
    torch.sum(eta * logits, dim=1, out=mean)
    torch.sub((eta * logits.square()).sum(dim=1), mean.square(), out=variance)
    torch.amax(log_eta, dim=1, out=highest)


def _newton_step(
    logits: Tensor, wanted: Tensor, share: Tensor, inverse: float, moments: tuple[Tensor, ...] | None = None
) -> float:
    """One step for 1 / T towards the mean logit ``wanted`` (N,), at most to its half or its double.

    Where the predictions are sure the curvature can be next to nothing, and the step is too long: it is then halved.
    """
    if moments is None:
        moments = _no_moments(share)
        for rows in chunks(logits):
            _set_moments(moments, rows, logits[rows], torch.log_softmax(inverse * logits[rows], dim=1))
    mean, variance, highest = moments
    slope = float(share @ (wanted - mean))
    curvature = float(share @ variance)
    step = slope / max(curvature, 1e-12)
    step = min(max(step, -0.5 * inverse), inverse)
    before = float(share @ (inverse * wanted + highest))  # _expected: the largest logit is zero
    least = before - 1e-12 * (1.0 + abs(before))  # less is more than rounding
    for _ in range(_HALVINGS):
        moved = min(max(inverse + step, 1.0 / HOTTEST), 1.0 / COLDEST)
        if _expected(logits, wanted, share, moved) >= least:
            return moved
        step *= 0.5
    return inverse


def _expected(logits: Tensor, wanted: Tensor, share: Tensor, inverse: float) -> float:
    """Mean log-probability of categories whose mean logit is ``wanted`` (N,): concave in 1 / T."""
    log_sums = torch.cat([torch.logsumexp(inverse * logits[rows], dim=1) for rows in chunks(logits)])
    return float(share @ (inverse * wanted - log_sums))


def chunks(logits: Tensor) -> list[slice]:
    """Rows (N, K) a number at a time that a processor's cache has room for; on a GPU all at once.

    What is done row by row is the same numbers; arrays of all rows would be fetched from memory at every operation,
    and be made of fresh pages.
    """
    n_samples, n_classes = logits.shape
    n_rows = n_samples if logits.is_cuda else max(1, _CHUNK_ELEMENTS // n_classes)
    return [slice(start, start + n_rows) for start in range(0, n_samples, max(n_rows, 1))]


def centred(logits: Tensor) -> Tensor:
    """Logits in float64, the largest of each row zero, and none minus infinity."""
    logits = logits.double()
    return torch.nan_to_num(logits - logits.amax(dim=1, keepdim=True), nan=torch.nan, neginf=_LEAST_LOG)


def weights(samples: Tensor, weight: Tensor | None) -> Tensor:
    """Weights (N,) in float64, all one by default."""
    return torch.ones(len(samples), dtype=torch.float64, device=samples.device) if weight is None else weight.double()


def _shares(samples: Tensor, weight: Tensor | None) -> Tensor:
    """The same as shares of their sum."""
    weight = weights(samples, weight)
    return weight / weight.sum()
