r"""Methods with a matrix from true to observed labels: forward correction, and the noise adaptation layer.

Legend: N samples, B batch, K classes; T (K, K) with ``T[k, i]`` the probability that true category k is labelled i;
p = softmax of the logits, y the observed label.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from acestimator.objectives import CrossEntropy
from acestimator.peers._method import Method, Outcome, Phases, Reading
from acestimator.phases import Phase


class Forward(Method):
    r"""Loss correction by an estimated transition matrix, forward.

    G. Patrini, A. Rozza, A. Menon, R. Nock, L. Qu, "Making deep neural networks robust to label noise: a loss
    correction approach", CVPR 2017. A first network learns the observed labels. For each category k the sample that
    it finds most typical of k, :math:`\bar x^k = \arg\max_x p_k(x)`, shows how that category is labelled,

    .. math:: \hat T_{ki} = p_i(\bar x^k), \qquad L = -\ln \sum_k \hat T_{ky}\, p_k,

    and a second network, from scratch, learns under L.

    Parameters
    ----------
    percentile : float or None, default=97
        Samples whose :math:`p_k` is at or above this percentile are no candidates for :math:`\bar x^k`. The authors'
        for all data sets but CIFAR-100, where they take the maximum itself: None.
    holdout : float, default=0.1
        Share of the samples that the networks do not learn from: of the epochs of either, the one with the least loss
        on them, by their observed labels, is kept, as the authors do. 0 keeps the last epochs, and with them what has
        been learned by heart: on digits with 40 % wrong labels it finds next to none of them.

    Notes
    -----
    A label's probability of being wrong is that of the model, :math:`1 - \hat T_{yy} p_y / \sum_k \hat T_{ky} p_k`,
    and its score the logarithm of the odds.

    Departures: optimiser, schedule and backbone are the package's, and images are not augmented. The losses by which
    epochs are chosen are taken in the course of an epoch, at the price of no further pass. Losses are exact where the
    authors cut probabilities off at 1e-7. What the authors set aside as outliers of one category is still there for the
    next; their program, perhaps not on purpose, sets its probability to 0.
    """

    def __init__(self, percentile: float | None = 97.0, holdout: float = 0.1) -> None:
        if percentile is not None and not 0.0 < percentile <= 100.0:
            raise ValueError(f"percentile is {percentile!r}, expected one above 0 and at most 100, or None for none.")
        self.percentile, self.holdout = percentile, _check_holdout(holdout)

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        held_out = _held_out(labels, self.holdout, generator)
        outcome = yield Phase(BestEpoch(held_out))
        log_matrix = estimate_log_matrix(outcome.logits, self.percentile)
        outcome = yield Phase(ForwardLoss(held_out, log_matrix))
        return _read(outcome, log_matrix, labels)


class NoiseAdaptation(Method):
    r"""Noise adaptation layer that does not depend on the sample (s-model).

    J. Goldberger, E. Ben-Reuven, "Training deep neural-networks using a noise adaptation layer", ICLR 2017. On top of
    the network a second softmax, with parameters b (K, K), turns true into observed labels,

    .. math:: L = -\ln \sum_k \theta_{ky}\, p_k, \qquad \theta_{ki} = \frac{\exp b_{ki}}{\sum_j \exp b_{kj}},

    and is trained with it. A first phase trains the network alone; b starts at the logarithm of its confusion matrix,

    .. math:: \theta_{ki} = \frac{\sum_n 1[y_n = i]\, p_k(x_n)}{\sum_n p_k(x_n)},

    and the network where the first phase ends. Without the layer the network predicts.

    Parameters
    ----------
    soft : bool, default=False
        Confusion of the probabilities, as in the formula; else of the predicted categories, as the authors' programs
        do by default.
    holdout : float, default=0.1
        Share of the samples that neither phase learns from: of its epochs, the one with the least loss on them is
        kept. The authors stop early by as many. 0 keeps the last epochs.

    Notes
    -----
    Score and probability of a label are read off as for :class:`Forward`, with :math:`\theta` for T.

    Departures: optimiser, schedule and backbone are the package's, without the authors' dropout. The authors stop
    once 4 epochs in a row are no better; here all are trained, and the best is kept.
    """

    def __init__(self, soft: bool = False, holdout: float = 0.1) -> None:
        self.soft, self.holdout = soft, _check_holdout(holdout)

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        held_out = _held_out(labels, self.holdout, generator)
        outcome = yield Phase(BestEpoch(held_out))
        network = AdaptedNetwork(outcome.network, log_confusion(outcome.logits, labels, self.soft))
        outcome = yield Phase(AdaptedCrossEntropy(held_out, network), network=network)
        return _read(outcome, network.log_matrix().detach(), labels)


class BestEpoch(CrossEntropy):
    """Cross-entropy that leaves the network as it was at the end of the epoch with the least loss on other samples.

    These samples pass through the network with weight 0, and their losses are taken along the way: those of an epoch
    are of its course and not of its end.

    Parameters
    ----------
    held_out : Tensor of bool, shape (N,)
        The samples not to learn from; with none of them the last epoch is the one.
    network : nn.Module, optional
        The one to be trained, where it is not made by :meth:`make_network`.
    """

    def __init__(self, held_out: Tensor, network: nn.Module | None = None) -> None:
        self.held_out, self.network = held_out, network

    def make_network(self, make: Callable[[int], nn.Module], n_classes: int) -> nn.Module:
        """Make it as usual, and remember it."""
        self.network = super().make_network(make, n_classes)
        return self.network

    def bind(self, labels: Tensor, n_classes: int, **kwargs: Any) -> None:
        """Begin without a best epoch."""
        super().bind(labels, n_classes, **kwargs)
        self.learned = (~self.held_out).to(kwargs.get("dtype", torch.float32)) if self.held_out.any() else None
        self.total, self.best = 0.0, math.inf
        self.state: dict[str, Any] = {}

    def weight(self, index: Tensor) -> Tensor | None:
        """Nothing for the samples held out."""
        return None if self.learned is None else self.learned[index]

    def observe(self, index: Tensor, logits: Tensor) -> None:
        """Add up the losses of the samples held out."""
        at = self.held_out[index]
        held, labels = index[at], self.labels[index[at]]
        loss = self.losses(self.grad(logits[at], labels, held)[1], labels).double()
        self.total += float((loss if self.sample_weight is None else loss * self.sample_weight[held]).sum())

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Keep the network's state where it is the best so far; give it back at the end."""
        if self.learned is None or self.network is None:
            return {}
        if self.total < self.best:
            self.best, self.state = self.total, copy.deepcopy(self.network.state_dict())
        self.total = 0.0
        if epoch == self.max_epochs - 1:
            self.network.load_state_dict(self.state)
        return {}


class ForwardLoss(BestEpoch):
    """Cross-entropy of the observed label's probability under a fixed matrix.

    Parameters
    ----------
    held_out : Tensor of bool, shape (N,)
        See :class:`BestEpoch`.
    log_matrix : Tensor, shape (K, K)
        Logarithm of T.
    """

    def __init__(self, held_out: Tensor, log_matrix: Tensor) -> None:
        super().__init__(held_out)
        self.log_matrix = log_matrix

    def grad(self, logits: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction minus posterior: ``p - p T[:, y] / (p T)_y``; and the loss."""
        log_p = torch.log_softmax(logits, dim=1)
        joint = log_p + self.log_matrix.T[labels]  # (B, K)
        log_observed = joint.logsumexp(dim=1)
        return log_p.exp() - (joint - log_observed[:, None]).exp(), -log_observed

    def losses(self, records: Tensor, labels: Tensor) -> Tensor:
        """They are the records."""
        return records


class AdaptedNetwork(nn.Module):
    """Network with a noise adaptation layer on top: samples to log-probabilities (B, K) of their observed labels.

    Parameters
    ----------
    network : nn.Module
        Samples to (B, K) logits.
    weight : Tensor, shape (K, K)
        b at the start.
    """

    def __init__(self, network: nn.Module, weight: Tensor) -> None:
        super().__init__()
        self.network = network
        self.weight = nn.Parameter(weight.clone())

    def log_matrix(self) -> Tensor:
        """Logarithm of theta, (K, K)."""
        return torch.log_softmax(self.weight, dim=1)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        log_p = torch.log_softmax(self.network(x), dim=1)
        return torch.logsumexp(log_p[:, :, None] + self.log_matrix(), dim=1)


class AdaptedCrossEntropy(BestEpoch):
    """Cross-entropy of an :class:`AdaptedNetwork`: its outputs are their own log-softmax."""

    def predictor(self, network: nn.Module) -> nn.Module:
        """Network below the layer."""
        assert isinstance(network, AdaptedNetwork)
        return network.network


def estimate_log_matrix(logits: Tensor, percentile: float | None) -> Tensor:
    """Logarithm of T, (K, K), as of :class:`Forward`, from a network's logits (N, K)."""
    log_p = torch.log_softmax(logits, dim=1)
    candidates = log_p
    if percentile is not None:
        threshold = torch.quantile(log_p.double(), percentile / 100.0, dim=0, interpolation="higher")
        candidates = log_p.masked_fill(log_p >= threshold, -torch.inf)
    return log_p[candidates.argmax(dim=0)]


def log_confusion(logits: Tensor, labels: Tensor, soft: bool) -> Tensor:
    """Logarithm of the confusion matrix, (K, K): predicted categories in rows, observed ones in columns."""
    n_classes = logits.shape[1]
    predicted = torch.softmax(logits, dim=1)
    if not soft:
        predicted = nn.functional.one_hot(predicted.argmax(dim=1), n_classes).to(logits.dtype)
    counts = predicted.T @ nn.functional.one_hot(labels, n_classes).to(logits.dtype)
    # A category that is never predicted has no row, and is given an even one.
    totals = counts.sum(dim=1, keepdim=True)
    shares = torch.where(totals > 0, counts / totals.clamp_min(1e-30), 1.0 / n_classes)
    return torch.log(shares + 1e-8)  # the authors' offset


def _read(outcome: Outcome, log_matrix: Tensor, labels: Tensor) -> Reading:
    """Logarithm of the odds that the true category is not y, and their probability."""
    joint = (torch.log_softmax(outcome.logits, dim=1) + log_matrix.to(outcome.logits.dtype).T[labels]).double()
    right = joint.gather(1, labels[:, None])
    wrong = joint.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)
    odds = wrong - right.squeeze(1)
    return Reading(odds, torch.sigmoid(odds))


def _held_out(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Mask (N,) of a random share of the samples."""
    n_samples = len(labels)
    mask = torch.zeros(n_samples, dtype=torch.bool)
    mask[torch.randperm(n_samples, generator=generator)[: round(share * n_samples)]] = True
    return mask.to(labels.device)


def _check_holdout(holdout: float) -> float:
    if not 0.0 <= holdout < 1.0:
        raise ValueError(f"holdout is {holdout!r}, expected a share from 0 to below 1; 0 holds nothing out.")
    return holdout
