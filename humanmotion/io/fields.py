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

Arrays = Mapping[str, NDArray[Any]]
Shape = tuple[int | str, ...]
"""Sizes of an array; a name ("T") stands for any size."""


def numbers(
    arrays: Arrays, key: str, shape: Shape, *, path: str | Path, dtype: torch.dtype = torch.float32
) -> Tensor:
    """The array as a tensor of `dtype`, if it is there, numeric, finite and of that shape.

    Raises FileFormatError naming the file, the key and, for numbers that are not finite, the frame.
    """
    if key not in arrays:
        raise FileFormatError(f"{path} lacks the key {key}, expected with shape {_words(shape)}")
    array = arrays[key]
    if array.dtype.kind not in "biuf":
        raise FileFormatError(f"{path}: {key} holds {array.dtype}, expected numbers")
    if not _fits(array.shape, shape):
        raise FileFormatError(f"{path}: {key} has shape {array.shape}, expected {_words(shape)}")
    # In double first: what does not fit the smaller type must show as infinite, not wrap round.
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(wide.astype(np.float32) if dtype == torch.float32 else wide)
    if bad.any():
        where = f" at row {np.argwhere(bad)[0][0]}" if bad.ndim else ""
        raise FileFormatError(f"{path}: {key} is not finite{where}")
    return torch.from_numpy(wide).to(dtype)


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


def _fits(found: tuple[int, ...], wanted: Shape) -> bool:
    return len(found) == len(wanted) and all(
        isinstance(size, str) or size == have for have, size in zip(found, wanted, strict=True)
    )


def _words(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
