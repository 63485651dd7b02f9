r"""Robust losses: bootstrapping, generalised cross-entropy, and cross-entropy with a capped gradient.

Legend: B batch, K classes; p = softmax of the logits, t the one-hot observed label y.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from acestimator.checks import check_share
from acestimator.objectives import Block, Objective, Step, softmax_gradient
from acestimator.peers._method import Method

_MAX_STEPS, _OMEGA_STEPS = 40, 4  # of Newton's method; at logits up to the hundreds, 7 of the first were enough
_NEVER = -1e4  # stands for the logarithm of 0


class SoftBootstrapping(Method):
    r"""Targets that are partly the prediction itself (soft bootstrapping).

    S. Reed, H. Lee, D. Anguelov, C. Szegedy, D. Erhan, A. Rabinovich, "Training deep neural networks on noisy labels
    with bootstrapping", ICLR workshop 2015:

    .. math:: L = -\sum_k \bigl(\beta t_k + (1 - \beta) p_k\bigr) \ln p_k,

    which is :math:`\beta` times the cross-entropy plus :math:`1 - \beta` times the entropy of the prediction. Both
    factors that hold p are differentiated.

    Parameters
    ----------
    beta : float, default=0.95
        Weight of the observed label; the authors' for all data sets. 1 is plain cross-entropy.

    Notes
    -----
    Departures: optimiser, schedule and backbone are the package's, and the network is not pre-trained.
    """

    def __init__(self, beta: float = 0.95) -> None:
        self.beta = check_share("beta", beta)

    def objective(self, generator: torch.Generator) -> SoftBootstrappingLoss:  # noqa: D102
        return SoftBootstrappingLoss(self.beta)


class HardBootstrapping(Method):
    r"""Targets that are partly the predicted category (hard bootstrapping).

    From the paper of :class:`SoftBootstrapping`:

    .. math:: L = -\sum_k \bigl(\beta t_k + (1 - \beta) z_k\bigr) \ln p_k, \qquad z_k = 1[k = \arg\max_i p_i].

    Parameters
    ----------
    beta : float, default=0.8
        Weight of the observed label; the authors' for all data sets. 1 is plain cross-entropy.

    Notes
    -----
    Departures: as for :class:`SoftBootstrapping`.
    """

    def __init__(self, beta: float = 0.8) -> None:
        self.beta = check_share("beta", beta)

    def objective(self, generator: torch.Generator) -> HardBootstrappingLoss:  # noqa: D102
        return HardBootstrappingLoss(self.beta)


class GeneralizedCrossEntropy(Method):
    r"""Generalised cross-entropy, between cross-entropy and mean absolute error.

    Z. Zhang, M. Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
    NeurIPS 2018:

    .. math:: L_q = \frac{1 - p_y^q}{q}, \qquad \nabla L_q = p_y^q (p - t).

    Parameters
    ----------
    q : float, default=0.7
        The authors' for CIFAR-10, CIFAR-100 and FASHION-MNIST. Towards 0 it is cross-entropy, at 1 the absolute error.

    Notes
    -----
    Departures: optimiser, schedule and backbone are the package's, and images are not augmented. The paper has a second
    loss, which is truncated and prunes samples from epoch 40 on; it is not here.
    """

    def __init__(self, q: float = 0.7) -> None:
        if not 0.0 < q <= 1.0:
            raise ValueError(f"q is {q!r}, expected a number above 0 and at most 1; near 0 it is cross-entropy.")
        self.q = q

    def objective(self, generator: torch.Generator) -> GeneralizedCrossEntropyLoss:  # noqa: D102
        return GeneralizedCrossEntropyLoss(self.q)


class CappedCrossEntropy(Method):
    r"""Cross-entropy whose gradient in the logits is no longer than a cap.

    AutoCleansing with a group penalty becomes this loss if every step minimises over a sample's constants, in place of
    learning them:

    .. math:: L = \min_\alpha \mathrm{CE}(m + \alpha, y) + \lambda \lVert\alpha\rVert, \qquad
        \nabla L = \mathrm{softmax}(m + \alpha^*) - t, \qquad
        \lVert\nabla L\rVert = \min(\lambda, \lVert p - t\rVert).

    Where the cap bites, the gradient is not the plain one scaled down: the larger entries of p are lowered more.

    Parameters
    ----------
    cap : float, default=0.5
        :math:`\lambda`, above 0 and at most 1. The norm of the plain gradient is below the square root of 2. Smaller
        caps resist more and learn more slowly. On digits with 40 % wrong labels, a cap of 0.02 is better by ten points.

    Notes
    -----
    This loss is the package's own, so that there are no authors' defaults. It is here because it is the limit of
    AutoCleansing.
    """

    def __init__(self, cap: float = 0.5) -> None:
        if not 0.0 < cap <= 1.0:
            raise ValueError(
                f"cap is {cap!r}, expected a number above 0 and at most 1; hardly any gradient is longer than 1."
            )
        self.cap = cap

    def objective(self, generator: torch.Generator) -> CappedCrossEntropyLoss:  # noqa: D102
        return CappedCrossEntropyLoss(self.cap)


class SoftBootstrappingLoss(Objective):
    """Objective of :class:`SoftBootstrapping`."""

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """The entropy H has the gradient ``-p (ln p + H)``."""
        grad, log_p = softmax_gradient(logits, step.labels)
        p = log_p.exp()
        p_log_p = p * log_p
        entropy_grad = p * p_log_p.sum(dim=1, keepdim=True) - p_log_p
        return torch.lerp(entropy_grad, grad, self.beta), log_p

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """From the log-probabilities."""
        entropy = -(records.exp() * records).sum(dim=1)
        return torch.lerp(entropy, nll_loss(records, block.labels, reduction="none"), self.beta)


class HardBootstrappingLoss(Objective):
    """Objective of :class:`HardBootstrapping`."""

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the mixed target."""
        log_p = torch.log_softmax(logits, dim=1)
        grad = log_p.exp().scatter_(1, step.labels[:, None], -self.beta, reduce="add")
        return grad.scatter_(1, log_p.argmax(dim=1, keepdim=True), self.beta - 1.0, reduce="add"), log_p

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """From the log-probabilities."""
        return torch.lerp(-records.amax(dim=1), nll_loss(records, block.labels, reduction="none"), self.beta)


class GeneralizedCrossEntropyLoss(Objective):
    """Objective of :class:`GeneralizedCrossEntropy`."""

    def __init__(self, q: float) -> None:
        self.q = q

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Cross-entropy's, times the power of the label's probability."""
        grad, log_p = softmax_gradient(logits, step.labels)
        return grad * (self.q * log_p.gather(1, step.labels[:, None])).exp(), log_p

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """From the log-probabilities."""
        return torch.expm1(-self.q * nll_loss(records, block.labels, reduction="none")) / -self.q


class CappedCrossEntropyLoss(Objective):
    """Objective of :class:`CappedCrossEntropy`."""

    def __init__(self, cap: float) -> None:
        self.cap = cap

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Gradient, and the loss at its minimum over the constants."""
        return capped_gradient(logits, step.labels, self.cap)


def capped_gradient(logits: Tensor, labels: Tensor, cap: float) -> tuple[Tensor, Tensor]:
    r"""Gradient (B, K) and minimum (B,) of the loss of :class:`CappedCrossEntropy`.

    At the minimum :math:`\alpha = -\kappa g` with :math:`g = \mathrm{softmax}(m + \alpha) - t`. For the categories
    other than y, let :math:`v_j = \kappa g_j`, let S be the sum of these, and Q the sum of their squares. With one
    unknown l,

    .. math:: v_j + \ln v_j = \ln p_j + l, \qquad \kappa = \sqrt{S^2 + Q} / \lambda, \qquad
        g = \lambda \frac{v - t S}{\sqrt{S^2 + Q}},

    so that the cap holds whatever l is. It is the root of

    .. math:: h(l) = \ln(\kappa - S) - S - \ln p_y - l,

    which falls in l. Let w be the v of the most probable of these categories: h is nearly straight in w, and Newton's
    method finds the root.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
    labels : Tensor of int64, shape (B,)
    cap : float
        Lambda, above 0 and at most 1.
    """
    grad, log_p = softmax_gradient(logits, labels)
    loss = -log_p.gather(1, labels[:, None])  # (B, 1)
    at = (grad.norm(dim=1) > cap).nonzero().squeeze(1)
    if len(at):  # M of them
        observed = labels[at, None]  # (M, 1)
        others = log_p[at].scatter_(1, observed, _NEVER)  # (M, K)
        v = _capped_others(others, -loss[at], cap)
        s = v.sum(dim=1, keepdim=True)
        root = (s.square() + v.square().sum(dim=1, keepdim=True)).sqrt()
        grad[at] = (v * (cap / root)).scatter_(1, observed, -cap * s / root)
        # The cross-entropy, and lambda times the norm of alpha
        loss[at] = cap * root - (1.0 - cap * s / root).log()
    return grad, loss.squeeze(1)


def _capped_others(log_p: Tensor, log_py: Tensor, cap: float) -> Tensor:
    """Return v (M, K), 0 at the observed label, where ``log_p`` (M, K) is very low; ``log_py`` (M, 1) has it right."""
    log_pu = log_p.amax(dim=1, keepdim=True)
    # The start is exact if the categories keep their ratios
    share = (log_p - log_pu).exp()
    total = share.sum(dim=1, keepdim=True)
    g_u = cap / (total.square() + share.square().sum(dim=1, keepdim=True)).sqrt()
    odds = (1.0 - g_u * total).clamp_min(1e-3) / g_u
    w = (odds.log() + log_pu - log_py).clamp_min(1e-3) / (1.0 + total)
    tolerance = math.sqrt(torch.finfo(log_p.dtype).eps)  # of a step: the error after it is about its square
    for _ in range(_MAX_STEPS):
        level = w + w.log() - log_pu
        v = _omega(log_p + level)
        v_slope = v / (1.0 + v)  # slopes are in l
        s, s_slope = v.sum(dim=1, keepdim=True), v_slope.sum(dim=1, keepdim=True)
        root = (s.square() + v.square().sum(dim=1, keepdim=True)).sqrt()
        kappa_slope = (s * s_slope + (v * v_slope).sum(dim=1, keepdim=True)) / (cap * root)
        rest = root / cap - s
        h = rest.log() - s - log_py - level
        h_slope = (kappa_slope - s_slope) / rest - s_slope - 1.0
        step = torch.maximum(-h / h_slope * w / (1.0 + w), -0.75 * w)  # w stays positive
        if bool((step.abs() <= tolerance * (1.0 + w)).all()):
            return v + v_slope * step * (1.0 + w) / w
        w = w + step
    return v


def _omega(x: Tensor) -> Tensor:
    """Wright's omega, ``v + ln v = x``: Newton's method on a concave function, from below after its first step."""
    v = nn.functional.softplus(x)
    tiny = torch.finfo(x.dtype).tiny
    for _ in range(_OMEGA_STEPS):
        v = v * (1.0 + x - v.clamp_min(tiny).log()) / (1.0 + v)
    return v
