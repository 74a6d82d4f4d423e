"""Memory that a long job no longer needs."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

LARGE = 16 * 2**20
"""Bytes."""
_MMAP_THRESHOLD = -3
"""glibc's M_MMAP_THRESHOLD."""


def return_large_blocks() -> None:
    """Have the C library (glibc) hand back what is LARGE as soon as it is freed.

    Left alone it learns from a job's large arrays to keep them, in pieces that no later one fits.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LARGE)


def give_back() -> None:
    """Hand freed memory back to the system, where the C library keeps it else (glibc).

    A detector's models leave some 200 MiB behind that the stages after it would not reuse.
    """
    gc.collect()
    # Another system's C library has its own ways.
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
