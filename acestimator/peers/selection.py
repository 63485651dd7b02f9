r"""Selection of samples: areas under the margin and mean margins, trimming by AutoCleansing, and co-teaching.

Legend: N samples, K classes, B batch, M samples of a block, T epochs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from acestimator.detection import find_mislabeled, observed_score
from acestimator.mixture import upper_probability
from acestimator.objectives import (
    AutoCleansing,
    Block,
    CrossEntropy,
    Head,
    Objective,
    Step,
    Training,
    softmax_gradient,
)
from acestimator.peers._method import Method, Outcome, Phases, Reading
from acestimator.peers.heads import OneMoreOutput
from acestimator.phases import Phase
from acestimator.presets import PRESETS

# Of the epochs. Sooner, small training sets are not learnt yet (at a tenth, of 105 right iris labels 14 % count as
# wrong); later, wrong labels are.
_ESTIMATED = 0.2


class AreaUnderMargin(Method):
    r"""Drop the samples whose margin stays as small as that of samples known to be wrong, and train again (AUM).

    G. Pleiss, T. Zhang, E. Elenberg, K. Weinberger, "Identifying mislabeled data using the area under the margin
    ranking", NeurIPS 2020. Threshold samples, N / (K + 1) of them, are relabelled as a category K + 1 that does not
    exist. A network of K + 1 outputs z is trained, and each sample's margin averaged over the epochs :math:`t \le T'`,

    .. math:: \mathrm{AUM} = \frac{1}{T'} \sum_t \Bigl(z_y^{(t)} - \max_{k \ne y} z_k^{(t)}\Bigr).

    A sample is flagged if its area is below the given percentile of the threshold samples'. A second training with
    other threshold samples judges those of the first; a sample that both judge is dropped if both flag it, as in the
    authors' code. The last training is a plain one, without the dropped samples.

    Parameters
    ----------
    percentile : float, default=99
        Of the threshold samples' areas; the authors' for all data sets.
    until : float, default=0.5
        Share of the epochs over which margins are averaged. The authors stop at the first drop of the learning rate,
        before the network learns wrong labels by heart: epoch 150 of 300. On half a cosine that is where the rate has
        fallen to half. Epoch 1 does not count, as in their code.

    Notes
    -----
    Departures: optimiser, schedule and backbone are the package's. Before ``until`` the rate falls along the cosine,
    where the authors' is constant. Both first trainings go on to their end, which costs time and changes no area.
    Scores are minus the mean area over the trainings that judge a sample.

    Where a network learns the threshold samples by heart before ``until``, as fast optimisers do without augmentation,
    right labels are flagged with the wrong ones: on digits without noise 15 and 10 % (two seeds), with ``until`` of 0.1
    3 and 2 %.
    """

    def __init__(self, percentile: float = 99.0, until: float = 0.5) -> None:
        if not 0.0 <= percentile <= 100.0:
            raise ValueError(f"percentile is {percentile!r}, expected a number from 0 to 100.")
        if not 0.0 < until <= 1.0:
            raise ValueError(f"until is {until!r}, expected a share of the epochs above 0 and at most 1.")
        self.percentile, self.until = percentile, until

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        n_samples = len(labels)
        n_threshold = max(1, n_samples // (n_classes + 1))
        order = torch.randperm(n_samples, generator=generator).to(labels.device)
        area = torch.zeros(n_samples, dtype=torch.float64, device=labels.device)
        judges, cleared = torch.zeros_like(area), torch.zeros_like(area, dtype=torch.bool)
        for threshold in torch.split(order[: 2 * n_threshold], n_threshold):
            objective = Margins(1, self.until, OneMoreOutput())
            yield Phase(objective, labels=labels.index_fill(0, threshold, n_classes))
            judged = torch.ones_like(cleared).index_fill_(0, threshold, False)
            limit = torch.quantile(objective.areas[threshold], self.percentile / 100.0)
            area += torch.where(judged, objective.areas, 0.0)
            judges += judged
            cleared |= judged & (objective.areas >= limit)
        yield _plain(cleared)
        return Reading(-area / judges, (~cleared).double())


class MeanLogitMargin(Method):
    r"""One plain training; a label is as suspicious as its mean margin is small.

    The score of a sample is minus the margin of its observed label, averaged over all T epochs,

    .. math:: -\frac{1}{T} \sum_t \Bigl(z_y^{(t)} - \max_{k \ne y} z_k^{(t)}\Bigr).

    It is the statistic of :class:`AreaUnderMargin` without threshold samples and further trainings: a network agrees
    late, or never, with a label for which nothing in the sample speaks. H. Pickler, J. Kamassury, D. Silva,
    "Benchmarking noisy label detection methods", arXiv:2510.16211, 2025, compare many such scores. The logit margin of
    averaged predictions on the samples trained on is the best in most of their scenarios.

    Notes
    -----
    The margins themselves are averaged, as in AUM, of the logits that the steps see. Every epoch counts alike.
    Predictions are those of ``cross_entropy``.

    Margins grow with the epochs, so the late ones decide, when wrong labels may have been learnt by heart. On digits
    with 40 % of the labels replaced the area under the ROC curve is .946 (three seeds); that of AUM, which counts half
    of the epochs and averages two trainings, is .981, and that of the last losses .835. The probabilities are those of
    a mixture of the scores, and of less use than their order.
    """

    def objective(self, generator: torch.Generator) -> Margins:  # noqa: D102
        return Margins()

    def reading(self, objective: Margins, outcome: Outcome, labels: Tensor) -> Reading:  # type: ignore[override]  # noqa: D102
        return Reading(-objective.areas)


class Trimmed(Method):
    r"""Find wrong labels by AutoCleansing, drop them, and train plainly without: the AutoCleansing paper's Figure 3.

    Algorithm 2 (:func:`acestimator.detection.find_mislabeled`) lists :math:`\tau` percent of the samples by the
    constants of a first training (:class:`acestimator.objectives.AutoCleansing`).

    Parameters
    ----------
    percent : float or None, default=0.2
        :math:`\tau`, from 0 to below 100. The default is the figure's best on CIFAR-10 and on CIFAR-100, whose labels
        are nearly all right. The paper sets it by training for several values. It should be near the share of wrong
        labels; None takes the share that a mixture of the observed labels' constants estimates, which is not in the
        paper (:class:`acestimator.mixture.ScoreMixture`).

    Notes
    -----
    Departures: optimiser, schedule, backbone and the rate of the constants are the package's; no augmentation. Scores
    follow the order of Algorithm 2's list: 1 for the first sample, 1 / N for the last.
    """

    def __init__(self, percent: float | None = 0.2) -> None:
        if percent is not None and not 0.0 <= percent < 100.0:
            raise ValueError(f"percent is {percent!r}, expected a number from 0 to below 100, or None.")
        self.percent = percent

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        n_samples = len(labels)
        objective = DefaultAutoCleansing()
        outcome = yield Phase(objective)
        constants, percent = objective.table.dense(), self.percent
        if percent is None:
            scores = observed_score(constants, outcome.logits, labels)
            percent = 100.0 * float(upper_probability(scores, objective.training.sample_weight).mean())
        alpha = constants.cpu().numpy()
        listed = torch.from_numpy(find_mislabeled(alpha, 100.0)).to(labels.device)
        dropped = listed[: len(find_mislabeled(alpha, percent))]
        proba = torch.zeros(n_samples, dtype=torch.float64, device=labels.device).index_fill_(0, dropped, 1.0)
        yield _plain(proba == 0.0)
        places = torch.arange(n_samples, 0, -1, dtype=torch.float64, device=labels.device) / n_samples
        return Reading(torch.empty_like(proba).index_copy_(0, listed, places), proba)


class CoTeaching(Method):
    r"""Two networks, each trained on the samples of each batch whose loss is small for the other.

    B. Han, Q. Yao, X. Yu, G. Niu, M. Xu, W. Hu, I. Tsang, M. Sugiyama, "Co-teaching: robust training of deep neural
    networks with extremely noisy labels", NeurIPS 2018. Of a batch, each network picks the share

    .. math:: R(t) = 1 - \tau \min(t / T_k, 1)

    of smallest loss, t being the epochs before this one, and the other takes its step on their mean loss.

    Parameters
    ----------
    noise_rate : float or None, default=None
        :math:`\tau`, the share of wrong labels, from 0 to below 1, which the authors take as known. With None it is
        the share of labels that the networks, on average, did not predict in the last epoch, as known at the end of
        each of the first fifth of the epochs; from there on it stays. That early they have not learnt wrong labels by
        heart: on digits of 1,257 samples it comes to 0.01, 0.21 and 0.38 where 0, 0.2 and 0.4 are wrong, and accuracy
        is within 0.01 of that with the known rate. It counts the networks' own errors, too, and is too high where
        these are many.
    gradual : float, default=0.05
        :math:`T_k` as a share of T, from 0 to 1: the authors' 10 of 200 epochs, for MNIST, CIFAR-10 and CIFAR-100.

    Notes
    -----
    Departures: optimiser, schedule and backbone are the package's, for both networks alike. The first network predicts.
    Scores are the mean of the networks' losses during the last epoch, when the learning rate is nearly zero. Samples
    are picked by number, whatever their weights; the mean loss is weighted.
    """

    def __init__(self, noise_rate: float | None = None, gradual: float = 0.05) -> None:
        if noise_rate is not None and not 0.0 <= noise_rate < 1.0:
            raise ValueError(f"noise_rate is {noise_rate!r}, expected a number from 0 to below 1, or None.")
        if not 0.0 <= gradual <= 1.0:
            raise ValueError(f"gradual is {gradual!r}, expected a share of the epochs from 0 to 1.")
        self.noise_rate, self.gradual = noise_rate, gradual

    def objective(self, generator: torch.Generator) -> SmallLossExchange:  # noqa: D102
        return SmallLossExchange(self.noise_rate, self.gradual)

    def reading(self, objective: SmallLossExchange, outcome: Outcome, labels: Tensor) -> Reading:  # type: ignore[override]  # noqa: D102
        return Reading(objective.mean_losses)


class Margins(CrossEntropy):
    """Cross-entropy that averages each sample's margins over the epochs; ``areas`` (N,) are the result.

    Parameters
    ----------
    skipped : int
        Epochs at the start that do not count, if there are others.
    until : float
        Share of the epochs after which none counts.
    head : Head
    """

    state = ("areas",)

    def __init__(self, skipped: int = 0, until: float = 1.0, head: Head = Objective.head) -> None:
        self.skipped, self.until, self.head = skipped, until, head

    def start(self, training: Training) -> None:
        """Margins are summed in float64."""
        super().start(training)
        self.areas = torch.zeros_like(training.labels, dtype=torch.float64)
        last = max(1, round(self.until * training.max_epochs))
        self._counted = range(min(self.skipped, last - 1), last)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Add the margins, as they were in training."""
        if block.epoch in self._counted:
            self.areas[block.index] += margins(outputs, block.labels).double() / len(self._counted)
        return super().end_block(block, outputs, records, grads)


class DefaultAutoCleansing(AutoCleansing):
    """AutoCleansing with the rate of the default preset."""

    def __init__(self) -> None:
        super().__init__(variant="AC1", **PRESETS["default"].objective())

    def start(self, training: Training) -> None:
        """The rate is in proportion to the steps of an epoch where these are few, as the preset says."""
        preset = PRESETS["default"]
        self.lr = float(preset.alpha_lr) * preset.share_of_rate(training.steps_per_epoch)
        super().start(training)


class TwoNetworks(Head):
    """Two networks side by side, of which the first predicts."""

    def make_network(self, make: Callable[[int], nn.Module], n_classes: int) -> nn.Module:
        """Two networks of their own initialisations."""
        return Pair(make(n_classes), make(n_classes))

    def predictor(self, network: nn.Module) -> nn.Module:
        """The first."""
        return network.get_submodule("first")

    def class_logits(self, outputs: Tensor) -> Tensor:
        """The first's."""
        return outputs.chunk(2, dim=1)[0]


class SmallLossExchange(Objective):
    """Objective of :class:`CoTeaching`: logits (B, 2 K), those of the two networks side by side."""

    head = TwoNetworks()
    state = ("_missed", "mean_losses", "remember", "_rate")

    def __init__(self, noise_rate: float | None, gradual: float) -> None:
        self.noise_rate, self.gradual = noise_rate, gradual

    def start(self, training: Training) -> None:
        """Begin with whole batches."""
        super().start(training)
        even = torch.ones_like(training.labels, dtype=torch.float64)
        self._weights = even if training.sample_weight is None else training.sample_weight
        self._loss_weights = even if training.loss_weight is None else training.loss_weight
        self._missed, self.mean_losses = torch.zeros_like(even), torch.zeros_like(even)
        self.remember = 1.0
        self._rate = self.noise_rate or 0.0
        self._gradual = self.gradual * training.max_epochs  # T_k

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Cross-entropy's gradients, zero where the other network's loss is large; and the mean losses."""
        labels = step.labels.repeat(2)
        grad, log_p = softmax_gradient(torch.cat(logits.chunk(2, dim=1)), labels)  # (2 B, K)
        losses = -log_p.gather(1, labels[:, None]).view(2, -1)
        weight = self._loss_weights[step.index]
        picked = torch.cat([self._picked(loss, weight) for loss in losses.flip(0)])  # by the other
        return torch.cat((grad * picked[:, None]).chunk(2), dim=1), losses.mean(dim=0)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Keep what an estimate needs, and the losses of the last epoch."""
        labels, logits = block.labels.repeat(2), torch.cat(outputs.chunk(2, dim=1))
        if self._estimates(block.epoch):
            self._missed[block.index] = (logits.argmax(dim=1) != labels).view(2, -1).double().mean(dim=0)
        if block.epoch == self.training.max_epochs - 1:
            losses = cross_entropy(logits, labels, reduction="none")
            self.mean_losses[block.index] = losses.view(2, -1).double().mean(dim=0)
        return records

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Set the share of the next epoch."""
        record = {"remember": self.remember}
        if self._estimates(epoch):
            self._rate = float((self._weights * self._missed).sum() / self._weights.sum())
        self.remember = 1.0 - self._rate * (min((epoch + 1) / self._gradual, 1.0) if self._gradual else 1.0)
        return record

    def _estimates(self, epoch: int) -> bool:
        return self.noise_rate is None and epoch < max(_ESTIMATED * self.training.max_epochs, 1.0)

    def _picked(self, loss: Tensor, weight: Tensor) -> Tensor:
        """What makes of the mean over the batch one over the share of smallest loss, (B,): zero elsewhere."""
        n_picked = max(1, int(round(self.remember * len(loss), 9)))  # rounded down, but for what is not exact in binary
        picked = torch.zeros_like(weight).index_fill_(0, loss.topk(n_picked, largest=False).indices, 1.0)
        return (picked * (weight.sum() / (weight * picked).sum())).to(loss.dtype)


class Pair(nn.Module):
    """Two networks on the same samples, their logits side by side."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return torch.cat((self.first(x), self.second(x)), dim=1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Logit of the label less the largest of the others, (M,)."""
    labels = labels[:, None]
    return (logits.gather(1, labels) - logits.scatter(1, labels, -math.inf).amax(dim=1, keepdim=True)).squeeze(1)


def _plain(kept: Tensor) -> Phase:
    """Plain training on the samples (N,) that are kept, on all where that would leave nothing to train on."""
    if kept.sum() < 2:
        warnings.warn(
            f"all but {int(kept.sum())} of {len(kept)} samples were flagged: the last training takes all of them. "
            "Flag fewer, or train for fewer epochs.",
            RuntimeWarning,
            stacklevel=2,
        )
        return Phase(CrossEntropy())
    return Phase(CrossEntropy(), keep=kept.nonzero().squeeze(1))
