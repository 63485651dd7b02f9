"""What every augmentation has: the call, its checks, its stream of random numbers; and their composition.

Legend: B images, C channels, H and W pixels.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

Fill = int | Sequence[int]


class Augmentation(ABC):
    """Base class: ``transform(images)`` draws once for every image and gives new images.

    All that is random is drawn on the host, vectorised over the batch, so that a seed gives the same images on every
    device and nothing has to be read back from it.

    Parameters
    ----------
    fill : int, sequence of int or None, default=None
        Level, 0 to 255, of pixels that no image gives: of padding, of what geometric operations bring in, of squares
        that are cut out. One for all channels, or one for each. Where an estimator trains with the transform, None is
        the training set's mean colour, rounded: in the policies' original implementations these pixels are zero after
        standardisation. Elsewhere None is 0.
    random_state : int, torch.Generator on the CPU, or None, default=None
        Stream of the draws; None is torch's global generator.
    """

    def __init__(self, *, fill: Fill | None = None, random_state: int | torch.Generator | None = None) -> None:
        _check_fill(0 if fill is None else fill)
        self.fill = fill
        self.random_state = random_state
        self._generator = _check_generator(random_state)

    def __call__(self, images: Tensor) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        images : Tensor of uint8, shape (B, C, H, W)
            C is 1 or 3. On the CPU or CUDA, contiguous or channels-last; not changed.

        Returns
        -------
        Tensor of uint8, shape (B, C, H, W)
            New, on the same device, in the same layout.

        Raises
        ------
        ValueError
            If ``images`` has another type, number of axes or channels, or ``fill`` another number of channels.
        """
        _check_images(images)
        n, _, height, width = images.shape
        plain = images.contiguous()
        out = self._apply(plain, self._draw(n, height, width))
        if not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last):
            out = out.contiguous(memory_format=torch.channels_last)
        return out

    def begin_epoch(self, epoch: int, n_epochs: int, seed: int | None = None) -> None:
        """Tell which epoch of the run begins.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        n_epochs : int
            Length of the run. A schedule over epochs is stretched to it.
        seed : int or None, default=None
            If given, all draws from here on depend on (seed, epoch) only: a run that is resumed at this epoch repeats
            exactly. If None, the stream goes on where it is.

        Raises
        ------
        ValueError
            If the epoch is not one of the run's, or the seed is negative.
        """
        if not 0 <= epoch < n_epochs:
            raise ValueError(f"epoch is {epoch!r} of n_epochs {n_epochs!r}, expected 0 <= epoch < n_epochs.")
        if seed is not None:
            if seed < 0:
                raise ValueError(f"seed is {seed!r}, expected 0 or more, or None.")
            self._generator = torch.Generator().manual_seed(derived_seed(seed, epoch))

    @abstractmethod
    def _draw(self, n: int, height: int, width: int) -> Any:
        """All random decisions for n images, on the host."""

    @abstractmethod
    def _apply(self, images: Tensor, decisions: Any) -> Tensor:
        """New images (B, C, H, W), contiguous, by these decisions."""

    def filled(self, fill: Fill) -> Self:
        """Copy with this fill, if it has none of its own."""
        return self._with(fill if self.fill is None else None, None)

    def _rand(self, *shape: int) -> np.ndarray:
        """Uniform numbers in [0, 1), as float64 so that a multiple of them stays below the factor."""
        return torch.rand(shape, generator=self._generator, device="cpu").numpy().astype(np.float64)

    def _fill_for(self, n_channels: int) -> np.ndarray:
        """The level of each channel, (C, 1, 1)."""
        levels = np.asarray(0 if self.fill is None else self.fill, dtype=np.uint8)
        if levels.ndim and len(levels) != n_channels:
            raise ValueError(
                f"fill is {self.fill!r} and the images have {n_channels} channels, expected one level or one per "
                "channel."
            )
        return np.full(n_channels, levels).reshape(n_channels, 1, 1)

    def _with(self, fill: Fill | None, generator: torch.Generator | None) -> Self:
        """Copy, with these in place of its own where they are not None."""
        new = copy.copy(self)
        new.fill = self.fill if fill is None else fill
        new._generator = self._generator if generator is None else generator
        return new

    def _arguments(self) -> list[str]:
        """What the representation shows before fill and random_state."""
        return []

    def __repr__(self) -> str:
        rest = {"fill": (self.fill, None), "random_state": (self.random_state, None)}
        shown = [f"{name}={value!r}" for name, (value, default) in rest.items() if value is not default]
        return f"{type(self).__name__}({', '.join([*self._arguments(), *shown])})"


class Compose(Augmentation):
    """Several augmentations, one after the other.

    The paper's order is the baseline, a policy, and Cutout.

    Parameters
    ----------
    transforms : sequence of Augmentation
    fill : int, sequence of int or None, default=None
        If not None, that of every part, in place of its own. The parts that were given are not changed.
    random_state : int, torch.Generator on the CPU, or None, default=None
        If not None, the parts draw from this one stream, in turn; if None, each from its own.

    Examples
    --------
    >>> import torch
    >>> from acestimator.augment import AutoAugment, Baseline, Compose, Cutout
    >>> transform = Compose([Baseline(), AutoAugment("cifar10"), Cutout(16)], fill=(125, 123, 114), random_state=0)
    >>> transform(torch.zeros(8, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self,
        transforms: Sequence[Augmentation],
        *,
        fill: Fill | None = None,
        random_state: int | torch.Generator | None = None,
    ) -> None:
        for part in transforms:
            if not isinstance(part, Augmentation):
                raise ValueError(f"transforms holds {part!r}, expected augmentations such as Baseline() or Cutout(16).")
        super().__init__(fill=fill, random_state=random_state)
        self.transforms = [part._with(fill, self._generator) for part in transforms]

    def filled(self, fill: Fill) -> Self:
        """Copy whose parts have this fill, where they have none of their own."""
        new = super()._with(None, None)
        new.transforms = [part.filled(fill) for part in self.transforms]
        return new

    def begin_epoch(self, epoch: int, n_epochs: int, seed: int | None = None) -> None:
        """Tell all parts; with a seed, each gets a stream of its own. See :meth:`Augmentation.begin_epoch`."""
        super().begin_epoch(epoch, n_epochs, seed)
        for position, part in enumerate(self.transforms):
            part.begin_epoch(epoch, n_epochs, None if seed is None else derived_seed(seed, position))

    def _draw(self, n: int, height: int, width: int) -> list[Any]:
        return [part._draw(n, height, width) for part in self.transforms]

    def _apply(self, images: Tensor, decisions: list[Any]) -> Tensor:
        out = images if self.transforms else images.clone()
        for part, decided in zip(self.transforms, decisions, strict=True):
            out = part._apply(out, decided)
        return out

    def _with(self, fill: Fill | None, generator: torch.Generator | None) -> Self:
        new = super()._with(fill, generator)
        new.transforms = [part._with(fill, generator) for part in self.transforms]
        return new

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def derived_seed(*entropy: int) -> int:
    """Seed of 64 bits that depends on all these numbers."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def _check_generator(random_state: Any) -> torch.Generator | None:
    if random_state is None:
        return None
    if isinstance(random_state, torch.Generator):
        if random_state.device.type != "cpu":
            raise ValueError(
                f"random_state is a generator on {random_state.device}, expected one on the CPU: draws are made on the "
                "host, for images on any device."
            )
        return random_state
    if isinstance(random_state, Integral):
        return torch.Generator().manual_seed(int(random_state))
    raise ValueError(f"random_state is {random_state!r}, expected None, an int or a torch.Generator on the CPU.")


def _check_fill(fill: Any) -> None:
    levels = [fill] if isinstance(fill, Integral) else fill
    try:
        valid = len(levels) in (1, 3) and all(isinstance(v, Integral) and 0 <= int(v) <= 255 for v in levels)
    except TypeError:  # neither a number nor a sequence
        valid = False
    if not valid:
        raise ValueError(f"fill is {fill!r}, expected a level, an int from 0 to 255, or one for each channel.")


def _check_images(images: Any) -> None:
    if not isinstance(images, Tensor):
        raise ValueError(f"images is {type(images).__name__}, expected a torch.Tensor: see torch.from_numpy.")
    if images.dtype != torch.uint8:
        raise ValueError(
            f"images is {images.dtype}, expected torch.uint8, levels from 0 to 255: augment before standardisation."
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
        raise ValueError(
            f"images has shape {tuple(images.shape)}, expected (B, C, H, W) with C = 1 or 3: give one image its batch "
            "axis, images[None], and move channels forward, images.movedim(-1, 1)."
        )
