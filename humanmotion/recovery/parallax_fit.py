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
from humanmotion.recovery.scene_shape import DEPTH_RANGE, MIN_SEEN, plane_filled, start_depths

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_SOLVED_FRAMES = 8
"""So many frames of a key frame's reign fix the depths; the others then only need their pose."""
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
    still = np.zeros((len(frames), 3))
    starts = [
        _adjust(few, _adjust_poses(few, ParallaxFit(turned[frames], still, shape)), TRIAL_ROUNDS)
        for shape in shapes
    ]
    best = _adjust(few, min(starts, key=lambda fit: _cost(few, fit)), DEPTH_ROUNDS)
    nearest = np.abs(np.arange(len(xy))[:, None] - frames).argmin(1)
    begin = ParallaxFit(best.rotation[nearest], best.translation[nearest], best.inverse_depth)
    return _adjust_poses(views, begin)


def _solved_frames(residual: Floats, seen: Bools) -> tuple[NDArray[np.int64], int]:
    """Frames spread over the reign, among them the one with most parallax, and that one."""
    parallax = np.array(
        [np.median(r[s]) if s.sum() >= MIN_SEEN else -1.0
         for r, s in zip(residual, seen, strict=True)]
    )
    widest = int(parallax.argmax())
    spread = np.linspace(0, len(residual) - 1, MAX_SOLVED_FRAMES).round().astype(np.int64)
    return np.unique(np.append(spread, widest)), widest


def _linear(views: _Views, fit: ParallaxFit) -> tuple[Floats, Floats, Floats]:
    """Error `(F, n, 2)` in pixels, its derivative by pose `(F, n, 2, 6)` and by depth `(F, n, 2)`.

    Points behind the camera get the error of a missing point: zero weight comes with it.
    """
    turned = np.einsum("fij,nj->fni", fit.rotation, views.ray)
    point = turned + fit.inverse_depth[:, None] * fit.translation[:, None]
    z = np.maximum(point[..., 2], 0.05)
    slope = point[..., :2] / z[..., None]
    error = views.xy - views.focal * slope
    scale = views.focal / z
    by_point = np.zeros((*z.shape, 2, 3))
    by_point[..., 0, 0] = by_point[..., 1, 1] = scale
    by_point[..., :, 2] = -scale[..., None] * slope
    by_turn = -np.cross(by_point, turned[..., None, :])
    by_step = by_point * fit.inverse_depth[:, None, None]
    by_depth = np.einsum("fnij,fj->fni", by_point, fit.translation)
    return error, np.concatenate((by_turn, by_step), -1), by_depth


def _weights(views: _Views, error: Floats, scale: float) -> Floats:
    square = (error**2).sum(-1)
    return np.asarray(views.seen * (scale**2 / (scale**2 + square)) ** 2 / NOISE_PX**2)


def _cost(views: _Views, fit: ParallaxFit, scale: float = SCALES_PX[-1]) -> float:
    """Geman-McClure cost of the errors plus that of the priors."""
    error, _, _ = _linear(views, fit)
    square = (error**2).sum(-1)
    data = (views.seen * square * scale**2 / (scale**2 + square)).sum() / NOISE_PX**2
    depth = ((fit.inverse_depth - 1) ** 2).sum() / DEPTH_PRIOR**2
    return float(data + depth + (fit.translation**2).sum() / STEP_PRIOR**2)


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


def _step(views: _Views, fit: ParallaxFit, *, scale: float, damping: float) -> ParallaxFit:
    frames = len(fit.rotation)
    error, by_pose, by_depth = _linear(views, fit)
    weight = _weights(views, error, scale)
    weighted = by_pose * weight[..., None, None]
    pose = np.einsum("fnia,fnib->fab", weighted, by_pose) + _step_prior()
    pose += damping * np.einsum("fab,ab->fab", pose, np.eye(6))
    cross = np.einsum("fnia,fni->fan", weighted, by_depth).reshape(frames * 6, -1)
    depth = (weight[..., None] * by_depth**2).sum((0, 2)) * (1 + damping) + DEPTH_PRIOR**-2
    to_pose = np.einsum("fnia,fni->fa", weighted, error)
    to_pose[:, 3:] -= fit.translation / STEP_PRIOR**2
    to_depth = (weight[..., None] * by_depth * error).sum((0, 2))
    to_depth -= (fit.inverse_depth - 1) / DEPTH_PRIOR**2
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
        scale = SCALES_PX[min(turn // 2, len(SCALES_PX) - 1)]
        error, by_pose, _ = _linear(views, fit)
        weighted = by_pose * _weights(views, error, scale)[..., None, None]
        matrix = np.einsum("fnia,fnib->fab", weighted, by_pose) + _step_prior()
        side = np.einsum("fnia,fni->fa", weighted, error)
        side[:, 3:] -= fit.translation / STEP_PRIOR**2
        matrix += 1e-4 * np.einsum("fab,ab->fab", matrix, np.eye(6)) + 1e-6 * np.eye(6)
        move = np.linalg.solve(matrix, side[..., None])[..., 0]
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
