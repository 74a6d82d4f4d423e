"""Arrays of a file, checked before they become values; every message names the file and the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.errors import FileFormatError, MotionError
from humanmotion.motion import MAX_FRAMES

Arrays = Mapping[str, NDArray[Any]]
Shape = tuple[int | str, ...]
"""Sizes of an array; a name ("T") stands for any size."""
_WHOLE = {torch.bool: (0.0, 1.0), torch.long: (-(2.0**53), 2.0**53)}
"""Types that are not rounded to, and the values they may take."""


def numbers(
    arrays: Arrays, key: str, shape: Shape, *, path: str | Path, dtype: torch.dtype = torch.float32
) -> Tensor:
    """The array as a tensor of `dtype`, if it is there, numeric, finite and of that shape.

    Whole numbers and yes/no are not rounded from anything else; "T" stands for at most MAX_FRAMES.
    Raises FileFormatError naming the file, the key and, for numbers that are not finite, the frame.
    """
    if key not in arrays:
        raise FileFormatError(f"{path} lacks the key {key}, expected with shape {_words(shape)}")
    array = arrays[key]
    if array.dtype.kind not in "biuf":
        raise FileFormatError(f"{path}: {key} holds {array.dtype}, expected numbers")
    if not _fits(array.shape, shape):
        raise FileFormatError(f"{path}: {key} has shape {array.shape}, expected {_words(shape)}")
    if shape[:1] == ("T",) and len(array) > MAX_FRAMES:
        raise FileFormatError(f"{path} has {len(array)} frames; at most {MAX_FRAMES} are read")
    with np.errstate(over="ignore"):
        # What does not fit the type must show as infinite, not wrap round.
        values: NDArray[Any] = array.astype(np.float32 if dtype == torch.float32 else np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise FileFormatError(f"{path}: {key} is not finite{_first(bad)}")
    if dtype in _WHOLE:
        low, high = _WHOLE[dtype]
        bad = (values != values.round()) | (values < low) | (values > high)
        if bad.any():
            kind = "0 or 1" if dtype == torch.bool else "whole numbers"
            raise FileFormatError(f"{path}: {key} must hold {kind}{_first(bad)}")
    return torch.from_numpy(values).to(dtype)


def number(arrays: Arrays, key: str, *, path: str | Path) -> float:
    """One finite number, stored as a scalar or as an array of one."""
    if key in arrays and arrays[key].size == 1:
        arrays = {key: arrays[key].reshape(())}
    return float(numbers(arrays, key, (), path=path, dtype=torch.float64))


def words(arrays: Arrays, key: str, *, path: str | Path, default: str) -> str:
    """One string (numpy text or bytes), or `default` when the key is absent."""
    if key not in arrays:
        return default
    array = arrays[key]
    if array.dtype.kind not in "US" or array.size != 1:
        raise FileFormatError(f"{path}: {key} must be one string, not {array.dtype} {array.shape}")
    value = array.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Puts the file's name before what a value says against itself while it is built."""
    try:
        yield
    except MotionError as error:
        raise FileFormatError(f"{path}: {error}") from error


def _first(bad: NDArray[np.bool_]) -> str:
    return f" at row {np.argwhere(bad)[0][0]}" if bad.ndim else ""


def _fits(found: tuple[int, ...], wanted: Shape) -> bool:
    return len(found) == len(wanted) and all(
        isinstance(size, str) or size == have for have, size in zip(found, wanted, strict=True)
    )


def _words(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
