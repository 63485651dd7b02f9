"""AutoCleansingClassifier: the scikit-learn face of the method. Validates, encodes, delegates.

Legend: N samples, K classes, D features.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from acestimator import _inputs, backbones, detection
from acestimator._device import place, resolve_device
from acestimator._hyperparameters import check_penalty
from acestimator._progress import progress
from acestimator.objectives import AutoCleansing, CrossEntropy, Objective
from acestimator.presets import PRESETS, Preset, resolve
from acestimator.training import BatchOrder, TrainingPlan, predict_logits, train

_INITIALISATION = threading.Lock()  # of one network at a time: torch has one global generator for all threads

# What a fit sets, and the next one forgets.
_READ_OFF = ("alpha_", "mislabel_scores_", "mislabel_proba_", "noise_rate_", "suggested_labels_", "mixture_", "_used")
_LEARNT = ("classes_", "history_", "n_iter_", "module_", "scaler_", "input_shape_")
_OF_SKLEARN = ("n_features_in_", "feature_names_in_")
_FITTED = frozenset((*_READ_OFF, *_LEARNT, *_OF_SKLEARN))


class AutoCleansingClassifier(ClassifierMixin, BaseEstimator):
    r"""Neural classifier that learns from partly wrong labels, and tells which ones they are.

    A network is trained together with one row of constants per training sample, :math:`\alpha` (N, K), added to its
    logits: :math:`c_n = m(x_n) + \alpha_n`. The constants absorb what is wrong with a sample's label; they are dropped
    to predict, and read to find the suspects. One fit, no clean labels, no threshold, no known noise rate.

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
        5e-4, 200 epochs, batches of 128, the constants under the same SGD, no posterior weights.
    alpha_lr : float or "paper", default=None
        Rate of the constants in per-sample units: a row moves by ``alpha_lr * gradient`` a visit, whatever the
        batch size, times the cosine of the network's rate. 0 switches all of the method off: plain
        cross-entropy, with scores and probabilities of zero. "paper": the constants are trained on the batch's
        mean loss with the network's rate and momentum and a decay of 5e-5, as is meant for rates such as
        preset="paper" has; with AdamW's they hardly move. (preset: 0.3, and in proportion to the steps of an epoch
        where these are fewer than 20)
    alpha_momentum, alpha_weight_decay : float, default=None
        Of the constants' SGD. In per-sample units the decay acts once between two visits. (preset: 0, 0)
    penalty : tuple (name, strength), default=None
        "l2", "l1" or "group" penalty on each sample's row of constants, taken as a proximal step between two visits;
        needs momentum and decay of 0. (preset: none)
    max_epochs, batch_size : int, default=None
        (preset: 60, or as many as make 300 steps; 64)
    learning_rate, weight_decay : float, default=None
        Of the network; the rate follows half a cosine to zero. (preset: 1e-3, 1e-2)
    optimizer : {"adamw", "sgd"}, default=None
        Of the network; SGD, where it is not the preset's, at a rate of 0.03 and a decay of 1e-3 unless they are given.
        (preset: "adamw")
    standardize : bool, default=True
        Standardise the inputs with the training set's statistics, per feature or per channel.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
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
        The constant of the observed label, in nats. Higher is more suspicious.
    mislabel_proba_ : ndarray of shape (N,)
        Probability that each label is wrong: posterior of a two-component mixture on the scores.
    noise_rate_ : float
        Its (weighted) mean.
    suggested_labels_ : ndarray of shape (N,)
        The network's label where ``mislabel_proba_`` is above one half, the given one elsewhere.
    mixture_ : ScoreMixture or None
        The mixture; None where all scores are equal.
    history_ : list of dict
        One an epoch: epoch, loss, accuracy on the observed labels, lr, alpha_norm (root mean square norm of a row,
        as its last visit left it), noise_rate, seconds.
    n_iter_ : int
        Epochs run.
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
    Sample weights scale a sample's part in the network's loss, in the input statistics and in the mixture; its
    own constants always move at full rate. Weight 2 is the sample twice and weight 0 its absence: to rounding, for
    "mlp" and where both the samples and their weights sum up to no more than one batch; in expectation over the
    batches beyond that.

    Labels may be in any form that scikit-learn takes. Predictions never see the constants.

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
        "backbone": [str, callable],
        "variant": [StrOptions({"AC1", "AC2"})],
        "preset": [StrOptions(set(PRESETS))],
        "alpha_lr": [Interval(Real, 0, None, closed="left"), StrOptions({"paper"}), None],
        "alpha_momentum": [Interval(Real, 0, 1, closed="left"), None],
        "alpha_weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "penalty": [tuple, None],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "optimizer": [StrOptions({"adamw", "sgd"}), None],
        "standardize": ["boolean"],
        "device": [str, torch.device],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _batch_order: BatchOrder | None = None  # tests put the batches into an order of their own

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
        standardize: bool = True,
        device: str | torch.device = "auto",
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
        self.standardize = standardize
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the network and the constants (Algorithm 1), drop the constants, and read them.

        Parameters
        ----------
        X : array-like of shape (N, D) or (N, C, H, W)
        y : array-like of shape (N,)
            Observed labels.
        sample_weight : array-like of shape (N,), optional
            Non-negative.

        Returns
        -------
        AutoCleansingClassifier
            Itself.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; before any training.
        FloatingPointError
            If the loss becomes NaN or infinite.

        Notes
        -----
        A fit that fails or is interrupted leaves the estimator as it was before the call.
        """
        fresh = object.__new__(type(self))
        fresh.__dict__.update({name: value for name, value in vars(self).items() if name not in _FITTED})
        fresh._fit(X, y, sample_weight)
        self.__dict__ = fresh.__dict__
        return self

    @torch.inference_mode(False)
    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        self._validate_params()
        check_penalty(self.penalty)
        device = resolve_device(self.device)
        X, y = _inputs.check_samples(self, X, y, reset=True)
        weight = None if sample_weight is None else _inputs.check_weights(sample_weight, X)
        used, labels = self._encode(y, weight)
        X_used, weight = (X, weight) if used is None else (X[used], weight[used] if weight is not None else None)

        n_samples = len(labels)
        settings = resolve(self.preset, self.get_params(deep=False), n_samples)
        # One batch that holds everything needs no order and can be exact: in float64, a weight of 2 and a sample given
        # twice then agree to rounding.
        whole = n_samples <= settings.batch_size and (weight is None or weight.sum() <= settings.batch_size)
        self.input_shape_ = tuple(X.shape[1:])
        self.scaler_ = _inputs.fit_scaler(X_used, weight) if self.standardize else None
        # Our own perceptron runs in float64 where exactness is free; a user's module may not be able to.
        own_perceptron = isinstance(self.backbone, str) and len(self.input_shape_) == 1
        dtype = torch.float64 if whole and own_perceptron else torch.float32

        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with _INITIALISATION, _seeded(seed, device):
            trial = _inputs.to_tensor(X_used[:2], self.scaler_, torch.float32)
            network = backbones.make(self.backbone, trial, len(self.classes_)).to(device, dtype)
        plan, objective = self._plan(settings), self._make_objective(settings)
        placed_labels = torch.from_numpy(labels).to(device)
        placed_weight = None if weight is None else torch.tensor(weight, device=device)
        objective.bind(
            placed_labels,
            len(self.classes_),
            sample_weight=placed_weight,
            steps_per_epoch=plan.steps_per_epoch(n_samples),
            max_epochs=plan.max_epochs,
            dtype=dtype,
        )
        features = place(_inputs.to_tensor(X_used, self.scaler_, dtype), device)
        # Our own backbones draw nothing in training, and leave torch's one global generator to other threads.
        draws = nullcontext() if isinstance(self.backbone, str) else _seeded(seed, device)
        with draws, progress(self.verbose, plan.max_epochs) as on_epoch:
            self.history_ = train(
                network,
                objective,
                features,
                placed_labels,
                plan,
                generator=torch.Generator().manual_seed(seed),
                sample_weight=placed_weight,
                shuffle=not whole,
                on_epoch=on_epoch,
            )
        self.n_iter_ = len(self.history_)
        self._read_constants(objective, predict_logits(network, [features], device), y, labels, used, weight)
        # On vectors in float64: a sample's prediction then does not depend on which others are asked for.
        self.module_ = network.double() if own_perceptron else network

    def _encode(self, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray]:
        """Set classes_; returns the positions of the samples of positive weight (None for all) and their labels."""
        check_classification_targets(y)
        used = None if weight is None or (weight > 0).all() else np.flatnonzero(weight > 0)
        encoder = LabelEncoder()
        labels = encoder.fit_transform(y if used is None else y[used]).astype(np.int64)
        if len(encoder.classes_) < 2:
            found = f"the one class {encoder.classes_.tolist()[0]!r}" if len(encoder.classes_) else "no class at all"
            dropped = "" if used is None else f" once the {len(y) - len(used)} samples of weight 0 are left out"
            raise ValueError(f"y holds {found}{dropped}, expected at least 2 classes: nothing can be told apart.")
        self.classes_ = encoder.classes_
        return used, labels

    def _plan(self, settings: Preset) -> TrainingPlan:
        return TrainingPlan(
            max_epochs=settings.max_epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            optimizer=settings.optimizer,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            batch_order=self._batch_order,
        )

    def _make_objective(self, settings: Preset) -> Objective:
        if settings.alpha_lr == 0:
            return CrossEntropy()
        paper = settings.alpha_lr == "paper"
        return AutoCleansing(
            variant=self.variant,  # type: ignore[arg-type]
            lr=settings.learning_rate if paper else float(settings.alpha_lr),
            momentum=settings.alpha_momentum,
            nesterov=paper and settings.alpha_momentum > 0,
            weight_decay=settings.alpha_weight_decay,
            penalty=settings.penalty,
            mean_gradient=paper,
            posterior_weights=settings.posterior_weights,
        )

    # ------------------------------------------------------------------ reading the constants

    def _read_constants(
        self,
        objective: Objective,
        chunks: Iterator[Tensor],
        y: np.ndarray,
        labels: np.ndarray,
        used: np.ndarray | None,
        weight: np.ndarray | None,
    ) -> None:
        """Set what is read off the constants, in one pass over the training samples without augmentation."""
        n_samples = len(labels)
        constants = objective.table.dense() if isinstance(objective, AutoCleansing) else None
        scores, predicted = np.zeros(n_samples), np.empty(n_samples, dtype=np.int64)
        start = 0
        for logits in chunks:
            if not torch.isfinite(logits).all():
                raise FloatingPointError(
                    "the trained network gives NaN or infinite logits on its training samples: lower learning_rate, "
                    "standardise the inputs, or look for what overflows in the backbone."
                )
            rows = slice(start, start + len(logits))
            predicted[rows] = logits.argmax(dim=1).cpu().numpy()
            if constants is not None:
                # In place: the table may be most of the memory, and is not needed any more.
                constants[rows] = detection.partition_gauge(constants[rows], logits)
                observed = constants[rows].gather(1, objective.labels[rows][:, None]).squeeze(1)
                scores[rows] = observed.cpu().numpy()
            start = rows.stop
        if constants is None:
            alpha = np.zeros((n_samples, len(self.classes_)), dtype=np.float32)
        else:
            alpha = constants.float().cpu().numpy()
        proba, self.mixture_ = np.zeros(n_samples), None
        if isinstance(objective, AutoCleansing):
            objective.refit(torch.from_numpy(scores).to(objective.labels.device))
            self.mixture_ = objective.mixture
        if self.mixture_ is not None:
            proba = self.mixture_.posterior(torch.from_numpy(scores)).numpy()
        self.noise_rate_ = float(np.average(proba, weights=weight))
        # Samples of weight 0 took no part: no constants, and no more suspicious than any sample.
        self.alpha_ = _scatter(alpha, used, len(y), 0.0)
        self.mislabel_scores_ = _scatter(scores, used, len(y), 0.0)
        self.mislabel_proba_ = _scatter(proba, used, len(y), self.noise_rate_)
        suggested = self.classes_[detection.suggested_labels(labels, predicted, proba)]
        self.suggested_labels_ = y.astype(np.result_type(y, suggested)) if used is not None else suggested
        if used is not None:
            self.suggested_labels_[used] = suggested
        self._used = used

    def find_mislabeled(self, percent: float = 1.0) -> np.ndarray:
        r"""Algorithm 2: positions of the most suspicious training samples, most suspicious first.

        Parameters
        ----------
        percent : float, default=1.0
            :math:`\tau`, the percentage of the training samples to list, 0 to 100. Samples of weight 0 do not count
            and are not listed.

        Returns
        -------
        ndarray of int64, shape (ceil(N percent / 100),)

        Raises
        ------
        ValueError
            If ``percent`` is not between 0 and 100.
        """
        check_is_fitted(self)
        if self._used is None:
            return detection.find_mislabeled(self.alpha_, percent)
        return self._used[detection.find_mislabeled(self.alpha_[self._used], percent)]

    # ------------------------------------------------------------------ predicting

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits of the network, without constants.

        Parameters
        ----------
        X : array-like of shape (M, D) or (M, C, H, W)

        Returns
        -------
        ndarray of shape (M, K), or (M,) for two classes: the second's logit less the first's

        Raises
        ------
        ValueError
            If one sample of X has not the shape ``input_shape_``, or X is not finite.
        """
        logits = self._checked_logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the categories, (M, K): the softmax of the network's logits."""
        return torch.softmax(torch.from_numpy(self._checked_logits(X)), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Most probable label of each sample, (M,)."""
        best = self._checked_logits(X).argmax(axis=1)
        return self.classes_[best]

    def _checked_logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        self._check_shape(getattr(X, "shape", ()))
        X = _inputs.check_samples(self, X, reset=False)
        self._check_shape(X.shape)  # of lists, too
        # Where the module lies: it may have come from a machine with another device.
        parameter = next((p for p in self.module_.parameters() if p.is_floating_point()), torch.empty(0))
        chunks = _inputs.standardized(X, self.scaler_, parameter.dtype)
        logits = predict_logits(self.module_, chunks, parameter.device)
        return torch.cat([part.cpu() for part in logits]).double().numpy()

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError for images of another shape; vectors are left to scikit-learn, which knows their names."""
        sample = tuple(shape[1:])
        if max(len(sample), len(self.input_shape_)) == 3 and sample and sample != self.input_shape_:
            raise ValueError(
                f"one sample of X has shape {sample}, expected {self.input_shape_} as in fit: "
                "bring the samples to that shape."
            )

    # ------------------------------------------------------------------ housekeeping

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "mislabel_scores_")

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copy, with the networks on the CPU, so that it loads where there is no GPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        for name in ("module_", "backbone"):
            module = state.get(name)
            if isinstance(module, nn.Module) and any(t.device.type != "cpu" for t in module.state_dict().values()):
                state[name] = copy.deepcopy(module).cpu()
        return state


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, and put them back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _scatter(values: np.ndarray, used: np.ndarray | None, n_samples: int, fill: float) -> np.ndarray:
    """Values of the used samples at their places among all."""
    if used is None:
        return values
    result = np.full((n_samples, *values.shape[1:]), fill, dtype=values.dtype)
    result[used] = values
    return result
