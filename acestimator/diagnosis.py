r"""Has a network learnt, has it been given the time, and could it: what a fit warns of. Functions of arrays.

Let :math:`f_k` be the frequency of label k, and :math:`u_{nk} = m_k(x_n) - \ln f_k`. The line

.. math:: p_\beta(k \mid x_n) \propto f_k \, e^{\beta u_{nk}}

goes from the class frequencies (:math:`\beta = 0`) to the network (:math:`\beta = 1`) and beyond it, to one that is
surer. The mean log-likelihood of the observed labels is concave along it. Its slope at :math:`\beta` is

.. math:: s_\beta = \frac{1}{N} \sum_n \Bigl( v_{n y_n} - \sum_k p_\beta(k \mid x_n) \, v_{nk} \Bigr) ,
    \qquad v_{nk} = u_{nk} - \sum_l f_l u_{nl} ,

and both ends of the line tell something:

* **The association** of logits and labels. :math:`s_0` is the sum over k of the covariance of :math:`m_k` with whether
  the label is k. Were the labels dealt out to the samples at random, it would have the mean 0 and the variance
  :math:`\frac{1}{N - 1} \sum_k f_k \mathrm{Var}_n(v_{nk})`. So :math:`s_0` over its root says whether the network has
  learnt more than the class frequencies, however large its logits are.
* **The unanswered share** :math:`s_1 / s_0`. Cross-entropy stops pulling at the last layer's scale where
  :math:`s_1 = 0`: one minus the share is what the network has answered of the pull that the labels had at first. Wrong
  labels that it has not learnt pull the other way, and make the share negative.

A network may leave much unanswered because it was not given the time, or because its outputs are bounded: softmax of
outputs that are probabilities already. What it *could* say is found by giving it other parameters, see
:func:`highest_probability`.

Legend: N samples, K classes, n samples of a part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from acestimator.rows import Rows

# Factors that parameters are tried with. Logits of a last linear layer that are 0.01 apart are 10 apart with the first.
_FACTORS = (1e3, 1e2, 10.0, 0.1, 1e-2, 1e-3)
_LEAST_SPREAD = 0.01  # of a row of logits; with less, nobody knows whether they are bounded
FREE = 0.95  # a network that can give a class this probability is not bounded
_ROUNDING = 1e-12  # share of a variance in the mean square that may be rounding, of logits in float32
_N_SUMS = 7


class AutoCleansingWarning(UserWarning):
    """A fit went through, and what it found is not to be trusted. The text says what was seen, and the cure.

    Raised at the end of ``fit``, when the estimator is fitted.
    """


@dataclass(frozen=True)
class Learnt:
    """What a network says of labels, in numbers.

    Parameters
    ----------
    association : float
        Of logits and labels, in standard errors; below 2 it may be chance.
    unanswered : float
        Share of the labels' pull on the logits that the network has left; NaN where it has no association.
    accuracy : float
        Share of the labels that the network predicts.
    confidence : float
        Mean probability that it gives to its predictions.
    """

    association: float
    unanswered: float
    accuracy: float
    confidence: float


class Tally:
    """Sums over samples, as their logits come, from which :class:`Learnt` is made.

    Parameters
    ----------
    labels : Tensor of int64, shape (N,)
        Of all samples, 0..K-1. The sums lie on its device.
    n_classes : int
        K.
    weight : Tensor of float64, shape (N,), optional
        Positive weights, of which only the ratios count.
    """

    def __init__(self, labels: Tensor, n_classes: int, weight: Tensor | None = None) -> None:
        self.labels = labels
        self.weight = None if weight is None else weight / weight.max()  # their squares are summed, and may overflow
        # On the CPU: on a GPU a weighted count adds in any order, and is refused where torch is to be deterministic.
        on_cpu = labels.cpu(), None if self.weight is None else self.weight.cpu()
        totals = torch.bincount(*on_cpu, minlength=n_classes).double()
        self.frequencies = (totals / totals.sum()).to(labels.device)  # (K,)
        self.sums = torch.zeros(_N_SUMS + n_classes, dtype=torch.float64, device=labels.device)

    def add(self, logits: Tensor, index: Tensor | slice) -> None:
        """Add samples at these positions, by their logits (n, K)."""
        weight = None if self.weight is None else self.weight[index]
        self.sums = self.sums + sums(logits, self.labels[index], self.frequencies, weight)

    def learnt(self) -> Learnt:
        """Numbers of the samples that were added. Waits for the device."""
        return learnt(self.sums.cpu().numpy(), self.frequencies.cpu().numpy())


def sums(logits: Tensor, labels: Tensor, frequencies: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Sums over some samples; those of parts of a set add up to those of the set.

    Parameters
    ----------
    logits : Tensor, shape (n, K)
    labels : Tensor of int64, shape (n,)
    frequencies : Tensor of float64, shape (K,)
        Positive where a label occurs; they sum to 1.
    weight : Tensor of float64, shape (n,), optional
        All one by default.

    Returns
    -------
    Tensor of float64, shape (7 + K,)
        Of the weights; of their squares; and weighted, of :math:`v_y`, of :math:`\sum_k p_k v_k`, of right
        predictions, of their probabilities, of :math:`\sum_k f_k v_k^2`, and of each :math:`v_k`.
    """
    # Where no sample has a label, softmax may still give it some probability: it gets that of the rarest sample.
    floor = frequencies[frequencies > 0].min()
    u = logits.double() - frequencies.clamp(min=float(floor)).log()
    v = u - (u @ frequencies)[:, None]  # (n, K)
    proba = torch.softmax(logits.double(), dim=1)
    highest, predicted = proba.max(dim=1)
    each = torch.stack(
        (
            torch.ones_like(highest),
            v.gather(1, labels[:, None]).squeeze(1),
            (proba * v).sum(dim=1),
            (predicted == labels).double(),
            highest,
            v.square() @ frequencies,
        )
    )  # (6, n)
    weight = torch.ones_like(highest) if weight is None else weight
    first, *others = (each @ weight).unbind()
    return torch.cat((torch.stack((first, weight.square().sum(), *others)), weight @ v))


def learnt(totals: np.ndarray, frequencies: np.ndarray) -> Learnt:
    """Read what a network has learnt off the sums over all samples.

    Parameters
    ----------
    totals : ndarray of shape (7 + K,)
        See :func:`sums`.
    frequencies : ndarray of shape (K,)

    Returns
    -------
    Learnt
    """
    total, squares = totals[:2]
    pull, answered, accuracy, confidence, second, *means = (totals[2:] / total).tolist()
    with np.errstate(over="ignore", invalid="ignore"):
        variance = float(second - frequencies @ np.square(means))  # of v, the mean over the labels
    if not math.isfinite(variance):
        return Learnt(math.inf, 0.0, accuracy, confidence)  # logits above 1e150 are not short of size
    n_effective = total**2 / squares
    if n_effective <= 1.0 or variance <= _ROUNDING * second:
        return Learnt(0.0, math.nan, accuracy, confidence)
    association = pull / math.sqrt(variance / (n_effective - 1.0))
    return Learnt(association, (pull - answered) / pull if pull > 0 else math.nan, accuracy, confidence)


@torch.no_grad()
def highest_probability(network: nn.Module, samples: Rows) -> float:
    """Highest probability that a network gives to a class, with its own parameters and with others.

    All trainable parameters are multiplied by factors from 0.001 to 1,000. Logits of a linear layer go along. Outputs
    of softmax, sigmoid, tanh, or a cosine do not, and softmax of them cannot come near one.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode. Its parameters are as before, bit for bit, when the call is over.
    samples : Tensor, shape (n, ...), or SparseRows
        Where the network is.

    Returns
    -------
    float
        1.0 where it cannot be known: if the outputs hardly differ, overflow, or no parameter is trainable.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    logits = network(samples)
    if not parameters or not float((logits.amax(dim=1) - logits.amin(dim=1)).max()) >= _LEAST_SPREAD:
        return 1.0
    highest, kept = _highest(logits), [p.clone() for p in parameters]
    try:
        for factor in _FACTORS:
            if highest >= FREE:
                break
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before * factor)
            highest = max(highest, _highest(network(samples)))
    except Exception:  # whatever a user's module makes of such parameters
        return 1.0
    finally:
        for parameter, before in zip(parameters, kept, strict=True):
            parameter.copy_(before)
    return highest


def _highest(logits: Tensor) -> float:
    """Highest probability among all rows; 1.0 if a logit is not finite."""
    highest = float(torch.softmax(logits.double(), dim=1).max())
    return highest if math.isfinite(highest) else 1.0


def are_probabilities(outputs: Tensor) -> bool:
    """Whether all rows (n, K) are probabilities, to rounding in 16 bits."""
    outputs = outputs.double()
    return bool((outputs >= 0).all() and ((outputs.sum(dim=1) - 1.0).abs() < 1e-2).all())


def mostly_flagged(
    codes: np.ndarray, flagged: np.ndarray, weight: np.ndarray | None, n_classes: int, at_least: int = 5
) -> np.ndarray:
    """Classes of which most labels are flagged.

    Where a fifth of the labels is wrong, whichever they are, this holds for one class in fifty at most, of nine
    samples; for those of twenty and more for less than one in a thousand.

    Parameters
    ----------
    codes : ndarray of int64, shape (N,)
        Observed labels, 0..K-1.
    flagged : ndarray of bool, shape (N,)
    weight : ndarray of float64, shape (N,), or None
        Of the samples.
    n_classes : int
        K.
    at_least : int, default=5
        Flagged labels.

    Returns
    -------
    ndarray of int64
        Those with so many flagged labels, which have more than half of the class's weight.
    """
    n_flagged = np.bincount(codes[flagged], minlength=n_classes)
    total = np.bincount(codes, weight, minlength=n_classes)
    lost = np.bincount(codes[flagged], None if weight is None else weight[flagged], minlength=n_classes)
    return np.flatnonzero((n_flagged >= at_least) & (lost > 0.5 * total))
