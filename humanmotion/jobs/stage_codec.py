"""Any of our frozen values to an npz and back, for the stage cache: no pickle, no code per class.

A value is a tree of dataclasses, tuples, tensors, numpy arrays and JSON scalars. Arrays go into the
npz; the tree's shape goes into one JSON string beside them. Only classes the reader names are built.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_npz, write_npz


def save_value(path: Path, value: Any, *, key: str) -> None:
    """Write a value with the key that says what it was computed from, atomically."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = _encode(value, arrays)
    text = json.dumps({"key": key, "tree": tree})
    write_npz(path, {"tree": np.array(text)} | arrays)


def read_value(path: Path, *, classes: tuple[type, ...]) -> Any:
    """The value of a stage file, whatever it was computed from.

    Raises InputError when there is no such file, FileFormatError when it does not hold such a value.
    """
    arrays = read_npz(path)
    try:
        tree = json.loads(str(arrays["tree"]))["tree"]
        return _decode(tree, arrays, {c.__name__: c for c in classes})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileFormatError(f"{path} is no stage file of this version: {error!r}") from error


def load_value(path: Path, *, key: str, classes: tuple[type, ...]) -> Any | None:
    """The value saved under `key`, or None when there is none, it is damaged or of another key."""
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
        head = json.loads(str(arrays["tree"]))
    except (FileFormatError, KeyError, ValueError):
        return None
    if not isinstance(head, dict) or head.get("key") != key:
        return None
    try:
        return _decode(head["tree"], arrays, {c.__name__: c for c in classes})
    except (KeyError, TypeError, AttributeError, InputError):
        # Whatever it holds, it is not what this version would have kept.
        return None


def _encode(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray):
        name = f"a{len(arrays)}"
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        arrays[name] = value.numpy() if isinstance(value, torch.Tensor) else value
        return {kind: name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)
        }
        return {"class": type(value).__name__, "fields": fields}
    if isinstance(value, tuple | list):
        return {"tuple": [_encode(v, arrays) for v in value]}
    if isinstance(value, Mapping):
        return {"dict": {k: _encode(v, arrays) for k, v in value.items()}}
    if value is None or isinstance(value, bool | int | float | str):
        return {"plain": value}
    raise TypeError(f"{type(value).__name__} cannot be kept in a stage file")


def _decode(
    node: Any, arrays: Mapping[str, np.ndarray[Any, Any]], classes: Mapping[str, type]
) -> Any:
    match node:
        case {"tensor": name}:
            return torch.from_numpy(arrays[name])
        case {"array": name}:
            return arrays[name]
        case {"class": name, "fields": fields}:
            return classes[name](**{k: _decode(v, arrays, classes) for k, v in fields.items()})
        case {"tuple": items}:
            return tuple(_decode(v, arrays, classes) for v in items)
        case {"dict": items}:
            return {k: _decode(v, arrays, classes) for k, v in items.items()}
        case {"plain": value}:
            return value
    raise FileFormatError("a stage file holds something this version does not know; use --from")
