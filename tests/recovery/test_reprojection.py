"""Reprojection error: zero for what was projected, and in proportion to what was added."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.camera import Camera, intrinsics
from humanmotion.keypoints import Keypoints
from humanmotion.motion import Motion
from humanmotion.recovery import reprojection
from humanmotion.recovery.reprojection import SURE, reprojection_share
from humanmotion.rotations import matrix_to_rotvec

FRAMES = 12
SET = "mediapipe_33"


@pytest.fixture(scope="module")
def motion(body, walk) -> Motion:
    rotations, transl = (value[:FRAMES].float() for value in walk)
    return Motion.create(
        matrix_to_rotvec(rotations), transl - transl[0] * torch.tensor((1.0, 1.0, 0.0)), fps=30.0,
        betas=torch.linspace(-1, 1, 10), body_id=body.body_id,
    )  # fmt: skip


@pytest.fixture(scope="module")
def camera() -> Camera:
    """Five metres away, looking along y."""
    R = torch.tensor(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))).expand(FRAMES, 3, 3)
    t = -(R @ torch.tensor((0.2, -5.0, 1.0)))
    return Camera(
        intrinsics(800.0, width=1000, height=800).expand(FRAMES, 3, 3), R, t, 1000, 800
    )  # fmt: skip


@pytest.fixture(scope="module")
def exact(body, motion, camera) -> Keypoints:
    marks = body.landmarks(SET, motion.rotations, betas=motion.betas, transl=motion.transl)
    return Keypoints(
        xy=camera.project(marks), confidence=torch.full(marks.shape[:2], 0.9), times=motion.times,
        joint_set=SET, width=1000, height=800,
    )  # fmt: skip


def _tall(points: Keypoints) -> torch.Tensor:
    return (points.xy.amax(1) - points.xy.amin(1)).amax(-1)


def test_exact_keypoints_have_no_error(motion, camera, exact, body) -> None:
    share = reprojection_share(motion, camera, keypoints=exact, body=body)
    assert share.shape == (FRAMES,) and share.max() < 1e-5


@pytest.mark.parametrize("pixels", [3.0, 12.0])
def test_an_offset_is_counted_as_a_share_of_the_height(pixels, motion, camera, exact, body) -> None:
    moved = replace(exact, xy=exact.xy + pixels * torch.tensor((0.6, -0.8)))
    share = reprojection_share(motion, camera, keypoints=moved, body=body)
    assert torch.allclose(share, pixels / _tall(exact), rtol=1e-3)


def test_a_picture_of_twice_the_size_has_the_same_error(motion, camera, exact, body) -> None:
    shift = torch.tensor((7.0, 2.0))
    K = camera.K.clone()
    K[:, :2] *= 2
    large = replace(camera, K=K, width=2000, height=1600)
    one = reprojection_share(
        motion, camera, keypoints=replace(exact, xy=exact.xy + shift), body=body
    )
    doubled = replace(exact, xy=2 * (exact.xy + shift), width=2000, height=1600)
    two = reprojection_share(motion, large, keypoints=doubled, body=body)
    assert torch.allclose(one, two, rtol=1e-3)


def test_only_sure_keypoints_count(motion, camera, exact, body) -> None:
    xy, confidence = exact.xy.clone(), exact.confidence.clone()
    xy[:, 5] += 500.0
    confidence[:, 5] = SURE - 0.1
    doubted = replace(exact, xy=xy, confidence=confidence)
    # The box that gives the height is not the subject here: leave it as wide as it was.
    share = reprojection_share(motion, camera, keypoints=doubted, body=body)
    assert share.max() < 1e-5
    believed = replace(doubted, confidence=exact.confidence)
    assert reprojection_share(motion, camera, keypoints=believed, body=body).min() > 0.01


def test_a_frame_without_the_person_is_zero(motion, camera, exact, body) -> None:
    confidence, xy = exact.confidence.clone(), exact.xy + 10
    confidence[4], xy[4] = 0.0, 0.0
    absent = replace(exact, xy=xy, confidence=confidence)
    share = reprojection_share(motion, camera, keypoints=absent, body=body)
    assert share[4] == 0 and (share[[0, 11]] > 0.01).all()
    assert torch.isfinite(share).all()


def test_a_long_motion_is_compared_in_blocks_as_in_one(
    exact, motion, camera, body, monkeypatch
) -> None:
    moved = replace(exact, xy=exact.xy + torch.arange(FRAMES)[:, None, None])
    whole = reprojection_share(motion, camera, keypoints=moved, body=body)
    monkeypatch.setattr(reprojection, "BLOCK", 5)
    parts = reprojection_share(motion, camera, keypoints=moved, body=body)
    torch.testing.assert_close(parts, whole)
    assert bool((whole.diff() > 0).all())
