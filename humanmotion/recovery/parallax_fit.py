"""Rotation and translation of a travelling camera against one key frame.

Bundle adjustment in which a point is its key-frame ray and one inverse depth, as in 3D from small
motion (Yu & Gallup, CVPR 2014): `X_frame ~ R ray + inverse_depth t`. Points at infinity are nothing
special, so a camera that only turns is solved as well as one that travels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery.rotation_fit import fit_rotations

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_SOLVED_FRAMES = 14
"""So many frames of a key frame's reign fix the depths; the others then only need their pose."""
DEPTH_ROUNDS = 18
POSE_ROUNDS = 8
SCALES_PX = (6.0, 3.0, 2.0, 1.0)
NOISE_PX = 0.5
DEPTH_PRIOR = 1.0
"""Inverse depths are 1 give or take this, which fixes the scale nothing else fixes."""
STEP_PRIOR = 2.0
"""Translations are 0 give or take this many typical depths."""
DEPTH_RANGE = (0.005, 50.0)


@dataclass(frozen=True)
class ParallaxFit:
    """Poses of the frames of one key frame, and its points' inverse depths."""

    rotation: Floats
    """`(F, 3, 3)`: `x_frame = rotation @ x_key + translation`."""
    translation: Floats
    """`(F, 3)` in units of a typical depth."""
    inverse_depth: Floats
    """`(n)`."""
    residual: Floats
    """Pixels `(F, n)`, large where not seen."""


def fit_parallax(key: Floats, xy: Floats, seen: Bools, *, focal: float) -> ParallaxFit:
    """Poses and inverse depths from `key` `(n, 2)` and `xy` `(F, n, 2)`, `seen` `(F, n)`.

    Pixels are counted from the principal point. Two starts are tried, the pure rotation and the
    essential matrix of the widest frame, and the better end is kept.
    """
    rotation, residual = fit_rotations(key, xy, seen, focal=focal)
    ray = np.c_[key / focal, np.ones(len(key))]
    solved = _spread(residual, seen)
    starts = [(np.zeros((len(solved), 3)), np.ones(len(key)), rotation[solved])]
    wide = _from_essential(key, xy, seen, focal=focal, frame=int(solved[-1]))
    if wide is not None:
        starts.append((*_seed(wide, xy[solved], seen[solved], ray, focal), ))
    ends = [
        _adjust(ray, xy[solved], seen[solved], focal=focal, start=start) for start in starts
    ]
    turn, step, depth = min(ends, key=lambda e: _cost(ray, xy[solved], seen[solved], e, focal))
    return _all_poses(ray, xy, seen, (solved, turn, step, depth), focal=focal)
