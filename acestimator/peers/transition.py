r"""Methods with a matrix from true to observed labels: forward correction, and the noise adaptation layer.

Legend: N samples, B samples of a step, M samples of a block, K classes; T (K, K) a matrix, ``T[k, i]`` the probability
that category k is labelled i; p = softmax of the logits, y the observed label.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from acestimator.objectives import Block, CrossEntropy, Head, Objective, Step, Training
from acestimator.peers._method import Method, Outcome, Phases, Reading
from acestimator.phases import Phase


class Forward(Method):
    r"""Loss correction by an estimated transition matrix, forward.

    G. Patrini, A. Rozza, A. Menon, R. Nock, L. Qu, "Making deep neural networks robust to label noise: a loss
    correction approach", CVPR 2017. A first network learns the observed labels. For each category k, the sample that
    this network finds most typical, :math:`\bar x^k = \arg\max_x p_k(x)`, shows how the category is labelled,

    .. math:: \hat T_{ki} = p_i(\bar x^k), \qquad L = -\ln \sum_k \hat T_{ky}\, p_k,

    and a second network, from scratch, learns under L.

    Parameters
    ----------
    percentile : float or None, default=97
        Samples whose :math:`p_k` is at or above this percentile are no candidates for :math:`\bar x^k`. It is the
        authors' value for all data sets but CIFAR-100. There they take the maximum itself, which is None here.
    holdout : float, default=0.1
        Share of the samples that neither network learns from. Each network is kept as it was after the epoch with the
        least loss on these samples, by their observed labels; the authors do the same. With 0 each is kept as it was
        after its last epoch, when it has learned wrong labels by heart: on digits with 40 % wrong labels, next to none
        of them is found then.

    Notes
    -----
    A label's probability of being wrong is that of the model, :math:`1 - \hat T_{yy} p_y / \sum_k \hat T_{ky} p_k`,
    and its score the logarithm of the odds.

    Departures: optimiser, schedule and backbone are the package's, and images are not augmented. An epoch is chosen by
    losses that are added up while it runs, so that no further pass is needed. The authors cut probabilities off at
    1e-7; here losses are exact. An outlier of one category stays a candidate for the others. In the authors' program it
    does not, perhaps by mistake.
    """

    def __init__(self, percentile: float | None = 97.0, holdout: float = 0.1) -> None:
        if percentile is not None and not 0.0 < percentile <= 100.0:
            raise ValueError(f"percentile is {percentile!r}, expected one above 0 and at most 100, or None for none.")
        self.percentile, self.holdout = percentile, _check_holdout(holdout)

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        held_out = _held_out(labels, self.holdout, generator)
        outcome = yield Phase(BestEpoch(CrossEntropy(), held_out))
        log_matrix = estimate_log_matrix(outcome.logits, self.percentile)
        outcome = yield Phase(BestEpoch(ForwardLoss(log_matrix), held_out))
        return _read(outcome, log_matrix, labels)


class NoiseAdaptation(Method):
    r"""Noise adaptation layer that does not depend on the sample (s-model).

    J. Goldberger, E. Ben-Reuven, "Training deep neural-networks using a noise adaptation layer", ICLR 2017. On top of
    the network a second softmax, with parameters b (K, K), turns true into observed labels. Both are trained under

    .. math:: L = -\ln \sum_k \theta_{ky}\, p_k, \qquad \theta_{ki} = \frac{\exp b_{ki}}{\sum_j \exp b_{kj}}.

    Before, a first phase trains the network alone. In the second phase the network goes on from there, and b starts at
    the logarithm of its confusion matrix,

    .. math:: \theta_{ki} = \frac{\sum_n 1[y_n = i]\, p_k(x_n)}{\sum_n p_k(x_n)}.

    The network predicts without the layer.

    Parameters
    ----------
    soft : bool, default=False
        Whether the confusion matrix adds up probabilities, as in the formula. By default it counts predicted
        categories, as the authors' programs do.
    holdout : float, default=0.1
        Share of the samples that neither phase learns from. A phase ends with the network as it was after the epoch
        with the least loss on these samples. The authors stop early by as many. With 0 it ends with the last epoch.

    Notes
    -----
    Score and probability of a label are those of :class:`Forward`, with :math:`\theta` in place of T. The confusion
    matrix is weighted as the loss is.

    Departures: optimiser, schedule and backbone are the package's, without the authors' dropout. The authors stop
    after 4 epochs in a row that are no better. Here all epochs are trained, and the best is kept.
    """

    def __init__(self, soft: bool = False, holdout: float = 0.1) -> None:
        self.soft, self.holdout = soft, _check_holdout(holdout)

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        held_out = _held_out(labels, self.holdout, generator)
        first = BestEpoch(CrossEntropy(), held_out)
        outcome = yield Phase(first)
        # Weighted as the loss is: otherwise the layer would not tell what the network has learnt.
        confusion = log_confusion(outcome.logits, labels, self.soft, first.training.loss_weight)
        network = AdaptedNetwork(outcome.network, confusion)
        outcome = yield Phase(BestEpoch(AdaptedCrossEntropy(), held_out), network=network)
        return _read(outcome, network.log_matrix().detach(), labels)


class BestEpoch(Objective):
    """Another objective, trained on some of the samples; the others choose the epoch.

    Samples that are held out pass through the network with weight 0. An epoch's loss on them is the sum of the losses
    that they had when they passed. After the last epoch, the network is put back to the epoch with the least loss.

    Parameters
    ----------
    objective : Objective
        Without weights of its own, and without ``mix``.
    held_out : Tensor of bool, shape (N,)
        Samples not to learn from. If there are none, the network stays as it is after the last epoch.
    """

    state = ("objective", "best", "_kept")

    def __init__(self, objective: Objective, held_out: Tensor) -> None:
        self.objective, self.held_out = objective, held_out
        self.head = objective.head

    def start(self, training: Training) -> None:
        """Begin without a best epoch."""
        super().start(training)
        self.objective.start(training)
        self._learned = (~self.held_out).to(training.dtype) if self.held_out.any() else None
        self._total, self.best = 0.0, math.inf
        self._kept: dict[str, Any] = {}

    def begin_block(self, block: Block) -> Tensor | None:
        """No weight for the samples held out."""
        self.objective.begin_block(block)
        return None if self._learned is None else self._learned[block.index]

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """The objective's."""
        return self.objective.gradient(logits, step)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Add up the losses of the samples held out."""
        losses = self.objective.end_block(block, outputs, records, grads)
        held, weight = self.held_out[block.index], self.training.loss_weight
        held_losses = losses[held].double()
        if weight is not None:
            held_losses = held_losses * weight[block.index[held]]
        self._total += float(held_losses.sum())
        return losses

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Keep the network's state where it is the best so far; give it back at the end."""
        record = self.objective.end_epoch(epoch)
        if self._learned is None:
            return record
        network = self.training.network
        if self._total < self.best:
            self.best, self._kept = self._total, copy.deepcopy(network.state_dict())
        self._total = 0.0
        if epoch == self.training.max_epochs - 1:
            network.load_state_dict(self._kept)
        return record


class ForwardLoss(Objective):
    """Cross-entropy of the observed label's probability under a fixed matrix.

    Parameters
    ----------
    log_matrix : Tensor, shape (K, K)
        Logarithm of T.
    """

    def __init__(self, log_matrix: Tensor) -> None:
        self.log_matrix = log_matrix

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Prediction minus posterior: ``p - p T[:, y] / (p T)_y``; and the loss."""
        log_p = torch.log_softmax(logits, dim=1)
        joint = log_p + self.log_matrix.T[step.labels]  # (B, K)
        log_observed = joint.logsumexp(dim=1)
        return log_p.exp() - (joint - log_observed[:, None]).exp(), -log_observed


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


class BelowTheLayer(Head):
    """The head of an :class:`AdaptedNetwork`: the network below the layer predicts."""

    def predictor(self, network: nn.Module) -> nn.Module:
        """Network below the layer."""
        return network.get_submodule("network")


class AdaptedCrossEntropy(CrossEntropy):
    """Cross-entropy of an :class:`AdaptedNetwork`, whose outputs are log-probabilities already."""

    head = BelowTheLayer()


def estimate_log_matrix(logits: Tensor, percentile: float | None) -> Tensor:
    """Logarithm of T, (K, K), as of :class:`Forward`, from a network's logits (N, K)."""
    log_p = torch.log_softmax(logits, dim=1)
    candidates = log_p
    if percentile is not None:
        threshold = torch.quantile(log_p.double(), percentile / 100.0, dim=0, interpolation="higher")
        candidates = log_p.masked_fill(log_p >= threshold, -torch.inf)
    return log_p[candidates.argmax(dim=0)]


def log_confusion(logits: Tensor, labels: Tensor, soft: bool, weight: Tensor | None = None) -> Tensor:
    """Logarithm of the (weighted) confusion matrix, (K, K): predicted categories in rows, observed ones in columns."""
    n_classes = logits.shape[1]
    predicted = torch.softmax(logits, dim=1)
    if not soft:
        predicted = nn.functional.one_hot(predicted.argmax(dim=1), n_classes).to(logits.dtype)
    if weight is not None:
        predicted = predicted * (weight / weight.mean()).to(logits.dtype)[:, None]
    counts = predicted.T @ nn.functional.one_hot(labels, n_classes).to(logits.dtype)
    # A category that is never predicted has no shares, and is given even ones.
    totals = counts.sum(dim=1, keepdim=True)
    shares = torch.where(totals > 0, counts / totals.clamp_min(1e-30), 1.0 / n_classes)
    return torch.log(shares + 1e-8)  # the authors' offset


def _read(outcome: Outcome, log_matrix: Tensor, labels: Tensor) -> Reading:
    """Log-odds that the true category is not y, as the score, and the probability."""
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
