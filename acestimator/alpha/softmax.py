"""The gradient that everything starts from, and cross-entropy as an autograd function of it.

Legend: B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SHORT = 16  # numbers in the widest vector register of a CPU


def log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities (B, K), ``torch.log_softmax(logits, dim=1)``.

    On a CPU torch takes rows that are shorter than a register one number at a time. Along the columns of as many rows
    it need not: for ten categories that is twice as fast for a batch, and seven times for a thousand samples.
    """
    if _short(logits):
        return torch.log_softmax(logits.T, dim=0).T
    return torch.log_softmax(logits, dim=1)


def softmax(logits: Tensor) -> Tensor:
    """Probabilities (B, K), ``torch.softmax(logits, dim=1)``; see :func:`log_softmax`."""
    return torch.softmax(logits.T, dim=0).T if _short(logits) else torch.softmax(logits, dim=1)


def _short(logits: Tensor) -> bool:
    return logits.device.type == "cpu" and logits.shape[1] < _SHORT


def softmax_gradient(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the cross-entropy, ``softmax(logits) - onehot(labels)``, and log-probabilities; both (B, K)."""
    log_probability = log_softmax(logits)
    return log_probability.exp().scatter_(1, labels.unsqueeze(1), -1.0, reduce="add"), log_probability


def shifted_cross_entropy(
    logits: Tensor, alpha: Tensor, labels: Tensor, counts: Tensor | None, record: Callable[[Tensor], None]
) -> Tensor:
    """Cross-entropy (B,) of ``logits + alpha``; backward hands each sample's own gradient to ``record``, unscaled.

    Where ``counts`` (B,) is False loss and gradient are zero; None for True everywhere.
    """
    loss: Tensor = _ShiftedCrossEntropy.apply(logits, alpha, labels, counts, record)  # type: ignore[no-untyped-call]
    return loss


class _ShiftedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        alpha: Tensor,
        labels: Tensor,
        counts: Tensor | None,
        record: Callable[[Tensor], None],
    ) -> Tensor:
        grad, log_probability = softmax_gradient(logits.to(alpha.dtype) + alpha, labels)
        loss: Tensor = log_probability.gather(1, labels[:, None]).squeeze(1).neg_()
        if counts is not None:
            loss.masked_fill_(~counts, 0.0)
            grad.masked_fill_(~counts[:, None], 0.0)
        ctx.save_for_backward(grad, counts)
        ctx.record, ctx.dtype = record, logits.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        grad, counts = ctx.saved_tensors  # (B, K), (B,)
        ctx.record(grad)
        grad = grad * grad_output[:, None]
        if counts is not None:  # a mean of none has an infinite factor
            grad.masked_fill_(~counts[:, None], 0.0)
        return grad.to(ctx.dtype), None, None, None, None
