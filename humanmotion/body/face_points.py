"""The face of an SMPL-X file: smplx's 51 points on the features and 17 on the contour.

Together they are the 68 points of the iBUG scheme, contour first. The face-mesh points of MediaPipe
at the same places are known from `face_landmarks.json`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from humanmotion.body.file_checks import Array, check_indices, check_numbers
from humanmotion.errors import BodyError
from humanmotion.joint_sets import IBUG_MESH

STATIC_KEYS = ("lmk_faces_idx", "lmk_bary_coords")
CONTOUR_KEYS = ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
FACE_KEYS = (*STATIC_KEYS, *CONTOUR_KEYS)
CONTOUR_POINTS, FEATURE_POINTS = 17, 51
FACE_POINTS = CONTOUR_POINTS + FEATURE_POINTS
MESH_POINTS = 468
"""Points of MediaPipe's face mesh."""


def face_table(path: str | Path, raw: dict[str, Array]) -> tuple[Array, Array] | None:
    """Vertex indices and weights `(68, 3)` of the face; `(51, 3)` where the file has no contour.

    None when the file has no face points. Raises BodyError when they do not fit the mesh.
    """
    if any(key not in raw for key in STATIC_KEYS):
        return None
    triangles, shares = _points(path, raw, STATIC_KEYS, shape=(FEATURE_POINTS,))
    if all(key in raw for key in CONTOUR_KEYS):
        turned = _points(path, raw, CONTOUR_KEYS, shape=(None, CONTOUR_POINTS))
        # The first row is the contour seen from the front, the others those of a turned head.
        triangles = np.concatenate((turned[0][0], triangles))
        shares = np.concatenate((turned[1][0], shares))
    return raw["f"][triangles].astype(np.int64), shares


def _points(
    path: str | Path, raw: dict[str, Array], keys: tuple[str, str], *, shape: tuple[int | None, ...]
) -> tuple[Array, Array]:
    triangles, shares = raw[keys[0]], raw[keys[1]]
    check_numbers(path, keys[0], triangles, shape=shape)
    check_numbers(path, keys[1], shares, shape=(*triangles.shape, 3))
    whole = triangles.astype(np.int64) if (triangles == np.floor(triangles)).all() else triangles
    check_indices(path, keys[0], whole, count=len(raw["f"]), of="triangle")
    # A point a little outside of its triangle is still a place on the face.
    if np.abs(shares.sum(-1) - 1).max() > 1e-2 or np.abs(shares).max() > 2:
        raise BodyError(f"{path}: {keys[1]} must hold barycentric shares that sum to 1")
    return whole, np.ascontiguousarray(shares, dtype=np.float32)


def ibug_mesh_ids() -> tuple[int, ...]:
    """MediaPipe face-mesh index of each of the 68 iBUG points."""
    return IBUG_MESH
