"""Two-component Gaussian mixture on the mislabel scores: from scores to probabilities, without a threshold.

Legend: N samples; all vectors float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_EM_STEPS = 20  # from the split of the scores in two
# Least variance of a component, in squared nats. On digits a floor of 1e-5 makes a second component of a clean set's
# harder samples, and one of 3e-2 costs three points under pair flips. Where all scores lie closer together, as in the
# paper's regime, it is a share of their variance.
_FLOOR, _FLOOR_SHARE = 1e-3, 0.05
_RATE_BOUNDS = (1e-6, 1.0 - 1e-6)


@dataclass(frozen=True)
class ScoreMixture:
    r"""Density of the scores, :math:`(1-\rho)\,N(\mu_0, \sigma_0^2) + \rho\,N(\mu_1, \sigma_1^2)`.

    The upper component stands for the mislabeled samples. A step of EM is one matrix-vector product with the moments
    (w, w s, w s^2).

    Parameters
    ----------
    rate : float
        :math:`\rho`, the share of mislabeled samples.
    clean_mean, clean_var, wrong_mean, wrong_var : float
        Moments of the two components, in nats and squared nats.
    """

    rate: float
    clean_mean: float
    clean_var: float
    wrong_mean: float
    wrong_var: float

    @classmethod
    def start(cls, scores: Tensor, weight: Tensor | None = None) -> ScoreMixture | None:
        """Fit from nothing: split the scores in two by 2-means from their mean, then EM.

        Parameters
        ----------
        scores : Tensor, shape (N,)
        weight : Tensor, shape (N,), optional
            Weight 2 is a sample twice.

        Returns
        -------
        ScoreMixture or None
            None where the scores are all equal: nothing sets any sample apart.
        """
        moments = _moments(scores, weight)
        sums = moments.sum(dim=1).tolist()
        total, mean, var = _summary(sums, 0.0)
        if not var > 1e-12 * (1.0 + mean * mean):  # beyond rounding
            return None
        floor = _floor(var)
        split = mean
        for _ in range(10):
            low, high = _split(moments, sums, (moments[1] > split * moments[0]).to(moments.dtype), 0.0)
            split = 0.5 * (low[1] + high[1])
        return cls(high[0] / total, low[1], low[2] + floor, high[1], high[2] + floor)._em(moments, _EM_STEPS)

    def posterior(self, scores: Tensor) -> Tensor:
        """Probability that each sample belongs to the upper component.

        Two Gaussians of unequal width cross twice; a score below the clean mean is taken as that mean, so
        that a less suspicious sample never has a higher probability for that reason.

        Parameters
        ----------
        scores : Tensor, shape (N,)

        Returns
        -------
        Tensor of float64, shape (N,)
        """
        return self._responsibility(scores.double().clamp(min=self.clean_mean))

    def _responsibility(self, scores: Tensor) -> Tensor:
        """Logistic function of a quadratic in the score, the log ratio of the two weighted densities."""
        c2 = 0.5 / self.clean_var - 0.5 / self.wrong_var
        c1 = self.wrong_mean / self.wrong_var - self.clean_mean / self.clean_var
        c0 = (
            math.log(self.rate / (1.0 - self.rate))
            + 0.5 * math.log(self.clean_var / self.wrong_var)
            + 0.5 * self.clean_mean**2 / self.clean_var
            - 0.5 * self.wrong_mean**2 / self.wrong_var
        )
        return torch.sigmoid((c2 * scores + c1) * scores + c0)

    def _em(self, moments: Tensor, n_steps: int) -> ScoreMixture:
        sums = moments.sum(dim=1).tolist()
        total, _, var = _summary(sums, 0.0)
        floor = _floor(var)
        scores = moments[1] / moments[0]  # (N,)
        fit = self
        for _ in range(n_steps):
            clean, wrong = _split(moments, sums, fit._responsibility(scores), floor)
            # An empty component has no moments to take, and one that crossed the other changes its meaning:
            # the last step is kept.
            if min(clean[0], wrong[0]) <= 1e-9 * total or wrong[1] < clean[1]:
                break
            rate = min(max(wrong[0] / total, _RATE_BOUNDS[0]), _RATE_BOUNDS[1])
            fit = replace(
                fit, rate=rate, clean_mean=clean[1], clean_var=clean[2], wrong_mean=wrong[1], wrong_var=wrong[2]
            )
        return fit


def upper_probability(scores: Tensor, weight: Tensor | None = None) -> Tensor:
    """Probability that each sample belongs to the upper component of a mixture that is fitted to the scores.

    Parameters
    ----------
    scores : Tensor, shape (N,)
    weight : Tensor, shape (N,), optional
        Weight 2 is a sample twice.

    Returns
    -------
    Tensor of float64, shape (N,)
        Zero where the scores are all equal.
    """
    mixture = ScoreMixture.start(scores, weight)
    return torch.zeros_like(scores, dtype=torch.float64) if mixture is None else mixture.posterior(scores)


def _moments(scores: Tensor, weight: Tensor | None) -> Tensor:
    """Rows w, w s, w s^2, shape (3, N) float64. Weights are positive."""
    s = scores.double()
    w = torch.ones_like(s) if weight is None else weight.double()
    return torch.stack((w, w * s, w * s * s))


def _floor(var: float) -> float:
    """Floor of a component's variance where the scores' own is ``var``."""
    return min(_FLOOR, _FLOOR_SHARE * max(var, 1e-12))


def _summary(sums: list[float], floor: float) -> tuple[float, float, float]:
    """Weight, mean and variance from the sums of w, w s, w s^2."""
    weight = max(sums[0], 1e-300)
    mean = sums[1] / weight
    return sums[0], mean, max(sums[2] / weight - mean * mean, 0.0) + floor


def _split(
    moments: Tensor, sums: list[float], share: Tensor, floor: float
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Summaries of the two parts into which ``share`` (N,) divides each sample, the upper part's share given."""
    upper = torch.mv(moments, share).tolist()  # one transfer from the device
    return _summary([a - b for a, b in zip(sums, upper, strict=True)], floor), _summary(upper, floor)
