"""A camera whose path is known: the same motion in every world, and nothing guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import roma
import torch

from humanmotion.camera import Camera, intrinsics
from humanmotion.recovery.known_path import known_motions
from humanmotion.recovery.shots import Shot

FRAMES = 12
SHOTS = (Shot(0, 7), Shot(7, 12))


def camera(*, turns=True, travels=True):
    torch.manual_seed(0)
    turn = 0.1 * torch.randn(3) * torch.arange(FRAMES)[:, None] if turns else torch.zeros(FRAMES, 3)
    R = roma.rotvec_to_rotmat(turn + torch.tensor([1.4, 0.2, 0.1]))
    path = torch.randn(FRAMES, 3) if travels else torch.randn(3).expand(FRAMES, 3)
    K = intrinsics(700.0, width=640, height=480).expand(FRAMES, 3, 3)
    return Camera(K, R, -(R @ path[..., None])[..., 0], 640, 480)


def elsewhere(known, *, scale):
    """The same camera in a world of other axes, origin and scale."""
    torch.manual_seed(1)
    R, shift = roma.random_rotmat(), torch.randn(3)
    R_w2c = known.R_w2c @ R.T
    return Camera(known.K, R_w2c, scale * known.t_w2c - R_w2c @ shift, known.width, known.height)


def test_points_go_to_where_the_first_frame_sees_them() -> None:
    known, points = camera(), torch.randn(5, 3)
    seen = known.to_camera(points.expand(FRAMES, 5, 3))
    for shot, motion in zip(SHOTS, known_motions(known, shots=SHOTS), strict=True):
        back = torch.einsum("fij,fpj->fpi", motion.R_c2c0, seen[shot.start : shot.stop])
        back = back + motion.t_c2c0[:, None]
        torch.testing.assert_close(back, seen[shot.start].expand_as(back), atol=1e-5, rtol=0)
        assert motion.kind == "moving" and motion.focal.method == "given"


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_another_world_is_the_same_motion(scale) -> None:
    known = camera()
    for a, b in zip(
        known_motions(known, shots=SHOTS),
        known_motions(elsewhere(known, scale=scale), shots=SHOTS),
        strict=True,
    ):
        assert a.kind == b.kind
        torch.testing.assert_close(a.R_c2c0, b.R_c2c0, atol=1e-5, rtol=0)
        torch.testing.assert_close(scale * a.t_c2c0, b.t_c2c0, atol=1e-4 * max(scale, 1), rtol=1e-4)
        torch.testing.assert_close(a.flow_px, b.flow_px, atol=0.1, rtol=1e-3)


@pytest.mark.parametrize(
    ("turns", "travels", "kind"),
    [
        (False, False, "static"),
        (True, False, "pan"),
        (False, True, "moving"),
        (True, True, "moving"),
    ],
)
def test_kinds(turns, travels, kind) -> None:
    for motion in known_motions(
        elsewhere(camera(turns=turns, travels=travels), scale=3.0), shots=SHOTS
    ):
        assert motion.kind == kind
        assert motion.t_c2c0.any() == travels and motion.flow_px[1:].any() == turns


def test_the_lens_is_told_in_the_pixels_asked_for() -> None:
    (motion,) = known_motions(camera(), shots=[Shot(0, FRAMES)], scale=2.0)
    assert motion.focal.focal_px == pytest.approx(350)


def test_far_from_the_origin_a_track_is_a_track_and_a_tripod_a_tripod() -> None:
    for travels, kind in ((True, "moving"), (False, "static")):
        near = camera(turns=False, travels=travels)
        far = torch.tensor([3e4, -2e4, 0.0])
        there = Camera(near.K, near.R_w2c, near.t_w2c - near.R_w2c @ far, 640, 480)
        assert [m.kind for m in known_motions(there, shots=SHOTS)] == [kind, kind]


def test_a_lens_that_is_not_followed_is_told() -> None:
    known = camera()
    assert all(not m.warnings for m in known_motions(known, shots=SHOTS))
    K = known.K.clone()
    K[:, 0, 2] += 100
    K[:, 0, 0] *= torch.linspace(1, 2, FRAMES)
    (motion,) = known_motions(replace(known, K=K), shots=[Shot(0, FRAMES)])
    assert "zooms by" in motion.warnings[0] and "100 px off" in motion.warnings[1]
