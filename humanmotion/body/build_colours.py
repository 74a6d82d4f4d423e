"""A plain colour for each vertex of the default body: skin, hair, suit, eyes; no texture needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from humanmotion.body.build_landmarks import BodySamples
from humanmotion.body.build_skeleton import INDEX
from humanmotion.body.build_source import Floats, Ints
from humanmotion.joint_sets import SMPLX_JOINTS

_SKIN, _HAIR = (214, 174, 152), (74, 56, 46)
_SHIRT, _TROUSERS, _SHOES = (104, 134, 164), (62, 70, 92), (44, 44, 50)
_WHITE, _IRIS = (236, 236, 232), (58, 44, 36)
_IRIS_SHARE = 0.42
"""Radius of the iris against the eyeball's."""


def vertex_colours(samples: BodySamples, quads: Ints) -> NDArray[np.uint8]:
    """RGB (V, 3) of the template's vertices, which the skin's `quads` (F, 4) join."""
    template, joints = samples.vertices[0], samples.joints[0]
    out = np.full((len(template), 3), _SKIN, np.uint8)
    trunk = _led_by(samples, ("pelvis", "spine", "collar", "shoulder"))
    legs = _led_by(samples, ("hip", "knee"))
    waist = joints[INDEX["pelvis"], 1]
    out[trunk > 0.6] = _SHIRT
    out[(legs > 0.5) | ((trunk > 0.5) & (template[:, 1] < waist))] = _TROUSERS
    out[_led_by(samples, ("ankle", "foot")) > 0.5] = _SHOES
    out[_scalp(samples)] = _HAIR
    out = _softened(out, quads)
    for side in ("left", "right"):
        _colour_eye(out, samples, INDEX[f"{side}_eye_smplhf"])
    return out


def _led_by(samples: BodySamples, parts: tuple[str, ...]) -> Floats:
    ids = [i for i, name in enumerate(SMPLX_JOINTS) if name.split("_")[-1].startswith(parts)]
    return np.asarray(samples.weights[:, ids].sum(1))


def _scalp(samples: BodySamples) -> NDArray[np.bool_]:
    x, y, z = samples.vertices[0].T
    head = samples.joints[0, INDEX["head"]]
    eyes = samples.joints[0, INDEX["left_eye_smplhf"], 1]
    ears = (np.abs(x) > 0.07) & (y < eyes + 0.026)
    top = (y > eyes + 0.05) & (z < head[2] + 0.1)
    back = (z < head[2] - 0.005) & (y > head[1] - 0.03)
    led = samples.weights[:, INDEX["head"]] > 0.5
    return np.asarray(led & (top | back) & ~ears, np.bool_)


def _softened(colours: NDArray[np.uint8], quads: Ints) -> NDArray[np.uint8]:
    """Averaged over the faces around each vertex, so that edges do not follow the mesh in steps."""
    face = colours[quads].mean(1)
    count = np.maximum(np.bincount(quads.ravel(), minlength=len(colours)), 1)
    total = [np.bincount(quads.ravel(), np.repeat(face[:, i], 4), len(colours)) for i in range(3)]
    return np.round(np.stack(total, 1) / count[:, None]).astype(np.uint8)


def _colour_eye(out: NDArray[np.uint8], samples: BodySamples, joint: int) -> None:
    eye = np.flatnonzero(samples.weights[:, joint] > 0.99)
    offset = samples.vertices[0, eye] - samples.vertices[0, eye].mean(0)
    radius = np.linalg.norm(offset, axis=1).max()
    iris = (offset[:, 2] > 0) & (np.linalg.norm(offset[:, :2], axis=1) < _IRIS_SHARE * radius)
    out[eye] = _WHITE
    out[eye[iris]] = _IRIS
