"""The curves are the history's."""

import subprocess
import sys

import numpy as np

from acestimator import TrainingCurvesDisplay


def test_training_curves(fitted):
    clf = fitted[0]
    display = TrainingCurvesDisplay.from_estimator(clf)
    line = display.axes_[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [record["loss"] for record in clf.history_])
    assert len(display.axes_[1].lines) == 2


def test_matplotlib_is_not_imported_before_something_is_drawn():
    code = "import sys; from acestimator import *; import acestimator.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
