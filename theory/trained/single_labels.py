r"""Constants learned label by label, as users train: how the rate has to fall for the table to converge to alpha*.

Legend: N inputs, K* true categories of which the first K are the model's, L numbers of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from acestimator import AlphaTable
from theory.paper.closed_form import to_gauge
from theory.population import softmax_curvature
from theory.trained.learned import SamplingError, constants_world, draw_counts, judge_line, root_error


def visit_labels(
    pi: Any,
    m: Any,
    n_labels: int,
    rate: Callable[[int], float],
    rng: np.random.Generator,
    *,
    average: bool = False,
    batch_size: int = 250,
) -> np.ndarray:
    r"""Train the project's table as users do: batches of inputs, and at each visit one label, drawn anew.

    Parameters
    ----------
    pi : array-like of shape (K*, K) or (N, K*, K)
    m : array-like of shape (N, K*)
    n_labels : int
        n: visits of each row, one in each pass over the inputs.
    rate : callable
        Learning rate of a row's visit t = 1, 2, ..., n.
    rng : numpy.random.Generator
    average : bool, default=False
        Return the mean of the rows after each of the n visits, not the last ones.
    batch_size : int, default=250

    Returns
    -------
    ndarray of shape (N, K)
        In the partition gauge.
    """
    m, n_observed = np.asarray(m, dtype=np.float64), np.shape(pi)[-1]
    logits = torch.from_numpy(m[:, :n_observed].copy())
    table = AlphaTable(len(m), n_observed, lr=1.0, dtype=torch.float64)
    mean = torch.zeros_like(logits)
    for t in range(1, n_labels + 1):
        labels = torch.from_numpy(draw_counts(pi, m, 1, rng).argmax(axis=1))
        for batch in torch.split(torch.from_numpy(rng.permutation(len(m))), batch_size):
            gradient, _ = table.gradient(logits[batch], labels[batch], batch)
            table.step(batch, gradient, lr=rate(t))
        mean += (table.dense() - mean) / t
    return to_gauge((mean if average else table.dense()).numpy(), "partition", m)


@dataclass(frozen=True)
class SingleLabelError(SamplingError):
    r"""The table trained label by label; see :func:`single_label_error`. The fields of the claim are those of 1/t.

    Parameters
    ----------
    average : ndarray of shape (L,)
        Errors of the averaged rows.
    average_predicted : ndarray of shape (L,)
        What they tend to, :math:`\sqrt{(K - 1) / n}`.
    constant : ndarray of shape (L,)
        Errors at a constant rate.
    constant_predicted : float
        What they tend to, to first order in the rate.
    """

    average: np.ndarray
    average_predicted: np.ndarray
    constant: np.ndarray
    constant_predicted: float


def single_label_error(
    n_labels: Sequence[int] = (100, 300, 1000, 3000),
    *,
    pi: Any = None,
    n_inputs: int = 500,
    scale: float = 1.0,
    random_state: int = 0,
) -> SingleLabelError:
    r"""Visited once per drawn label the table converges to alpha* as :math:`n^{-1/2}`, if its rate falls rightly.

    A visit moves a row by :math:`-\eta_t (\mathrm{softmax}(m + \alpha) - e_y)`, whose mean is the gradient of the
    expected loss: Robbins and Monro's scheme, with t the visits of the row, not the steps of the table. Near alpha*,
    along an eigenvector of B with eigenvalue :math:`b \ge \min Q`, a visit shrinks the error by
    :math:`1 - \eta_t b` and adds noise of variance :math:`\eta_t^2 b`. So

    - :math:`\eta_t = c / (t + c)`: if :math:`c > 1 / (2b)`, the variance tends to :math:`c^2 b / (2 c b - 1)` over n,
      never below the :math:`1 / b` of the optimum; if not, the error falls as :math:`n^{-cb}` only. So c has to be
      above :math:`1 / (2 \min Q)`, and to choose it one has to know the rarest label;
    - a slower fall, :math:`\eta_t = 2 t^{-0.6}`, and the average of the rows (Polyak and Juditsky): the variance tends
      to :math:`1 / (b n)`, the optimum's, for any factor and any power between 1/2 and 1. The corrections fall slowly:
      the square of the error is too large by terms in :math:`n^{-0.4}` (variance) and :math:`n^{-0.2}` (bias);
    - a constant rate :math:`\eta` does not converge: the variance tends to :math:`\eta / (2 - \eta b)`.

    Parameters
    ----------
    n_labels : sequence of int
        n, rising.
    pi : array-like of shape (K*, K), optional
        As in :func:`sampling_error`.
    n_inputs : int, default=500
        With standard normal logits.
    scale : float, default=1.0
        :math:`c \min Q`. The line exists where it is above 1/2.
    random_state : int, default=0

    Returns
    -------
    SingleLabelError
        Errors as in :func:`sampling_error`. The claim is that of the rate :math:`c / (t + c)`: what is not linear moves
        the error by about the rate, relative to it, and c / n is allowed to the next order.

    Raises
    ------
    ValueError
        If ``scale`` is not above 1/2, or Q is zero somewhere.
    """
    pi, m, q, alpha, rng = constants_world(pi, n_inputs, random_state)
    if not scale > 0.5 or not q.min() > 0:
        raise ValueError(
            f"scale is {scale!r} and min Q {q.min():.1e}, expected above 1/2 and positive: at a smaller c the start is "
            "forgotten more slowly than n^(-1/2)."
        )
    c, eta = scale / float(q.min()), 0.1
    eigenvalues = np.linalg.eigvalsh(softmax_curvature(q))[:, 1:]  # the first is zero: the gauge
    schedules: dict[str, Callable[[int], float]] = {
        "1/t": lambda t: c / (t + c),
        "average": lambda t: 2 * t**-0.6,
        "constant": lambda t: eta,
    }
    errors = {
        name: np.array(
            [root_error(visit_labels(pi, m, n, rate, rng, average=name == "average"), alpha, q) for n in n_labels]
        )
        for name, rate in schedules.items()
    }
    line = judge_line(
        "Constants visited once per drawn label, at rates c / (t + c), are off by n^(-1/2)",
        ("logits held at m*", f"c = {scale:g} / min Q"),
        n_labels,
        errors["1/t"],
        (c * eigenvalues) ** 2 / (2 * c * eigenvalues - 1),
        c,
    )
    return SingleLabelError(
        **vars(line),
        average=errors["average"],
        average_predicted=np.sqrt(eigenvalues.shape[1] / line.n_labels),
        constant=errors["constant"],
        constant_predicted=float(np.sqrt((eta * eigenvalues / (2 - eta * eigenvalues)).sum(axis=1).mean())),
    )
