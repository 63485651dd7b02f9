"""AutoCleansingClassifier: the scikit-learn face of the method. Validates, encodes, delegates.

Legend: N samples, K classes, D features.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from acestimator import detection, recipes
from acestimator.alpha import check_penalty
from acestimator.crossfit import concluded, judged, spared
from acestimator.diagnosis import Tally
from acestimator.estimators.advice import Trained
from acestimator.estimators.labels import TrainingLabels
from acestimator.estimators.network import NetworkClassifier
from acestimator.facts import SUREST
from acestimator.inputs.validation import Number, StrOptions
from acestimator.mixture import upper_probability
from acestimator.objectives import AutoCleansing, CrossEntropy, Objective
from acestimator.objectives.judge import Judgement
from acestimator.objectives.spared import Spared
from acestimator.phases import Phase, Trainer
from acestimator.presets import PRESETS, Preset
from acestimator.ranks import ALONE, Ranks, Share


class AutoCleansingClassifier(NetworkClassifier):
    r"""Neural classifier that learns from partly wrong labels, and tells which ones they are.

    A network is trained together with one row of constants per training sample, :math:`\alpha` (N, K), added to its
    logits: :math:`c_n = m(x_n) + \alpha_n`. The constants absorb what is wrong with a sample's label; they are dropped
    to predict, and read to find the suspects. One fit, no clean labels, no threshold, no known noise rate.

    By default the labels are judged first, by networks that have not seen them (:mod:`acestimator.crossfit`). The
    network that predicts learns all labels at first. Then it leaves out those that judges and it itself hold to be
    likelier wrong than right, and a weak pull holds it to its early predictions. The constants are learned beside it
    and have no part in its gradient (:mod:`acestimator.objectives.spared`). Where no label is found it is plain
    training's network, to the same bits.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="auto"
        "mlp" for X of shape (N, D), "small_resnet" for (N, C, H, W), "auto" for the one that fits X; a module, which is
        copied and never trained in place; or a callable ``(input_shape, n_classes) -> module``. The module maps
        ``(B, *input_shape)`` to (B, K) logits.
    variant : {"AC1", "AC2"}, default="AC1"
        AC1: a constant for each category of each sample. AC2: one a sample, on its observed label.
    preset : {"default", "paper"}, default="default"
        What the parameters below stand for where they are None. "paper": SGD with Nesterov momentum, rate 0.1, decay
        5e-4, 200 epochs, batches of 128, the constants under the same SGD and in the network's gradient, no judges and
        no pull.
    alpha_lr : float or "paper", default=None
        Rate of the constants in per-sample units: a row moves by ``alpha_lr * gradient`` a visit, whatever the
        batch size, times the cosine of the network's rate. 0 switches all of the method off: plain
        cross-entropy, with scores and probabilities of zero. "paper": the constants are trained on the batch's
        mean loss with the network's rate and momentum and a decay of 5e-5, in the network's gradient and without
        judges, as is meant for rates such as preset="paper" has; with AdamW's they hardly move. (preset: 0.3, and in
        proportion to the steps of an epoch where these are fewer than 8)
    alpha_momentum, alpha_weight_decay : float, default=None
        Of the constants' SGD. In per-sample units the decay acts once between two visits. (preset: 0, 0)
    penalty : tuple (name, strength), default=None
        "l2", "l1" or "group" penalty on each sample's row of constants, taken as a proximal step between two visits;
        needs momentum and decay of 0. (preset: none)
    max_epochs, batch_size : int, default=None
        ``max_epochs`` holds for each training: judges stop when they have learnt what they can, and a network that is
        spared labels is trained for as much longer as wrong ones are rarer among the rest. (preset: 60, but as many as
        make 300 steps at least, and 21,000 at most as long as that leaves 6 epochs; 64)
    learning_rate, weight_decay : float, default=None
        Of the network; the rate follows half a cosine to zero. (preset: 1e-3, 1e-2)
    optimizer : {"adamw", "sgd"}, default=None
        Of the network. "sgd" with a preset that has another has a rate of 0.03 and a decay of 1e-3, unless they are
        given, too. (preset: "adamw")
    schedule : "cosine" or tuple of float, default=None
        The rate, and with it that of the constants, follows half a cosine to zero, or falls tenfold after each of these
        numbers of epochs, such as (150, 225). (preset: "cosine")
    augment : callable, default=None
        Makes another image of every sample at each visit: a transform of :mod:`acestimator.augment`, or any function
        from some images, a uint8 tensor (n, C, H, W) on the training's device, to as many others. It is called once for
        the images of several steps. X must be of dtype uint8. The images as they are decide the predictions, and all
        that is read off the training samples.
    standardize : bool, default=True
        Standardise the inputs with the training set's statistics, per feature or per channel. Sparse X is never centred
        and has scales of its own: see the notes.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by observed label: positive numbers, of 1 for labels that are not in the dictionary.
        They multiply the sample weights in the network's loss and nowhere else: not in the input statistics, the noise
        rate, nor in what else tells right labels from wrong ones. "balanced" is :math:`N / (K N_k)` for :math:`N_k`
        samples of label k, or sums of sample weights in place of numbers, as in scikit-learn.
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        Of the network's arithmetic in training; "bfloat16" is torch's autocast; "auto" is that for
        images on a GPU. Parameters, logits and constants are float32 throughout.
    compile : bool, default=False
        Whether the network is compiled by ``torch.compile`` for the training. Pays for long trainings of large ones.
    checkpoint : str or path, default=None
        File to write the training's state to at the ends of epochs, twice a minute at most. A fit that was stopped goes
        on from there when the same call is made again, to the same result; the file of another training, or a damaged
        one, is refused and left alone. It holds tensors and JSON: reading it executes nothing. Its folder is not made;
        while a fit is at it, a file ``.lock`` beside it keeps other fits away. Needs an integer ``random_state``.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU; of several processes, the GPU of each one's number.
    distributed : bool, default=True
        Train together with the other processes that run the same script, where torchrun has started them or there is a
        process group of torch.distributed. Each owns every W-th sample, and keeps its constants. The result is that of
        one process, to rounding, and all have it. False trains alone.
    gather_alpha : {"all", "rank0", "none"}, default="all"
        Which of several processes have ``alpha_`` of all samples after the fit; the others have none.
    verbose : int, default=0
        1 shows a progress bar with the loss and the running estimate of the noise rate.
    random_state : int, RandomState or None, default=None
        Seeds initialisation, batch order and whatever the backbone draws. On the CPU an int repeats a fit
        exactly; not, however, for a module that draws in training (dropout) while other threads draw too.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels.
    alpha_ : ndarray of float32, shape (N, K)
        The constants, in the partition gauge: entry k is what they add to the log-probability of category k.
    mislabel_scores_ : ndarray of shape (N,)
        Higher is more suspicious: the log-odds in nats that the label is wrong, from -20 to 20, by the judges, the
        network's own first epochs, and the order of the constants (but not of these for samples such as texts, less
        than a hundredth of whose numbers are not zero). All are -20 where there are too few samples for two
        judges, or where these have learnt nothing. With ``alpha_lr="paper"`` or ``preset="paper"``, the constant of
        the observed label, in nats. -20 for labels that were reviewed.
    mislabel_proba_ : ndarray of shape (N,)
        Probability that each label is wrong: the same as a probability; where the scores are constants, the posterior
        of a mixture of two normal distributions. 0 for labels that were reviewed.
    noise_rate_ : float
        Estimated share of wrong labels: the (weighted) mean of ``mislabel_proba_``. Where labels were reviewed, of
        those in use, theirs among them.
    noise_rate_interval_ : tuple of float or None
        90 % interval of that share: (0, 1) where judges could say nothing, None where there are none. It does not cover
        what judges cannot see, such as samples of no category: see the user guide. Where labels were reviewed it is
        that of the others, times their share: labels that were looked at for their suspicion are no sample of the rest,
        and the estimator does not know which were drawn at random. Of these,
        :func:`acestimator.audit.rates.interval_of_rate` makes an interval.
    left_out_ : ndarray of bool, shape (N,), or None
        Labels that the network was spared from learning; None where none were judged. Where judges still learnt when
        the training ended they are fewer than those of ``mislabel_proba_`` above one half: no more than there is
        evidence for.
    suggested_labels_ : ndarray of shape (N,)
        The network's label where it is likelier right than the given one, even if as few labels are wrong as
        ``noise_rate_interval_`` allows; the given one elsewhere, and the reviewer's of labels that were reviewed.
    history_ : list of dict
        One an epoch of the network that predicts, not of the judges: epoch, loss, accuracy on the observed labels, lr,
        alpha_norm (root mean square norm of a row, as its last visit left it), noise_rate, seconds.
    n_iter_ : int
        Epochs of the network that predicts.
    module_ : torch.nn.Module
        The trained network, without constants.
    scaler_ : sklearn.preprocessing.StandardScaler or None
        Statistics that inputs are standardised with.
    input_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        ``X.shape[1]``: features, or channels of images.
    feature_names_in_ : ndarray of str
        Where X is a data frame with string column names.

    Notes
    -----
    Sample weights scale a sample's part in the network's loss, in the input statistics and in the noise rate, class
    weights in the loss alone; its own constants always move at full rate. Weight 2 is the sample twice and weight 0 its
    absence: to rounding, for "mlp" and where both the samples and their weights sum up to no more than one batch; in
    expectation over the batches beyond that. Where labels are judged, weights count as copies of a sample if they are
    one or more on average, and smaller ones are scaled to one on average. With ``alpha_lr="paper"`` weight 2 is not the
    sample twice: a row's gradient is divided by the number of samples in its batch, whatever their weights.

    Labels may be in any form that scikit-learn takes. Predictions never see the constants.

    X may be sparse, a matrix or an array of scipy; CSR is used inside. It is never dense as a whole: "mlp" takes its
    rows as they are, and any other backbone, or one that is compiled, gets dense rows of some batches at a time. With
    ``standardize`` each feature is divided by the root mean square of its numbers that are not zero, and features that
    fewer than one in 64 samples have are shrunk, the more the rarer they are
    (:func:`acestimator.inputs.sparse.fit_sparse_scaler`): the standard deviation would blow them up. Where all rows
    have the same length, as those of TF-IDF have, features share a unit, and keep their weights against each other.

    A memory-mapped array of numbers of any type (float16, say) that has more than four million of them stays in its
    file: it is read in blocks, standardised at every visit, and never copied as a whole.

    What cannot be identified from noisy labels alone: how many are wrong, where even the surest predictions err, since
    overlapping classes and wrong labels then give the same data; mistakes that follow a rule of the features, which
    networks learn like any other; and samples of no category, of which no judge is sure.
    ``noise_rate_interval_`` covers the first alone. See "What cannot be told" in the user guide.

    References
    ----------
    "AutoCleansing: Unbiased Estimation of Deep Learning with Mislabeled Data", under review at ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_blobs
    >>> from acestimator import AutoCleansingClassifier
    >>> X, y = make_blobs(300, centers=3, random_state=0, cluster_std=0.5)
    >>> y_noisy = y.copy()
    >>> y_noisy[:30] = (y[:30] + 1) % 3
    >>> clf = AutoCleansingClassifier(random_state=0).fit(X, y_noisy)
    >>> bool(clf.score(X, y) > 0.98)
    True
    >>> found = clf.find_mislabeled(percent=10)
    >>> bool(np.mean(found < 30) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetworkClassifier._parameter_constraints,
        "variant": [StrOptions({"AC1", "AC2"})],
        "preset": [StrOptions(set(PRESETS))],
        "alpha_lr": [Number(Real, 0, None, closed="left"), StrOptions({"paper"}), None],
        "alpha_momentum": [Number(Real, 0, 1, closed="left"), None],
        "alpha_weight_decay": [Number(Real, 0, None, closed="left"), None],
        "penalty": [tuple, None],
        "gather_alpha": [StrOptions({"all", "rank0", "none"})],
    }
    _fitted = (*NetworkClassifier._fitted, "noise_rate_interval_", "left_out_", "alpha_", "_listed")

    def __init__(
        self,
        backbone: Any = "auto",
        *,
        variant: str = "AC1",
        preset: str = "default",
        alpha_lr: float | str | None = None,
        alpha_momentum: float | None = None,
        alpha_weight_decay: float | None = None,
        penalty: tuple[str, float] | None = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        optimizer: str | None = None,
        schedule: str | tuple[float, ...] | None = None,
        augment: Any = None,
        standardize: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        precision: str = "float32",
        compile: bool = False,  # noqa: A002 -- as in skorch
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        distributed: bool = True,
        gather_alpha: str = "all",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.backbone = backbone
        self.variant = variant
        self.preset = preset
        self.alpha_lr = alpha_lr
        self.alpha_momentum = alpha_momentum
        self.alpha_weight_decay = alpha_weight_decay
        self.penalty = penalty
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.augment = augment
        self.standardize = standardize
        self.class_weight = class_weight
        self.precision = precision
        self.compile = compile
        self.checkpoint = checkpoint
        self.device = device
        self.distributed = distributed
        self.gather_alpha = gather_alpha
        self.verbose = verbose
        self.random_state = random_state

    @classmethod
    def from_recipe(
        cls, dataset: str, network: str, *, augment: str = "baseline", variant: str = "AC1", **parameters: Any
    ) -> Self:
        """Estimator that trains as the paper does: a row of its Table 7.

        Parameters
        ----------
        dataset : {"cifar10", "cifar100", "svhn", "imagenet"}
        network : str
            "resnet32", "wide_resnet_40_2", "wide_resnet_28_10", "shake_shake_26_2x32d", "shake_shake_26_2x96d",
            "shake_shake_26_2x112d", "pyramidnet_272_a200_shakedrop" or "resnet50", as far as the paper has it for the
            data set.
        augment : str, default="baseline"
            "baseline", "cutout", "autoaugment", "fast_autoaugment" or "pba": see :func:`acestimator.augment.pipeline`.
        variant : {"AC1", "AC2"}, default="AC1"
        **parameters
            Others, over the recipe's. With another ``max_epochs`` the milestones move along. ``alpha_lr=0`` is plain
            cross-entropy.

        Returns
        -------
        AutoCleansingClassifier
            Not fitted. It takes uint8 images of the data set's size.

        Raises
        ------
        ValueError
            If the paper has no such network or augmentation for the data set, or ``max_epochs`` is no positive integer.

        Examples
        --------
        >>> from acestimator import AutoCleansingClassifier
        >>> clf = AutoCleansingClassifier.from_recipe("cifar10", "wide_resnet_28_10", augment="autoaugment")
        >>> clf.learning_rate, clf.weight_decay, clf.batch_size, clf.max_epochs
        (0.1, 0.0005, 128, 200)
        """
        recipe = recipes.find(dataset, network)
        settings = recipe.parameters(augment, parameters.pop("max_epochs", None))
        settings["alpha_weight_decay"] = recipe.alpha_weight_decay
        return cls(variant=variant, **{**settings, **parameters})

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None, reviewed: Any = None) -> Self:
        """Train, and read off what the training samples' labels look like.

        Parameters
        ----------
        X : array-like of shape (N, D) or (N, C, H, W), sparse matrix or array of shape (N, D), or ImageFolder
            An :class:`acestimator.datasets.ImageFolder` is streamed: its training crops are decoded at every visit.
        y : array-like of shape (N,)
            Observed labels; ``folder.labels`` of a folder.
        sample_weight : array-like of shape (N,), optional
            Non-negative.
        reviewed : array-like of shape (N,), optional
            What somebody who has looked at samples knows. Labels, with None, NaN, NaT or pandas.NA where nobody has
            looked (not -1, which would be a class); they may name classes that y has not. Leave y as it was observed:
            the pairs of both teach how labels go wrong. Or a mask of dtype bool, where y is right, and whether it was
            so before is unknown; where y holds truth values, too, labels are a mask once none of them is missing.

        Returns
        -------
        self : AutoCleansingClassifier
            Itself.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; before any training.
        FloatingPointError
            If the loss, a logit or a constant becomes NaN or infinite.

        Warns
        -----
        AutoCleansingWarning
            If the network's outputs are bounded, if it has not learnt, or not in time, or if most labels of a class are
            taken for wrong. The estimator is fitted then, even where a filter makes the warning an error.

        Notes
        -----
        A fit that fails or is interrupted leaves the estimator as it was before the call.

        Reviewed labels are facts. The network and the judges learn them in place of those in y, and are never spared
        one; they are not suspected, suggested otherwise or listed; the noise is learned from them, too. What is said of
        the other labels holds if what was reviewed was chosen by X and y: at random, or in the order of suspicion.
        Samples of weight 0 take no part, reviewed or not.
        """
        return self._fit_or_leave(X, y, sample_weight, reviewed)

    def _resolved(self, settings: Preset) -> dict[str, Any]:
        resolved = super()._resolved(settings)
        return resolved | {name: getattr(settings, name) for name in ("judges", "early_learning")}

    def _train(self, trainer: Trainer, settings: Preset, labels: TrainingLabels) -> Trained:
        """Algorithm 1: train the network and the constants, drop the constants, and read them."""
        check_penalty(settings.penalty)
        facts = labels.facts_on(trainer.labels.device)
        judgement = judged(trainer, facts) if settings.judges and settings.alpha_lr != 0 else None
        trainer = trainer if judgement is None else spared(trainer, judgement)
        objective = self._make_objective(settings, judgement)
        network, self.history_ = trainer.run(Phase(objective, name="network", left=trainer.plan.max_epochs))
        tally, share = Tally(trainer.labels, trainer.n_classes, trainer.loss_weight), trainer.share()
        logits = trainer.logits(network, tally)
        if isinstance(objective, AutoCleansing):
            own = share.of(trainer.labels)
            constants, *read = read_constants(objective.table.dense(), logits, own, trainer.ranks)
            observed, predicted, of_others = (share.gather(values) for values in read)
            alpha = self._gathered(constants, share)
            found = _suspicion(objective, observed, trainer, None if facts is None else ~facts.known)
            scores, proba, sure = (values.cpu().numpy() for values in found)
        else:
            predicted = share.gather(torch.cat([part.argmax(dim=1) for part in logits]))
            alpha = np.zeros((len(predicted), len(labels.classes)), dtype=np.float32)
            scores, proba, sure = np.zeros((3, len(predicted)))
            of_others = torch.zeros(len(predicted), dtype=torch.float64)
        if facts is not None:
            scores[labels.known], proba[labels.known], sure[labels.known] = -SUREST, 0.0, 0.0
        categories = predicted.cpu().numpy()
        suggested = detection.suggested_labels(labels.codes, categories, sure, of_others.cpu().numpy())
        self._set_suspects(scores, proba, categories, labels, suggested)
        self.noise_rate_interval_ = None if judgement is None else _of_all(judgement.interval, labels)
        self.left_out_ = None
        if isinstance(objective, Spared):
            self.left_out_ = labels.scatter((objective.kept == 0).cpu().numpy(), False)
        if alpha is not None:
            self.alpha_ = labels.scatter(alpha, 0.0)  # samples of weight 0 have no constants
        self._listed = labels.used
        if facts is not None:
            self._listed = np.flatnonzero(labels.scatter(~labels.known, False))
        if judgement is None:
            return Trained(network, tally)
        return Trained(network, tally, proba > 0.5, self.noise_rate_interval_)

    def _gathered(self, constants: Tensor, share: Share) -> np.ndarray | None:
        """Constants (N, K) of all samples, where they are wanted, from those of each process's own."""
        if self.gather_alpha == "all" or share.own is None:
            return share.gather(constants).numpy()
        found = share.gather_on_first(constants) if self.gather_alpha == "rank0" else None
        return None if found is None else found.numpy()

    def _make_objective(self, settings: Preset, judgement: Judgement | None) -> Objective:
        if settings.alpha_lr == 0:
            return CrossEntropy()
        table = {"variant": self.variant, **settings.objective()}
        if judgement is None:
            return AutoCleansing(**table)
        return Spared(judgement, early_learning=settings.early_learning, **table)

    # ------------------------------------------------------------------ listing the suspects

    def find_mislabeled(self, percent: float = 1.0) -> np.ndarray:
        r"""Algorithm 2: positions of the most suspicious training samples, most suspicious first.

        Parameters
        ----------
        percent : float, default=1.0
            :math:`\tau`, the percentage of the training samples to list, 0 to 100. Samples of weight 0 do not count
            and are not listed, nor are those whose label was reviewed.

        Returns
        -------
        ndarray of int64, shape (ceil(N percent / 100),)

        Raises
        ------
        ValueError
            If ``percent`` is not between 0 and 100.
        """
        check_is_fitted(self)
        if self.gather_alpha != "all" and not hasattr(self, "alpha_"):
            raise ValueError(
                f"this process has not the constants of all samples, since gather_alpha is {self.gather_alpha!r}: fit "
                "with gather_alpha='all', ask the first process, or sort mislabel_scores_."
            )
        if self._listed is None:
            return detection.find_mislabeled(self.alpha_, percent)
        return self._listed[detection.find_mislabeled(self.alpha_[self._listed], percent)]


def _of_all(interval: tuple[float, float], labels: TrainingLabels) -> tuple[float, float]:
    """Interval of the rate among all labels, by that of those that are no facts."""
    if labels.facts is None:
        return interval
    left = float(np.average(~labels.known, weights=labels.weight))
    return interval[0] * left, interval[1] * left


def _suspicion(
    objective: AutoCleansing, constants: Tensor, trainer: Trainer, left: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and probabilities (N,), and those that labels are changed by; of facts, whatever.

    Where nobody has judged the labels, they are of the observed labels' constants. Where judges have, a label is
    changed only if it is likelier wrong than right at the lowest rate that they hold to be possible, too: what is
    changed is as a rule not looked at again.
    """
    weight = trainer.sample_weight
    if not isinstance(objective, Spared):
        if left is None:
            proba = upper_probability(constants, weight)
        else:
            proba = torch.zeros_like(constants)
            proba[left] = upper_probability(constants[left], None if weight is None else weight[left])
        return constants, proba, proba
    density = trainer.samples.density()
    log_odds, at_least = concluded(objective.judgement, objective.log_odds, constants, weight, density)
    return log_odds, torch.sigmoid(log_odds), torch.sigmoid(at_least)


def read_constants(
    constants: Tensor, logits: Iterable[Tensor], labels: Tensor, ranks: Ranks = ALONE
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Put the constants into the partition gauge of the network's logits.

    Parameters
    ----------
    constants : Tensor, shape (N, K)
        In any gauge. Overwritten: they may be most of the memory, and are not needed any more.
    logits : iterable of Tensor, shape (n, K)
        Of all samples in order, a number of them at a time.
    labels : Tensor of int64, shape (N,)
    ranks : Ranks
        Processes, each of which reads its own.

    Returns
    -------
    alpha : Tensor of float32, shape (N, K)
        On the host.
    observed : Tensor of float64, shape (N,)
        Of the observed labels.
    predicted : Tensor of int64, shape (N,)
        The network's categories.
    share : Tensor of float64, shape (N,)
        Of their probability in that of all categories but the observed one; zero where it is the observed one.

    Raises
    ------
    FloatingPointError
        If a constant is NaN, or infinite in float32: of how many samples.
    """
    observed = torch.empty(len(labels), dtype=torch.float64, device=labels.device)
    predicted, share = torch.empty_like(labels), torch.empty_like(observed)
    start = n_overflown = 0
    for part in logits:
        here = slice(start, start + len(part))
        constants[here] = detection.partition_gauge(constants[here], part)
        given = labels[here][:, None]
        observed[here] = constants[here].gather(1, given).squeeze(1)
        category = part.argmax(dim=1, keepdim=True)
        predicted[here] = category.squeeze(1)
        others = torch.softmax(part.double().scatter(1, given, -torch.inf), dim=1)
        share[here] = others.gather(1, category).squeeze(1)
        n_overflown += int((~torch.isfinite(constants[here].float()).all(dim=1)).sum())
        start = here.stop
    n_overflown, n_samples = ranks.sum(torch.tensor([n_overflown, len(labels)], device=labels.device)).tolist()
    if n_overflown:
        raise FloatingPointError(
            f"the constants of {n_overflown} of {n_samples} samples became NaN or infinite: lower alpha_lr, or "
            "alpha_momentum; with alpha_lr='paper', learning_rate."
        )
    return constants.float().cpu(), observed, predicted, share
