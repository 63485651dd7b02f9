"""Dynamic bootstrapping: mixup, and targets shared between label and prediction by a beta mixture (Arazo 2019).

Legend: N samples, K classes, B batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from acestimator.objectives import Block, Objective, Step, Training
from acestimator.peers._method import Method, Outcome, Reading
from acestimator.peers.joint import prior_gradient

_STEPS = 10  # of EM
_TRIM = 0.05  # of the losses, on either side, are beyond the unit interval
_EDGE = 1e-3  # what is beyond it counts as this far within; as in the authors' code
_LEAST_VARIANCE = 1e-7  # of a component: less has losses that are equal to rounding


@dataclass(frozen=True)
class BetaMixture:
    r"""Density of the losses, scaled to (0, 1), :math:`\sum_c \rho_c \mathrm{Beta}(a_c, b_c)`.

    The second component stands for the wrong labels.

    Parameters
    ----------
    low, high : float
        Quantiles of the losses, .05 and .95, that the scale takes to 0 and 1.
    rates, a, b : Tensor of float64, shape (2,)
    peak : float
        Scaled loss of the greatest posterior. Beyond it, the posterior stays.
    """

    low: float
    high: float
    rates: Tensor
    a: Tensor
    b: Tensor
    peak: float = 1.0

    @classmethod
    def fit(cls, losses: Tensor, weight: Tensor | None = None) -> BetaMixture | None:
        """Fit by ten steps of EM, from Beta(1, 2) and Beta(2, 1) in equal shares; its M-step matches moments.

        Parameters
        ----------
        losses : Tensor, shape (N,)
        weight : Tensor of float64, shape (N,), optional
            Of the samples in the moments.

        Returns
        -------
        BetaMixture or None
            None where the losses are all equal: nothing sets any sample apart.
        """
        losses = losses.double()
        # As numpy's percentile; torch's takes no more than 2^24 values
        low, high = np.quantile(losses.cpu().numpy(), [_TRIM, 1.0 - _TRIM]).tolist()
        inner = (losses >= low) & (losses <= high)
        start = losses.new_tensor([1.0, 2.0])
        fit = cls(low, high, losses.new_tensor([0.5, 0.5]), start, start.flip(0))
        x = fit._scaled(losses[inner])
        if not (len(x) and x.var(correction=0) > _LEAST_VARIANCE):  # of two losses, none lies between the quantiles
            return None
        for _ in range(_STEPS):
            share = torch.softmax(fit._log_densities(x), dim=0).clamp(min=1e-12)  # (2, N)
            if weight is not None:
                share = share * weight[inner]
            total = share.sum(dim=1)
            mean = (share @ x) / total
            spread = (share * (x - mean[:, None]) ** 2).sum(dim=1) / total
            size = mean * (1.0 - mean) / spread.clamp(min=_LEAST_VARIANCE) - 1.0  # a + b
            fit = cls(low, high, total / total.sum(), mean * size, (1.0 - mean) * size)
        grid = torch.linspace(_EDGE, 1.0 - _EDGE, 1000, dtype=losses.dtype, device=losses.device)
        peak = float(grid[torch.softmax(fit._log_densities(grid), dim=0)[1].argmax()])
        return cls(low, high, fit.rates, fit.a, fit.b, peak)

    def posterior(self, losses: Tensor) -> Tensor:
        """Probability of the second component, (N,) float64."""
        x = self._scaled(losses.double()).clamp(max=self.peak)
        return torch.softmax(self._log_densities(x), dim=0)[1]

    def _scaled(self, losses: Tensor) -> Tensor:
        x = (losses - self.low) / (self.high - self.low + 1e-6)  # the constant lets equal losses be 0
        return x.clamp(_EDGE, 1.0 - _EDGE)

    def _log_densities(self, x: Tensor) -> Tensor:
        """Logarithms of the weighted densities, (2, N)."""
        a, b = self.a[:, None], self.b[:, None]
        norm = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b) + self.rates[:, None].log()
        return norm + (a - 1.0) * x.log() + (b - 1.0) * torch.log1p(-x)


class DynamicBootstrapping(Method):
    r"""Mixup with dynamic hard bootstrapping (M-DYR-H): Arazo, Ortego, Albert, O'Connor and McGuinness, ICML 2019.

    The losses of all samples follow a mixture of two beta distributions, fitted after each epoch: see
    :class:`BetaMixture`. Its posterior :math:`w_i` of the component of higher losses says how far sample i's label is
    replaced by the network's own prediction :math:`z_i`, the one-hot argmax. Inputs are mixed in pairs within the
    batch, :math:`x = \delta x_i + (1 - \delta) x_j`, :math:`\delta \sim \mathrm{Beta}(\alpha, \alpha)` once a batch,
    and with :math:`p = \mathrm{softmax}(m(x))` the loss is

    .. math::
        -\bigl[\delta\, t_i + (1 - \delta)\, t_j\bigr]^\top \log p
        + \eta \sum_k \frac1K \log\frac{1/K}{\bar p_k},
        \qquad t_i = (1 - w_i)\, y_i + w_i\, z_i,

    where :math:`\bar p` is the mean of p over the batch. Both w and z are of the unmixed sample, with the network as
    it is at that step. Before that, for a share ``warmup`` of the epochs, it is plain mixup: :math:`w = \eta = 0`.

    The probability that a label is wrong, and the score, is the posterior under a last fit, after training.

    Parameters
    ----------
    alpha : float, default=32.0
        Of the mixup. All are the authors' for CIFAR-10 and CIFAR-100.
    eta : float, default=1.0
        Of the regulariser.
    warmup : float, default=0.35
        Their 105 of 300 epochs. At least one epoch.

    Notes
    -----
    Departures from the paper: optimiser, schedule, batches and network are those of all methods here, and images are
    not augmented. The mixture is fitted to the losses that the unmixed samples had when they were visited, in
    evaluation mode, and not in one more pass at the epoch's end; z is of evaluation mode too, so that only the mixed
    inputs move the statistics of a batch normalisation; the posterior is computed, not read from a table of 100
    entries, nor clamped to [1e-4, 1 - 1e-4]. With sample weights, the mixture's moments and :math:`\bar p` are
    weighted; a mixed sample has the weight of its i.
    """

    def __init__(self, alpha: float = 32.0, eta: float = 1.0, warmup: float = 0.35) -> None:
        if not alpha > 0.0:
            raise ValueError(f"alpha is {alpha!r}, expected above 0: a parameter of Beta(alpha, alpha).")
        if not eta >= 0.0:
            raise ValueError(f"eta is {eta!r}, expected at least 0: it weighs the regulariser.")
        if not 0.0 <= warmup <= 1.0:
            raise ValueError(f"warmup is {warmup!r}, expected a share of the epochs, between 0 and 1.")
        self.alpha, self.eta, self.warmup = alpha, eta, warmup

    def objective(self, generator: torch.Generator) -> DynamicMixup:  # noqa: D102
        return DynamicMixup(self.alpha, self.eta, self.warmup, generator)

    def reading(self, objective: Objective, outcome: Outcome, labels: Tensor) -> Reading:  # noqa: D102
        losses = cross_entropy(outcome.logits, labels, reduction="none")
        mixture = BetaMixture.fit(losses, objective.training.sample_weight)
        wrong = torch.zeros_like(losses).double() if mixture is None else mixture.posterior(losses)
        return Reading(wrong, wrong)


class DynamicMixup(Objective):
    """Loss of :class:`DynamicBootstrapping`, which explains the parameters.

    Attributes
    ----------
    mixture : BetaMixture or None
        Of the last epoch; None in the warm-up, and where the losses were equal.
    """

    state = ("generator", "_beta", "_losses")

    def __init__(self, alpha: float, eta: float, warmup: float, generator: torch.Generator) -> None:
        self.alpha, self.eta, self.warmup, self.generator = alpha, eta, warmup, generator

    def start(self, training: Training) -> None:
        """Allocate the losses."""
        super().start(training)
        # At least one epoch: the first mixture needs losses.
        self._warmup_epochs = max(1, math.ceil(self.warmup * training.max_epochs))
        self._losses = torch.zeros_like(training.labels, dtype=torch.float64)
        # torch's beta distribution takes no generator.
        self._beta = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        self.mixture: BetaMixture | None = None
        self._target: Tensor | None = None  # (B, K), of the step that runs

    def state_dict(self) -> dict[str, Any]:
        """Those of the attributes in ``state``, and the mixture's numbers."""
        return super().state_dict() | {"mixture": None if self.mixture is None else dict(vars(self.mixture))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self.mixture = None if state["mixture"] is None else BetaMixture(**state["mixture"])

    def mix(self, network: nn.Module, x: Tensor, step: Step) -> Tensor:
        """Mix the samples in pairs, and their targets for :meth:`gradient`."""
        labels = step.labels
        target = torch.zeros(len(x), self.training.n_classes, dtype=x.dtype, device=x.device)
        # The warm-up's last epoch is the first whose losses are of use.
        if step.block.epoch + 1 < self._warmup_epochs:
            target.scatter_(1, labels[:, None], 1.0)
        else:
            network.eval()
            with torch.no_grad():
                logits = network(x)
            network.train()
            losses = cross_entropy(logits, labels, reduction="none")
            self._losses[step.index] = losses.double()
            wrong = torch.zeros_like(losses) if self.mixture is None else self.mixture.posterior(losses).to(x.dtype)
            target.scatter_(1, labels[:, None], 1.0 - wrong[:, None])
            target.scatter_add_(1, logits.argmax(dim=1, keepdim=True), wrong[:, None])
        delta = float(self._beta.beta(self.alpha, self.alpha))
        partner = torch.randperm(len(x), generator=self.generator).to(x.device)
        self._target = torch.lerp(target[partner], target, delta)
        return torch.lerp(x[partner], x, delta)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form. The record is the sample's own loss, without the regulariser, which is of the batch."""
        assert self._target is not None
        log_probability = torch.log_softmax(logits, dim=1)
        probability = log_probability.exp()
        grad = probability - self._target
        if step.block.epoch >= self._warmup_epochs:
            weight = self.training.loss_weight
            weight = None if weight is None else weight.index_select(0, step.index)
            grad += self.eta * prior_gradient(probability, weight)
        return grad, -(self._target * log_probability).sum(dim=1)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Forget the last step's targets."""
        self._target = None
        return records

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Fit the mixture, from the warm-up's last epoch on."""
        if epoch + 1 < self._warmup_epochs:
            return {}
        self.mixture = BetaMixture.fit(self._losses, self.training.sample_weight)
        return {"noise_rate": 0.0 if self.mixture is None else float(self.mixture.rates[1])}
