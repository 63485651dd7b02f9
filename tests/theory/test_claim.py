"""What a verdict says of itself, and the standard error that verdicts on random draws rest on."""

import numpy as np
import pytest

from theory.claim import ClaimResult, mean_and_error


@pytest.mark.parametrize(("holds", "verdict"), [(True, "holds"), (False, r"fails, worst at (3, 1)")])
def test_a_result_says_what_was_claimed_on_what_and_how_it_ended(holds, verdict):
    result = ClaimResult("x <= y", ("x > 0", "y > 0"), 12, -0.1234, (3, 1), 0.0, holds)
    assert str(result) == f"x <= y\n  assumes: x > 0; y > 0\n  12 cases, worst margin -0.123, {verdict}"


def test_standard_error_of_a_mean():
    """The root of the unbiased variance over n: it falls as the root of n where values are repeated many times."""
    values = np.array([1.0, 2.0, 6.0])
    mean, error = mean_and_error(values)
    assert mean == 3
    assert error == pytest.approx(np.sqrt((4 + 1 + 9) / 2 / 3))
    _, repeated = mean_and_error(np.tile(values, 1000))
    assert repeated == pytest.approx(np.sqrt((4 + 1 + 9) / 3 / 3000), rel=1e-3)
