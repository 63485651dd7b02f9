"""scikit-learn's own checks: all of them, none expected to fail."""

import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from acestimator import AutoCleansingClassifier

VARIANTS = [AutoCleansingClassifier(variant=variant, random_state=0) for variant in ("AC1", "AC2")]


@parametrize_with_checks(VARIANTS)
# One check is skipped, and warns that it is, where scikit-learn's array API support is not switched on.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_the_checks_for_two_dimensional_arrays_are_not_opted_out_of():
    for estimator in VARIANTS:
        assert estimator.__sklearn_tags__().input_tags.two_d_array


def test_a_fit_leaves_torchs_global_generator_alone(small):
    state = torch.get_rng_state()
    AutoCleansingClassifier(max_epochs=2, random_state=0).fit(*small)
    assert torch.equal(state, torch.get_rng_state())
