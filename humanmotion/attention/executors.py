"""Which executor computes: the one that was asked for, or the fastest that there is."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import torch
from torch import Tensor

from humanmotion.attention.flex import attend_flex
from humanmotion.attention.gather import attend_gather
from humanmotion.attention.problem import Executor
from humanmotion.attention.reference import attend_reference
from humanmotion.errors import UsageError

Backend = Literal["auto", "dense", "reference", "gather", "flex", "triton"]
"""What computes. "auto" is the fastest: dense attention wherever sparse would not gain."""


def check_backend(backend: str) -> None:
    """Raise UsageError, naming those that there are, for an unknown backend."""
    if backend not in get_args(Backend):
        raise UsageError(f"backend {backend!r}: choose one of {', '.join(get_args(Backend))}")


def executor_for(backend: Backend, q: Tensor, *, gradients: bool) -> Executor:
    """The executor of a backend; with a warning the gathering one, of the same numbers, where it fails.

    `q` says the device and the type, `gradients` whether a backward pass is to come.
    """
    if backend == "reference":
        return attend_reference
    if backend == "triton" or (backend == "auto" and q.device.type != "cpu"):
        # Once a picture was drawn by software, Triton's compiler beside that one's ends the process.
        from humanmotion.attention.triton_attention import attend_triton, can_run

        if can_run(q.device) and q.dtype != torch.float64:
            return attend_triton
        reason = f"does not run {q.dtype} on {q.device} here"
    elif backend == "flex":
        if not (gradients and q.device.type == "cpu"):
            return attend_flex
        reason = "has no gradients on a CPU"
    if backend in ("triton", "flex"):
        text = f"backend {backend!r} {reason}; 'gather' computes the same instead"
        warnings.warn(text, RuntimeWarning, stacklevel=6)
    return attend_gather
