"""What a user should know before trusting a reconstruction: cameras, and what the body cannot show."""

from __future__ import annotations

from collections.abc import Sequence

from humanmotion.body import BodyModel
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.shot_view import JAW
from humanmotion.recovery.shots import Shot


def camera_warnings(cameras: Sequence[CameraMotion], shots: Sequence[Shot]) -> list[str]:
    many = len(shots) > 1
    return [
        f"shot {number + 1}: {text}" if many else text
        for number, camera in enumerate(cameras)
        for text in camera.warnings
    ]


def body_warnings(body: BodyModel) -> list[str]:
    """What a user's body cannot follow."""
    warnings = []
    if not {"hand21_left", "hand21_right"} <= set(body.landmark_sets):
        warnings.append(
            f"body {body.body_id} has no finger joints: hands are left at rest with confidence 0"
        )
    if not (body.face_mesh_ids and bool(body.joints_present[JAW])):
        warnings.append(
            f"body {body.body_id} has no face points that can be fitted: jaw and expression are "
            "left at rest with confidence 0 (lmk_faces_idx and lmk_bary_coords would give them)"
        )
    return warnings
