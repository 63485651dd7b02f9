"""What all estimators have to be kept: the method that writes a file, and why something is missing after that."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from sklearn.utils.validation import check_is_fitted

from acestimator.estimators import saving
from acestimator.persistence import file
from acestimator.persistence.graph import labels_as_json, write_graph
from acestimator.persistence.inference import program
from acestimator.persistence.values import Writer


class Saved:
    """Mixin of estimators that can be written to files."""

    _of_samples: ClassVar[tuple[str, ...]]  # attributes that belong to the training samples

    def save(self, path: str | os.PathLike[str], *, include_training: bool = True) -> None:
        """Write the fitted estimator to a file, which :func:`acestimator.load` reads: tensors and JSON, no code.

        Parameters
        ----------
        path : path
            By custom it ends in ".safetensors". A file that is there is replaced, once the new one is whole.
        include_training : bool, default=True
            Whether what belongs to the training samples is written: ``alpha_``, scores, probabilities, suggested
            labels, ``left_out_``, what ``label_issues`` shows, and a cleanser. Without it the file holds what predicts,
            the parameters, ``history_`` and the noise rate.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError
            If a file cannot hold the estimator: a class of the user's own, labels other than texts, numbers, truth
            values and dates, or members of a ``CleanedClassifier`` that are not this package's. It says which, and how
            to keep those.
        OSError
            If the file cannot be written. Nothing is left of it then.

        Warns
        -----
        UserWarning
            If parameters are no plain values, such as a transform or a random generator: these are only described in
            the file. They are not needed to predict.

        Notes
        -----
        The networks of this package, of :mod:`acestimator.recipes`, of timm and of torchvision are rebuilt by name. A
        module or callable of the user's own is not in the file, but its tensors are: give it to
        :func:`acestimator.load`.

        Examples
        --------
        >>> import acestimator, pathlib, tempfile
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(n_class=3, return_X_y=True)
        >>> clf = acestimator.AutoCleansingClassifier(random_state=0).fit(X, y)
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> clf.save(path)
        >>> bool((acestimator.load(path).predict_proba(X) == clf.predict_proba(X)).all())
        True
        """
        check_is_fitted(self)
        document, writer = self._document(include_training)
        file.write(path, {**document, "versions": saving.versions()}, writer.tensors)
        saving.warn_of_described(writer.described)

    @abstractmethod
    def _document(self, include_training: bool) -> tuple[dict[str, Any], Writer]:
        """What is written."""

    if not TYPE_CHECKING:  # who sees a __getattr__ takes any name for one of the class's

        def __getattr__(self, name: str) -> Any:
            """Say why an estimator that was loaded lacks what belongs to its training samples."""
            if name in self._of_samples and self.__dict__.get("_without_training"):
                raise AttributeError(
                    f"{type(self).__name__} has no {name}: it was saved with include_training=False, without what "
                    "belongs to its training samples. Save it with them, or fit it again.",
                    name=name,
                    obj=self,
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)


class Exported:
    """Mixin of classifiers of a network, whose computation can be exported."""

    def export(self, *, dtype: str = "float32") -> torch.export.ExportedProgram:
        """Program of torch that computes :meth:`predict_proba`: standardisation, network and softmax.

        Parameters
        ----------
        dtype : {"float32", "float64", "uint8"}, default="float32"
            Of its input. "float64" is for numbers that float32 cannot tell apart, such as time stamps.

        Returns
        -------
        torch.export.ExportedProgram
            From ``x`` (M, D) or (M, C, H, W), dense, to probabilities (M, K) in float64, for any M above 0; entry k is
            of ``classes_[k]``. ``torch.export.save`` writes it, and ``program.module()`` calls it.

        Raises
        ------
        ValueError
            If there is no such type, or torch cannot follow the code of a user's own network.
        """
        check_is_fitted(self)
        return program(self.module_, self.scaler_, self.input_shape_, dtype)  # type: ignore[attr-defined]

    def to_onnx(self, path: str | os.PathLike[str], *, dtype: str = "float32") -> None:
        """Write an ONNX file that computes :meth:`predict_proba`: standardisation, network and softmax in one graph.

        Parameters
        ----------
        path : path
            By custom it ends in ".onnx". A file that is there is replaced, once the new one is whole.
        dtype : {"float32", "float64", "uint8"}, default="float32"
            Of the input: see :meth:`export`.

        Raises
        ------
        ImportError
            If onnx or onnxscript is missing: they are the extra ``onnx``.
        ValueError
            If there is no such type, or the network cannot be written as a graph, or has more than 2 GiB.
        OSError
            If the file cannot be written. Nothing is left of it then.

        Notes
        -----
        The graph takes ``x`` and gives ``probabilities`` (M, K) in float64, M being any number. The model's metadata
        has ``classes``, a JSON list of the K labels, and ``estimator``, the name of the class.
        """
        exported = self.export(dtype=dtype)
        classes = labels_as_json(self.classes_)  # type: ignore[attr-defined]
        write_graph(path, exported, {"classes": classes, "estimator": type(self).__name__})
