"""Tables whose products are kept for a few steps only, so that they sweep themselves every few steps."""

from acestimator import AlphaTable
from acestimator.alpha.hyperparameters import Hyperparameters, check_labels
from acestimator.alpha.ids import SampleIds
from acestimator.alpha.state import new_rows


def table_of_window(window, n_samples, n_classes, *, labels=None, ids=None, dtype=None, file=None, **parameters):
    """As ``AlphaTable``, with a window of ``window * (window - 1)`` steps."""
    own = Hyperparameters(n_classes, dtype=str(dtype or "torch.float32")[6:], **parameters)
    labels = check_labels(labels, n_samples, n_classes) if own.needs_labels else None
    names = None if ids is None else SampleIds(ids, n_samples)
    return AlphaTable._of(new_rows(own, n_samples, labels, names, file=file, window=window), names)
