"""One clip to score, from any file: its 22 joints in our world, and what the file does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.io.bvh_read import read_bvh_joints
from humanmotion.io.convert import MOTION_FORMATS, read_any
from humanmotion.io.joint_track import JointTrack
from humanmotion.io.joints_csv import read_joints_csv
from humanmotion.io.joints_npy import read_joints_npy
from humanmotion.io.sniff import sniff
from humanmotion.io.trc import read_trc
from humanmotion.jobs import score_checks
from humanmotion.jobs.joint_checks import to_z_up
from humanmotion.jobs.joint_names import plain_name
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.mbench_joints import FPS, JOINTS, Mode, Scene
from humanmotion.motion import Motion

NAMES = SMPLX_JOINTS[:JOINTS]
ENDINGS = (".npy", ".npz", ".bvh", ".trc", ".csv")
UpChoice = Literal["auto", "y", "z"]
GAP_SECONDS = 0.2
"""Longest time in which an unseen joint is thought to have gone straight on."""
_STANDS_IN = {
    "big_toe": "foot", "toe": "foot", "toebase": "foot", "mtp": "foot", "toes": "foot",
}  # fmt: skip
_ORDERS = {17: "H36M and COCO", 21: "KIT", 25: "OpenPose and NTU"}
_LONGER = (24, 52, 55)
"""Joints of SMPL, SMPL-H and SMPL-X, whose first 22 are ours."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of the files."""

    mode: Mode = "corrected"
    fps: float | None = None
    """Of npy files, which state none; None: the benchmark's 20."""
    up: UpChoice = "auto"
    """Of npy files, which state none."""
    floor: float | None = None
    """Metres; None: 0 for a motion.npz, whose world says so, and estimated for all others."""


@dataclass(frozen=True)
class Clip:
    """Joints `(T, 22, 3)` in metres, z up (`released`: as its code reads them), and their scene."""

    joints: Tensor
    scene: Scene
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        times = self.scene.times
        if times is not None:
            return float(times[-1] - times[0])
        return (len(self.joints) - 1) / self.scene.fps


def read_clip(path: Path, options: ReadOptions, *, up: str | None = None) -> Clip:
    """The clip in a file; `up` is what most clips of the same source say.

    Raises UsageError for a format without joints, and what the format's reader and the checks raise.
    """
    if path.suffix.lower() == ".npy":
        return _of_npy(path, options, up=up)
    kind = sniff(path)
    if options.mode == "released" and kind not in MOTION_FORMATS:
        raise UsageError(
            f"{path} is a {kind} file; the published code reads .npy only, and ours makes one of a "
            "motion: score it with --mode corrected"
        )
    if kind == "bvh" and options.mode == "corrected":
        return _of_track(read_bvh_joints(path), options, path=path)
    if kind in MOTION_FORMATS:
        return _of_motion(read_any(path, body=body()), options, own=kind == "motion")
    if kind in ("trc", "csv"):
        track = read_trc(path) if kind == "trc" else read_joints_csv(path)
        return _of_track(track, options, path=path)
    raise UsageError(f"{path} is a {kind} file, which holds no motion; scored are {_accepted()}")


def file_up(path: Path) -> str | None:
    """The axis along which the person in an npy file stands, None where it is unclear or unread."""
    return score_checks.up_of(_first_22(read_joints_npy(path), path), body())


@cache
def body() -> BodyModel:
    """The default body, loaded once."""
    return BodyModel.load()


def _of_npy(path: Path, options: ReadOptions, *, up: str | None) -> Clip:
    joints = _first_22(read_joints_npy(path), path)
    fps = FPS if options.fps is None else options.fps
    if options.mode == "released":
        return Clip(joints, Scene(fps=fps))
    joints, notes = score_checks.in_metres(joints, NAMES, body(), source=path)
    # What most clips of a source say goes before what this one does: people stand on their hands, too.
    found = options.up if options.up != "auto" else up or score_checks.up_of(joints, body())
    if found is None:
        found = "y"
        notes += ("it does not show which way is up; taken as y, as the benchmark's files are",)
    joints = to_z_up(joints, found)
    score_checks.check_body(joints, NAMES, body(), source=path)
    return Clip(joints, _scene(joints, options, fps=fps), notes)


def _first_22(joints: Tensor, path: Path) -> Tensor:
    count = joints.shape[1]
    if count == JOINTS or count in _LONGER:
        return joints[:, :JOINTS]
    known = f", as {_ORDERS[count]} have" if count in _ORDERS else ""
    raise FileFormatError(
        f"{path} has {count} joints{known}; expected the 22 of SMPL in its order, or 24, 52 or 55 that "
        "begin with them"
    )


def _of_motion(motion: Motion, options: ReadOptions, *, own: bool) -> Clip:
    joints = body().joints_of(motion)[:, :JOINTS].double()
    notes = list(motion.meta.get("notes", ()))
    absent = int((motion.confidence.amax(-1) == 0).sum())
    if absent:
        notes.append(f"the person is absent in {absent} of {len(motion)} frames, which are scored")
    if not len(motion):
        raise UsageError("the motion has no frames; give one or more")
    if options.mode == "released":
        # What the benchmark's own export makes of a motion: 20 fps, y up, x turned round.
        even = motion.resample(FPS)
        x, y, z = body().joints_of(even)[:, :JOINTS].double().unbind(-1)
        return Clip(torch.stack((-x, z, y), -1), Scene(fps=FPS), tuple(notes))
    floor = 0.0 if own and options.floor is None else options.floor
    sole = body().sole_offset(motion.betas).tolist()
    scene = Scene(fps=motion.fps, floor=floor, sole=(sole[0], sole[1]), times=motion.times)
    return Clip(joints, scene, tuple(notes))


def _of_track(track: JointTrack, options: ReadOptions, *, path: Path) -> Clip:
    columns = _columns(track.names)
    xyz = torch.where(track.seen[..., None], track.positions.double(), torch.nan)
    places = torch.full((len(xyz), JOINTS, 3), torch.nan, dtype=torch.float64)
    for name, column in columns.items():
        places[:, NAMES.index(name)] = xyz[:, column]
    hips = [NAMES.index(f"{side}_hip") for side in ("left", "right")]
    if "pelvis" not in columns and bool(places[:, hips].isfinite().any()):
        places[:, 0] = places[:, hips].mean(1)
    present = places.isfinite().all(-1).any(0)
    if int(present.sum()) < score_checks.LEAST_JOINTS:
        raise UsageError(
            f"{path} names {int(present.sum())} of the body's 22 joints (its names are "
            f"{_listed(track.names)}); give at least {score_checks.LEAST_JOINTS} by names such as "
            f"{', '.join(NAMES[:6])}"
        )
    places[:, present] = _filled(places[:, present], track.times, path=path)
    known = tuple(name for name, here in zip(NAMES, present.tolist(), strict=True) if here)
    here, notes = score_checks.in_metres(places[:, present], known, body(), source=path)
    places[:, present] = here
    score_checks.check_body(here, known, body(), source=path)
    if len(known) < JOINTS:
        notes += (f"{len(known)} of 22 joints; means are over those",)
    span = float(track.times[-1] - track.times[0])
    scene = _scene(places, options, fps=(len(places) - 1) / span if span > 0 else FPS)
    return Clip(places, replace(scene, present=present, times=track.times), notes)


def _columns(names: Sequence[str]) -> dict[str, int]:
    """Which column of a track is which of the 22 joints; the joint's own name goes before others."""
    found: dict[str, int] = {}
    for own in (True, False):
        for column, name in enumerate(names):
            plain = plain_name(re.sub(r"^(.*)[ _.-]([lrLR])$", r"\2_\1", name.strip()))
            plain = {"mid_hip": "pelvis"}.get(plain, plain)
            side, _, part = plain.partition("_")
            if not own and part in _STANDS_IN:
                plain = f"{side}_{_STANDS_IN[part]}"
            if plain in NAMES:
                found.setdefault(plain, column)
    return found


def _filled(xyz: Tensor, times: Tensor, *, path: Path) -> Tensor:
    """Joints `(T, J, 3)` with short gaps filled by straight lines; UsageError for long ones."""
    out = xyz.clone()
    for joint in range(xyz.shape[1]):
        seen = xyz[:, joint].isfinite().all(-1).nonzero()[:, 0]
        ends = torch.cat((seen.new_tensor([-1]), seen, seen.new_tensor([len(xyz)])))
        for a, b in torch.stack((ends[:-1], ends[1:]), 1)[ends.diff() > 1].tolist():
            first, last = max(a, 0), min(b, len(xyz) - 1)
            gap = float(times[last] - times[first])
            if a < 0 or b == len(xyz) or gap > GAP_SECONDS:
                raise UsageError(
                    f"{path}: a joint is not seen for {gap:.2f} s from frame {a + 1}; fill gaps longer "
                    f"than {GAP_SECONDS} s, or cut the clip there"
                )
            share = ((times[a + 1 : b] - times[a]) / gap)[:, None]
            out[a + 1 : b, joint] = torch.lerp(xyz[a, joint], xyz[b, joint], share.to(xyz.dtype))
    return out


def _scene(joints: Tensor, options: ReadOptions, *, fps: float) -> Scene:
    scale = score_checks.leg_share(joints, body())
    left, right = (body().sole_offset() * scale).tolist()
    return Scene(fps=fps, floor=options.floor, sole=(left, right))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:30] for name in names[:5]) + (" and more" if len(names) > 5 else "")


def _accepted() -> str:
    return "motion.npz, AMASS and SMPL-X npz, .bvh, .trc, .csv and .npy (T, 22, 3)"
