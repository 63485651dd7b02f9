"""BaselineClassifier: other methods for wrong labels, in the shell, loop, backbone and schedule of AutoCleansing."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
import torch

from acestimator.diagnosis import Tally
from acestimator.estimators.advice import Trained
from acestimator.estimators.labels import TrainingLabels
from acestimator.estimators.network import NetworkClassifier
from acestimator.inputs.validation import StrOptions
from acestimator.mixture import upper_probability
from acestimator.peers import Method, Outcome, Reading, make
from acestimator.phases import Trainer
from acestimator.presets import PRESETS, Preset

_IN_SEVERAL_PROCESSES = ("cross_entropy",)


class BaselineClassifier(NetworkClassifier):
    """Neural classifier trained by another method for wrong labels, for comparison with AutoCleansing.

    All methods share the training loop, the backbone, the batches and the schedule of
    :class:`~acestimator.AutoCleansingClassifier`; what differs is the objective, and the number of trainings.

    Parameters
    ----------
    method : str, default="cross_entropy"
        A key of ``acestimator.peers.METHODS``, to which methods of one's own can be added.
    params : dict, optional
        Parameters of the method itself, by default those of its authors.
    backbone, preset, max_epochs, batch_size, learning_rate, weight_decay, optimizer, schedule, augment, standardize,
    class_weight, precision, compile, checkpoint, device, verbose
        As for :class:`~acestimator.AutoCleansingClassifier`. A method of several phases trains each of them for
        ``max_epochs``.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    mislabel_scores_ : ndarray of shape (N,)
        Suspicion of each label, higher is more suspicious, on the method's own scale.
    mislabel_proba_ : ndarray of shape (N,)
        The method's own probability or decision (0 or 1) where it has one; else by a mixture on its scores.
    noise_rate_ : float
    suggested_labels_ : ndarray of shape (N,)
    history_ : list of dict
        One an epoch, over all phases; ``phase`` counts these from 1.
    n_iter_, module_, scaler_, input_shape_, n_features_in_, feature_names_in_
        As for :class:`~acestimator.AutoCleansingClassifier`.

    Notes
    -----
    X may be sparse, or an array in a file, as for :class:`~acestimator.AutoCleansingClassifier`. Methods that mix
    samples ("dynamic_bootstrapping") are given dense rows of each batch.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetworkClassifier._parameter_constraints,
        # acestimator.peers.make knows the names: users may add their own; what is a method and no name, it tells so.
        "method": [str, type, Method],
        "params": [dict, None],
        "preset": [StrOptions(set(PRESETS))],
    }

    def __init__(
        self,
        method: str = "cross_entropy",
        *,
        params: dict[str, Any] | None = None,
        backbone: Any = "auto",
        preset: str = "default",
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
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.params = params
        self.backbone = backbone
        self.preset = preset
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
        self.verbose = verbose
        self.random_state = random_state

    def _resolved(self, settings: Preset) -> dict[str, Any]:
        method = make(self.method, self.params)
        return super()._resolved(settings) | {"method": type(method), "params": vars(method)}

    def _train(self, trainer: Trainer, settings: Preset, labels: TrainingLabels) -> Trained:
        method = make(self.method, self.params)
        if trainer.ranks.size > 1 and self.method not in _IN_SEVERAL_PROCESSES:
            raise ValueError(
                f"method is {self.method!r}, and {trainer.ranks.size} processes train together, expected "
                f"{' or '.join(map(repr, _IN_SEVERAL_PROCESSES))}: other methods look at all samples at once; train "
                "them in one process, with distributed=False."
            )
        phases = method.phases(trainer.labels, trainer.n_classes, torch.Generator().manual_seed(trainer.seed))
        self.history_ = []
        phase, number = next(phases), 0
        while True:
            network, history = trainer.run(phase, number)
            self.history_ += [{"phase": number + 1, **record} for record in history]
            predictor = phase.objective.head.predictor(network)
            tally = Tally(trainer.labels, trainer.n_classes, trainer.loss_weight)
            logits = trainer.share().gather(torch.cat(list(trainer.logits(predictor, tally))))  # (N, K)
            try:
                phase = phases.send(Outcome(network, logits))
            except StopIteration as end:
                reading = end.value
                break
            number += 1
        self._read(reading, logits, trainer, labels)
        return Trained(predictor, tally)

    def _read(self, reading: Reading, logits: torch.Tensor, trainer: Trainer, labels: TrainingLabels) -> None:
        scores, proba = reading.scores.double(), reading.proba
        if proba is None:
            proba = upper_probability(scores, trainer.sample_weight)
        predicted = logits.argmax(dim=1).cpu().numpy()
        self._set_suspects(scores.cpu().numpy(), proba.double().cpu().numpy(), predicted, labels)
