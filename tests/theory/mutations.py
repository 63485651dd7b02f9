"""Properties that can fail: each runs on the implementation, where it must hold, and on mutants, where it must not.

Write a property as ``check(implementation, case)`` with plain asserts, and register it with the implementation, the
strategy of its cases and its mutants, wrong implementations of the same signature:
``@properties.add(optimal_alpha, processes(), {"wrong sign": lambda pi, m: -optimal_alpha(pi, m)})``; then
``test_property, test_mutant_is_caught = properties.tests()`` at the end of the module makes one test of each.
"""

from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

# Looks for a case that tells the mutant from the implementation, and does not make it smaller.
SEARCH = settings(
    max_examples=500,
    phases=[Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Properties:
    """The properties of one test module, each with at least one mutant."""

    def __init__(self):
        self._properties = []
        self._mutants = []

    def add(self, implementation, cases, mutants):
        """Register the decorated ``check(implementation, case)``; a property that nothing can break is refused."""

        def register(check):
            assert mutants, f"{check.__name__} has no mutant: show that it can fail"
            self._properties.append(pytest.param(check, implementation, cases, id=check.__name__))
            for name, mutant in mutants.items():
                self._mutants.append(pytest.param(check, mutant, cases, id=f"{check.__name__}-{name}"))
            return check

        return register

    def tests(self):
        """Two tests: every property holds on its implementation, and every mutant is caught by its property."""

        @pytest.mark.parametrize(("check", "implementation", "cases"), self._properties)
        @given(data=st.data())
        def test_property(check, implementation, cases, data):
            check(implementation, data.draw(cases, label="case"))

        @pytest.mark.parametrize(("check", "mutant", "cases"), self._mutants)
        def test_mutant_is_caught(check, mutant, cases):
            assert_caught(check, mutant, cases)

        return test_property, test_mutant_is_caught


def assert_caught(check, mutant, cases):
    """Fail unless some case makes the property fail on the mutant."""
    try:
        find(cases, lambda case: _fails(check, mutant, case), settings=SEARCH, random=Random(0))
    except NoSuchExample:
        pytest.fail(f"{check.__name__} holds on the mutant too, in {SEARCH.max_examples} cases")


def _fails(check, mutant, case):
    """Whether the property itself fails: a mutant that refuses the case, with a ValueError, proves nothing about it."""
    try:
        with np.errstate(all="ignore"):
            check(mutant, case)
    except AssertionError:
        return True
    except ValueError:
        pass
    return False
