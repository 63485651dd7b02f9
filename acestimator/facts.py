"""Facts: labels that somebody has looked at, beside those that nobody has.

Which samples were looked at depends on what can be seen of them (the likeliest wrong first, say) and on nothing else.
Then it tells nothing of the noise by itself, and the likelihood of all samples holds, with the true category put in
where it is known.

Legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
