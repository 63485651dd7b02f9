"""Joint optimisation of the network and of soft labels (Tanaka 2018).

Legend: N samples, K classes, B batch, M samples of a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from acestimator.objectives import Block, Objective, Step, Training
from acestimator.peers._method import Method, Phases, Reading
from acestimator.phases import Phase

# Of a category over a batch, in the prior's gradient: in single precision the mean can be 0, and the gradient has its
# inverse.
_LEAST_MEAN = 1e-8


class JointOptimization(Method):
    r"""Joint optimisation of network and labels: Tanaka, Ikami, Yamasaki and Aizawa, CVPR 2018.

    Every sample has a soft label s, one-hot of the observed one at first. The first phase minimises, over batches,

    .. math::
        \frac1B \sum_i \mathrm{KL}(s_i \| p_i)
        + \alpha \sum_k \frac1K \log\frac{1/K}{\bar p_k}
        - \frac{\beta}{B} \sum_i \sum_k p_{ik} \log p_{ik},
        \qquad p = \mathrm{softmax}(m), \quad \bar p = \frac1B \sum_i p_i .

    The second term keeps the labels from all becoming one category, the third makes them decide. From the epoch
    ``start`` on, every epoch ends by making each soft label the mean of its sample's predictions p, as met in training,
    over the last ``window`` epochs. The second phase trains a fresh network on the cross-entropy to the final soft
    labels.

    The probability that a label is wrong, and the score, is :math:`1 - s_{i, y_i}` after the first phase.

    Parameters
    ----------
    alpha : float, default=1.2
        Of the prior. The authors' for CIFAR-10 with symmetric noise, as is ``beta``.
    beta : float, default=0.8
        Of the entropy.
    start : float, default=0.35
        Share of the epochs after which the labels are first updated; the authors' 70 of 200.
    window : int, default=10
        Epochs whose predictions are averaged; fewer where fewer have been.

    Notes
    -----
    The prior is uniform, as in the authors' code. Departures from the paper: optimiser, schedule, batches and network
    are those of all methods here, and images are not augmented. The authors hold a high rate through the first phase,
    so that the network does not memorise the labels before they are updated. Here the rate decays over each phase, as
    for every other method. With sample weights, all means over a batch are weighted.
    """

    def __init__(self, alpha: float = 1.2, beta: float = 0.8, start: float = 0.35, window: int = 10) -> None:
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0.0:
                raise ValueError(f"{name} is {value!r}, expected at least 0: it weighs a regulariser.")
        if not 0.0 <= start < 1.0:
            raise ValueError(f"start is {start!r}, expected 0 <= start < 1: the share of the epochs before the update.")
        if not (window >= 1 and window == int(window)):
            raise ValueError(f"window is {window!r}, expected a whole number of epochs, at least 1.")
        self.alpha, self.beta, self.start, self.window = alpha, beta, start, int(window)

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        joint = JointLabels(self.alpha, self.beta, self.start, self.window)
        yield Phase(joint)
        yield Phase(SoftLabels(joint.soft))
        wrong = 1.0 - joint.soft.gather(1, labels[:, None]).squeeze(1)
        return Reading(wrong, wrong.clamp(min=0.0))


class SoftLabels(Objective):
    """Cross-entropy to soft labels.

    Parameters
    ----------
    soft : Tensor, shape (N, K)
        Rows sum to one.
    """

    def __init__(self, soft: Tensor) -> None:
        self.soft = soft

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form, ``softmax(logits) - soft[index]``."""
        log_probability = torch.log_softmax(logits, dim=1)
        target = self.soft.index_select(0, step.index)
        return log_probability.exp() - target, -(target * log_probability).sum(dim=1)


class JointLabels(Objective):
    """Loss of the first phase of :class:`JointOptimization`, which explains the parameters.

    Attributes
    ----------
    soft : Tensor, shape (N, K)
        Labels.
    """

    state = ("soft", "_predictions")

    def __init__(self, alpha: float, beta: float, start: float, window: int) -> None:
        self.alpha, self.beta, self.first_update, self.window = alpha, beta, start, window

    def start(self, training: Training) -> None:
        """Make the labels one-hot, and allocate the predictions of a window of epochs."""
        super().start(training)
        self.soft = one_hot(training.labels, training.n_classes).to(training.dtype)
        shape = min(self.window, training.max_epochs), *self.soft.shape
        self._predictions = torch.zeros(shape, dtype=training.dtype, device=self.soft.device)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form. The record is the sample's own loss, without the prior's, which is of the batch."""
        log_probability = torch.log_softmax(logits, dim=1)
        probability = log_probability.exp()
        soft = self.soft.index_select(0, step.index)
        entropy = -(probability * log_probability).sum(dim=1, keepdim=True)
        weight = self.training.loss_weight
        weight = None if weight is None else weight.index_select(0, step.index)
        grad = probability - soft
        grad -= self.beta * probability * (log_probability + entropy)
        grad += self.alpha * prior_gradient(probability, weight)
        return grad, -(soft * log_probability).sum(dim=1) + self.beta * entropy.squeeze(1)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Keep the predictions of the epoch."""
        self._predictions[block.epoch % len(self._predictions), block.index] = torch.softmax(outputs, dim=1)
        return records

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Update the labels, once it is time."""
        if epoch + 1 >= math.ceil(self.first_update * self.training.max_epochs):
            self.soft = self._predictions[: epoch + 1].mean(dim=0)
        changed = self.soft.argmax(dim=1) != self.training.labels
        return {"changed_labels": float(changed.to(self.soft.dtype).mean())}


def prior_gradient(probability: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Gradient of :math:`\sum_k \frac1K \log\frac{1/K}{\bar p_k}` in the logits, where p-bar is the batch's mean.

    It is in the scale of a sample's own loss: times the sample's share of the batch, it is the gradient in its logits.

    Parameters
    ----------
    probability : Tensor, shape (B, K)
        Softmax of the logits.
    weight : Tensor of float64, shape (B,), optional
        Of the samples in the mean.

    Returns
    -------
    Tensor, shape (B, K)
    """
    mean = probability.mean(dim=0) if weight is None else (weight / weight.sum()).to(probability.dtype) @ probability
    slope = -1.0 / (len(mean) * mean.clamp(min=_LEAST_MEAN))  # (K,)
    return probability * (slope - (probability @ slope)[:, None])
