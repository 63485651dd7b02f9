r"""Whether predictions that have not seen the labels are evidence that some are wrong.

Judges that err where classes overlap disagree with labels. So do judges that are right about labels that are wrong. Two
things tell these apart.

* **Mistakes among the surest.** If no label is wrong, a network whose probabilities fit the labels at one temperature
  errs as often as it says. The samples that it is surest of then have the mistakes that it expects. More than that are
  labels that it is sure of against their word: networks that learn a rule by which labels are wrong are too sure.
* **A floor.** Labels that are replaced evenly by others give every label a chance, however sure the prediction. With
  the probability :math:`e_n` of the observed label at a temperature, its likelihood is
  :math:`(1 - \rho) e_n + \rho (1 - e_n) / (K - 1)`. That it is better with some :math:`\rho` than with none is a test
  with one number, where a whole transition matrix would fit anything.

Neither sees what the other does. Without either, any rate from zero on is possible.

Legend: N samples, K categories. All is in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit
from torch import Tensor

from acestimator.channel import COLDEST, HOTTEST, centred, chunks, surest, temperature, weights

_SIGNIFICANT, _BEYOND_DOUBT = 1.645, 3.0  # standard errors: 5 % and one in a thousand, on one side
_LEAST_RATE, _HIGHEST_RATE = 1e-6, 0.9
_STARTS = ((0.02, 1.0), (0.3, 1.0), (0.02, 4.0), (0.3, 4.0))  # rates, and one over temperatures
_STEP = 1e-3  # of differences of the slopes
_LEAST_PROBABILITY = 1e-300


def supported(logits: Tensor, labels: Tensor, low: float, weight: Tensor | None = None) -> float:
    """Least noise rate that there is evidence for.

    Of the mistakes and of the floor the higher one, if both tests say so, or the floor's is beyond doubt. If only the
    floor's does, and hardly, the lower one: one number for the temperature is no perfect model. If neither does, zero.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
        Of networks that have not seen the labels.
    labels : Tensor of int64, shape (N,)
        Observed labels.
    low : float
        Least rate if the mistakes among the surest samples are the labels'.
    weight : Tensor of float64, shape (N,), optional
        Weight 2 is a sample twice.
    """
    found, without = temperature(logits, labels, weight)
    are_mistakes = excess(logits / found, labels, weight) > _SIGNIFICANT
    floor = even_floor(logits, labels, weight)
    gain = float(weights(labels, weight).sum()) * (floor.log_likelihood - without)
    if gain <= _nats(_SIGNIFICANT):
        return low if are_mistakes else 0.0
    if are_mistakes:
        return max(low, floor.low)
    return floor.low if gain > _nats(_BEYOND_DOUBT) else min(low, floor.low)


def _nats(standard_errors: float) -> float:
    """Gain of log-likelihood of one number that is as unlikely."""
    return 0.5 * standard_errors**2


def excess(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> float:
    """Mistakes among the surest samples, less those that the predictions expect, in standard errors.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
        At the temperature that fits the labels best.
    labels : Tensor of int64, shape (N,)
    weight : Tensor of float64, shape (N,), optional
    """
    order, taken = surest(logits, labels, weight)
    top, predicted = torch.softmax(centred(logits), dim=1).max(dim=1)
    wrong, top = (predicted != labels)[order].double(), top[order]
    variance = float(taken @ (top * (1.0 - top)))
    return float(taken @ (wrong - (1.0 - top))) / max(math.sqrt(variance), 1e-9)


@dataclass(frozen=True)
class Floor:
    """Labels that are replaced evenly, of the best likelihood.

    Parameters
    ----------
    rate : float
        Share of labels that are replaced by another one.
    low : float
        Low end of its 90 % interval, by the curvature of the likelihood.
    log_likelihood : float
        Mean log-probability of the observed labels.
    """

    rate: float
    low: float
    log_likelihood: float


def even_floor(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Floor:
    """Fit rate and temperature of labels that are replaced evenly.

    Parameters
    ----------
    logits : Tensor, shape (N, K)
    labels : Tensor of int64, shape (N,)
    weight : Tensor of float64, shape (N,), optional
    """
    logits, weight = centred(logits), weights(labels, weight)
    total = float(weight.sum())
    share = weight / total

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        rate, inverse = float(expit(at[0])), math.exp(at[1])
        value, slopes = even_likelihood(logits, labels, share, rate, inverse)
        return -value, -slopes * np.array([rate * (1.0 - rate), inverse])

    bounds = [(logit(_LEAST_RATE), logit(_HIGHEST_RATE)), (-math.log(HOTTEST), -math.log(COLDEST))]
    starts = [np.array([logit(rate), math.log(inverse)]) for rate, inverse in _STARTS]
    fits = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in starts]
    best = min(fits, key=lambda fit: fit.fun)
    curvature = [(loss(best.x + step)[1] - loss(best.x - step)[1]) / (2 * _STEP) for step in _STEP * np.eye(2)]
    error = math.sqrt(max(np.linalg.pinv(total * np.array(curvature))[0, 0], 0.0))
    low = float(expit(best.x[0] - _SIGNIFICANT * error))
    return Floor(float(expit(best.x[0])), low, -float(best.fun))


def even_likelihood(
    logits: Tensor, labels: Tensor, share: Tensor, rate: float, inverse: float
) -> tuple[float, np.ndarray]:
    """Likelihood of labels that are replaced evenly.

    Parameters
    ----------
    logits : Tensor of float64, shape (N, K)
    labels : Tensor of int64, shape (N,)
    share : Tensor of float64, shape (N,)
        Weights that sum to one.
    rate, inverse : float
        Share of labels that are replaced, and one over the temperature.

    Returns
    -------
    float
        Mean log-probability of the labels.
    ndarray of shape (2,)
        Its slopes in ``rate`` and ``inverse``.
    """
    others = logits.shape[1] - 1
    value, slopes = 0.0, np.zeros(2)
    for rows in chunks(logits):
        part, observed = logits[rows], labels[rows, None]
        eta = torch.softmax(inverse * part, dim=1)
        right = eta.gather(1, observed).squeeze(1)
        probability = ((1.0 - rate) * right + rate * (1.0 - right) / others).clamp(min=_LEAST_PROBABILITY)
        per_rate = (1.0 - right) / others - right
        surplus = part.gather(1, observed).squeeze(1) - (eta * part).sum(dim=1)
        per_inverse = (1.0 - rate - rate / others) * right * surplus
        value += float(share[rows] @ probability.log())
        slopes += [float(share[rows] @ (slope / probability)) for slope in (per_rate, per_inverse)]
    return value, slopes
