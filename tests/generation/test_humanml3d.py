"""HumanML3D's numbers against the published steps written out with quaternions, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from humanmotion.errors import UsageError
from humanmotion.generation.features import FPS
from humanmotion.generation.humanml3d import SIZE, humanml3d, humanml3d_of
from humanmotion.motion import Motion
from humanmotion.rotations import matrix_to_rotvec, rotation_about_z, rotvec_to_matrix


def between(a: np.ndarray, b: np.ndarray) -> Rotation:
    """The shortest turn from one direction to another."""
    quaternion = np.append(np.cross(a, b), np.linalg.norm(a) * np.linalg.norm(b) + a @ b)
    return Rotation.from_quat(quaternion)


def slow_features(motion: Motion, body) -> np.ndarray:
    even = motion.resample(FPS)
    z_up = body.joints_of(even)[:, :22].double().numpy()
    p = np.stack((z_up[..., 0], z_up[..., 2], -z_up[..., 1]), -1)
    p[..., 1] -= p[..., 1].min()
    p -= p[0, 0] * np.array((1, 0, 1))
    across = p[0, 2] - p[0, 1] + p[0, 17] - p[0, 16]
    ahead = np.cross((0, 1, 0), across)
    first = between(ahead, np.array((0.0, 0.0, 1.0)))
    p = np.stack([first.apply(frame) for frame in p])
    across = p[:, 2] - p[:, 1] + p[:, 17] - p[:, 16]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    ahead = gaussian_filter1d(np.cross((0, 1, 0), across), 20, axis=0, mode="nearest")
    root = [between(f, np.array((0.0, 0.0, 1.0))) for f in ahead]
    rows = []
    for t in range(len(p) - 1):
        turn = (root[t + 1] * root[t].inv()).as_quat(canonical=True)
        step = root[t + 1].apply(p[t + 1, 0] - p[t, 0])
        local = root[t].apply(p[t] - p[t, 0] * np.array((1, 0, 1)))
        speed = root[t].apply(p[t + 1] - p[t])
        matrices = even.rotations[t, 1:22].double().numpy()
        sixd = np.concatenate([np.concatenate((m[:, 0], m[:, 1])) for m in matrices])
        rest = [float(np.sum((p[t + 1, j] - p[t, j]) ** 2) < 0.002) for j in (7, 10, 8, 11)]
        rows.append(np.concatenate((
            [np.arcsin(turn[1])], step[[0, 2]], [p[t, 0, 1]], local[1:].ravel(), sixd,
            speed.ravel(), rest,
        )))  # fmt: skip
    return np.stack(rows)


def test_agrees_with_the_published_steps(wandering, recorded, body) -> None:
    for motion in [wandering, *recorded[:4]]:
        found = humanml3d_of(motion, body)
        want = slow_features(motion, body)
        assert found.shape == want.shape == (len(motion.resample(FPS)) - 1, SIZE)
        # A joint at the very edge of resting may fall to either side.
        assert np.abs(found[:, -4:].numpy() - want[:, -4:]).mean() < 0.01
        np.testing.assert_allclose(found[:, :-4].numpy(), want[:, :-4], atol=3e-5)


def test_blind_to_heading_and_place(wandering, body) -> None:
    turn = rotation_about_z(torch.tensor(2.2))
    joints, rotations = body.joints_of(wandering)[:, :22], wandering.rotations[:, :22]
    moved = joints @ turn.T + torch.tensor((4.0, -1.0, 0.3))
    torch.testing.assert_close(
        humanml3d(moved, rotations), humanml3d(joints, rotations), atol=2e-5, rtol=0
    )


def test_a_turn_through_the_back_is_no_jump(body) -> None:
    """Once around in three seconds: the half turns add up to half a circle, none is large."""
    turns = torch.zeros(91, 22, 3)
    upright = torch.tensor((torch.pi / 2, 0, 0))
    angles = torch.linspace(0, 2 * torch.pi, 91)
    turns[:, 0] = matrix_to_rotvec(rotation_about_z(angles) @ rotvec_to_matrix(upright))
    found = humanml3d_of(Motion.create(turns, torch.zeros(91, 3), fps=30), body)[:, 0]
    # The smoothed heading turns slower at the ends and faster in the middle, never the other way.
    assert float(found.abs().max()) < 0.25 and float(found.sum().abs()) > 1.5
    assert bool((found > 0).all()) or bool((found < 0).all())


def test_one_frame(wandering, body) -> None:
    with pytest.raises(UsageError, match="1 frames given"):
        humanml3d_of(wandering[:1], body)
