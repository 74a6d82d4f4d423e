"""Rotation and translation of a travelling camera against one key frame.

Bundle adjustment in which a point is its key-frame ray and one inverse depth, as in 3D from small
motion (Yu & Gallup, CVPR 2014): `X_frame ~ R ray + inverse_depth t`. Points at infinity are nothing
special, so a camera that only turns is solved as well as one that travels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery.rotation_fit import BLOCK, fit_rotations
from humanmotion.recovery.scene_shape import DEPTH_RANGE, MIN_SEEN, plane_filled, start_depths

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_SOLVED_FRAMES = 8
"""So many frames of a key frame's reign fix the depths; the others then only need their pose."""
RICH_SHARE = 0.35
"""Frames with fewer points than this share of the best do not help to fix the depths."""
DEPTH_ROUNDS = 12
TRIAL_ROUNDS = 6
POSE_ROUNDS = 6
SCALES_PX = (6.0, 3.0, 2.0, 1.0)
"""Inlier scales of the robust weights, coarse to fine over the rounds."""
NOISE_PX = 0.5
DEPTH_PRIOR = 1.0
"""Inverse depths are 1 give or take this, which fixes the scale nothing else fixes."""
STEP_PRIOR = 2.0
"""Translations are 0 give or take this many typical depths."""


@dataclass(frozen=True)
class ParallaxFit:
    """Poses of the frames of one key frame, and its points' inverse depths."""

    rotation: Floats
    """`(F, 3, 3)`: `x_frame = rotation @ x_key + translation`."""
    translation: Floats
    """`(F, 3)` in units of a typical depth."""
    inverse_depth: Floats
    """`(n)`."""

    def at(self, frames: NDArray[np.int64]) -> ParallaxFit:
        """The poses of some frames, with the same points."""
        return ParallaxFit(self.rotation[frames], self.translation[frames], self.inverse_depth)

    def depths(self, ray: Floats, frame: int) -> Floats:
        """Depth `(n)` of the points in a frame, from their key-frame rays `(n, 3)`."""
        point = ray @ self.rotation[frame].T
        return np.asarray(point[:, 2] / self.inverse_depth + self.translation[frame, 2])


@dataclass(frozen=True)
class _Views:
    """What is to be explained: rays `(n, 3)` of the key frame, pixels `(F, n, 2)`, seen `(F, n)`."""

    ray: Floats
    xy: Floats
    seen: Bools
    focal: float

    def at(self, frames: NDArray[np.int64]) -> _Views:
        return _Views(self.ray, self.xy[frames], self.seen[frames], self.focal)


def fit_parallax(
    key: Floats, xy: Floats, seen: Bools, *, focal: float, known: Floats | None = None
) -> ParallaxFit:
    """Poses and inverse depths from `key` `(n, 2)` and `xy` `(F, n, 2)`, `seen` `(F, n)`.

    Pixels are counted from the principal point. `known` `(n)` are inverse depths believed from
    elsewhere, NaN where there are none. Scenes close to a plane have two answers of nearly equal
    worth, so several shapes of the scene are tried and the best end is kept.
    """
    views = _Views(np.c_[key / focal, np.ones(len(key))], xy, seen, focal)
    turned, residual = fit_rotations(key, xy, seen, focal=focal)
    frames, widest = _solved_frames(residual, seen)
    few = views.at(frames)
    shapes = start_depths(views.ray, xy[widest] / focal, seen[widest], threshold=1.0 / focal)
    if known is not None:
        shapes.append(plane_filled(views.ray, known))

    def cost(fit: ParallaxFit) -> float:
        return _cost(few, fit)

    plain = ParallaxFit(turned, np.zeros((len(xy), 3)), np.ones(len(key)))
    trials = []
    for shape in shapes:
        start = _adjust_poses(few, replace(plain.at(frames), inverse_depth=shape))
        trials.append(_adjust(few, _other_side(few, start, plain.at(frames)), TRIAL_ROUNDS))
    best = _adjust(few, min(trials, key=cost), DEPTH_ROUNDS)
    for first in range(0, len(xy), BLOCK):
        some = np.arange(first, min(first + BLOCK, len(xy)))
        near = np.abs(some[:, None] - frames).argmin(1)
        begin = ParallaxFit(best.rotation[near], best.translation[near], best.inverse_depth)
        part = views.at(some)
        end = _other_side(part, _adjust_poses(part, begin), plain.at(some))
        plain.rotation[some], plain.translation[some] = end.rotation, end.translation
    return ParallaxFit(plain.rotation, plain.translation, best.inverse_depth)


def _other_side(views: _Views, fit: ParallaxFit, turned: ParallaxFit) -> ParallaxFit:
    """Each frame's pose, or the one found from the opposite translation where that fits better.

    Seen against a plane a small step to one side looks much like one to the other, a little turned.
    """
    mirrored = ParallaxFit(turned.rotation, -fit.translation, fit.inverse_depth)
    other = _adjust_poses(views, mirrored)
    better = _frame_costs(views, other) < _frame_costs(views, fit)
    return ParallaxFit(
        np.where(better[:, None, None], other.rotation, fit.rotation),
        np.where(better[:, None], other.translation, fit.translation),
        fit.inverse_depth,
    )


def _solved_frames(residual: Floats, seen: Bools) -> tuple[NDArray[np.int64], int]:
    """Frames spread over those with many points, with the one of most parallax; and that one."""
    count = seen.sum(1)
    rich = np.flatnonzero(count >= max(MIN_SEEN, RICH_SHARE * int(count.max())))
    if len(rich) == 0:
        rich = np.arange(len(seen))
    parallax = [np.median(residual[f][seen[f]]) if count[f] else 0.0 for f in rich]
    widest = int(rich[int(np.argmax(parallax))])
    spread = np.linspace(0, len(rich) - 1, MAX_SOLVED_FRAMES).round().astype(np.int64)
    return np.unique(np.append(rich[spread], widest)), widest


def _project(views: _Views, fit: ParallaxFit) -> tuple[Floats, Floats, Floats, Floats]:
    """Error `(F, n, 2)` in pixels, slopes `(F, n, 2)`, depths `(F, n)` and turned rays `(F, n, 3)`.

    Points behind the camera are taken to lie just before it; their error is then large.
    """
    turned = views.ray @ fit.rotation.transpose(0, 2, 1)
    point = turned + fit.inverse_depth[:, None] * fit.translation[:, None]
    z = np.maximum(point[..., 2], 0.05)
    slope = point[..., :2] / z[..., None]
    return views.xy - views.focal * slope, slope, z, turned


def _linear(views: _Views, fit: ParallaxFit) -> tuple[Floats, Floats, Floats]:
    """Error `(F, n, 2)` in pixels, its derivative by pose `(F, n, 2, 6)`, by depth `(F, n, 2)`."""
    error, slope, z, turned = _project(views, fit)
    u, v = slope[..., 0], slope[..., 1]
    x, y, depth = turned[..., 0], turned[..., 1], turned[..., 2]
    zero = np.zeros_like(z)
    near = fit.inverse_depth
    # Rows: d(f u) and d(f v) by a small turn (left of the rotation) and by the translation.
    across = np.stack((-u * y, u * x + depth, -y, near + zero, zero, -near * u), -1)
    down = np.stack((-depth - v * y, v * x, x, zero, near + zero, -near * v), -1)
    scale = (views.focal / z)[..., None]
    by_pose = np.stack((across, down), -2) * scale[..., None]
    step = fit.translation[:, None]
    by_depth = (step[..., :2] - slope * step[..., 2:]) * scale
    return error, by_pose, by_depth


def _weights(views: _Views, error: Floats, scale: float) -> Floats:
    square = (error**2).sum(-1)
    return np.asarray(views.seen * (scale**2 / (scale**2 + square)) ** 2 / NOISE_PX**2)


def _frame_costs(views: _Views, fit: ParallaxFit, scale: float = SCALES_PX[-1]) -> Floats:
    """Geman-McClure cost of each frame's errors `(F)`."""
    square = (_project(views, fit)[0] ** 2).sum(-1)
    cost = (views.seen * square * scale**2 / (scale**2 + square)).sum(1)
    return np.asarray(cost / NOISE_PX**2)


def _cost(views: _Views, fit: ParallaxFit, scale: float = SCALES_PX[-1]) -> float:
    """Cost of all errors and of what the priors say."""
    depth = ((fit.inverse_depth - 1) ** 2).sum() / DEPTH_PRIOR**2
    step = (fit.translation**2).sum() / STEP_PRIOR**2
    return float(_frame_costs(views, fit, scale).sum() + depth + step)


def _adjust(views: _Views, fit: ParallaxFit, rounds: int) -> ParallaxFit:
    """Poses and depths together: damped Gauss-Newton, depths eliminated (Schur complement)."""
    damping = 1e-3
    for turn in range(rounds):
        scale = SCALES_PX[min(len(SCALES_PX) * turn // (rounds - 2), len(SCALES_PX) - 1)]
        trial = _step(views, fit, scale=scale, damping=damping)
        if _cost(views, trial, scale) < _cost(views, fit, scale):
            fit, damping = trial, damping / 4
        else:
            damping = min(damping * 8, 1e3)
    return fit


def _normal(
    views: _Views, fit: ParallaxFit, scale: float
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Normal equations by pose `(F, 6, 6)` and `(F, 6)`, and weighted derivatives and errors."""
    error, by_pose, by_depth = _linear(views, fit)
    weight = _weights(views, error, scale)[..., None]
    flat = by_pose.reshape(len(error), -1, 6)
    weighted = by_pose * weight[..., None]
    across = weighted.reshape(flat.shape).transpose(0, 2, 1)
    matrix = across @ flat + _step_prior()
    side = (across @ error.reshape(len(error), -1, 1))[..., 0]
    side[:, 3:] -= fit.translation / STEP_PRIOR**2
    return matrix, side, weighted, by_depth, weight * error


def _step(views: _Views, fit: ParallaxFit, *, scale: float, damping: float) -> ParallaxFit:
    frames = len(fit.rotation)
    pose, to_pose, weighted, by_depth, error = _normal(views, fit, scale)
    weight = _weights(views, _project(views, fit)[0], scale)[..., None]
    pose += damping * pose * np.eye(6)
    cross = (weighted * by_depth[..., None]).sum(2).transpose(0, 2, 1).reshape(frames * 6, -1)
    depth = (weight * by_depth**2).sum((0, 2)) * (1 + damping) + DEPTH_PRIOR**-2
    to_depth = (by_depth * error).sum((0, 2)) - (fit.inverse_depth - 1) / DEPTH_PRIOR**2
    whole = np.zeros((frames, 6, frames, 6))
    whole[np.arange(frames), :, np.arange(frames)] = pose
    whole = whole.reshape(frames * 6, frames * 6) - (cross / depth) @ cross.T
    move = np.linalg.solve(
        whole + 1e-9 * np.eye(len(whole)), to_pose.reshape(-1) - (cross / depth) @ to_depth
    )
    sink = (to_depth - cross.T @ move) / depth
    return _moved(fit, move.reshape(frames, 6), fit.inverse_depth + sink)


def _adjust_poses(views: _Views, fit: ParallaxFit) -> ParallaxFit:
    """Poses alone, each frame by itself, depths as they are."""
    for turn in range(POSE_ROUNDS):
        scale = SCALES_PX[min(turn * len(SCALES_PX) // (POSE_ROUNDS - 1), len(SCALES_PX) - 1)]
        matrix, side, *_ = _normal(views, fit, scale)
        matrix += 1e-4 * matrix * np.eye(6) + 1e-6 * np.eye(6)
        move = np.asarray(np.linalg.solve(matrix, side[..., None])[..., 0], np.float64)
        fit = _moved(fit, move, fit.inverse_depth)
    return fit


def _step_prior() -> Floats:
    return np.diag([0.0, 0.0, 0.0, *[STEP_PRIOR**-2] * 3])


def _moved(fit: ParallaxFit, move: Floats, depth: Floats) -> ParallaxFit:
    # A step larger than this comes from a flat cost; it must not throw the camera about.
    turn = np.clip(move[:, :3], -0.3, 0.3)
    step = np.clip(move[:, 3:], -1.0, 1.0)
    rotation = np.stack([cv2.Rodrigues(w)[0] for w in turn]) @ fit.rotation
    return ParallaxFit(rotation, fit.translation + step, np.clip(depth, *DEPTH_RANGE))
