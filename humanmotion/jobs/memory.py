"""Memory that a long job no longer needs."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Hand freed memory back to the system, where the C library keeps it else (glibc).

    A detector's models leave some 200 MiB behind that the stages after it would not reuse.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        # Another system's C library; it has its own ways.
        return
    trim(0)
