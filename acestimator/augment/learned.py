"""Policies that were found by search: AutoAugment, Fast AutoAugment, Population Based Augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from acestimator.augment import _policies
from acestimator.augment._base import Augmentation, Fill
from acestimator.augment._operations import NONE, Operation, Plan, apply
from acestimator.augment._policies import Entry

STEPS = 2  # operations that an image gets at most
COUNTS = (0.2, 0.3, 0.5)  # probability of 0, 1 and 2 operations in Population Based Augmentation


class Choice(NamedTuple):
    """What a policy draws for B images."""

    rows: np.ndarray  # (STEPS, B), int64: of the policy's operations, or NONE
    places: np.ndarray  # (STEPS, B, 2): centre of Cutout's square, as shares of height and width


class _Policy(Augmentation):
    """Draws rows of a list of operations, two rows an entry: one for each sign."""

    def __init__(self, policy: str, *, fill: Fill | None, random_state: int | torch.Generator | None) -> None:
        super().__init__(fill=fill, random_state=random_state)
        self.policy = policy
        self._plan: Plan | None = None

    def _set(self, entries: Sequence[Entry]) -> None:
        """Draw from these entries from here on."""
        self._operations: list[Operation] = [operation for entry in entries for operation in entry.pair]
        self._probabilities = np.array([entry.probability for entry in entries])
        self._plan = None

    def _chosen(self, entries: np.ndarray, used: np.ndarray) -> Choice:
        """Choice of these entries (STEPS, B) where they are used, with random signs and places."""
        draw = self._rand(*entries.shape, 3)
        rows = 2 * entries + (draw[..., 0] < 0.5)
        return Choice(np.where(used, rows, NONE), draw[..., 1:])

    def _apply(self, images: Tensor, decisions: Choice) -> Tensor:
        height, width = images.shape[2:]
        if self._plan is None or self._plan.size != (height, width):
            self._plan = Plan(self._operations, height, width)
        return apply(images, self._plan, decisions.rows, decisions.places, self._fill_for(images.shape[1]))

    def _arguments(self) -> list[str]:
        return [f"policy={self.policy!r}"]


class _SubPolicies(_Policy):
    """Draws one sub-policy for every image, and applies each of its operations with its probability."""

    def _set_sub_policies(self, sub_policies: list[list[Entry]]) -> None:
        self._n_sub_policies = len(sub_policies)
        self._set([entry for sub in sub_policies for entry in sub])

    def _draw(self, n: int, height: int, width: int) -> Choice:
        sub_policy = (self._rand(n) * self._n_sub_policies).astype(np.int64)
        entries = STEPS * sub_policy + np.arange(STEPS)[:, None]  # (STEPS, B)
        return self._chosen(entries, self._rand(STEPS, n) < self._probabilities[entries])


class AutoAugment(_SubPolicies):
    """One of 25 sub-policies for every image, each of two operations.

    Parameters
    ----------
    policy : {"cifar10", "cifar100", "svhn", "imagenet"}, default="cifar10"
        Data set whose policy it is. CIFAR-100's is CIFAR-10's, as in the source.
    fill, random_state
        See :class:`Augmentation`.

    Raises
    ------
    ValueError
        If the data set has no policy.

    References
    ----------
    Cubuk et al., AutoAugment: learning augmentation strategies from data, CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from acestimator.augment import AutoAugment
    >>> AutoAugment("cifar10", random_state=0)(torch.zeros(8, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self, policy: str = "cifar10", *, fill: Fill | None = None, random_state: int | torch.Generator | None = None
    ) -> None:
        super().__init__(policy, fill=fill, random_state=random_state)
        self._set_sub_policies(_policies.autoaugment(policy))


class FastAutoAugment(_SubPolicies):
    """One of some 500 sub-policies for every image, each of two operations.

    Parameters
    ----------
    policy : {"cifar10", "cifar100", "svhn", "imagenet"}, default="cifar10"
        Data set whose policy it is. CIFAR-100's is CIFAR-10's, as in the source.
    fill, random_state
        See :class:`Augmentation`.

    Raises
    ------
    ValueError
        If the data set has no policy.

    Notes
    -----
    Cutout within the policy is clipped at all borders, as in :class:`Cutout`; the authors' keeps its full size at the
    upper and left ones.

    References
    ----------
    Lim et al., Fast AutoAugment, NeurIPS 2019.
    """

    def __init__(
        self, policy: str = "cifar10", *, fill: Fill | None = None, random_state: int | torch.Generator | None = None
    ) -> None:
        super().__init__(policy, fill=fill, random_state=random_state)
        self._set_sub_policies(_policies.fast_autoaugment(policy))


class PopulationBasedAugment(_Policy):
    """Up to two of 30 operations for every image, with probabilities and magnitudes that change over the epochs.

    For every image a count of 0, 1 or 2 is drawn with probabilities 0.2, 0.3 and 0.5. The operations are shuffled and
    tried one after the other, each with its probability, until as many as the count are applied.

    Parameters
    ----------
    policy : {"cifar", "cifar10", "cifar100", "svhn"}, default="cifar10"
        Data set whose schedule it is; all of CIFAR's are one.
    fill, random_state
        See :class:`Augmentation`.

    Raises
    ------
    ValueError
        If the data set has no schedule.

    Notes
    -----
    The schedule, of 200 epochs for CIFAR and 160 for SVHN, is stretched to the length of the run that
    :meth:`begin_epoch` tells. Before that is called, the last epoch's operations are drawn.

    References
    ----------
    Ho et al., Population Based Augmentation: efficient learning of augmentation policy schedules, ICML 2019.
    """

    def __init__(
        self, policy: str = "cifar10", *, fill: Fill | None = None, random_state: int | torch.Generator | None = None
    ) -> None:
        super().__init__(policy, fill=fill, random_state=random_state)
        self._n_scheduled, self._stages = _policies.pba(policy)
        self._enter(len(self._stages) - 1)

    def begin_epoch(self, epoch: int, n_epochs: int, seed: int | None = None) -> None:
        """Go to this epoch's stage of the schedule. See :meth:`Augmentation.begin_epoch`."""
        super().begin_epoch(epoch, n_epochs, seed)
        ends = np.cumsum([length for length, _ in self._stages])
        self._enter(int(np.searchsorted(ends, epoch * self._n_scheduled // n_epochs, side="right")))

    def _enter(self, stage: int) -> None:
        self._stage = stage
        self._set(self._stages[stage][1])

    def _draw(self, n: int, height: int, width: int) -> Choice:
        n_entries = len(self._probabilities)
        count = np.searchsorted(np.cumsum(COUNTS[:-1]), self._rand(n), side="right")  # (B,)
        # Whether an entry succeeds does not depend on its place: all are drawn, and the first that succeed are applied.
        success = self._rand(n, n_entries) < self._probabilities
        order = np.argsort(np.where(success, self._rand(n, n_entries), np.inf), axis=1)[:, :STEPS].T  # (STEPS, B)
        n_applied = np.minimum(count, success.sum(axis=1))
        return self._chosen(order, np.arange(STEPS)[:, None] < n_applied)
