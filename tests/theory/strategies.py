"""Cases for the properties of the theory: transition matrices of every kind, logits, both together, and populations.

Named strategies, each a function of the sizes it may use. Arrays are drawn from a seed, sizes and kinds by hypothesis:
a failing case shrinks to few categories and a simple kind.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from theory.paper import transitions
from theory.population import Population, small_mlp

MAX_CLASSES, MAX_TRUE = 50, 60
MAX_LOGIT = 1e4
CONCENTRATIONS = [0.05, 0.3, 1.0, 20.0]

seeds = st.integers(0, 2**32 - 1)
# Both ends are often met: no label wrong, all of them wrong.
rates = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))


class Process(NamedTuple):
    """A labelling process and true logits."""

    pi: np.ndarray  # (K*, K), or (N, K*, K)
    m: np.ndarray  # (K*,), or (N, K*)


class SingleSymmetric(NamedTuple):
    """The single-symmetric case: categories t and f are taken for each other."""

    pi: np.ndarray  # (K, K)
    t: int
    f: int


def sizes(low=2, high=MAX_CLASSES):
    """Numbers of categories, small ones more often."""
    return st.one_of(st.integers(low, min(high, low + 3)), st.integers(low, high))


def _rng(draw):
    return np.random.RandomState(draw(seeds))


# --- square matrices: (K, K) ---


@st.composite
def symmetric_matrices(draw, n_classes=None):
    """Equal to their transpose: one rate for all, two categories only, random, an involution, the identity."""
    k = draw(sizes()) if n_classes is None else n_classes
    kind = draw(st.sampled_from(["identity", "uniform rate", "single", "random", "involution"]))
    if kind == "uniform rate":
        return transitions.symmetric(k, draw(rates))
    if kind == "single":
        return draw(single_symmetric_cases(k)).pi
    if kind == "random":
        return transitions.random_symmetric(k, draw(st.sampled_from(CONCENTRATIONS)), draw(seeds))
    if kind == "involution":
        order = _rng(draw).permutation(k)
        partner = np.arange(k)
        partner[order[: k // 2 * 2]] = order[: k // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
        return np.eye(k)[partner]
    return np.eye(k)


@st.composite
def single_symmetric_cases(draw, n_classes=None):
    """``SingleSymmetric(pi, t, f)`` at any rate."""
    k = draw(sizes()) if n_classes is None else n_classes
    t = draw(st.integers(0, k - 1))
    f = (t + draw(st.integers(1, k - 1))) % k
    return SingleSymmetric(transitions.single_symmetric(k, t, f, draw(rates)), t, f)


@st.composite
def rates_and_confusions(draw, n_classes=None):
    """What class_dependent takes: own rates, zero and one among them, and own wrong labels."""
    k = draw(sizes()) if n_classes is None else n_classes
    rng = _rng(draw)
    confusions = np.zeros((k, k))
    confusions[~np.eye(k, dtype=bool)] = transitions.random_dirichlet(
        k, k - 1, draw(st.sampled_from(CONCENTRATIONS)), rng
    ).ravel()
    return np.clip(rng.uniform(-0.3, 1.3, size=k), 0, 1), confusions


def class_dependent_matrices(n_classes=None):
    """Each category with its own rate and its own wrong labels."""
    return rates_and_confusions(n_classes).map(lambda parts: transitions.class_dependent(*parts))


@st.composite
def square_matrices(draw, n_classes=None):
    """All square kinds, and compositions of two of them."""
    k = draw(sizes()) if n_classes is None else n_classes
    simple = st.one_of(
        symmetric_matrices(k),
        class_dependent_matrices(k),
        rates.map(partial(transitions.pair_flip, k)),
        dirichlet_matrices(k, k),
        unit_row_matrices(k, k),
    )
    return draw(st.one_of(simple, st.tuples(simple, simple).map(lambda pair: transitions.compose(*pair))))


# --- any matrices: (K*, K) with K <= K* ---


@st.composite
def dirichlet_matrices(draw, n_true, n_observed):
    """Random rows: nearly unit vectors, anything, nearly uniform."""
    return transitions.random_dirichlet(n_true, n_observed, draw(st.sampled_from(CONCENTRATIONS)), draw(seeds))


@st.composite
def unit_row_matrices(draw, n_true, n_observed):
    """Degenerate: each true category has one label, so that columns may be zero; down to one label for all."""
    labels = _rng(draw).randint(draw(st.integers(1, n_observed)), size=n_true)
    return np.eye(n_observed)[labels]


@st.composite
def zero_column_matrices(draw, n_true, n_observed):
    """Degenerate: some categories are never given as a label."""
    pi = draw(dirichlet_matrices(n_true, n_observed))
    kept = _rng(draw).permutation(n_observed)[: draw(st.integers(1, n_observed))]
    dead = np.setdiff1d(np.arange(n_observed), kept)
    pi[:, dead] = 0.0
    pi[:, kept[0]] += 1e-300  # a row may have had everything in the dead columns
    return pi / pi.sum(axis=1, keepdims=True)


@st.composite
def outside_matrices(draw, n_true, n_observed):
    """Categories outside of the set; inside, right labels or any process."""
    within = draw(st.one_of(st.none(), square_matrices(n_observed)))
    return transitions.outside(n_observed, draw(dirichlet_matrices(n_true - n_observed, n_observed)), within)


@st.composite
def multiple_objects_matrices(draw, n_true, n_observed):
    """Combinations of two or more categories, with equal or random shares."""
    rng, equal = _rng(draw), draw(st.booleans())
    members = [rng.permutation(n_observed)[: rng.randint(2, n_observed + 1)] for _ in range(n_true - n_observed)]
    shares = None if equal else [rng.dirichlet(np.ones(len(group))) for group in members]
    return transitions.multiple_objects(n_observed, [group.tolist() for group in members], shares)


@st.composite
def transition_matrices(draw, n_true=None, n_observed=None):
    """Every kind: K from 2 to 50, K* from K to 60."""
    k = draw(sizes()) if n_observed is None else n_observed
    k_true = draw(st.one_of(st.just(k), sizes(k, MAX_TRUE))) if n_true is None else n_true
    kinds = [dirichlet_matrices, unit_row_matrices, zero_column_matrices]
    if k_true > k:
        return draw(st.one_of(*(kind(k_true, k) for kind in [*kinds, outside_matrices, multiple_objects_matrices])))
    return draw(st.one_of(square_matrices(k), *(kind(k, k) for kind in kinds)))


# --- logits and processes ---


@st.composite
def logits(draw, n_true, n_samples=None):
    """(K*,) or (N, K*): of any scale up to 1e4, with ties, all equal, far from zero, and one far above the rest."""
    rng = _rng(draw)
    shape = (n_true,) if n_samples is None else (n_samples, n_true)
    kind = draw(st.sampled_from(["normal", "ties", "extreme", "two levels", "far", "equal", "peaked"]))
    m = rng.normal(size=shape)
    if kind == "normal":
        m *= draw(st.sampled_from([1e-8, 0.1, 3.0, 100.0]))
    elif kind == "ties":
        m = np.round(m)
    elif kind == "extreme":
        m = rng.uniform(-MAX_LOGIT, MAX_LOGIT, size=shape)
    elif kind == "two levels":
        m = rng.choice([-MAX_LOGIT, MAX_LOGIT], size=shape)
    elif kind == "far":
        m += draw(st.sampled_from([-9990.0, 9990.0]))
    elif kind == "equal":
        m[:] = draw(st.floats(-MAX_LOGIT, MAX_LOGIT))
    else:
        m[..., rng.randint(n_true)] += draw(st.sampled_from([5.0, 50.0, 5000.0]))
    return m


@st.composite
def processes(draw, matrices=None, samples=False):
    """``Process(pi, m)``: any matrix, or one of ``matrices``, and logits for its rows.

    With ``samples``, m is (N, K*) and pi (K*, K) or, instance-dependent, (N, K*, K).
    """
    pi = draw(transition_matrices() if matrices is None else matrices)
    if not samples:
        return Process(pi, draw(logits(len(pi))))
    n_samples = draw(st.integers(1, 4))
    if draw(st.booleans()):
        labellers = [pi, draw(transition_matrices(*pi.shape))]
        share = _rng(draw).uniform(size=(n_samples, 1))
        pi = transitions.instance_dependent(labellers, lambda x: np.hstack([x, 1 - x]))(share)
    return Process(pi, draw(logits(pi.shape[-2], n_samples)))


# --- populations ---


def features(rng, n_samples, n_features):
    """(N, D): normal, none larger than 5."""
    return np.clip(rng.normal(size=(n_samples, n_features)), -5, 5)


@st.composite
def labelled_inputs(draw, matrices=None):
    """(x (N, D), pi, weights): up to five inputs, pi (K*, K) or, instance-dependent, (N, K*, K)."""
    pi = draw(transition_matrices() if matrices is None else matrices)
    rng = _rng(draw)
    n_samples = draw(st.integers(1, 5))
    x = features(rng, n_samples, draw(st.integers(1, 4)))
    if draw(st.booleans()):
        labellers = [pi, draw(dirichlet_matrices(*pi.shape))]
        pi = transitions.instance_dependent(labellers, lambda x: np.eye(2)[(x[:, 0] > 0).astype(int)] * 0.5 + 0.25)(x)
    return x, pi, draw(st.sampled_from([None, rng.dirichlet(np.ones(n_samples))]))


@st.composite
def linear_populations(draw, matrices=None):
    """(Population, theta*): logits of any size up to 1e4."""
    x, pi, weights = draw(labelled_inputs(matrices))
    theta = _rng(draw).normal(size=(x.shape[1], pi.shape[-2]))
    # tiny, usual, and with the largest logit at 1e4
    m = x @ theta
    theta *= draw(st.sampled_from([1e-3, 1.0, 1e4 / max(np.abs(m).max(), 1e-300)]))
    return Population(x, x @ theta, pi, weights), theta


@st.composite
def network_populations(draw):
    """(Population, network): a small MLP of K* outputs."""
    x, pi, weights = draw(labelled_inputs())
    scale = draw(st.sampled_from([0.1, 1.0, 100.0]))
    network = small_mlp(x.shape[1], 5, pi.shape[-2], seed=draw(st.integers(0, 2**31)), scale=scale)
    with torch.no_grad():
        m = network(torch.tensor(x)).numpy()
    return Population(x, m, pi, weights), network
