"""Logits of a trained network.

Legend: C outputs of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from acestimator.rows import Rows, numbers_of_a_row, split_rows

_PREDICT_ROWS, _PREDICT_ELEMENTS = 4096, 1 << 20  # samples of a forward pass, and numbers in them, at most


def predict_logits(network: nn.Module, chunks: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
    """Logits of the network in evaluation mode, on ``device``, a bounded number of samples at a time.

    Parameters
    ----------
    network : nn.Module
        On ``device``.
    chunks : iterable of Tensor, shape (n, ...), or SparseRows
        Samples, anywhere.
    device : torch.device

    Yields
    ------
    Tensor, shape (n', C)
    """
    network.eval()
    for chunk in chunks:
        rows = max(1, min(_PREDICT_ROWS, _PREDICT_ELEMENTS // numbers_of_a_row(chunk)))
        for part in split_rows(chunk, rows):
            with torch.inference_mode():
                yield network(part.to(device))


def check_finite(logits: Tensor) -> None:
    """Raise FloatingPointError if a logit of a trained network is NaN or infinite."""
    if not torch.isfinite(logits).all():
        raise FloatingPointError(
            "the trained network gives NaN or infinite logits on its training samples: lower learning_rate, "
            "standardise the inputs, or look for what overflows in the backbone."
        )
