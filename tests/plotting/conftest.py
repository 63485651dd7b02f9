import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from acestimator import AutoCleansingClassifier

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="package")
def fitted(noisy_digits):
    """(fitted classifier, X, y)."""
    X, y = noisy_digits[:2]
    return AutoCleansingClassifier(max_epochs=20, random_state=0).fit(X, y), X, y
