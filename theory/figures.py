"""The sandbox's figures: the paper's Figure 2 from a real fit, learning from n labels, and where recovery breaks.

matplotlib is imported where something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.base import clone

from acestimator import AutoCleansingClassifier
from theory.claim import ClaimResult
from theory.facts.group_recovery import PhaseTransition
from theory.trained.learned import SamplingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ConceptFit(NamedTuple):
    """Two networks fitted to samples of one feature and two categories; outputs are m_1 - m_0."""

    x: np.ndarray  # (N,)
    is_wrong: np.ndarray  # (N,)
    alpha: np.ndarray  # (N,), alpha_1 - alpha_0
    grid: np.ndarray  # (G,)
    true: np.ndarray  # (G,), of the true model
    plain: np.ndarray  # (G,), trained on the same labels without constants
    cleansed: np.ndarray  # (G,), of the network without its constants
    cleansed_at_x: np.ndarray  # (N,)


def concept_fit(n_samples: int = 60, n_wrong: int = 5, random_state: int = 0) -> ConceptFit:
    """Fit the estimator as in the paper, and the same network without constants, to one feature's noisy labels.

    Parameters
    ----------
    n_samples, n_wrong : int, default=60, 5
        Labels are the sign of the true output; wrong ones are drawn where that is far from zero.
    random_state : int, default=0

    Returns
    -------
    ConceptFit
    """
    rng = np.random.RandomState(random_state)
    x = np.sort(rng.uniform(-3, 3, n_samples))
    y = (_true_output(x) > 0).astype(int)
    wrong = rng.choice(np.flatnonzero(np.abs(_true_output(x)) > 5), n_wrong, replace=False)
    y[wrong] = 1 - y[wrong]
    # Not the default, which sharpens predictions besides: of that the constants are only a part.
    cleansing = AutoCleansingClassifier(preset="paper", max_epochs=600, random_state=random_state)  # of one step each
    plain = clone(cleansing).set_params(alpha_lr=0)
    for clf in (cleansing, plain):
        clf.fit(x[:, None], y)
    grid = np.linspace(-3.2, 3.2, 400)
    return ConceptFit(
        x,
        np.isin(np.arange(n_samples), wrong),
        cleansing.alpha_[:, 1] - cleansing.alpha_[:, 0],
        grid,
        _true_output(grid),
        plain.decision_function(grid[:, None]),
        cleansing.decision_function(grid[:, None]),
        cleansing.decision_function(x[:, None]),
    )


def concept(fit: ConceptFit, ax: Axes) -> None:
    """Draw the paper's Figure 2: a true model, one that overfits, a cleansed one, and the constants between."""
    ax.axhline(0, color="0.8", lw=0.8)
    ax.plot(fit.grid, fit.true, color="C3", label="true model, $m^*$")
    ax.plot(fit.grid, fit.plain, color="black", ls=":", label="trained without constants")
    ax.plot(fit.grid, fit.cleansed, color="C0", label=r"AutoCleansing, $\alpha$ removed: $m$")
    c = fit.cleansed_at_x + fit.alpha
    ax.vlines(fit.x, fit.cleansed_at_x, c, color=np.where(fit.is_wrong, "C1", "0.6"), lw=1.2)
    for is_wrong, color, name in ((False, "0.6", "right label"), (True, "C1", "wrong label")):
        shown = fit.is_wrong == is_wrong
        ax.scatter(fit.x[shown], c[shown], color=color, s=16, zorder=3, label=rf"$m + \alpha$, {name}")
    ax.set(xlabel="x", ylabel="output for category 1, less that for 0")
    ax.legend(frameon=False, fontsize=8)


def convergence(result: SamplingError, ax: Axes) -> None:
    """Draw the error of learned constants over the number of labels per input, with the line that theory gives."""
    ax.loglog(result.n_labels, result.predicted, color="0.6", label=r"$\sqrt{(K - 1) / n}$")
    ax.loglog(result.n_labels, result.errors, "o", color="C0", label=f"learned, slope {result.slope:.3f}")
    ax.set(xlabel="labels per input, n", ylabel=r"error of $\alpha$, root of the Q-weighted mean square")
    ax.legend(frameon=False)


def recovery(result: PhaseTransition, ax: Axes) -> None:
    """Draw the share of draws in which theta* is recovered, over the contaminated fraction and the dimension."""
    shares = ax.imshow(result.success, aspect="auto", origin="lower", cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(result.fractions)), [f"{fraction:g}" for fraction in result.fractions])
    ax.set_yticks(range(len(result.dimensions)), [f"{d}" for d in result.dimensions])
    half = np.interp(result.half, result.fractions, np.arange(len(result.fractions)))
    ax.plot(half, range(len(half)), "o-", color="C1", label="half of the draws")
    ax.set(xlabel="contaminated fraction of 60 inputs", ylabel="features, D")
    ax.legend(loc="upper right")
    ax.figure.colorbar(shares, ax=ax, label=r"share of draws with $\theta = \theta^*$")


def _true_output(x: np.ndarray) -> np.ndarray:
    return 8 * np.sin(1.2 * x)


def write(folder: Path, results: Sequence[ClaimResult]) -> list[Path]:
    """Draw the figures whose results are given, and the concept, into a folder.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    results : sequence of ClaimResult

    Returns
    -------
    list of Path
    """
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    drawings: dict[str, Callable[[Axes], None]] = {"concept": partial(concept, concept_fit())}
    for result in results:
        if type(result) is SamplingError:
            drawings["convergence"] = partial(convergence, result)
        elif isinstance(result, PhaseTransition):
            drawings["recovery"] = partial(recovery, result)
    paths = []
    for name, draw in drawings.items():
        figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
        draw(ax)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
        plt.close(figure)
    return paths
