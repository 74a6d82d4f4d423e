"""Skin weights of the default body: the rig's bones onto the 55 joints, smoothed, four at most.

Several rig bones (the two halves of a limb, metacarpals, face muscles) share one joint of the
55-joint tree, which leaves hard edges where the rig had soft ones; diffusion over the mesh softens
them again, most at the wrist (a whole hand's twist ends there), shoulder and hip.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from humanmotion.body.build_skeleton import INDEX, OTHER_SIDE, joint_map
from humanmotion.body.build_source import Floats, Ints, Source
from humanmotion.joint_sets import SMPLX_JOINTS

MAX_INFLUENCES = 4
_TRUNK_BONES = ("root", "pelvis.", "spine0", "breast")
# Where above each trunk joint it takes over, and the half width of the blend, in metres. The two
# upper joints lie close together: shifted apart, each leads some flesh, and the chest stays stiff.
_TRUNK_BLEND = {"spine1": (0.0, 0.09), "spine2": (-0.02, 0.06), "spine3": (0.03, 0.06)}
# Joints whose weights are diffused together, and how often.
_SMOOTHING: tuple[tuple[tuple[str, ...], int], ...] = (
    (("collar", "shoulder", "spine3", "spine2", "neck"), 6),
    (("pelvis", "hip", "spine1"), 10),
    (("elbow", "wrist"), 40),
    (("shoulder", "elbow"), 14),
    (("hip", "knee"), 4),
    (("knee", "ankle"), 8),
    (("ankle", "foot"), 3),
    (("neck", "head"), 4),
)


def skin_weights(source: Source, faces: Ints, joints: Floats) -> Floats:
    """Weights (N, 55) of all source vertices; rows of skin sum to 1 with at most 4 non-zero.

    `faces` are the skin's quads, `joints` (55, 3) the joints' places in the source pose, whose
    trunk heights decide where the trunk bends.
    """
    bone_joint = joint_map()["weights_to_joint"]
    count = len(source.vertices)
    weights = np.zeros((count, len(SMPLX_JOINTS)))
    trunk = np.zeros(count)
    for bone, pairs in source.weights.items():
        ids = np.array([pair[0] for pair in pairs], int)
        values = np.array([pair[1] for pair in pairs])
        if bone.startswith(_TRUNK_BONES):
            np.add.at(trunk, ids, values)
        else:
            np.add.at(weights[:, INDEX[str(bone_joint[bone])]], ids, values)
    weights += _share_trunk(trunk, source.vertices[:, 1], joints)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    average = _neighbour_average(faces, count)
    for names, rounds in _SMOOTHING:
        weights = _diffuse(weights, average, names, rounds)
    weights = (weights + _mirrored(weights, source.mirror)) / 2
    return _strongest(weights)


def _share_trunk(trunk: Floats, height: Floats, joints: Floats) -> Floats:
    """The trunk bones' weight given to pelvis and spine by height: each takes over at its joint."""
    out = np.zeros((len(trunk), len(SMPLX_JOINTS)))
    rising = [np.ones_like(height)]
    for name, (shift, width) in _TRUNK_BLEND.items():
        t = np.clip((height - joints[INDEX[name], 1] - shift) / (2 * width) + 0.5, 0, 1)
        rising.append(np.minimum(rising[-1], t * t * (3 - 2 * t)))
    rising.append(np.zeros_like(height))
    for name, above, below in zip(("pelvis", *_TRUNK_BLEND), rising, rising[1:], strict=False):
        out[:, INDEX[name]] = trunk * (above - below)
    return out


def _neighbour_average(faces: Ints, count: int) -> sparse.csr_matrix:
    start, end = faces.ravel(), np.roll(faces, 1, 1).ravel()
    links = sparse.coo_matrix((np.ones(len(start)), (start, end)), (count, count)).tocsr()
    links = ((links + links.T) > 0).astype(float)
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
    return sparse.csr_matrix(sparse.diags(1 / degree) @ links)


def _diffuse(
    weights: Floats, average: sparse.csr_matrix, names: tuple[str, ...], rounds: int
) -> Floats:
    """Diffuse among the named joints only: their sum at each vertex stays what it is."""
    ids = [i for i, name in enumerate(SMPLX_JOINTS) if name.split("_")[-1] in names]
    total = weights[:, ids].sum(1, keepdims=True)
    share = weights[:, ids]
    for _ in range(rounds):
        share = 0.5 * share + 0.5 * (average @ share)
        # Vertices without any of these joints neither give nor take.
        share *= total / np.maximum(share.sum(1, keepdims=True), 1e-9)
    out = weights.copy()
    out[:, ids] = share
    return out


def _mirrored(weights: Floats, mirror: Ints) -> Floats:
    return weights[mirror][:, OTHER_SIDE]


def _strongest(weights: Floats) -> Floats:
    # Above the fifth largest: where left and right tie for fourth place, neither is taken.
    fifth = -np.partition(-weights, MAX_INFLUENCES, axis=1)[:, MAX_INFLUENCES : MAX_INFLUENCES + 1]
    out = np.where((weights > fifth + 1e-9) & (weights > 1e-3), weights, 0.0)
    return np.asarray(out / np.maximum(out.sum(1, keepdims=True), 1e-9))
