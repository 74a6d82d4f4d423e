"""Two-shot edits between calibrated views of one event: the heading error at a cut on real footage.

Every ordered pair of different views is cut at several moments, time going on over the cut. The
keypoints are those that reconstructing each view found, the cuts are given, and the truth is the
calibration. One person for a second and a half: a check of what ms-mocap says, not statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.bench.ms_alignment import METHODS, Cut, essential, turn_by
from humanmotion.bench.ms_reconstruction import optimised
from humanmotion.bench.recovery_truth import calibrated_camera
from humanmotion.bench.report import Row
from humanmotion.body import BodyModel
from humanmotion.camera import intrinsics
from humanmotion.jobs.fit_person import Learnt, View, fit_body
from humanmotion.jobs.stage_codec import read_value
from humanmotion.jobs.stages import stage_path
from humanmotion.keypoints import Keypoints
from humanmotion.metrics import heading
from humanmotion.recovery.content import Content
from humanmotion.recovery.focal import choose_focal
from humanmotion.recovery.gravity import gravity_view
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.joint_problem import Terms
from humanmotion.recovery.motion_refining import HELPFUL
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.people import People
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.world import WorldResult, join_shots, read_shots
from humanmotion.rotations import wrap_angle

CUTS = (1 / 3, 1 / 2, 2 / 3)
"""Where an edit is cut, as shares of its length."""
GIVEN, ESTIMATED = "ours, gravity given", "ours, gravity estimated"
JOINED = "ours, gravity given, shots joined only"
MOST_YAW_DEG = 15.0
TRUE_LENS = "essential matrix (HumanMM), true lens"
WAYS = (GIVEN, ESTIMATED, JOINED, *METHODS, TRUE_LENS)
"""Gravity is given to all but one; the lens is the image diagonal to all but one."""


@dataclass(frozen=True)
class RealView:
    """One calibrated camera that stood still, and the person it saw."""

    name: str
    event: str
    """Views of the same event show the same moments."""
    keypoints: Keypoints | None
    """From the event's first frame on; None where its reconstruction failed."""
    K: Tensor
    """`(3, 3)`, calibrated."""
    R_w2c: Tensor
    """`(3, 3)`, world z up."""


@dataclass(frozen=True)
class PairEdit:
    """What one view saw until `cut` and another one from there on."""

    keypoints: Keypoints
    cut: int
    views: tuple[RealView, RealView]

    @property
    def turn_rad(self) -> float:
        """By how much the later camera's heading truly differs from the earlier one's."""
        before, after = (heading(v.R_w2c.T) for v in self.views)
        return float(after - before)

    @property
    def shots(self) -> tuple[Shot, Shot]:
        """The two shots as recovery knows them."""
        return Shot(0, self.cut), Shot(self.cut, len(self.keypoints))


def is_calibrated_view(clip: dict[str, Any]) -> bool:
    """Whether the index names the camera that took this whole clip, and an event it shares."""
    named = clip.get("calibration") and clip.get("camera") and clip.get("reference")
    return bool(named and not clip.get("cuts"))


def real_view(clip: dict[str, Any], videos: Path, result: Path | None) -> RealView:
    """A calibrated view with the keypoints that a reconstruction kept in `result`; None: it failed."""
    camera = calibrated_camera(clip, videos)
    seen = None if result is None else found_keypoints(result)
    if seen is not None:
        seen = seen[clip.get("frame_offset") or 0 :]
    K, R = (torch.tensor(camera[name]) for name in ("K", "R"))
    return RealView(clip["id"], clip["reference"], seen, K, R)


def found_keypoints(result: Path) -> Keypoints:
    """The most prominent person's keypoints as the run in `result` found them."""
    people: People = read_value(
        stage_path(result / "stages", "people"), classes=(People, Keypoints, Content)
    )
    return people.tracks[0].to_set(SET)


def cut_together(before: RealView, after: RealView, *, cut: int, frames: int) -> PairEdit:
    """The first `frames` moments of an event, from `cut` on seen by the other view."""
    assert before.keypoints is not None and after.keypoints is not None
    left, right = before.keypoints[:cut], after.keypoints[cut:frames]
    assert left.xyz is not None and right.xyz is not None
    step = float(before.keypoints.times.diff().median())
    joined = Keypoints(
        xy=torch.cat((left.xy, right.xy)),
        confidence=torch.cat((left.confidence, right.confidence)),
        times=step * torch.arange(frames, dtype=torch.float64),
        joint_set=left.joint_set, width=left.width, height=left.height,
        xyz=torch.cat((left.xyz, right.xyz)),
    )  # fmt: skip
    return PairEdit(joined, cut, (before, after))


def yaw_errors(edit: PairEdit, body: BodyModel, learnt: Learnt) -> dict[str, float]:
    """Error of the later camera's heading against the earlier one's in degrees, by way."""
    cameras = {way: _cameras(edit, given=way == GIVEN) for way in (GIVEN, ESTIMATED)}
    view = _view(edit, cameras[GIVEN])
    track = fit_body(edit.keypoints, body, learnt, view=view)
    found: dict[str, float] = {}
    for way, known in cameras.items():
        read = read_shots([track], shots=edit.shots, cameras=known, body=body)
        world = join_shots(read, body=body, refiner=learnt.refiner, refined=HELPFUL)
        if way == GIVEN:
            found[JOINED] = _turned(world, edit.cut)
        world, _ = optimised(
            world, track, edit.keypoints, view=view, shots=edit.shots, cameras=known, body=body,
            learnt=learnt, terms=Terms(),
        )  # fmt: skip
        found[way] = _turned(world, edit.cut)
    found |= _others(edit, track, view.K, body)
    off = {way: wrap_angle(torch.tensor(turn - edit.turn_rad)) for way, turn in found.items()}
    return {way: math.degrees(abs(float(off[way]))) for way in WAYS}


def _turned(world: WorldResult, cut: int) -> float:
    ours = heading(world.R_w2c.mT)
    return float(ours[cut] - ours[cut - 1])


def _others(edit: PairEdit, track: PoseTrack, K: Tensor, body: BodyModel) -> dict[str, float]:
    """Turns in radians that others' methods find with gravity given."""
    marks = body.landmarks(SET, track.rotations, betas=track.betas, transl=track.transl)
    up = tuple(gravity_view(v.R_w2c[:, 2]) for v in edit.views)
    cut = Cut(edit.cut, edit.keypoints, K, (up[0], up[1]), marks)
    found = {name: turn_by(method, cut) for name, method in METHODS.items()}
    true_K = torch.stack([v.K for v in edit.views])[_shot_id(edit)]
    found[TRUE_LENS] = turn_by(essential, Cut(cut.frame, cut.keypoints, true_K, cut.up, marks))
    return {name: turn.yaw_rad for name, turn in found.items()}


def _shot_id(edit: PairEdit) -> Tensor:
    return (torch.arange(len(edit.keypoints)) >= edit.cut).long()


def _cameras(edit: PairEdit, *, given: bool) -> list[CameraMotion]:
    """Cameras that stand still, their lenses unknown; up is known where it is `given`."""
    focal = choose_focal(width=edit.keypoints.width, height=edit.keypoints.height)
    return [
        CameraMotion(
            kind="static", R_c2c0=torch.eye(3).repeat(len(shot), 1, 1),
            t_c2c0=torch.zeros(len(shot), 3), flow_px=torch.zeros(len(shot)), confidence=1.0,
            focal=focal, warnings=(), up=view.R_w2c[:, 2] if given else None,
        )
        for shot, view in zip(edit.shots, edit.views, strict=True)
    ]  # fmt: skip


def _view(edit: PairEdit, cameras: Sequence[CameraMotion]) -> View:
    seen = edit.keypoints
    focal = torch.tensor([c.focal.focal_px for c in cameras])[_shot_id(edit)]
    K = intrinsics(focal, width=seen.width, height=seen.height)
    return View(K, torch.cat([c.R_c2c0 for c in cameras]), _shot_id(edit))


def pair_rows(views: Sequence[RealView], body: BodyModel, learnt: Learnt) -> list[Row]:
    """Yaw at the cuts of all pairs in every way; nothing is known where no two views show one event."""
    errors = []
    for before, after in permutations(views, 2):
        if before.event == after.event:
            errors += _pair_errors(before, after, body, learnt)
    what = f"{GIVEN}: yaw at cuts between real views; needs two calibrated views of one event"
    none = Row(f"pairs/{GIVEN}/yaw", what, None, "deg", MOST_YAW_DEG, "<=")
    return yaw_rows(errors) if errors else [none]


def _pair_errors(
    before: RealView, after: RealView, body: BodyModel, learnt: Learnt
) -> list[dict[str, float]]:
    if before.keypoints is None or after.keypoints is None:
        return [dict.fromkeys(WAYS, math.nan)] * len(CUTS)
    frames = min(len(before.keypoints), len(after.keypoints))
    return [
        yaw_errors(
            cut_together(before, after, cut=round(share * frames), frames=frames), body, learnt
        )
        for share in CUTS
    ]


def yaw_rows(errors: Sequence[dict[str, float]]) -> list[Row]:
    """Median and the ninth tenth by way; a failed view makes them NaN, which misses the bar."""
    rows = []
    for way in WAYS:
        yaw = torch.tensor([e[way] for e in errors])
        bar: Sequence[Any] = (MOST_YAW_DEG, "<=") if way == GIVEN else ()
        what = f"{way}: yaw at {len(errors)} cuts between real views, median"
        rows += [
            Row(f"pairs/{way}/yaw", what, float(yaw.quantile(0.5)), "deg", *bar),
            Row(f"pairs/{way}/yaw_p90", f"{way}: nine of ten are below",
                float(yaw.quantile(0.9)), "deg"),
        ]  # fmt: skip
    return rows
