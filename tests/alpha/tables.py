"""Tables with what the public constructor has no parameter for."""

from acestimator import AlphaTable
from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.ids import SampleIds
from acestimator.alpha.labels import check_labels
from acestimator.alpha.state import new_rows

PRIVATE = ("device", "storage", "file", "window", "journal", "clock")


def private_table(n_samples, n_classes, *, labels=None, ids=None, dtype=None, **parameters):
    """As ``AlphaTable``.

    With ``window`` products are kept for ``window * (window - 1)`` steps; with ``journal`` a file has so many bytes for
    rows that are being written; ``clock`` is the time that the table begins at.
    """
    private = {name: parameters.pop(name) for name in PRIVATE if name in parameters}
    own = Hyperparameters(n_classes, dtype=str(dtype or "torch.float32")[6:], **parameters)
    labels = check_labels(labels, n_samples, n_classes) if own.needs_labels else None
    names = None if ids is None else SampleIds(ids, n_samples)
    return AlphaTable._of(new_rows(own, n_samples, labels, names, **private), names)
