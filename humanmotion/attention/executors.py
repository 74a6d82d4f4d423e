"""Which executor computes: the one that was asked for, or the fastest that there is."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import torch

from humanmotion.attention.flex import attend_flex
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.problem import Executor
from humanmotion.attention.reference import attend_reference
from humanmotion.errors import UsageError

Backend = Literal["auto", "dense", "reference", "gather", "flex"]
"""What computes. "auto" is the fastest: dense attention wherever sparse would not gain."""


def check_backend(backend: str) -> None:
    """Raise UsageError, naming those that there are, for an unknown backend."""
    if backend not in get_args(Backend):
        raise UsageError(f"backend {backend!r}: choose one of {', '.join(get_args(Backend))}")


def executor_for(backend: Backend, device: torch.device, *, gradients: bool) -> Executor:
    """The executor of a backend, with a warning the gathering one where that cannot run."""
    if backend == "reference":
        return attend_reference
    if backend == "flex":
        if not (gradients and device.type == "cpu"):
            return attend_flex
        warnings.warn(
            "backend 'flex' has no gradients on a CPU; 'gather' computes the same instead",
            RuntimeWarning,
            stacklevel=4,
        )
    return attend_gather
