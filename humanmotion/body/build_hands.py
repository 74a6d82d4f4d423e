"""Hand pose keys of the default body: a relaxed mean hand and a basis of finger movements.

The flat hand is the zero pose. In the T-pose the left fingers point along +x with the palm down, so
flexing turns about -z; the right hand is the mirror image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from humanmotion.body.build_skeleton import FINGERS
from humanmotion.body.build_source import Floats

_RELAXED = {"index": 0.25, "middle": 0.32, "pinky": 0.40, "ring": 0.36, "thumb": 0.0}
_THUMB_IN = np.array([[0.1, 0.15, 0.05], [0.0, 0.15, 0.0], [0.0, 0.2, 0.0]])


def hand_keys() -> dict[str, NDArray[np.float32]]:
    """`hands_mean{l,r}` (45) and `hands_components{l,r}` (45, 45), axis-angle in radians."""
    mean, basis = _relaxed(), _basis()
    mirror = np.tile([1.0, -1.0, -1.0], 15)
    return {
        "hands_meanl": mean.astype(np.float32),
        "hands_meanr": (mean * mirror).astype(np.float32),
        "hands_componentsl": basis.astype(np.float32),
        "hands_componentsr": (basis * mirror).astype(np.float32),
    }


def _relaxed() -> Floats:
    pose = np.zeros((5, 3, 3))
    for i, finger in enumerate(FINGERS):
        pose[i, :, 2] = -_RELAXED[finger]
    pose[FINGERS.index("thumb")] = _THUMB_IN
    return pose.ravel()


def _basis() -> Floats:
    """Orthonormal rows: fist, thumb, spread, single fingers, then whatever is left."""
    moves = np.zeros((7, 5, 3, 3))
    moves[0, :4, :, 2] = -1.0
    moves[1, 4] = _THUMB_IN
    moves[2, :4, 0, 1] = [-1.0, -0.3, 1.0, 0.4]
    for i in range(3):
        moves[3 + i, i, :, 2] = -1.0
    moves[6, :4, 0, 2] = -1.0
    rows: list[Floats] = []
    for move in np.concatenate([moves.reshape(7, 45), np.eye(45)]):
        for row in rows:
            move = move - (move @ row) * row
        length = np.linalg.norm(move)
        if length > 1e-6:
            rows.append(move / length)
    return np.array(rows)
