"""CleanedClassifier as a document and tensors, and back: a file holds members of this package alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from acestimator.estimators import saving
from acestimator.persistence.values import Writer

OF_SAMPLES = ("mislabel_proba_", "suggested_labels_", "cleanser_")
_KEPT = ("classes_", "n_features_in_", "feature_names_in_", *OF_SAMPLES[:2])


def document_of(clf: Any, *, include_training: bool) -> tuple[dict[str, Any], Writer]:
    """What is written of a fitted CleanedClassifier: see :func:`acestimator.estimators.saving.document_of`.

    Raises
    ------
    ValueError
        If a member is none that has a file of its own: which, and how to keep it.
    """
    name = saving.class_name(clf)
    names = ["estimator_", *(["cleanser_"] if include_training and "cleanser_" in vars(clf) else [])]
    for member in names:
        _check_member(member, getattr(clf, member))
    writer = Writer(lambda value, of: saving.other(value, of, writer))
    document: dict[str, Any] = {"estimator": name, "parameters": saving.parameters_of(clf, writer)}
    left_out = () if include_training else OF_SAMPLES
    kept = {of: vars(clf)[of] for of in _KEPT if of in vars(clf) and of not in left_out}
    document["fitted"] = {of: writer.value(value, of) for of, value in kept.items()}
    document["without_training"] = not include_training or getattr(clf, "_without_training", False)
    document["members"] = {}
    for member in names:
        part, other = getattr(clf, member)._document(include_training, f"{member}.")
        document["members"][member] = part
        writer.tensors |= other.tensors
        writer.described += other.described
    return document, writer


def restored(document: dict[str, Any], tensors: dict[str, Tensor], backbone: Any) -> Any:
    """The CleanedClassifier that :func:`document_of` was given."""
    reader = saving.reader_of(tensors, backbone)
    clf = saving.blank(document, reader)
    for name, value in document["fitted"].items():
        if name not in _KEPT:
            raise ValueError(f"an attribute {name!r}")
        setattr(clf, name, reader.value(value))
    if document["without_training"]:
        clf._without_training = True
    for name, member in document["members"].items():
        if name not in ("estimator_", "cleanser_"):
            raise ValueError(f"a member {name!r}")
        setattr(clf, name, saving.restored(member, tensors, backbone))
    if not hasattr(clf, "estimator_"):
        raise ValueError("there is no estimator_")
    return clf


def _check_member(name: str, member: Any) -> None:
    """Raise ValueError for a member that has no file of its own."""
    held = [of for of in saving.known() if of != "CleanedClassifier"]
    if type(member).__name__ in held and type(member) is saving.known()[type(member).__name__]:
        return
    if name == "estimator_":
        cure = (
            'keep the classifier with skops, skops.io.dump(clf.estimator_, "classifier.skops"), for it alone predicts, '
            'and the cleanser with clf.cleanser_.save("cleanser.safetensors")'
        )
    else:
        cure = (
            "give include_training=False, which leaves the cleanser out, for it is not needed to predict; the last "
            'step of a pipeline has a save of its own, clf.cleanser_[-1].save("cleanser.safetensors"), and '
            "skops.io.dump keeps the steps before it"
        )
    raise ValueError(
        f"{name} is {type(member).__module__}.{type(member).__qualname__}, which the file cannot hold, expected "
        f"{' or '.join(held)}: {cure}."
    )
