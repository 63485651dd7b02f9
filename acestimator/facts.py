"""Facts: labels that somebody has looked at, beside those that nobody has.

Which samples were looked at depends on what can be seen of them (the likeliest wrong first, say) and on nothing else.
Then it tells nothing of the noise by itself, and the likelihood of all samples holds, with the true category put in
where it is known.

Legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

SUREST = 20.0  # largest log-odds, so that a mean of several is not the word of one; minus it is a fact's
LEAST_RATE = 1e-6


@dataclass(frozen=True, eq=False)
class Facts:
    """True categories of some samples, and the labels that all of them had before.

    Parameters
    ----------
    known : Tensor of bool, shape (N,)
        Samples whose label is a fact.
    truth : Tensor of int64, shape (N,)
        Their category; of the others, the observed label.
    observed : Tensor of int64, shape (N,)
        Labels before anybody looked at them; of a fact that is no pair, anything.
    paired : Tensor of bool, shape (N,)
        Facts whose observed label is known: they tell how often each category is labelled as another.
    """

    known: Tensor
    truth: Tensor
    observed: Tensor
    paired: Tensor

    @property
    def teaching(self) -> Tensor:
        """Mask (N,) of the samples that tell something of the noise: all but facts that are no pairs."""
        return ~self.known | self.paired


@dataclass(frozen=True)
class Left:
    """What facts leave, of labels as they were observed.

    Parameters
    ----------
    n : float
        Weight of the labels that are no facts.
    rate : float
        Of mistakes among them, by the channel.
    found : float
        Weight of the mistakes among facts.
    total : float
        Weight of all labels that tell something: those and the pairs.
    """

    n: float
    rate: float
    found: float
    total: float

    @property
    def expected(self) -> float:
        """Rate of mistakes before anybody looked, by the channel and the facts."""
        return (self.n * self.rate + self.found) / self.total

    def share_of(self, before: float) -> float:
        """Rate among those left, if it was ``before`` among all: its odds are in proportion.

        The channel is as wrong about those left as about all. (Less what was found, the rate of before would be what
        is left, too. But that is a small difference of large numbers, and below zero at times.)
        """
        low, high = LEAST_RATE, 1.0 - LEAST_RATE
        odds = [rate / (1.0 - rate) for rate in (min(max(r, low), high) for r in (self.rate, self.expected))]
        scaled = before * odds[0]
        return scaled / (scaled + (1.0 - before) * odds[1])

    def interval(self, before: tuple[float, float], own: tuple[float, float]) -> tuple[float, float]:
        """Interval of the rate among those left, wide enough for all that can be said of it.

        Parameters
        ----------
        before : tuple of float
            Of the rate among all labels, before anybody looked.
        own : tuple of float
            Of the rate as if it had been counted among those left.
        """
        less = min(1.0, (before[1] * self.total - self.found) / self.n)
        return min(self.share_of(before[0]), own[0]), max(self.share_of(before[1]), own[1], less)
