"""What the arrays of a body file must hold; whatever does not fit raises one BodyError line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanmotion.errors import BodyError

Array = NDArray[Any]
Shape = tuple[int | None, ...]

MAX_NUMBER = 1e5
"""Metres, shares and radians never come near; larger numbers would overflow float32 later on."""
HEIGHT_RANGE = (0.3, 3.0)
"""Metres from the lowest to the highest vertex of a body: a newborn's and more than a giant's."""
LEAST_WEIGHT = -1e-6
"""Skinning and landmark weights are shares; a file may round them, no further than this."""
WEIGHT_SUM_ERROR = 1e-2
_MAX_ID_CHARACTERS = 200


def check_numbers(path: str | Path, key: str, value: Array, *, shape: Shape) -> None:
    """Raises BodyError unless `value` is finite numbers of `shape`, None being 1 or more."""
    fits = value.ndim == len(shape) and all(
        a > 0 if b is None else a == b for a, b in zip(value.shape, shape, strict=True)
    )
    if not fits or value.dtype.kind not in "iuf":
        wanted = str(shape).replace("None", "1 or more")
        raise BodyError(f"{path}: {key} is {value.dtype} {value.shape}, expected numbers {wanted}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise BodyError(f"{path}: {key} holds numbers that are not finite")


def check_indices(path: str | Path, key: str, value: Array, *, count: int, of: str) -> None:
    """Raises BodyError unless `value` is integers from 0 to `count` - 1; `of` says of what."""
    if value.dtype.kind not in "iu" or (
        value.size and not 0 <= int(value.min()) <= int(value.max()) < count
    ):
        raise BodyError(f"{path}: {key} must hold {of} indices from 0 to {count - 1}")


def check_kintree(path: str | Path, kintree: Array) -> None:
    """Raises BodyError unless it is whole numbers; who hangs below whom is not looked at."""
    finite = kintree.dtype.kind in "iuf" and np.isfinite(kintree).all()
    # Official files hold 2**32 - 1 for the root, so the size of the numbers says nothing.
    if not finite or (kintree != np.floor(kintree)).any():
        raise BodyError(f"{path}: kintree_table must hold joint numbers, whole and finite")


def check_body(path: str | Path, raw: dict[str, Array], *, joints: int) -> None:
    """Raises BodyError unless template, blend shapes, skin and triangles fit each other."""
    vertices = len(raw["v_template"]) if raw["v_template"].ndim else 0
    expected: dict[str, Shape] = {
        # Without vertices nothing fits, so it is the template that the message names.
        "v_template": (vertices or None, 3),
        "shapedirs": (vertices, 3, None),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "f": (None, 3),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "hands_meanl": (45,),
        "hands_meanr": (45,),
    }
    for key, shape in expected.items():
        if key in raw:
            check_numbers(path, key, raw[key], shape=shape)
    check_indices(path, "f", raw["f"], count=vertices, of="vertex")
    _check_height(path, raw["v_template"])
    for key in expected:
        if key in raw and key != "f" and _largest(raw[key]) > MAX_NUMBER:
            raise BodyError(f"{path}: {key} holds numbers beyond {MAX_NUMBER:.0f}")
    _check_weights(path, raw["weights"])


def _largest(value: Array) -> float:
    # Not abs(): half a gigabyte of correctives is not copied for this.
    return max(-float(value.min()), float(value.max()))


def _check_height(path: str | Path, template: Array) -> None:
    height = float(np.ptp(template[:, 1].astype(np.float64)))
    low, high = HEIGHT_RANGE
    if not low <= height <= high:
        raise BodyError(
            f"{path}: the body in v_template is {height:.4g} m tall (along y); {low} to {high} m "
            "are accepted, so give it in metres, y up"
        )


def _check_weights(path: str | Path, weights: Array) -> None:
    least = float(weights.min())
    if least < LEAST_WEIGHT:
        raise BodyError(
            f"{path}: weights go down to {least:.3g}; a skinning weight is a share from 0 to 1"
        )
    off = float(np.abs(weights.sum(1, dtype=np.float64) - 1).max())
    if off > WEIGHT_SUM_ERROR:
        raise BodyError(f"{path}: weights of a vertex sum to 1 only within {off:.3g}")


def check_table(
    path: str | Path, name: str, table: tuple[Array, Array], *, rows: int | None, vertices: int
) -> None:
    """Raises BodyError unless vertex indices and weights of landmark table `name` are `(rows, k)`."""
    ids, weights = table
    check_numbers(path, f"{name}_weights", weights, shape=(rows, None))
    check_indices(path, f"{name}_vertices", ids, count=vertices, of="vertex")
    if ids.shape != weights.shape or weights.min() < LEAST_WEIGHT or (weights.sum(1) <= 0).any():
        raise BodyError(
            f"{path}: {name}_vertices {ids.shape} and _weights {weights.shape} must have one "
            "shape (L, k), with weights above 0"
        )


def body_id_of(path: str | Path, value: Array) -> str:
    """The body's name; raises BodyError unless it is one short line of text."""
    name = str(value) if value.ndim == 0 and value.dtype.kind == "U" else ""
    if not name.isprintable() or not 0 < len(name) <= _MAX_ID_CHARACTERS:
        raise BodyError(f"{path}: body_id must be one line of text")
    return name
