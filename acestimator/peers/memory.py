"""Methods that remember something of every sample: its past predictions (ELR), or its label's error (SOP).

Legend: N samples, K classes, B batch, M samples of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.objectives import Block, Objective, Step, Training
from acestimator.peers._method import Method, Outcome, Reading

_ELR_CLAMP = 1e-4  # of ELR's probabilities, on both sides; as in the authors' code
_SOP_CLAMP = 1e-4  # least entry of SOP's corrected prediction; as in the authors' code
_SOP_BATCH = 128  # SOP's rates are for the mean loss of a batch of that many


class ELR(Method):
    r"""Early-learning regularisation: Liu, Niles-Weed, Razavian and Fernandez-Granda, NeurIPS 2020.

    The loss of sample i, of probabilities :math:`p = \mathrm{softmax}(m)`, is

    .. math::
        -\log p_{y_i} + \lambda \log(1 - \langle t_i, p \rangle), \qquad
        t_i \leftarrow \beta t_i + (1 - \beta) p,

    where the target :math:`t_i`, zero at first, is moved at each visit before the loss is taken, and is not
    differentiated. As in the authors' code, p is clamped to [1e-4, 1 - 1e-4] in the regulariser, and normalised again
    before it enters the target.

    The score is :math:`1 - t_{i, y_i}`: what the sample's averaged predictions leave to the other categories. (The
    authors correct labels by the largest entry of t; they give no score.)

    Parameters
    ----------
    lam : float, default=3.0
        :math:`\lambda`. The authors' for CIFAR-10 with symmetric noise, as is ``beta``.
    beta : float, default=0.7
        Share that the target keeps at a visit.

    Notes
    -----
    Departures from the paper: optimiser, schedule, batches and network are those of all methods here, and images are
    not augmented. One target is kept over a whole training: there is no warm restart of the rate.
    """

    def __init__(self, lam: float = 3.0, beta: float = 0.7) -> None:
        if not lam >= 0.0:
            raise ValueError(f"lam is {lam!r}, expected at least 0: it weighs the regulariser, the authors' is 3.")
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"beta is {beta!r}, expected 0 <= beta < 1: the share of the target that a visit keeps.")
        self.lam, self.beta = lam, beta

    def objective(self, generator: torch.Generator) -> EarlyLearning:  # noqa: D102
        return EarlyLearning(self.lam, self.beta)

    def reading(self, objective: Objective, outcome: Outcome, labels: Tensor) -> Reading:  # noqa: D102
        assert isinstance(objective, EarlyLearning)
        return Reading(1.0 - objective.target.gather(1, labels[:, None]).squeeze(1))


class EarlyLearning(Objective):
    """Cross-entropy with the regulariser of :class:`ELR`, which explains the parameters.

    Attributes
    ----------
    target : Tensor, shape (N, K)
    """

    state = ("target",)

    def __init__(self, lam: float, beta: float) -> None:
        self.lam, self.beta = lam, beta

    def start(self, training: Training) -> None:
        """Allocate the targets, all zero."""
        super().start(training)
        shape = len(training.labels), training.n_classes
        self.target = torch.zeros(shape, dtype=training.dtype, device=training.labels.device)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        r"""Closed form: with the clamp's mask c, ``a = -lam * c * t / (1 - <t, p>)``, and ``p * (a - <a, p>)``."""
        log_probability = torch.log_softmax(logits, dim=1)
        probability = log_probability.exp()
        clamped = _clamped(probability)
        target = self._moved(step.index, clamped)
        rest = 1.0 - (target * clamped).sum(dim=1, keepdim=True)  # (B, 1)
        slope = target * (clamped == probability) * (-self.lam / rest)
        regulariser = probability * (slope - (slope * probability).sum(dim=1, keepdim=True))
        observed = step.labels[:, None]
        loss = self.lam * rest.log() - log_probability.gather(1, observed)
        return regulariser + probability.scatter_add(1, observed, -torch.ones_like(rest)), loss.squeeze(1)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Move the targets of these samples, as :meth:`gradient` did for its own use."""
        self.target[block.index] = self._moved(block.index, _clamped(torch.softmax(outputs, dim=1)))
        return records

    def _moved(self, index: Tensor, clamped: Tensor) -> Tensor:
        """Targets of the samples after this visit."""
        normalised = clamped / clamped.sum(dim=1, keepdim=True)
        return torch.lerp(normalised, self.target.index_select(0, index), self.beta)


def _clamped(probability: Tensor) -> Tensor:
    return probability.clamp(_ELR_CLAMP, 1.0 - _ELR_CLAMP)


class SOP(Method):
    r"""Sparse over-parameterization: Liu, Zhu, Qu and You, ICML 2022.

    Sample i has a number :math:`u_i` and a vector :math:`v_i` that take over what is wrong about its label. With
    :math:`p = \mathrm{softmax}(m)`, the one-hot label y, and the one-hot argmax h of p, they are fitted together with
    the network to

    .. math::
        \hat p = \frac{\max(q, \epsilon)}{\lVert\max(q, \epsilon)\rVert_1}, \quad
        q = p + u_i^2 y - v_i^2 \odot (1 - y), \qquad
        -\log \hat p_{y_i} + \lVert h + u_i^2 y - v_i^2 \odot (1 - y) - y \rVert_2^2 .

    The squares are clamped to [0, 1], and the logarithm does not differentiate v, nor anything h. The network thus
    learns from the cross-entropy alone, v from the squared error, and u from both, by gradient descent without
    momentum, decay or schedule. From entries as small as their start, N(0, 1e-16), u and v grow by a factor at each
    visit, and only where the label stays unexplained.

    The score is :math:`u_i^2`, clamped: how much of its label the sample was given for nothing.

    Parameters
    ----------
    lr_u, lr_v : float, default=10.0
        Rates of u and v in the authors' units, theirs for CIFAR-10 with symmetric noise: of the mean loss over
        batches of 128. At a visit, u moves by ``lr_u / 128`` times the gradient of its sample's own loss, whatever
        the batch size here. For asymmetric noise the authors raise ``lr_v`` tenfold.

    Notes
    -----
    Departures from the paper: optimiser, schedule, batches and network are those of all methods here, and images are
    not augmented. It is SOP, not SOP+: without the losses of consistency and class balance. The gradient of u is
    that of the authors' released code; an earlier one took it from the cross-entropy alone. Sample weights weigh the
    network's loss, and leave u and v alone: a sample twice has them twice.

    How much u and v separate depends on the number of visits before the network has memorised the wrong labels: u
    has eight decades to grow. Few samples, no augmentation and a fast optimiser leave it less time than the authors'
    setting. On digits with 40 % symmetric noise, test accuracy is .84 with these rates and .95 with ten times both
    (plain cross-entropy: .73).
    """

    def __init__(self, lr_u: float = 10.0, lr_v: float = 10.0) -> None:
        for name, value in (("lr_u", lr_u), ("lr_v", lr_v)):
            if not value >= 0.0:
                raise ValueError(
                    f"{name} is {value!r}, expected at least 0: it is a learning rate, the authors' is 10."
                )
        self.lr_u, self.lr_v = lr_u, lr_v

    def objective(self, generator: torch.Generator) -> OverParameterized:  # noqa: D102
        return OverParameterized(self.lr_u / _SOP_BATCH, self.lr_v / _SOP_BATCH, generator)

    def reading(self, objective: Objective, outcome: Outcome, labels: Tensor) -> Reading:  # noqa: D102
        assert isinstance(objective, OverParameterized)
        return Reading(objective.u.square().clamp(max=1.0).squeeze(1))


class OverParameterized(Objective):
    """Loss of :class:`SOP`.

    Parameters
    ----------
    lr_u, lr_v : float
        Rates in the gradient of the sample's own loss.
    generator : torch.Generator
        On the CPU, of the start of u and v.

    Attributes
    ----------
    u : Tensor, shape (N, 1)
    v : Tensor, shape (N, K)
        The entry of the observed label takes no part.
    """

    state = ("u", "v")

    def __init__(self, lr_u: float, lr_v: float, generator: torch.Generator) -> None:
        self.lr_u, self.lr_v, self.generator = lr_u, lr_v, generator

    def start(self, training: Training) -> None:
        """Draw u and v."""
        super().start(training)
        shape = len(training.labels), 1 + training.n_classes
        drawn = 1e-8 * torch.randn(shape, dtype=training.dtype, generator=self.generator)
        self.u, self.v = torch.split(drawn.to(training.labels.device), [1, training.n_classes], dim=1)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Gradient of the cross-entropy of the corrected prediction; the squared error has none."""
        probability = torch.softmax(logits, dim=1)
        slope, loss = self._slope(probability, step.labels, step.index)
        return probability * (slope - (slope * probability).sum(dim=1, keepdim=True)), loss

    def _slope(self, probability: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the cross-entropy in the uncorrected probabilities, (B, K), and the cross-entropy, (B,)."""
        observed = labels[:, None]
        u = self.u.index_select(0, index).square_().clamp_(max=1.0)  # (B, 1)
        v = self.v.index_select(0, index).square_().clamp_(max=1.0)
        raw = (probability - v).scatter(1, observed, probability.gather(1, observed) + u)
        kept = raw.clamp(min=_SOP_CLAMP)
        total, own = kept.sum(dim=1, keepdim=True), kept.gather(1, observed)
        share = own / total
        # -log(own / total): each kept entry adds to the total, and the label's own to the numerator. The share is
        # clamped once more, and what is clamped stands still.
        slope = (1.0 / total).expand_as(kept).scatter_add(1, observed, -1.0 / own)
        slope = slope * ((raw >= _SOP_CLAMP) & (share >= _SOP_CLAMP))
        return slope, share.clamp(min=_SOP_CLAMP).log().neg().squeeze(1)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Take the samples' step of u and v."""
        index, observed = block.index, block.labels[:, None]
        slope, _ = self._slope(torch.softmax(outputs, dim=1), block.labels, index)
        u, v = self.u.index_select(0, index), self.v.index_select(0, index)
        u_square, v_square = u.square(), v.square()
        # Residual of the squared error: h + u^2 y - v^2 (1 - y) - y
        hard = torch.zeros_like(v).scatter_(1, outputs.argmax(dim=1, keepdim=True), 1.0)
        wrong = hard.gather(1, observed) + u_square.clamp(max=1.0) - 1.0  # at the observed label
        u_slope = (slope.gather(1, observed) + 2.0 * wrong) * (u_square <= 1.0)
        v_slope = -2.0 * (hard - v_square.clamp(max=1.0)) * (v_square <= 1.0)
        v_slope.scatter_(1, observed, 0.0)
        self.u[index] = u - 2.0 * self.lr_u * u * u_slope
        self.v[index] = v - 2.0 * self.lr_v * v * v_slope
        return records
