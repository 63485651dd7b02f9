"""What every estimator of the package shares: a network trained on checked data, and its predictions.

Legend: N samples, K classes, D features.
"""

from __future__ import annotations

import copy
import os
import warnings
from abc import ABC, abstractmethod
from contextlib import closing, nullcontext
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from acestimator import backbones, detection
from acestimator.diagnosis import AutoCleansingWarning
from acestimator.estimators import saving
from acestimator.estimators.advice import Trained, warnings_of
from acestimator.estimators.given import GivenSeries, LabelSeries, plain_labels
from acestimator.estimators.issues import label_issues
from acestimator.estimators.labels import TrainingLabels
from acestimator.estimators.progress import OnEpoch, progress
from acestimator.estimators.reviewed import read_reviewed
from acestimator.estimators.saved import Exported, Saved
from acestimator.inputs import validation
from acestimator.inputs.device import resolve_device
from acestimator.inputs.missing import check_known
from acestimator.inputs.source import Source, SparseSource, Wanted, prediction_source, training_source
from acestimator.inputs.validation import Number, StrOptions
from acestimator.persistence.values import Writer
from acestimator.phases import Trainer
from acestimator.pickling import PublicName
from acestimator.presets import Preset, resolve
from acestimator.ranks import Ranks, find_ranks
from acestimator.training import TrainingPlan, predict_logits
from acestimator.training.checkpoint import Checkpoint
from acestimator.training.fingerprint import describe
from acestimator.training.plan import check_schedule
from acestimator.training.surroundings import own_surroundings

# To a training: what a preset stands for is in the settings.
_OF_NO_MATTER = ("checkpoint", "verbose", "preset", "distributed", "gather_alpha")


class NetworkClassifier(Saved, Exported, PublicName, ClassifierMixin, BaseEstimator, ABC):
    """Classifier whose network is trained by one or more phases. Subclasses say by which, and what they read off.

    A subclass has the parameters named in ``_parameter_constraints`` below, and gives :meth:`_train`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "backbone": [str, callable],
        "max_epochs": [Number(Integral, 1, None, closed="left"), None],
        "batch_size": [Number(Integral, 1, None, closed="left"), None],
        "learning_rate": [Number(Real, 0, None, closed="neither"), None],
        "weight_decay": [Number(Real, 0, None, closed="left"), None],
        "optimizer": [StrOptions({"adamw", "sgd"}), None],
        "schedule": [StrOptions({"cosine"}), tuple, None],
        "augment": [callable, None],
        "standardize": ["boolean"],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "precision": [StrOptions({"float32", "bfloat16", "auto"})],
        "compile": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "device": [str, torch.device],
        "distributed": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }
    # What a fit sets, and the next one forgets.
    _fitted: ClassVar[tuple[str, ...]] = (
        *("classes_", "history_", "n_iter_", "module_", "scaler_", "input_shape_", "_given_series"),
        *("n_features_in_", "feature_names_in_"),
        *("mislabel_scores_", "mislabel_proba_", "noise_rate_", "suggested_labels_", "_given", "_predicted"),
        *("_takes_sparse_rows", "_without_training"),
    )
    _of_samples = saving.OF_SAMPLES

    _checkpoint_seconds: ClassVar[float] = 30.0  # least time between two writes of a checkpoint
    _takes_sparse_rows: bool = False  # whether the fitted network does

    _given_series: LabelSeries | None = None  # of models that were pickled without it, too

    # What a subclass must have as parameters.
    backbone: Any
    preset: str
    augment: Any
    standardize: bool
    class_weight: dict[Any, float] | str | None
    precision: str
    compile: bool
    checkpoint: str | os.PathLike[str] | None
    device: str | torch.device
    distributed: bool
    verbose: int
    random_state: Any

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train, and read off what the training samples' labels look like.

        Parameters
        ----------
        X : array-like of shape (N, D) or (N, C, H, W), sparse matrix or array of shape (N, D), or ImageFolder
            An :class:`acestimator.datasets.ImageFolder` is streamed: its training crops are decoded at every visit.
        y : array-like of shape (N,)
            Observed labels; ``folder.labels`` of a folder.
        sample_weight : array-like of shape (N,), optional
            Non-negative.

        Returns
        -------
        self : estimator
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
        """
        return self._fit_or_leave(X, y, sample_weight)

    def _fit_or_leave(self, X: Any, y: Any, sample_weight: Any, reviewed: Any = None) -> Self:
        """Fit, or stay as before the call to ``fit``, which calls this."""
        fresh = object.__new__(type(self))
        fresh.__dict__.update({name: value for name, value in vars(self).items() if name not in self._fitted})
        texts = fresh._fit(X, y, sample_weight, reviewed)
        self.__dict__ = fresh.__dict__
        for text in texts:  # last, so that nothing is lost where a filter raises them
            warnings.warn(text, AutoCleansingWarning, stacklevel=3)
        return self

    @own_surroundings()
    @torch.inference_mode(False)
    def _fit(self, X: Any, y: Any, sample_weight: Any, reviewed: Any) -> list[str]:
        """Fit, and return the texts of warnings."""
        parameters = validation.check_parameters(self)
        check_schedule(parameters["schedule"])
        device = resolve_device(self.device)
        X, y, sample_weight = map(validation.detached, (X, y, sample_weight))
        check_known(y)
        series = GivenSeries.of(y)
        source, y = training_source(self, X, plain_labels(y))
        weight = None if sample_weight is None else validation.check_weights(sample_weight, y)
        facts = read_reviewed(reviewed, y)
        labels = TrainingLabels.encode(y, weight, self.class_weight, facts)
        if labels.used is not None:
            source = source.subset(labels.used)
        self.classes_, self.input_shape_ = labels.classes, source.shape[1:]
        backbones.check(self.backbone, self.input_shape_, len(self.classes_))
        settings = resolve(self.preset, parameters, len(labels.codes))
        ranks = self._ranks(source, labels, settings, device)
        device = ranks.device if ranks.size > 1 else device
        self.scaler_ = source.statistics(labels.weight) if self.standardize else None
        with progress(self.verbose if ranks.rank == 0 else 0, settings.max_epochs) as on_epoch:
            trainer = self._trainer(source, labels, settings, device, on_epoch, ranks)
            with closing(trainer.checkpoint) if trainer.checkpoint is not None else nullcontext():
                trained = self._train(trainer, settings, labels)
        self.n_iter_ = len(self.history_)
        self._given_series = series if series is None or facts is None else series.corrected(facts)
        texts = warnings_of(trained, labels, settings, trainer.some_samples)
        # On vectors in float64: a sample's prediction then does not depend on which others are asked for.
        self.module_ = trained.network.double() if self._has_own_perceptron() else trained.network
        return texts

    @abstractmethod
    def _train(self, trainer: Trainer, settings: Preset, labels: TrainingLabels) -> Trained:
        """Run the phases, and set ``history_`` and what is read off."""

    def _ranks(self, source: Source, labels: TrainingLabels, settings: Preset, device: torch.device) -> Ranks:
        """Find the processes that train together, and check that they have been given the same."""
        ranks = find_ranks(wanted=self.distributed, device=device)
        if ranks.size > 1:
            if self.checkpoint is not None:
                raise ValueError(
                    f"checkpoint was given, and {ranks.size} processes train together, which write none yet: leave it "
                    "out, or train in one process, with distributed=False."
                )
            weights = [b"" if part is None else part.tobytes() for part in (labels.weight, labels.loss_weight)]
            facts = b"" if labels.facts is None else repr(labels.facts.described()).encode()
            ranks.check_same(
                X=source.fingerprint().encode(),
                y=labels.codes.tobytes() + facts,
                sample_weight=b"|".join(weights),
                parameters=repr((self.random_state is None, settings)).encode(),
            )
        return ranks

    def _trainer(
        self,
        source: Source,
        labels: TrainingLabels,
        settings: Preset,
        device: torch.device,
        on_epoch: OnEpoch | None,
        ranks: Ranks,
    ) -> Trainer:
        """The training set where it belongs, and how networks are made and trained on it."""
        weight, loss_weight = labels.weight, labels.loss_weight
        # One batch that holds everything needs no order and can be exact: in float64, a weight of 2 and a sample given
        # twice then agree to rounding.
        n_visits = len(labels.codes) if loss_weight is None else max(len(labels.codes), loss_weight.sum())
        whole = n_visits <= settings.batch_size
        autocast = self._autocast(device)
        # Our own perceptron runs in float64 where exactness is free; a user's module may not be able to.
        dtype = torch.float64 if whole and self._has_own_perceptron() and not autocast else torch.float32
        seed = ranks.of_first(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        channels_last = len(self.input_shape_) == 3 and backbones.takes_channels_last(self.backbone)
        # A network that is compiled for the training is given dense rows.
        sparse = isinstance(source, SparseSource) and not self.compile
        self._takes_sparse_rows = sparse and backbones.may_take_sparse_rows(self.backbone)
        wanted = Wanted(device, dtype, self.scaler_, self.augment, seed, channels_last, sparse=self._takes_sparse_rows)
        trial = source.trial(self.scaler_)
        return Trainer(
            make=lambda n_outputs: backbones.make(self.backbone, trial, n_outputs, sparse=self._takes_sparse_rows),
            samples=source.samples(wanted),
            labels=torch.from_numpy(labels.codes).to(device),
            n_classes=len(labels.classes),
            sample_weight=None if weight is None else torch.tensor(weight, device=device),
            loss_weight=None if loss_weight is None else torch.tensor(loss_weight, device=device),
            plan=self._plan(settings, autocast),
            dtype=dtype,
            seed=seed,
            shuffle=not whole,
            # Where nothing is drawn, torch's one global generator is left to other threads.
            draws=backbones.draws_in_training(self.backbone),
            checkpoint=self._open_checkpoint(source, labels, device, settings),
            on_epoch=on_epoch,
            ranks=ranks,
        )

    def _has_own_perceptron(self) -> bool:
        return isinstance(self.backbone, str) and len(self.input_shape_) == 1

    def _autocast(self, device: torch.device) -> bool:
        if self.precision == "auto":
            return device.type == "cuda" and len(self.input_shape_) == 3
        return self.precision == "bfloat16"

    def _open_checkpoint(
        self, source: Source, labels: TrainingLabels, device: torch.device, settings: Preset
    ) -> Checkpoint | None:
        """Find or begin the file, which is known by the parameters as they were resolved, and by the data."""
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                f"checkpoint was given with random_state={self.random_state!r}: a fit can only go on to the same "
                "result from a seed, so give random_state an integer."
            )
        # Of the device "auto", too, may stand for another one next time.
        parts = self._resolved(settings) | {"estimator": type(self).__name__, "device": str(device)}
        parts |= {"y": labels.codes, "sample_weight": labels.weight}
        if labels.facts is not None:
            parts["reviewed"] = labels.facts.described()
        configuration = {name: describe(part, name) for name, part in parts.items()} | {"X": source.fingerprint()}
        return Checkpoint(self.checkpoint, configuration, seconds=self._checkpoint_seconds)

    def _resolved(self, settings: Preset) -> dict[str, Any]:
        """Parameters that a training depends on, with what stands for those left at None."""
        parameters = validation.plain_parameters(self)
        own = {name: value for name, value in parameters.items() if name not in _OF_NO_MATTER}
        plan = {field.name for field in fields(TrainingPlan)}
        return own | {name: value for name, value in vars(settings).items() if name in own.keys() | plan}

    def _plan(self, settings: Preset, autocast: bool) -> TrainingPlan:
        return TrainingPlan(
            max_epochs=settings.max_epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            optimizer=settings.optimizer,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            schedule=settings.schedule,
            autocast=autocast,
            compile=self.compile,
        )

    def _set_suspects(
        self,
        scores: np.ndarray,
        proba: np.ndarray,
        predicted: np.ndarray,
        labels: TrainingLabels,
        suggested: np.ndarray | None = None,
    ) -> None:
        """Set what is read off the scores, probabilities and predicted codes (N') of the samples in use.

        The codes that are suggested are by default the predicted ones where a label is likelier wrong than right.
        """
        if suggested is None:
            suggested = detection.suggested_labels(labels.codes, predicted, proba)
        self.noise_rate_ = float(np.average(proba, weights=labels.weight))
        # Samples of weight 0 took no part, and are no more suspicious than any sample.
        self.mislabel_scores_ = labels.scatter(scores, 0.0)
        self.mislabel_proba_ = labels.scatter(proba, self.noise_rate_)
        self.suggested_labels_ = labels.decode(suggested)
        self._given, self._predicted = labels.given.copy(), labels.decode(predicted)

    def label_issues(self) -> Any:
        """Table of the training labels, with cleanlab's columns and two more.

        Returns
        -------
        pandas.DataFrame, or structured ndarray of shape (N,) without pandas
            A row for each training sample, in the order of ``fit``; rows are numbered from 0, whatever the index of a
            data frame X. The columns:

            * ``is_label_issue``, bool: ``mislabel_proba_ > 0.5``.
            * ``label_quality``, from 0 to 1, lower is more suspicious: ``1 - mislabel_proba_`` to within 0.001, which
              put samples of equal probability in the order of ``mislabel_scores_``.
            * ``given_label``: as in y, or what a reviewer said. If y is of pandas (Int64, boolean, string, category),
              this column and the next two have its type, or one of that kind that holds the reviewer's labels, too.
            * ``predicted_label``: the network's, which has seen the sample in training. For samples of weight 0, which
              it has not, the given one.
            * ``suggested_label``: ``suggested_labels_``.
            * ``mislabel_probability``: ``mislabel_proba_`` as it is.
        """
        check_is_fitted(self)
        return label_issues(
            self._given,
            self._predicted,
            self.suggested_labels_,
            self.mislabel_proba_,
            self.mislabel_scores_,
            self._given_series,
        )

    # ------------------------------------------------------------------ predicting

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits of the network, without constants.

        Parameters
        ----------
        X : array-like of shape (M, D) or (M, C, H, W), sparse matrix or array of shape (M, D), or ImageFolder

        Returns
        -------
        ndarray of shape (M, K), or (M,) for two classes: the second's logit less the first's

        Raises
        ------
        ValueError
            If one sample of X has not the shape ``input_shape_``, or X is not finite.

        Warns
        -----
        UserWarning
            If X seems to be in another unit than in ``fit``: nearly all features are larger or smaller by a factor of
            50 or more.
        """
        logits = self._checked_logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the categories, (M, K): the softmax of the network's logits."""
        return torch.softmax(torch.from_numpy(self._checked_logits(X)), dim=1).numpy()

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of these probabilities, (M, K), in float64: finite where a probability is too small to be one."""
        return torch.log_softmax(torch.from_numpy(self._checked_logits(X)), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Most probable label of each sample, (M,)."""
        best = self._checked_logits(X).argmax(axis=1)
        return self.classes_[best]

    @own_surroundings()
    def _checked_logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        source = prediction_source(self, validation.detached(X), self.input_shape_)
        # Where the module lies: it may have come from a machine with another device.
        parameter = next((p for p in self.module_.parameters() if p.is_floating_point()), torch.empty(0))
        sparse = self._takes_sparse_rows
        chunks = source.chunks(self.scaler_, parameter.dtype, parameter.device, sparse=sparse)
        # One array from the start: parts that are kept would lie between chunks that are not, and waste their memory.
        logits, start = np.empty((source.shape[0], len(self.classes_))), 0
        for part in predict_logits(self.module_, chunks, parameter.device):
            logits[start : start + len(part)] = part.cpu().numpy()
            start += len(part)
        return logits

    # ------------------------------------------------------------------ housekeeping

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _document(self, include_training: bool, prefix: str = "") -> tuple[dict[str, Any], Writer]:
        return saving.document_of(self, include_training=include_training, prefix=prefix)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copy, with the networks on the CPU, so that it loads where there is no GPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        for name in ("module_", "backbone"):
            module = state.get(name)
            if isinstance(module, nn.Module) and any(t.device.type != "cpu" for t in module.state_dict().values()):
                state[name] = copy.deepcopy(module).cpu()
        return state
