"""Labelling processes: what each kind says of its rows and columns, composition, and errors."""

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import softmax
from strategies import (
    CONCENTRATIONS,
    dirichlet_matrices,
    logits,
    rates,
    rates_and_confusions,
    seeds,
    sizes,
    square_matrices,
    transition_matrices,
)

from acestimator.noise import corrupt
from theory.observed import observed_probability
from theory.paper import transitions
from theory.paper.transitions import (
    check_transition_matrix,
    class_dependent,
    compose,
    instance_dependent,
    multiple_objects,
    outside,
    pair_flip,
    random_dirichlet,
    random_symmetric,
    single_symmetric,
    symmetric,
)

EPS = np.finfo(float).eps
properties = Properties()
# A sum of at most 60 terms below one, each rounded, and a division: 62 EPS / 2.
SUM = 31 * EPS


def assert_rows_sum_to_one(pi):
    assert (pi >= 0).all()
    np.testing.assert_allclose(pi.sum(axis=-1), 1, rtol=0, atol=SUM)


# --- every kind ---


@properties.add(
    lambda pi: pi,
    transition_matrices(),
    {
        "transposed": lambda pi: pi.T,
        "columns normalised": lambda pi: pi / pi.sum(axis=0),
        "a category forgotten": lambda pi: np.delete(pi, -1, axis=1),
        "below zero": lambda pi: 2 * pi - pi[:, ::-1],
    },
)
def rows_are_distributions(built, pi):
    assert_rows_sum_to_one(built(pi))


@st.composite
def swaps(draw):
    k = draw(sizes())
    t = draw(st.integers(0, k - 1))
    return k, t, (t + draw(st.integers(1, k - 1))) % k, draw(rates)


def one_way(n_classes, t, f, rate):
    pi = np.eye(n_classes)
    pi[t, t], pi[t, f] = 1 - rate, rate
    return pi


@properties.add(
    single_symmetric,
    swaps(),
    {
        "one way": one_way,
        "rate kept": lambda k, t, f, rate: single_symmetric(k, t, f, 1 - rate),
        "all categories": lambda k, t, f, rate: symmetric(k, rate),
        "neighbour": lambda k, t, f, rate: single_symmetric(k, t, (t + 1) % k, rate),
    },
)
def single_symmetric_touches_t_and_f_alone(single_symmetric, case):
    k, t, f, rate = case
    pi = single_symmetric(k, t, f, rate)
    assert pi[t, f] == pi[f, t] == rate
    assert pi[t, t] == pi[f, f] == 1 - rate
    others = np.setdiff1d(np.arange(k), [t, f])
    assert (pi[others] == np.eye(k)[others]).all()
    assert (pi[:, others] == np.eye(k)[:, others]).all()


@properties.add(
    class_dependent,
    rates_and_confusions(),
    {
        "columns have the rates": lambda r, c: np.diag(1 - r) + r * c,
        "transposed confusions": lambda r, c: np.diag(1 - r) + r[:, None] * c.T,
        "rates exchanged": lambda r, c: np.diag(r) + (1 - r)[:, None] * c,
        "confusions ignored": lambda r, c: class_dependent(r),
    },
)
def class_dependent_has_rates_and_confusions(class_dependent, case):
    """Rates on the diagonal; off it, the confusions where a label is wrong."""
    rate, confusions = case
    pi = class_dependent(rate, confusions)
    np.testing.assert_array_equal(np.diag(pi), 1 - rate)
    np.testing.assert_array_equal(pi - np.diag(np.diag(pi)), rate[:, None] * confusions)


@properties.add(
    class_dependent,
    st.tuples(sizes(), rates),
    {
        "half the rate": lambda r, c=None: class_dependent(np.asarray(r) / 2, c),
        "confusions ignored": lambda r, c=None: class_dependent(r),
        "confusions transposed": lambda r, c=None: class_dependent(r, None if c is None else c.T),
    },
)
def one_rate_for_all_is_symmetric_or_a_pair_flip(class_dependent, case):
    k, rate = case
    # the default's entries are rate * (1 / (K - 1)), rounded twice
    np.testing.assert_allclose(class_dependent(np.full(k, rate)), symmetric(k, rate), rtol=2 * EPS, atol=5e-324)
    np.testing.assert_array_equal(class_dependent(np.full(k, rate), pair_flip(k, 1.0)), pair_flip(k, rate))


@st.composite
def labellers(draw):
    """J matrices of one shape, and the probabilities of J labellers for N samples."""
    first = draw(transition_matrices())
    n_labellers, n_samples = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    matrices = [first, *(draw(transition_matrices(*first.shape)) for _ in range(n_labellers - 1))]
    return matrices, draw(dirichlet_matrices(n_samples, n_labellers))


def mixed_by(weights_of):
    return lambda matrices, weights: lambda x: np.tensordot(weights_of(weights(x)), np.stack(matrices), axes=1)


@properties.add(
    instance_dependent,
    labellers(),
    {
        "another sample's": mixed_by(lambda w: np.roll(w, 1, axis=0)),
        "no dependence": mixed_by(lambda w: np.broadcast_to(w.mean(axis=0), w.shape)),
        "another labeller's": mixed_by(lambda w: w[:, ::-1]),
        "likeliest labeller": mixed_by(lambda w: np.eye(w.shape[1])[w.argmax(axis=1)]),
    },
)
def instance_dependent_mixes_labellers_by_sample(instance_dependent, case):
    matrices, weights = case
    pi = instance_dependent(matrices, lambda x: weights[x])(np.arange(len(weights)))
    assert_rows_sum_to_one(pi)
    for n, w in enumerate(weights):
        expected = sum(wj * matrix for wj, matrix in zip(w, matrices, strict=True))
        np.testing.assert_allclose(pi[n], expected, rtol=4 * EPS, atol=1e-300)


@st.composite
def inside_and_outside(draw):
    k = draw(sizes())
    return k, draw(dirichlet_matrices(draw(st.integers(1, 10)), k)), draw(st.one_of(st.none(), square_matrices(k)))


@properties.add(
    outside,
    inside_and_outside(),
    {
        "outside first": lambda k, rows, within=None: np.vstack([rows, np.eye(k) if within is None else within]),
        "within ignored": lambda k, rows, within=None: outside(k, rows),
        "one for all": lambda k, rows, within=None: outside(k, np.broadcast_to(rows[0], rows.shape), within),
        "order lost": lambda k, rows, within=None: outside(k, rows[::-1], within),
    },
)
def outside_categories_come_after_those_of_the_model(outside, case):
    k, rows, within = case
    pi = outside(k, rows, within)
    np.testing.assert_array_equal(pi[:k], np.eye(k) if within is None else within)
    np.testing.assert_array_equal(pi[k:], rows)


@st.composite
def combined(draw):
    k = draw(sizes())
    rng = np.random.RandomState(draw(seeds))
    combinations = [rng.permutation(k)[: rng.randint(2, k + 1)].tolist() for _ in range(draw(st.integers(0, 10)))]
    shares = [rng.dirichlet(np.ones(len(members))).tolist() for members in combinations]
    return k, combinations, draw(st.sampled_from([None, shares]))


def any_label(n_classes, combinations, shares=None):
    return outside(n_classes, np.full((len(combinations), n_classes), 1 / n_classes))


def shares_in_order_of_category(n_classes, combinations, shares=None):
    return multiple_objects(n_classes, [sorted(members) for members in combinations], shares)


@properties.add(
    multiple_objects,
    combined(),
    {
        "any label": any_label,
        "shares ignored": lambda k, combinations, shares=None: multiple_objects(k, combinations),
        "shares in order of category": shares_in_order_of_category,
        "categories move on": lambda k, groups, shares=None: multiple_objects(
            k, [[(i + 1) % k for i in g] for g in groups], shares
        ),
    },
)
def combinations_are_labelled_by_their_members(multiple_objects, case):
    k, combinations, shares = case
    pi = multiple_objects(k, combinations, shares)
    assert pi.shape == (k + len(combinations), k)
    np.testing.assert_array_equal(pi[:k], np.eye(k))
    for s, members in enumerate(combinations):
        row = np.zeros(k)
        row[members] = 1 / len(members) if shares is None else shares[s]
        np.testing.assert_array_equal(pi[k + s], row)


# --- random matrices ---


def rows_normalised(n_classes, concentration, random_state):
    pi = random_symmetric(n_classes, concentration, random_state, max_iter=1) + 0.01
    return pi / pi.sum(axis=1, keepdims=True)


def not_finished(n_classes, concentration, random_state):
    weights = np.random.RandomState(random_state).gamma(concentration, size=(n_classes, n_classes))
    return (weights + weights.T) / (weights + weights.T).sum(axis=1).mean()


@properties.add(
    random_symmetric,
    st.tuples(sizes(), st.sampled_from(CONCENTRATIONS), seeds),
    {
        "Dirichlet": lambda k, concentration, seed: random_dirichlet(k, k, concentration, seed),
        "one scaling": not_finished,
        "rows last": lambda k, concentration, seed: (
            (pi := random_symmetric(k, concentration, seed) + np.diag(np.linspace(0, 1, k)))
            / pi.sum(axis=1, keepdims=True)
        ),
    },
)
def random_symmetric_is_doubly_stochastic(random_symmetric, case):
    pi = random_symmetric(*case)
    np.testing.assert_array_equal(pi, pi.T)
    assert_rows_sum_to_one(pi)
    assert_rows_sum_to_one(pi.T)


@properties.add(
    random_dirichlet,
    st.tuples(st.integers(2, 60), sizes(), st.sampled_from([1e-6, *CONCENTRATIONS]), seeds),
    {
        "columns normalised": lambda n_true, k, c, seed: random_dirichlet(k, n_true, c, seed).T,
        "underflows": lambda n_true, k, c, seed: (
            (w := np.random.RandomState(seed).gamma(c, size=(n_true, k))) / w.sum(axis=1, keepdims=True)
        ),
        "one seed": lambda n_true, k, c, seed: random_dirichlet(n_true, k, c, 0),
    },
)
def random_dirichlet_rows_repeat_with_the_seed_alone(random_dirichlet, case):
    n_true, k, concentration, seed = case
    pi = random_dirichlet(n_true, k, concentration, seed)
    assert_rows_sum_to_one(pi)
    assert pi.shape == (n_true, k)
    np.testing.assert_array_equal(pi, random_dirichlet(n_true, k, concentration, np.random.RandomState(seed)))
    if concentration > 0.01:  # below, entries underflow to zeros and ones, which may be the same
        assert (pi != random_dirichlet(n_true, k, concentration, seed ^ 1)).any()


# --- composition ---


@st.composite
def chains(draw):
    """Three processes in a row, K* >= J >= K, and logits for the first."""
    first = draw(transition_matrices(n_observed=draw(sizes(2, 20))))
    second = draw(transition_matrices(n_true=first.shape[1], n_observed=draw(st.integers(2, first.shape[1]))))
    return first, second, draw(square_matrices(second.shape[1])), draw(logits(len(first)))


COMPOSE_MUTANTS = {
    "other order": lambda first, second: second @ first,
    "second transposed": lambda first, second: first @ second.T,
    "entry by entry": lambda first, second: first * second,
    "first alone": lambda first, second: first,
}


@properties.add(compose, chains(), COMPOSE_MUTANTS)
def labels_of_a_composition_are_relabelled_labels(compose, case):
    """Law of total probability: Q of the whole is Q of the first, relabelled by the second."""
    first, second, _, m = case
    relabelled = observed_probability(first, m) @ second
    # ln Q is off by a few EPS times |ln Q|; Q ln Q is small where ln Q is large, so 1e-12 absolute is ample and strict.
    np.testing.assert_allclose(softmax(m) @ compose(first, second), relabelled, rtol=0, atol=1e-12)


@properties.add(
    compose,
    chains(),
    {"second transposed": COMPOSE_MUTANTS["second transposed"], "half": lambda first, second: first @ second / 2},
)
def composition_is_associative(compose, case):
    """And keeps rows that sum to one."""
    first, second, third, _ = case
    left, right = compose(compose(first, second), third), compose(first, compose(second, third))
    np.testing.assert_allclose(left, right, rtol=0, atol=4 * SUM)
    np.testing.assert_allclose(left.sum(axis=1), 1, rtol=0, atol=4 * SUM)


@properties.add(
    compose,
    st.tuples(sizes(), rates, rates),
    {"one alone": lambda first, second: first, "mean": lambda first, second: (first + second) / 2},
)
def symmetric_processes_compose_to_a_symmetric_one(compose, case):
    """Two rates r, s make r + s - r s K / (K - 1): what is left of 1 - r K / (K - 1) multiplies."""
    k, r, s = case
    rate = r + s - r * s * k / (k - 1)
    expected = np.where(np.eye(k, dtype=bool), 1 - rate, rate / (k - 1))
    np.testing.assert_allclose(compose(symmetric(k, r), symmetric(k, s)), expected, rtol=0, atol=SUM)


# --- the validator, and labels drawn ---


def refuses(check_transition_matrix, pi):
    try:
        check_transition_matrix(pi)
    except ValueError:
        return True
    return False


def by_sums_alone(axis, tolerance=1e-8):
    """A validator of sums: nan compares false, negative entries are not looked at."""

    def check(pi):
        if (np.abs(pi.sum(axis=axis) - 1) > tolerance).any():
            raise ValueError

    return check


FAULTS = {
    "too much": lambda entry: entry + 1e-7,
    "too little": lambda entry: entry - 1e-7 if entry > 1e-7 else entry + 1e-7,
    "not a number": lambda entry: np.nan,
}


@properties.add(
    check_transition_matrix,
    st.tuples(transition_matrices(), st.sampled_from(list(FAULTS)), seeds),
    {
        "accepts all": lambda pi: pi,
        "columns": by_sums_alone(axis=0),
        "nan passes": by_sums_alone(axis=1),
        "wide tolerance": by_sums_alone(axis=1, tolerance=1e-6),
    },
)
def the_validator_refuses_one_wrong_entry(check_transition_matrix, case):
    pi, fault, seed = case
    assert not refuses(check_transition_matrix, pi)
    k, i = (np.random.RandomState(seed).randint(n) for n in pi.shape)
    pi = pi.copy()
    pi[k, i] = FAULTS[fault](pi[k, i])
    assert refuses(check_transition_matrix, pi)


@properties.add(
    check_transition_matrix,
    st.tuples(transition_matrices(), seeds),
    {"negative passes": by_sums_alone(axis=1), "accepts all": lambda pi: pi},
)
def the_validator_refuses_negative_entries_that_even_out(check_transition_matrix, case):
    pi, seed = case
    k = np.random.RandomState(seed).randint(len(pi))
    pi = pi.copy()
    pi[k, 0], pi[k, 1] = pi[k, 0] + 2, pi[k, 1] - 2
    assert refuses(check_transition_matrix, pi)


@st.composite
def unit_rows_and_labels(draw):
    """The label of each category for each of N samples, and true labels in which each category occurs."""
    k, k_true = draw(sizes(2, 8)), draw(st.integers(0, 4))
    rng = np.random.RandomState(draw(seeds))
    y = rng.permutation(np.arange(3 * (k + k_true)) % (k + k_true))
    labels = rng.randint(k, size=(len(y), k + k_true))
    return y, np.eye(k)[labels if draw(st.booleans()) else labels[0]]


@properties.add(
    corrupt,
    unit_rows_and_labels(),
    {
        "transposed": lambda y, pi, seed: corrupt(y, np.swapaxes(pi, -2, -1), seed),
        "nothing done": lambda y, pi, seed: y,
        "another sample's matrix": lambda y, pi, seed: corrupt(y, pi if pi.ndim == 2 else np.roll(pi, 1, axis=0), seed),
        "one on": lambda y, pi, seed: (corrupt(y, pi, seed) + 1) % pi.shape[-1],
    },
)
def corrupt_draws_from_the_row_of_the_true_label(corrupt, case):
    """Where rows are unit vectors the drawn label is certain."""
    y, pi = case
    rows = pi[y] if pi.ndim == 2 else pi[np.arange(len(y)), y]
    np.testing.assert_array_equal(corrupt(y, pi, 0), rows.argmax(axis=1))


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def test_every_public_name_is_there():
    assert all(hasattr(transitions, name) for name in transitions.__all__)
    assert transitions.symmetric is symmetric


def test_the_matrices_drive_corrupt():
    """Categories 3 and 4 are outside: labels of theirs come from the first three."""
    y = np.arange(5).repeat(200)
    observed = corrupt(y, outside(3, [[0, 1, 0], [0.5, 0, 0.5]]), random_state=0)
    assert (observed[y < 3] == y[y < 3]).all()
    assert (observed[y == 3] == 1).all()
    assert set(observed[y == 4]) == {0, 2}


def test_instance_dependent_labels():
    """Each sample has its own labeller: one that is right, one that is wrong."""
    process = instance_dependent([np.eye(3), pair_flip(3, 1.0)], lambda x: np.eye(2)[(x > 0).astype(int)])
    x, y = np.array([-1.0, 1.0] * 30), np.arange(60) % 3
    assert corrupt(y, process(x), random_state=0).tolist() == np.where(x > 0, (y + 1) % 3, y).tolist()


def test_compose_takes_stacks():
    stack = np.stack([np.eye(3), symmetric(3, 0.3)])
    np.testing.assert_allclose(compose(stack, pair_flip(3, 0.2))[1], symmetric(3, 0.3) @ pair_flip(3, 0.2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: single_symmetric(3, 1, 1, 0.1), r"t and f are \(1, 1\), expected different categories, at least two"),
        (lambda: single_symmetric(3, 0, 3, 0.1), r"\(0, 3\), expected .* of 0..2"),
        (lambda: single_symmetric(3, 0, 1, 1.1), "rate is 1.1"),
        (lambda: class_dependent([0.1, 1.1]), "rates is .* between 0 and 1"),
        (lambda: class_dependent(0.1), "one probability .* for each category"),
        (lambda: class_dependent([0.1, 0.2], np.eye(2)), "the right one is none of them"),
        (lambda: class_dependent([0.1, 0.2], symmetric(3, 1.0)), r"confusions has shape \(3, 3\)"),
        (lambda: instance_dependent([np.eye(2), 2 * np.eye(2)], np.array), r"\[\(1, 0\), \(1, 1\)\] of labellers"),
        (lambda: instance_dependent([np.eye(2)], np.asarray)([[0.5, 0.5]]), "weights has 2 columns and there are 1"),
        (lambda: instance_dependent([np.eye(2)], np.asarray)([[0.9]]), r"rows \[0\] of weights .* off by -0.1"),
        (lambda: outside(3, [[0.5, 0.5]]), r"distributions \(1, 2\), expected \(3, 3\) and \(K\* - K, 3\)"),
        (lambda: outside(2, [[0.5, 0.6]]), r"rows \[0\] of distributions sum to \[1.1\], off by \+0.1"),
        (lambda: multiple_objects(3, [[0]]), r"combination 0 is \(0,\), expected different categories, at least two"),
        (lambda: multiple_objects(3, [[0, 1]], [[1.0]]), "combination 0 has 2 members and 1 shares"),
        (lambda: multiple_objects(3, [[0, 1]], []), "shares has 0 entries and there are 1 combinations"),
        (lambda: random_dirichlet(2, 2, 0.0), "concentration is 0.0, expected a positive"),
        (lambda: random_symmetric(1), "n_classes is 1"),
        (lambda: compose(np.eye(2), np.eye(3)), "first gives 2 labels and second has 3 rows"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
