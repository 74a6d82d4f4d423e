"""Attention under torch.autocast: in its type, as torch's own attention, and with it off inside."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def cast(x: Tensor) -> Tensor:
    """`x` as torch's attention takes it: where autocast is on, in its type; float64 stays."""
    kind = x.device.type
    if not _is_known(kind) or not torch.is_autocast_enabled(kind):
        return x
    if not x.is_floating_point() or x.dtype == torch.float64:
        return x
    return x.to(torch.get_autocast_dtype(kind))


def suspended(device: torch.device) -> AbstractContextManager[object]:
    """Without autocast on that device: means and recomputed tiles keep the types they have."""
    if not _is_known(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _is_known(kind: str) -> bool:
    return torch.amp.is_autocast_available(kind)
