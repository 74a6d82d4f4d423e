"""smplx's face landmark keys: 51 points on the features, 17 on the contour for 79 head turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from humanmotion.body.build_landmarks import BodySamples, FaceTable, face_table
from humanmotion.body.build_skeleton import INDEX
from humanmotion.body.build_source import Floats, Ints

_CONTOUR = 17
_CHIN = 8
_BAND = 0.005
# smplx looks rows up by the head's turn: row k is -k degrees up to 39, row 39 + k is +k degrees.
_TURNS_DEG = (*range(0, -40, -1), *range(1, 40))


def smplx_face_keys(
    samples: BodySamples, faces: Ints
) -> dict[str, NDArray[np.int64] | NDArray[np.float32]]:
    """The npz keys of smplx's 51 inner face landmarks and its 79 x 17 face contour."""
    index, bary = _on_triangles(face_table(samples.source_vertices), faces)
    turned = [_contour(samples, faces, index[:_CONTOUR], bary[:_CONTOUR], a) for a in _TURNS_DEG]
    return {
        "lmk_faces_idx": index[_CONTOUR:],
        "lmk_bary_coords": bary[_CONTOUR:].astype(np.float32),
        "dynamic_lmk_faces_idx": np.array([i for i, _ in turned]),
        "dynamic_lmk_bary_coords": np.array([b for _, b in turned], np.float32),
    }


def _on_triangles(table: FaceTable, faces: Ints) -> tuple[Ints, Floats]:
    """Face numbers (68,) and barycentric weights (68, 3) of the table's points."""
    number = {tuple(sorted(face)): i for i, face in enumerate(faces.tolist())}
    index = np.array([number[tuple(sorted(table.vertices[m].tolist()))] for m in table.ibug_68])
    corner = faces[index][:, :, None] == table.vertices[list(table.ibug_68)][:, None]
    weights = table.weights[list(table.ibug_68)]
    return index, np.einsum("pab,pb->pa", corner.astype(float), weights)


def _contour(
    samples: BodySamples, faces: Ints, index: Ints, bary: Floats, turn_deg: int
) -> tuple[Ints, Floats]:
    """The contour seen from the front when the head is turned by `turn_deg` about the vertical.

    On the side turned away the outline is no longer the jaw but the cheek: at the height of each
    jaw point, the skin that reaches out furthest.
    """
    template = samples.vertices[0]
    turn = np.radians(turn_deg)
    across = template @ np.array([np.cos(turn), 0.0, np.sin(turn)])
    still = np.einsum("pk,pka->pa", bary, template[faces[index]])
    index, bary = index.copy(), bary.copy()
    hidden = range(_CHIN + 1, _CONTOUR) if turn_deg > 0 else range(_CHIN)
    side = float(np.sign(turn_deg))
    head = samples.joints[0, INDEX["head"]]
    front = (template[:, 2] > head[2] + 0.02) & (template[:, 1] > head[1] - 0.08)
    front &= np.abs(template[:, 0]) < 0.1
    for point in hidden if turn_deg else ():
        level = front & (np.abs(template[:, 1] - still[point, 1]) < _BAND)
        reach = np.where(level, across * side, -np.inf)
        vertex = int(np.argmax(reach))
        if reach[vertex] > side * (still[point] @ [np.cos(turn), 0.0, np.sin(turn)]):
            index[point] = int(np.flatnonzero((faces == vertex).any(1))[0])
            bary[point] = faces[index[point]] == vertex
    return index, bary
