"""Body files: SMPL-X, SMPL-H and SMPL npz, told apart by their keys, in one 55-joint layout.

Whatever the file holds, the result has the 55 joints of SMPL-X: a joint that the file lacks lies on
its parent and carries no skin. Key names and layouts are those that smplx reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from humanmotion.body.face_points import (
    FACE_KEYS,
    FACE_POINTS,
    FEATURE_POINTS,
    MESH_POINTS,
    face_table,
    ibug_mesh_ids,
)
from humanmotion.body.file_checks import (
    Array,
    body_id_of,
    check_body,
    check_indices,
    check_kintree,
    check_table,
)
from humanmotion.body.skeleton import JOINTS
from humanmotion.errors import BodyError
from humanmotion.files import npz_shapes, read_npz, sha256
from humanmotion.joint_sets import SMPLX_PARENTS

MAX_BODY_BYTES = 1 << 30
"""The largest known body file unpacks to 0.3 GiB."""
COMPONENTS = 10
"""Shape and expression components that the package uses."""
_SHAPE_SPACE = 300
"""Shape columns before the expression columns in the full files; the small ones have 10."""

_NEEDED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
_OPTIONAL = ("posedirs", "hands_meanl", "hands_meanr", "body_id", "sole_left", "sole_right")
LANDMARK_KEYS: dict[str, tuple[str, int | None]] = {
    "mediapipe_33": ("mediapipe33", 33),
    "coco_17": ("coco17", 17),
    "hand21_left": ("hand21_left", 21),
    "hand21_right": ("hand21_right", 21),
    "face": ("face", None),
}
"""Landmark set to the name within the file's keys `landmark_<name>_vertices`, `..._weights`, and
its number of landmarks (None: any)."""
_FACE_MESH_KEY = "landmark_face_mediapipe_ids"

_JOINT_MAPS: dict[int, tuple[str, tuple[int, ...]]] = {
    55: ("SMPL-X", tuple(range(JOINTS))),
    52: ("SMPL-H", (*range(22), *range(25, JOINTS))),
    # SMPL's two hand joints are no joints of SMPL-X: their skin belongs to the wrists here.
    24: ("SMPL", (*range(22), 20, 21)),
}
"""Joints in a file to its kind and, for each of its joints, ours."""


@dataclass(frozen=True)
class BodyArrays:
    """A body file's content in the 55-joint layout, float32, metres."""

    body_id: str
    sha256: str
    kind: str
    """"SMPL-X", "SMPL-H" or "SMPL"."""
    template: Array
    """`(V, 3)`."""
    shapedirs: Array
    """`(V, 3, 10)`; columns that the file lacks are zero."""
    exprdirs: Array
    """`(V, 3, 10)`."""
    correctives: Array | None
    """`(9 * K, 3, V)`, or None when all are zero."""
    corrective_joints: tuple[int, ...]
    """The K joints whose turning drives the correctives."""
    regressor: Array
    """`(55, V)`: vertices to rest joints."""
    weights: Array
    """`(V, 55)`."""
    faces: Array
    """`(F, 3)` int64."""
    joints_present: Array
    """`(55)` bool."""
    hand_means: Array
    """`(2, 45)` rotation vectors: the relaxed left and right hand that some files measure from."""
    soles: tuple[Array, Array]
    """Vertex indices under the left and the right foot; empty when the file names none."""
    landmarks: dict[str, tuple[Array, Array]]
    """Landmark set to vertex indices `(L, k)` and weights `(L, k)` that sum to 1."""
    face_mesh_ids: tuple[int, ...]
    """MediaPipe face-mesh index of each point of the "face" set."""


def read_body(path: str | Path) -> BodyArrays:
    """Read a body file; other keys, even ones that hold Python objects, are left alone.

    Raises BodyError when it is none of SMPL-X, SMPL-H and SMPL, or an array in it does not fit;
    FileFormatError when it is no npz, damaged or unsafe; InputError when it is not there.
    """
    raw = read_npz(path, keys=_wanted(path), max_bytes=MAX_BODY_BYTES)
    kind, joint_map = _recognise(path, raw["kintree_table"])
    check_body(path, raw, joints=len(joint_map))
    shapedirs, exprdirs = _blendshapes(raw["shapedirs"], kind=kind)
    correctives, corrective_joints = _correctives(raw, joint_map)
    named = body_id_of(path, raw["body_id"]) if "body_id" in raw else f"{kind}:{Path(path).stem}"
    landmarks = _landmarks(path, raw, kind=kind)
    face_points = len(landmarks["face"][0]) if "face" in landmarks else 0
    return BodyArrays(
        body_id=named,
        sha256=sha256(path),
        kind=kind,
        template=_single(raw["v_template"]),
        shapedirs=shapedirs,
        exprdirs=exprdirs,
        correctives=correctives,
        corrective_joints=corrective_joints,
        regressor=_regressor(raw["J_regressor"], joint_map),
        weights=_weights(raw["weights"], joint_map),
        faces=raw["f"].astype(np.int64),
        joints_present=np.isin(np.arange(JOINTS), joint_map),
        hand_means=_hand_means(raw),
        soles=(_soles(path, raw, "sole_left"), _soles(path, raw, "sole_right")),
        landmarks=landmarks,
        face_mesh_ids=_face_mesh_ids(path, raw, points=face_points),
    )


def _wanted(path: str | Path) -> list[str]:
    """Keys to read; raises BodyError when a needed one is not there or not plain."""
    members = npz_shapes(path)
    _check_members(path, members)
    wanted = [*_NEEDED, *_OPTIONAL, _FACE_MESH_KEY]
    for name, _ in LANDMARK_KEYS.values():
        wanted += [f"landmark_{name}_vertices", f"landmark_{name}_weights"]
    # Ones that are no plain arrays are left alone, as they are by those who use no face.
    return wanted + [k for k in FACE_KEYS if k in members and members[k][1] != "object"]


def _check_members(path: str | Path, members: dict[str, tuple[tuple[int, ...], str]]) -> None:
    missing = [key for key in _NEEDED if key not in members]
    if missing:
        raise BodyError(
            f"{path} lacks {', '.join(missing)}; a body file is an npz with the keys of SMPL-X, "
            "SMPL-H or SMPL (a .pkl goes through 'humanmotion convert-body' first)"
        )
    for key in _NEEDED:
        if members[key][1] == "object":
            raise BodyError(
                f"{path}: {key} is a Python object (a sparse matrix, perhaps), which is never "
                "loaded; make plain arrays of the original .pkl with 'humanmotion convert-body'"
            )


def _recognise(path: str | Path, kintree: Array) -> tuple[str, tuple[int, ...]]:
    joints = kintree.shape[1] if kintree.ndim == 2 and len(kintree) == 2 else 0
    if joints not in _JOINT_MAPS:
        raise BodyError(
            f"{path} has a kintree_table of shape {kintree.shape}; (2, 55) of SMPL-X, (2, 52) of "
            "SMPL-H and (2, 24) of SMPL are accepted"
        )
    check_kintree(path, kintree)
    kind, joint_map = _JOINT_MAPS[joints]
    for joint in range(1, joints):
        parent = int(kintree[0, joint])
        # A joint that is merged into ours (SMPL's hand) hangs below it.
        expected = (
            joint_map[joint]
            if joint_map.index(joint_map[joint]) < joint
            else (SMPLX_PARENTS[joint_map[joint]])
        )
        if not 0 <= parent < joints or joint_map[parent] != expected:
            raise BodyError(f"{path}: joint {joint} hangs below {parent}, not as in {kind}")
    return kind, joint_map


def _single(value: Array) -> Array:
    return np.ascontiguousarray(value, dtype=np.float32)


def _blendshapes(dirs: Array, *, kind: str) -> tuple[Array, Array]:
    """Ten shape and ten expression columns; where expression starts follows smplx's own rule."""
    columns = dirs.shape[2]
    start = _SHAPE_SPACE if columns > _SHAPE_SPACE else COMPONENTS
    # Only SMPL-X has expressions, and its small files hold 10 + 10; 16 columns are all shape.
    has_expression = kind == "SMPL-X" and columns >= 2 * COMPONENTS
    shape = dirs[:, :, : min(columns, COMPONENTS)]
    expression = dirs[:, :, start : start + COMPONENTS] if has_expression else dirs[:, :, :0]
    return _padded(shape), _padded(expression)


def _padded(dirs: Array) -> Array:
    out = np.zeros((*dirs.shape[:2], COMPONENTS), np.float32)
    out[:, :, : dirs.shape[2]] = dirs
    return out


def _correctives(
    raw: dict[str, Array], joint_map: tuple[int, ...]
) -> tuple[Array | None, tuple[int, ...]]:
    posedirs = raw.get("posedirs")
    if posedirs is None or not posedirs.any():
        return None, ()
    # Joints merged into another (SMPL's hands) are never turned, so theirs are left out.
    kept = [j for j in range(1, len(joint_map)) if joint_map.index(joint_map[j]) == j]
    columns = [9 * (j - 1) + i for j in kept for i in range(9)]
    rows = _single(posedirs[:, :, columns].transpose(2, 1, 0))
    return rows, tuple(joint_map[j] for j in kept)


def _regressor(regressor: Array, joint_map: tuple[int, ...]) -> Array:
    out = np.zeros((JOINTS, regressor.shape[1]), np.float32)
    for joint in range(JOINTS):
        # Parents come before children, so a whole missing chain ends on the last joint there is.
        source = joint_map.index(joint) if joint in joint_map else None
        out[joint] = out[SMPLX_PARENTS[joint]] if source is None else regressor[source]
    return out


def _weights(weights: Array, joint_map: tuple[int, ...]) -> Array:
    out = np.zeros((len(weights), JOINTS), np.float32)
    for source, joint in enumerate(joint_map):
        out[:, joint] += weights[:, source]
    return out


def _hand_means(raw: dict[str, Array]) -> Array:
    out = np.zeros((2, 45), np.float32)
    for side, key in enumerate(("hands_meanl", "hands_meanr")):
        if key in raw:
            out[side] = raw[key]
    return out


def _soles(path: str | Path, raw: dict[str, Array], key: str) -> Array:
    ids = raw.get(key, np.zeros(0, np.int64))
    check_indices(path, key, ids, count=len(raw["v_template"]), of="vertex")
    return ids.reshape(-1).astype(np.int64)


def _landmarks(
    path: str | Path, raw: dict[str, Array], *, kind: str
) -> dict[str, tuple[Array, Array]]:
    out = {}
    for name, (key, rows) in LANDMARK_KEYS.items():
        ids, weights = (raw.get(f"landmark_{key}_{part}") for part in ("vertices", "weights"))
        if ids is None and weights is None:
            continue
        if ids is None or weights is None:
            raise BodyError(f"{path}: landmark_{key} needs both its _vertices and its _weights")
        check_table(
            path, f"landmark_{key}", (ids, weights), rows=rows, vertices=len(raw["v_template"])
        )
        shares = np.maximum(weights.astype(np.float64), 0)
        out[name] = (ids.astype(np.int64), _single(shares / shares.sum(-1, keepdims=True)))
    # Without a jaw the face would never move.
    own = face_table(path, raw) if "face" not in out and kind == "SMPL-X" else None
    return out if own is None else out | {"face": own}


def _face_mesh_ids(path: str | Path, raw: dict[str, Array], *, points: int) -> tuple[int, ...]:
    """MediaPipe's number of each of the face's points; none where the file leaves them unknown."""
    ids = raw.get(_FACE_MESH_KEY) if "landmark_face_vertices" in raw else None
    if ids is None:
        if points not in (FACE_POINTS, FEATURE_POINTS):
            return ()
        # The features come last, so a face without its contour takes the end of the list.
        return ibug_mesh_ids()[FACE_POINTS - points :]
    if ids.shape != (points,):
        raise BodyError(
            f"{path}: {_FACE_MESH_KEY} has shape {ids.shape}, expected one number for each of the "
            f"{points} rows of landmark_face_vertices"
        )
    check_indices(path, _FACE_MESH_KEY, ids, count=MESH_POINTS, of="face-mesh")
    return tuple(ids.tolist())
