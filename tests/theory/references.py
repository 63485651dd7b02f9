"""What Q and alpha* are held against: 50 digits with bounds of the rounding errors, and formulas wrong on purpose.

Bounds are in multiples of EPS, derived, not observed errors. A logarithm is held to an absolute error: that of alpha is
the relative error of exp(alpha), which is what softmax sees, and one last digit of an entry of pi moves alpha by as
much. So alpha near zero, a cancellation, has no relative accuracy to be asked for.
"""

import mpmath
import numpy as np
from scipy.special import logsumexp

EPS = np.finfo(float).eps


def rounding(pi, value):
    """Bound of the error of a log-sum-exp over K* terms t = ln pi + d, of result ``value``, -inf allowed.

    In units of EPS / 2: a term is off by at most 3 |ln pi| + 2 |t| (logarithm, difference, sum), and the terms that
    matter have |t| <= |value| + ln K* on average; the sum of K* exponentials adds K* + 2 ln K* + 2, the last addition
    |value| + 1. A softmax before it (log Q) adds at most as much again.
    """
    n_true = pi.shape[-2]
    log_pi = np.abs(np.log(pi[pi > 0])).max()
    size = np.where(np.isfinite(value), np.abs(value), 0)
    return EPS * (3 * log_pi + 4 * size + n_true + 4 * np.log(n_true) + 4)


def rounding_of_gauge(m, *alphas):
    """Bound of the error of constants that were moved to another gauge.

    A gauge adds up a row, takes differences and one log-sum-exp: half a dozen roundings of numbers of the size of the
    constants and the differences of logits, and one for each exponential; 16 EPS of that size.
    """
    values = [*(np.abs(a[np.isfinite(a)]).max(initial=0.0) for a in alphas), np.ptp(m), m.size]
    return 16 * EPS * sum(values)


def exact(pi, m):
    """Q, ln Q and alpha* from 50 digits and the definition: sums of exponentials, no log-sum-exp."""
    with mpmath.workdps(50):
        weights = [mpmath.exp(mpmath.mpf(v)) for v in m.tolist()]
        total = mpmath.fsum(weights)
        joint = [mpmath.fdot(column, weights) for column in pi.T.tolist()]
        log_joint = [mpmath.log(v) if v else mpmath.ninf for v in joint]
        q = [float(v / total) for v in joint]
        log_q = [float(v - mpmath.log(total)) for v in log_joint]
        alpha = [float(v - mpmath.mpf(a)) for v, a in zip(log_joint, m.tolist(), strict=False)]
        return np.array(q), np.array(log_q), np.array(alpha)


def assert_close(actual, expected, tolerance):
    """Within the tolerance, and -inf in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert (np.isneginf(actual) == np.isneginf(expected)).all()
    finite = ~np.isneginf(expected)
    error = np.abs(actual[finite] - expected[finite])
    tolerance = np.broadcast_to(tolerance, expected.shape)[finite]
    assert (error <= tolerance).all(), f"off by {error.max()!r}, bound {tolerance[error.argmax()]!r}"


# --- wrong on purpose ---


def naive_log_q(pi, m):
    return np.log(np.exp(m) @ pi) - np.log(np.exp(m).sum(axis=-1, keepdims=True))


def transposed_log_q(pi, m):
    return logsumexp(np.log(np.swapaxes(pi, -2, -1)) + m[..., :, None], axis=-2) - logsumexp(m, axis=-1, keepdims=True)
