"""Stochastic rounding to 16 bits, so that steps too small for the format still move a row in the mean."""

from __future__ import annotations

import torch
from torch import Tensor

_DROPPED = {torch.bfloat16: 16, torch.float16: 13}  # bits of a float32 mantissa that the format has not
_SMALLEST_NORMAL = 2.0**-14  # of float16


def stochastic_round(x: Tensor, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Round to one of the two neighbours in ``dtype``, with the probabilities that make the mean exact.

    Parameters
    ----------
    x : Tensor of float32
        Finite, and within the range of ``dtype``.
    dtype : torch.bfloat16 or torch.float16
    generator : torch.Generator
        On the device of ``x``.

    Returns
    -------
    Tensor of ``dtype``, shape of x
        A number that ``dtype`` has is left as it is.
    """
    dropped = _DROPPED[dtype]
    # One draw of 64 bits serves four numbers.
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    bits.random_(-(2**63), None, generator=generator)
    noise = bits.view(torch.int16)[: x.numel()].view(x.shape).to(torch.int32).bitwise_and_((1 << dropped) - 1)
    if dtype == torch.bfloat16:
        noise += x.contiguous().view(torch.int32)
        return noise.bitwise_right_shift_(dropped).to(torch.int16).view(torch.bfloat16)
    # Below its smallest normal number float16 is evenly spaced, as it is from there to twice as far: round there.
    shift = torch.where(x.abs() < _SMALLEST_NORMAL, torch.copysign(torch.full_like(x, _SMALLEST_NORMAL), x), 0.0)
    noise += (x + shift).view(torch.int32)
    rounded = noise.bitwise_and_(-(1 << dropped)).view(torch.float32)
    return (rounded - shift).to(torch.float16)
