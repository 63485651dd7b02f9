"""ONNX graphs of what estimators compute. Needs the extra ``onnx``.

Legend: B samples of a batch, K classes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from acestimator.persistence.file import write_whole

LARGEST = (1 << 31) - (1 << 20)  # bytes of a protocol buffer, with some to spare


def write_graph(path: str | os.PathLike[str], program: Any, metadata: Mapping[str, str]) -> None:
    """Write a program of torch as an ONNX file, in place of another one when it is whole.

    Parameters
    ----------
    path : path
    program : torch.export.ExportedProgram
        With one input ``x`` (B, ...), and one output, probabilities (B, K).
    metadata : dict of str to str
        Of the model.

    Raises
    ------
    ImportError
        If onnx or onnxscript is missing.
    ValueError
        If an operation of the network has no counterpart in ONNX, or the graph is too large for one file.
    OSError
        If the file cannot be written. Nothing is left of it then.
    """
    content = _serialized(program, metadata)
    write_whole(path, len(content), lambda part: _write(part, content))


def labels_as_json(classes: np.ndarray) -> str:
    """Labels (K,) as a JSON list: of texts, numbers and truth values as such, of others as texts."""
    return json.dumps(
        [label if isinstance(label, str | bool | int | float) else str(label) for label in classes.tolist()]
    )


def _serialized(program: Any, metadata: Mapping[str, str]) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 -- torch needs it
    except ImportError as error:
        raise ImportError(f"to_onnx needs onnx and onnxscript ({error}): pip install 'acestimator[onnx]'.") from error
    size = sum(part.nbytes for part in program.state_dict.values())
    if size > LARGEST:
        raise ValueError(
            f"the network has {size / (1 << 30):.1f} GiB of weights, and an ONNX file holds 2 GiB: take export(), and "
            "torch.onnx.export of it with external data."
        )
    try:
        with _quiet():
            converted = torch.onnx.export(
                program, dynamo=True, input_names=["x"], output_names=["probabilities"], verbose=False
            )
    except Exception as error:  # of many kinds
        raise ValueError(f"the network cannot be written as an ONNX graph: {error}") from error
    assert converted is not None
    model = converted.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(model, dict(metadata))
    content: bytes = model.SerializeToString()
    return content


@contextlib.contextmanager
def _quiet() -> Any:
    """Without torch's own progress and warnings of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _write(path: Any, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
