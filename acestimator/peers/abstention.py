r"""Abstention: one more output, for samples whose label cannot be learned.

Legend: N samples, B batch, K classes; output K, from 0, is the abstention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from acestimator.objectives import Block, CrossEntropy, Objective, Step, Training, softmax_gradient
from acestimator.peers._method import Method, Phases, Reading
from acestimator.peers.heads import OneMoreOutput
from acestimator.phases import Phase


class Abstention(Method):
    r"""Deep abstaining classifier, as a cleaner of the training set.

    S. Thulasidasan, T. Bhattacharya, J. Bilmes, G. Chennupati, J. Mohd-Yusof, "Combating label noise in deep learning
    using abstention", ICML 2019. With the softmax a over K + 1 outputs, :math:`a_K` the abstention,

    .. math:: L = -(1 - a_K) \ln \frac{a_y}{1 - a_K} - \alpha \ln (1 - a_K).

    For the first epochs, the warm-up, the loss is the cross-entropy of all outputs. From each batch a moving average of
    the threshold below which alpha makes a sample abstain is kept, :math:`\tilde\beta \leftarrow (1 - \mu) \tilde\beta
    + \mu \beta` with :math:`\beta` the batch's mean of the first term of L. After the warm-up
    :math:`\alpha = \tilde\beta / \rho`, which is to start abstention, and alpha then grows epoch by epoch, in equal
    steps, to ``alpha_final`` in the last. What the network abstains on is removed, and a second one learns the rest by
    plain cross-entropy: the authors' protocol for noise that is not tied to features.

    Parameters
    ----------
    alpha_final : float, default=1.0
    rho : float, default=64.0
    mu : float, default=0.05
        The defaults of the authors' program, for all data sets.
    warmup : float, default=0.1
        Share of the epochs. The authors' runs on STL-10 have 20 of 200.

    Notes
    -----
    ``mislabel_proba_`` is 1 for the samples removed and 0 for the others. The abstention knows the sample and not its
    label, so scores are the cross-entropies of the observed labels under the second network, which has not seen those
    that were removed.

    Departures. Near the end the first network has learned nearly all labels by heart and hardly abstains any more; the
    authors read it off in an epoch that suits, for which one needs clean labels, or steer alpha by a known noise rate.
    Here a sample is removed that was abstained on in more than half of the epochs after the warm-up. Alpha starts from
    the warm-up's average, without the next batch. Losses are exact where the authors keep :math:`a_K` below 1 - 1e-7.
    Optimiser, schedule and backbone are the package's, and images are not augmented.

    The warm-up teaches the network not to abstain. Where it ends with confident predictions, abstention does not start
    and nothing is removed: so on digits under pair flips, or with a warm-up of 20 epochs.
    """

    def __init__(self, alpha_final: float = 1.0, rho: float = 64.0, mu: float = 0.05, warmup: float = 0.1) -> None:
        if not alpha_final > 0.0:
            raise ValueError(f"alpha_final is {alpha_final!r}, expected a positive number: what abstaining costs.")
        if not rho >= 1.0:
            raise ValueError(f"rho is {rho!r}, expected a number of at least 1: alpha starts at the threshold over it.")
        if not 0.0 < mu <= 1.0:
            raise ValueError(f"mu is {mu!r}, expected a number above 0 and at most 1: the weight of the last batch.")
        if not 0.0 < warmup < 1.0:
            raise ValueError(f"warmup is {warmup!r}, expected a share of the epochs between 0 and 1, exclusive.")
        self.alpha_final, self.rho, self.mu, self.warmup = alpha_final, rho, mu, warmup

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        objective = AbstentionLoss(self.alpha_final, self.rho, self.mu, self.warmup)
        yield Phase(objective)
        removed = objective.abstained()
        # Where it abstains on everything, nothing would be left to learn from.
        keep = None if removed.all() else torch.nonzero(~removed).squeeze(1)
        outcome = yield Phase(CrossEntropy(), keep=keep)
        return Reading(cross_entropy(outcome.logits, labels, reduction="none"), removed.double())


class AbstentionLoss(Objective):
    """Objective of the first phase of :class:`Abstention`: its parameters are that method's."""

    head = OneMoreOutput()
    state = ("alpha", "threshold", "counts", "_growth")

    def __init__(self, alpha_final: float, rho: float, mu: float, warmup: float) -> None:
        self.alpha_final, self.rho, self.mu, self.warmup = alpha_final, rho, mu, warmup

    def start(self, training: Training) -> None:
        """Count from nothing."""
        super().start(training)
        self.n_warmup = max(1, round(self.warmup * training.max_epochs))
        self.alpha: float | None = None  # in the warm-up
        self._growth = 0.0  # of alpha in an epoch
        self.threshold: float | None = None
        self.counts = torch.zeros_like(training.labels)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        r"""With h the cross-entropy of the K classes: :math:`a_K (\alpha - (1 - a_K) h)` for the abstention."""
        labels = step.labels
        if self.alpha is None:
            grad, log_a = softmax_gradient(logits, labels)
            return grad, -log_a.gather(1, labels[:, None]).squeeze(1)
        grad, log_p = softmax_gradient(logits[:, :-1], labels)  # among the classes
        h = -log_p.gather(1, labels[:, None])
        # ln a_K - ln(1 - a_K), and both without loss of digits
        odds = logits[:, -1:] - logits[:, :-1].logsumexp(dim=1, keepdim=True)
        abstain, learn, log_learn = odds.sigmoid(), (-odds).sigmoid(), -nn.functional.softplus(odds)
        up = abstain * (self.alpha - learn * h)
        return torch.cat((learn * grad - log_p.exp() * up, up), dim=1), (learn * h - self.alpha * log_learn).squeeze(1)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Move the threshold, batch by batch, and count abstentions."""
        learned = (-(outputs[:, -1] - outputs[:, :-1].logsumexp(dim=1))).sigmoid()
        terms = learned * cross_entropy(outputs[:, :-1], block.labels, reduction="none")
        weights = self.training.loss_weight
        weights = torch.ones_like(terms) if weights is None else weights[block.index].to(terms.dtype)
        sums = [torch.stack([part.sum() for part in torch.split(x, block.sizes)]) for x in (terms * weights, weights)]
        for mean in (sums[0] / sums[1]).tolist():
            self.threshold = mean if self.threshold is None else (1.0 - self.mu) * self.threshold + self.mu * mean
        if self.alpha is not None:
            self.counts[block.index] += outputs.argmax(dim=1) == self.training.n_classes
        return records

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Set alpha for the next one."""
        n_left = self.training.max_epochs - 1 - epoch  # epochs
        if epoch + 1 == self.n_warmup:
            assert self.threshold is not None
            self.alpha = self.threshold / self.rho
            self._growth = (self.alpha_final - self.alpha) / max(n_left - 1, 1)
        elif self.alpha is not None and n_left:
            self.alpha += self._growth
        return {}

    def abstained(self) -> Tensor:
        """Mask (N,) of the samples abstained on in more than half of the epochs after the warm-up."""
        return 2 * self.counts > self.training.max_epochs - self.n_warmup
