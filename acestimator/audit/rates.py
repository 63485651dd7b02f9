r"""How many labels are wrong, by what a reviewer found: bounds that hold whatever the network thought.

Rows were drawn at random within strata of the probability that their label is wrong. Of stratum h, with :math:`N_h`
rows, :math:`n_h` of those drawn were decided, :math:`k_h` of them as wrong. The share of wrong labels in it lies within
the interval of C. J. Clopper and E. S. Pearson ("The use of confidence or fiducial limits illustrated in the case of
the binomial", Biometrika 26, 1934) at level :math:`1 - \delta / S`, and the sum over the S strata within the sum of the
bounds at level :math:`1 - \delta` (Bonferroni). Rows that were shown for their suspicion are no sample: they are facts,
which bound the sum of their stratum from both sides. A stratum of facts alone is known, and needs no level.

Legend: S strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import beta

LEVEL = 0.9


@dataclass(frozen=True)
class Reviewed:
    """What was found in one stratum.

    Parameters
    ----------
    n_rows : int
    n_drawn, n_drawn_wrong : int
        Rows that were drawn at random, and decided.
    n_facts, n_facts_wrong : int
        All rows that were decided, those drawn among them.
    """

    n_rows: int
    n_drawn: int
    n_drawn_wrong: int
    n_facts: int
    n_facts_wrong: int


def interval_of_rate(strata: Sequence[Reviewed], level: float = LEVEL) -> tuple[float, float]:
    """Bounds of the share of wrong labels among all rows.

    Parameters
    ----------
    strata : sequence of Reviewed
        All S, so that their ``n_rows`` sum up to the number of rows.
    level : float, default=0.9

    Returns
    -------
    low, high : float
    """
    n_rows = sum(stratum.n_rows for stratum in strata)
    tail = (1.0 - level) / (2.0 * max(1, sum(stratum.n_rows > stratum.n_facts for stratum in strata)))
    low = high = 0.0
    for stratum in strata:
        least, most = share_of(stratum.n_drawn_wrong, stratum.n_drawn, tail)
        low += max(least * stratum.n_rows, stratum.n_facts_wrong)
        high += min(most * stratum.n_rows, stratum.n_rows - (stratum.n_facts - stratum.n_facts_wrong))
    return (low / n_rows, max(low, high) / n_rows) if n_rows else (0.0, 1.0)


def share_of(n_wrong: int, n: int, tail: float) -> tuple[float, float]:
    """Bounds by Clopper and Pearson of a share of which ``n_wrong`` of ``n`` were seen, each missed with ``tail``."""
    low = 0.0 if n_wrong == 0 else float(beta.ppf(tail, n_wrong, n - n_wrong + 1))
    high = 1.0 if n_wrong == n else float(beta.ppf(1.0 - tail, n_wrong + 1, n - n_wrong))
    return low, high
