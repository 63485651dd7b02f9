"""The shifted softmax gradient as one Triton kernel, for CUDA; everywhere else, the same from torch.

Triton comes with torch's CUDA builds and is no dependency: it is imported when a kernel is first asked for. In its CPU
interpreter (``TRITON_INTERPRET=1``, set before triton is imported) the kernel runs without a GPU.

Legend: B batch, K classes.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from acestimator.alpha.softmax import softmax_gradient

if TYPE_CHECKING:
    import triton.language as tl

MAX_CLASSES = 1 << 16  # a row is one block: in registers up to half of this, and partly spilt from there on
_DTYPES = frozenset((torch.float32, torch.float16, torch.bfloat16))  # what the kernel computes in float32
_ELEMENTS_PER_WARP = 256
_MAX_WARPS = 16  # 1,024 threads, the most that a program may have, where a warp is 64 of them


def gradient(logits: Tensor, labels: Tensor, alpha: Tensor, fused: bool) -> tuple[Tensor, Tensor]:
    """Gradient of the cross-entropy and log-probabilities at ``logits + alpha``, (B, K); if fused by the kernel."""
    return shifted_gradient(logits, labels, alpha) if fused else softmax_gradient(logits + alpha, labels)


def shifted_gradient(logits: Tensor, labels: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the cross-entropy and log-probabilities at ``logits + alpha``.

    One launch where :func:`usable` says so, and torch's operations otherwise. Autograd records neither.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
    labels : Tensor of int64, shape (B,)
        In 0..K-1, which a kernel cannot check: a label outside is no class of its row.
    alpha : Tensor, shape (B, K)
        Constants, possibly a view of a larger table.

    Returns
    -------
    grad : Tensor, shape (B, K)
        ``softmax(logits + alpha) - onehot(labels)``.
    log_probability : Tensor, shape (B, K)
        ``log_softmax(logits + alpha)``. Both are float32, or float64 where an argument is.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> logits, labels, alpha = torch.zeros(1, 2), torch.tensor([0]), torch.zeros(1, 2)
    >>> shifted_gradient(logits, labels, alpha)[0]
    tensor([[-0.5000,  0.5000]])
    """
    # Checked, for the kernel reads by address: where torch would broadcast or raise, it would read beyond the end.
    if alpha.shape != logits.shape or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits and alpha have shapes {tuple(logits.shape)} and {tuple(alpha.shape)}, and labels "
            f"{tuple(labels.shape)}: give the two one shape (B, K), and one label a row."
        )
    is_plain = logits.dtype in _DTYPES and alpha.dtype in _DTYPES
    if is_plain and logits.shape[1] <= MAX_CLASSES and usable(logits.device):
        return _launch(logits, labels, alpha)
    return _reference(logits, labels, alpha)


@cache
def usable(device: torch.device | str) -> bool:
    """Whether the kernel runs on this device: it is CUDA, or the interpreter is on, and a first launch succeeds.

    It fails where triton cannot be imported, and also for want of a C compiler or on a GPU that triton has left behind.
    The answer is kept, and triton is not imported where it is no from the start.
    """
    if torch.device(device).type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return False
    try:
        one = torch.zeros(1, 1, device=device)
        _launch(one, torch.zeros(1, dtype=torch.int64, device=device), one)
    except Exception:  # whatever it is, torch does without
        return False
    return True


def _launch(logits: Tensor, labels: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Run the kernel, one program a row."""
    n_rows, n_classes = logits.shape
    grad = torch.empty(n_rows, n_classes, dtype=torch.float32, device=logits.device)
    log_probability = torch.empty_like(grad)
    if not grad.numel():
        return grad, log_probability
    logits, alpha = _with_dense_rows(logits), _with_dense_rows(alpha)
    block = 1 << (n_classes - 1).bit_length()
    with torch.cuda.device(logits.get_device()):  # where triton launches; -1, for a tensor of the CPU, does nothing
        _compiled()[(n_rows,)](
            logits,
            labels.contiguous(),
            alpha,
            grad,
            log_probability,
            logits.stride(0),
            alpha.stride(0),
            n_classes,
            BLOCK=block,
            num_warps=min(max(block // _ELEMENTS_PER_WARP, 1), _MAX_WARPS),
            enable_fp_fusion=True,  # the default is not that of every triton
        )
    return grad, log_probability


def _reference(logits: Tensor, labels: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """The same from torch's operations."""
    with torch.no_grad():
        return softmax_gradient(logits.to(torch.promote_types(logits.dtype, torch.float32)) + alpha, labels)


def _with_dense_rows(values: Tensor) -> Tensor:
    """(B, K) values whose columns lie side by side, copied only if they do not."""
    return values if values.stride(1) == 1 else values.contiguous()


@cache
def _compiled() -> Any:
    """The kernel, for triton to compile at its first launch."""
    global tl
    import triton
    import triton.language as tl

    return triton.jit(_kernel)


# Without annotations: triton would look their names up on the GPU. All of (B, K) but labels (B,); grad and
# log_probability are contiguous.
def _kernel(  # type: ignore[no-untyped-def]
    logits,
    labels,
    alpha,
    grad,
    log_probability,
    logits_stride,
    alpha_stride,
    n_classes,
    BLOCK: tl.constexpr,
):
    """One row of :func:`shifted_gradient`, in registers from load to store."""
    row = tl.program_id(0).to(tl.int64)  # int32 offsets wrap round in a table of 2**31 constants
    column = tl.arange(0, BLOCK)
    inside = column < n_classes
    # Minus infinity beyond the last class: no maximum, and nothing in the sum.
    c = tl.load(logits + row * logits_stride + column, mask=inside, other=-float("inf")).to(tl.float32)
    c += tl.load(alpha + row * alpha_stride + column, mask=inside, other=0.0).to(tl.float32)
    c -= tl.max(c, axis=0)  # before any exponential, so that none overflows and one is 1
    c -= tl.log(tl.sum(tl.exp(c), axis=0))
    onehot = (column == tl.load(labels + row)).to(tl.float32)
    tl.store(grad + row * n_classes + column, tl.exp(c) - onehot, mask=inside)
    tl.store(log_probability + row * n_classes + column, c, mask=inside)
