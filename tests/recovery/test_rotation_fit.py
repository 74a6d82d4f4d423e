"""Rotations from rays: exact, robust, and the batch equals one frame at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from humanmotion.recovery.parallax_fit import ParallaxFit as Poses
from humanmotion.recovery.parallax_fit import _linear, _Views, fit_parallax
from humanmotion.recovery.rotation_fit import BAD_PX, fit_rotations, kabsch, rays

FOCAL = 700.0


def seen_by(turns: np.ndarray, *, steps: np.ndarray | None = None, seed: int = 0):
    """A key frame's points `(n, 2)`, and where they are after turns `(F, 3, 3)` and steps."""
    rng = np.random.default_rng(seed)
    key = rng.uniform(-1, 1, (120, 2)) * (300, 170)
    depth = rng.uniform(2, 6, 120)
    point = np.c_[key / FOCAL, np.ones(120)] * depth[:, None]
    moved = point @ turns.transpose(0, 2, 1)
    if steps is not None:
        moved = moved + steps[:, None]
    return key, FOCAL * moved[..., :2] / moved[..., 2:]


def turns(frames: int, degrees: float, seed: int = 1) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(frames, 3)) * np.deg2rad(degrees)
    return Rotation.from_rotvec(vectors).as_matrix()


def angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.rad2deg(Rotation.from_matrix(a @ b.transpose(0, 2, 1)).magnitude())


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 1.0, 8.0])
def test_a_pure_turn_is_found_exactly(degrees):
    true = turns(5, degrees)
    key, xy = seen_by(true)
    found, residual = fit_rotations(key, xy, np.ones(xy.shape[:2], bool), focal=FOCAL)
    assert angle_deg(found, true).max() < 1e-5
    assert residual.max() < 1e-5


def test_a_batch_equals_one_frame_at_a_time():
    true = turns(6, 5)
    key, xy = seen_by(true)
    xy += np.random.default_rng(2).normal(size=xy.shape)
    seen = np.random.default_rng(3).random(xy.shape[:2]) < 0.7
    batch, residual = fit_rotations(key, xy, seen, focal=FOCAL)
    for f in range(6):
        alone, rest = fit_rotations(key, xy[[f]], seen[[f]], focal=FOCAL)
        np.testing.assert_allclose(alone[0], batch[f], atol=1e-9)
        np.testing.assert_allclose(rest[0], residual[f], atol=1e-6)


def test_kabsch_agrees_with_scipy():
    rng = np.random.default_rng(0)
    a = rays(rng.uniform(-300, 300, (40, 2)), FOCAL)
    b = a @ turns(1, 20)[0].T + rng.normal(size=(40, 3)) * 0.01
    weights = rng.random(40)
    mine = kabsch(a[None], b[None], weights[None])[0]
    theirs, _ = Rotation.align_vectors(b, a, weights=weights)
    np.testing.assert_allclose(mine, theirs.as_matrix(), atol=1e-9)


def test_a_crowd_that_moves_together_does_not_capture_the_fit():
    true = turns(8, 4)
    key, xy = seen_by(true)
    xy[:, :42] += (60, -10)
    found, residual = fit_rotations(key, xy, np.ones(xy.shape[:2], bool), focal=FOCAL)
    assert angle_deg(found, true).max() < 0.02
    assert residual[:, :42].min() > 30


def test_a_frame_in_which_a_crowd_is_the_majority_is_settled_by_the_others():
    true = turns(8, 3)
    key, xy = seen_by(true)
    seen = np.ones(xy.shape[:2], bool)
    xy[:, :45] += (50, 0)
    seen[3, 80:] = False
    found, _ = fit_rotations(key, xy, seen, focal=FOCAL)
    alone, _ = fit_rotations(key, xy[[3]], seen[[3]], focal=FOCAL)
    assert angle_deg(found, true).max() < 0.02
    assert angle_deg(alone, true[[3]])[0] > 1


def test_turning_the_key_frame_turns_the_answer():
    true, other = turns(4, 5), turns(1, 6, seed=9)[0]
    key, xy = seen_by(true)
    moved = np.c_[key / FOCAL, np.ones(len(key))] @ other.T
    found, _ = fit_rotations(
        FOCAL * moved[:, :2] / moved[:, 2:], xy, np.ones(xy.shape[:2], bool), focal=FOCAL
    )
    assert angle_deg(found, true @ other.T).max() < 1e-5


def test_without_points_nothing_turns():
    found, residual = fit_rotations(
        np.ones((5, 2)), np.ones((3, 5, 2)), np.zeros((3, 5), bool), focal=FOCAL
    )
    assert (found == np.eye(3)).all() and (residual == BAD_PX).all()


@pytest.mark.parametrize("length", [0.0, 0.1, 0.6])
def test_a_travelling_camera_is_found_up_to_scale(length):
    frames = 12
    share = np.linspace(0, 1, frames)[:, None]
    true = Rotation.from_rotvec(share * np.deg2rad([2.0, 6.0, 1.0])).as_matrix()
    steps = share * length * np.array([0.8, -0.1, -0.6])
    key, xy = seen_by(true, steps=steps)
    xy += np.random.default_rng(4).normal(size=xy.shape) * 0.15
    found = fit_parallax(key, xy, np.ones(xy.shape[:2], bool), focal=FOCAL)
    assert angle_deg(found.rotation, true).max() < 0.15
    if length:
        direction = found.translation[-1] / np.linalg.norm(found.translation[-1])
        assert direction @ steps[-1] / np.linalg.norm(steps[-1]) > 0.98


def test_derivatives_equal_finite_differences():
    true = turns(3, 5)
    steps = np.random.default_rng(5).normal(size=(3, 3)) * 0.1
    key, xy = seen_by(true, steps=steps)
    views = _Views(np.c_[key / FOCAL, np.ones(len(key))], xy, np.ones(xy.shape[:2], bool), FOCAL)
    depth = np.random.default_rng(6).uniform(0.5, 1.5, len(key))
    _, by_pose, by_depth = _linear(views, Poses(true, steps, depth))
    small = 1e-6

    def error(turn: np.ndarray, step: np.ndarray, more: float) -> np.ndarray:
        rotation = Rotation.from_rotvec(turn).as_matrix() @ true
        return _linear(views, Poses(rotation, steps + step, depth + more))[0]

    for k, unit in enumerate(np.eye(6) * small):
        change = error(-unit[:3], -unit[3:], 0) - error(unit[:3], unit[3:], 0)
        np.testing.assert_allclose(by_pose[..., k], change / (2 * small), atol=1e-3)
    change = error(np.zeros(3), np.zeros(3), -small) - error(np.zeros(3), np.zeros(3), small)
    np.testing.assert_allclose(by_depth, change / (2 * small), atol=1e-3)
