"""Guesses at the shape of a scene from two pictures, from which bundle adjustment can start.

Flat towards the camera; triangulated over the essential matrix (Nister 2004); and the planes into
which a homography decomposes (Malis & Vargas 2007), of which a scene close to a plane has two.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DEPTH_RANGE = (0.005, 50.0)
"""Inverse depths of a scene whose typical one is 1."""
MIN_SEEN = 8
MIN_AHEAD = 0.9
"""A plane must lie before the camera for this share of the points."""


def start_depths(ray: Floats, xy: Floats, seen: Bools, *, threshold: float) -> list[Floats]:
    """Inverse depths `(n)`, about 1, that may fit; at least the flat scene.

    `ray` `(n, 3)` (third coordinate 1) in the key frame, `xy` `(n, 2)` in the other at focal length
    1, `seen` `(n)` there; `threshold` tells inliers, at focal length 1.
    """
    shapes = [np.ones(len(ray))]
    if seen.sum() < MIN_SEEN:
        return shapes
    try:
        shapes += _from_essential(ray, xy, seen, threshold)
        shapes += _from_planes(ray, xy, seen, threshold)
    except cv2.error:
        # OpenCV raises on degenerate sets (no parallax, one line); the flat scene remains.
        return shapes
    return shapes


def plane_filled(ray: Floats, known: Floats) -> Floats:
    """Inverse depths `(n)` where `known` is NaN taken from the plane through the others."""
    good = np.isfinite(known)
    if good.sum() < MIN_SEEN:
        return np.where(good, known, 1.0)
    # On a plane the inverse depth is linear in the ray.
    plane, *_ = np.linalg.lstsq(ray[good], known[good], rcond=None)
    return np.clip(np.where(good, known, ray @ plane), *DEPTH_RANGE)


def _from_essential(ray: Floats, xy: Floats, seen: Bools, threshold: float) -> list[Floats]:
    a, b = ray[seen, :2], xy[seen]
    found, inlier = cv2.findEssentialMat(
        a, b, np.eye(3), method=cv2.USAC_MAGSAC, prob=0.999, threshold=threshold
    )
    if found is None or found.shape != (3, 3):
        return []
    _, _, _, good, points = cv2.recoverPose(found, a, b, np.eye(3), distanceThresh=1e4, mask=inlier)
    z = points[2] / np.where(np.abs(points[3]) < 1e-9, 1e-9, points[3])
    ahead = (good[:, 0] > 0) & (z > 1e-3)
    if ahead.sum() < MIN_SEEN:
        return []
    known = np.full(len(ray), np.nan)
    known[np.flatnonzero(seen)[ahead]] = np.median(z[ahead]) / z[ahead]
    return [plane_filled(ray, np.clip(known, *DEPTH_RANGE))]


def _from_planes(ray: Floats, xy: Floats, seen: Bools, threshold: float) -> list[Floats]:
    # OpenCV says None where its types do not.
    found: Any
    found, _ = cv2.findHomography(ray[seen, :2], xy[seen], cv2.USAC_MAGSAC, 3 * threshold)
    if found is None:
        return []
    _, _, _, normals = cv2.decomposeHomographyMat(found, np.eye(3))
    shapes = []
    for normal in normals:
        depth = ray @ np.asarray(normal, np.float64)[:, 0]
        if (depth[seen] > 0).mean() >= MIN_AHEAD:
            shapes.append(np.clip(depth / np.median(depth[seen]), *DEPTH_RANGE))
    return shapes
