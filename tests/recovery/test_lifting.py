"""The fit on keypoints whose truth is known: exact ones, noisy ones, missing ones, two shots."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.camera import intrinsics, project
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.metrics import mpjpe, pa_mpjpe
from humanmotion.prior.model import PosePrior
from humanmotion.recovery import landmark_terms, windows
from humanmotion.recovery.initial_pose import mark
from humanmotion.recovery.lifter import Lifter
from humanmotion.recovery.lifting import lift
from humanmotion.recovery.pose_guess import guess_poses
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.rotations import geodesic_distance, rotation_about_z

BODY = BodyModel.load()
STATISTICS = PoseStatistics.load("body_pose")
WIDTH, HEIGHT, FOCAL = 720, 1280, 1400.0
FRAMES = 60
CAMERA_AXES = torch.tensor(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
"""World z up to a level camera that looks along y."""


def _walk(yaw: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotations `(T, 55, 3, 3)` and landmarks `(T, 33, 3)` of the demo's walk before a camera."""
    motion = walking_motion(BODY, seconds=FRAMES / 30)
    view = CAMERA_AXES @ rotation_about_z(torch.tensor(yaw))
    rotations = motion.rotations.clone()
    rotations[:, 0] = view @ rotations[:, 0]
    pelvis = motion.transl + BODY.rest_joints()[0]
    pelvis = pelvis @ view.T + torch.tensor((0.0, 0.9, 4.5))
    transl = pelvis - BODY.rest_joints()[0]
    return rotations, BODY.landmarks("mediapipe_33", rotations, transl=transl)


def _keypoints(points: torch.Tensor, noise: float = 0.0, seed: int = 0) -> Keypoints:
    generator = torch.Generator().manual_seed(seed)
    K = intrinsics(FOCAL, width=WIDTH, height=HEIGHT).expand(len(points), 3, 3)
    xy = project(points, K)
    size = (xy.amax(1) - xy.amin(1)).amax(-1)
    xy = xy + noise * size[:, None, None] * torch.randn(xy.shape, generator=generator)
    hips = points[:, [mark("left_hip"), mark("right_hip")]].mean(1, keepdim=True)
    # The detector looks straight at the person: undo the turn that the fit will apply.
    xyz = points - hips
    confidence = torch.full(xy.shape[:2], 0.95)
    times = torch.arange(len(points), dtype=torch.float64) / 30
    seen = Keypoints(xy, confidence, times, "mediapipe_33", WIDTH, HEIGHT, xyz)
    turn = landmark_terms._towards(seen, K, [mark("left_hip"), mark("right_hip")])
    xyz = xyz @ turn
    xyz = xyz + noise * 2 * torch.randn(xyz.shape, generator=generator)
    return Keypoints(xy, confidence, times, "mediapipe_33", WIDTH, HEIGHT, xyz)


def _lift(
    keypoints: Keypoints,
    shot_id: torch.Tensor | None = None,
    prior: PosePrior | None = None,
    lifter: Lifter | None = None,
) -> PoseTrack:
    frames = len(keypoints)
    shots = torch.zeros(frames, dtype=torch.long) if shot_id is None else shot_id
    K = intrinsics(FOCAL, width=WIDTH, height=HEIGHT).expand(frames, 3, 3)
    guess = None
    if lifter is not None:
        turn = torch.eye(3).expand(frames, 3, 3)
        guess = guess_poses(lifter, keypoints, K=K, R_c2c0=turn, shot_id=shots)
    return lift(
        keypoints, BODY, K=K, shot_id=shots, statistics=STATISTICS, prior=prior, guess=guess
    )


def _joints(track: PoseTrack) -> torch.Tensor:
    return BODY.joints(track.rotations, betas=track.betas, transl=track.transl)[:, :22]


@pytest.mark.parametrize("lifter", [None, load_lifter()], ids=["alone", "lifter"])
@pytest.mark.parametrize("prior", [None, load_prior()], ids=["statistics", "prior"])
def test_clean_keypoints_give_the_pose_back(prior: PosePrior | None, lifter: Lifter | None) -> None:
    rotations, points = _walk()
    lifted = _lift(_keypoints(points), prior=prior, lifter=lifter)
    K = intrinsics(FOCAL, width=WIDTH, height=HEIGHT).expand(FRAMES, 3, 3)
    seen = BODY.landmarks(
        "mediapipe_33", lifted.rotations, betas=lifted.betas, transl=lifted.transl
    )
    assert (project(seen, K) - project(points, K)).norm(dim=-1).median() < 6.0  # of 600 px
    truth = BODY.joints(rotations)[:, :22]
    assert pa_mpjpe(_joints(lifted), truth).median() < 0.02
    assert mpjpe(_joints(lifted), truth).median() < 0.04
    root = geodesic_distance(lifted.rotations[:, 0], rotations[:, 0])
    assert math.degrees(root.median()) < 8


def test_noise_degrades_it_gently_and_motion_stays_smooth() -> None:
    rotations, points = _walk()
    lifted = _lift(_keypoints(points, noise=0.015))
    truth = BODY.joints(rotations)[:, :22]
    assert pa_mpjpe(_joints(lifted), truth).median() < 0.035
    shake = _joints(lifted).diff(n=2, dim=0).norm(dim=-1).mean()
    raw = _keypoints(points, noise=0.015).xyz
    assert raw is not None
    assert shake < 0.3 * raw.diff(n=2, dim=0).norm(dim=-1).mean()


def test_a_lifter_makes_noisy_keypoints_better() -> None:
    rotations, points = _walk()
    truth = BODY.joints(rotations)[:, :22]
    # Below this, errors without bias or lean are averaged away by the fit alone.
    keypoints = _keypoints(points, noise=0.03)
    for prior in (None, load_prior()):
        alone, helped = (
            pa_mpjpe(_joints(_lift(keypoints, prior=prior, lifter=n)), truth).mean()
            for n in (None, load_lifter())
        )
        assert helped < alone


@pytest.mark.parametrize("lifter", [None, load_lifter()], ids=["alone", "lifter"])
def test_an_unseen_arm_and_absent_frames_stay_human(lifter: Lifter | None) -> None:
    _, points = _walk()
    keypoints = _keypoints(points)
    confidence = keypoints.confidence.clone()
    confidence[20:30] = 0.0
    hidden = [
        i
        for i, n in enumerate(JOINT_SETS["mediapipe_33"])
        if n.startswith("left_")
        and any(part in n for part in ("elbow", "wrist", "pinky", "index", "thumb"))
    ]
    confidence[:, hidden] = 0.0
    xy = keypoints.xy * (confidence > 0)[..., None]
    lifted = _lift(
        Keypoints(xy, confidence, keypoints.times, "mediapipe_33", WIDTH, HEIGHT, keypoints.xyz),
        lifter=lifter,
    )
    assert torch.isfinite(lifted.rotations).all()
    assert (lifted.confidence[20:30] == 0).all()
    assert (lifted.transl.diff(dim=0).norm(dim=-1) < 0.2).all()


def test_the_prior_does_not_worsen_noisy_keypoints() -> None:
    rotations, points = _walk()
    truth = BODY.joints(rotations)[:, :22]
    keypoints = _keypoints(points, noise=0.015)
    plain, led = (
        pa_mpjpe(_joints(_lift(keypoints, prior=p)), truth).mean() for p in (None, load_prior())
    )
    assert led < 1.05 * plain


def test_the_pose_before_a_cut_does_not_smooth_into_the_one_after() -> None:
    first, points_a = _walk(yaw=0.5)
    second, points_b = _walk(yaw=-1.2)
    half = FRAMES // 2
    points = torch.cat((points_a[:half], points_b[half:]))
    shots = (torch.arange(FRAMES) >= half).long()
    lifted = _lift(_keypoints(points), shots)
    truth = torch.cat((first[:half], second[half:]))
    error = geodesic_distance(lifted.rotations[:, 0], truth[:, 0])
    assert math.degrees(error[half - 2 : half + 2].max()) < 15


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_clips_are_fitted_too(frames: int) -> None:
    _, points = _walk()
    for prior, lifter in ((None, None), (load_prior(), None), (load_prior(), load_lifter())):
        track = _lift(_keypoints(points[:frames]), prior=prior, lifter=lifter)
        assert len(track) == frames


def test_a_long_clip_fitted_in_windows_agrees_with_one_solve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, points = _walk()
    keypoints = _keypoints(points, noise=0.005)
    whole = _joints(_lift(keypoints))
    monkeypatch.setattr(windows, "FRAMES", 25)
    parts = _joints(_lift(keypoints))
    assert (parts - whole).norm(dim=-1).median() < 0.02
    # No visible jump where windows meet.
    step = parts.diff(dim=0).norm(dim=-1).amax(-1)
    assert step.max() < 1.5 * whole.diff(dim=0).norm(dim=-1).amax(-1).max()
