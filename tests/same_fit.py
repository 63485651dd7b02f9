"""Two fits that must have ended with the same numbers."""

import numpy as np
import torch


def assert_same_fit(ours, theirs):
    for name, tensor in ours.module_.state_dict().items():
        assert torch.equal(tensor, theirs.module_.state_dict()[name]), name
    for name in ("mislabel_scores_", "mislabel_proba_", "suggested_labels_"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    timeless = [[{**record, "seconds": 0} for record in fit.history_] for fit in (ours, theirs)]
    assert timeless[0] == timeless[1]
