"""Rows of `bench generation` for keyframes, paths and gaps: are they hit, and is it calm there?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.bench.generation_material import Material
from humanmotion.bench.report import Baseline, Row
from humanmotion.body import BodyModel
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.control import Control, directed
from humanmotion.generation.features import FPS, JOINTS, motion_of
from humanmotion.generation.sampler import FILE_FPS, LONGEST
from humanmotion.metrics import acceleration_peaks
from humanmotion.motion import Motion, concat
from humanmotion.rotations import geodesic_distance, resample_rotations

MOST_MM, MOST_DEG = 1.0, 0.1
MOST_PEAK = 1.5
"""Of the largest acceleration within 0.25 s of a hit over the clip's own 95th percentile."""
GAP = 30
"""Frames at 30 fps that are left out for in-betweening."""
LEAST_FRAMES, CONTEXT = 75, 15
MOST_OF_SLERP = 0.75


@dataclass(frozen=True)
class Clip:
    """A held-out motion at 30 fps, its caption and its joints `(T, 22, 3)`."""

    caption: str
    motion: Motion
    joints: Tensor


def clips(material: Material, *, most: int | None) -> list[Clip]:
    """Test clips of two and a half seconds or more, ten seconds of each at most; evenly chosen."""
    held = material.held("test")
    long = [i for i, f in enumerate(held.features) if len(f) > LEAST_FRAMES * FPS / FILE_FPS]
    chosen = long[:: max(len(long) // (most or len(long) or 1), 1)][:most]
    found = []
    for i in chosen:
        motion = motion_of(held.features[i], material.body).resample(FILE_FPS)
        motion = motion[: round(LONGEST * FILE_FPS)]
        joints = material.body.joints_of(motion)[:, :JOINTS]
        found.append(Clip(held.captions[i], motion, joints))
    return found


def control_rows(material: Material, chosen: Sequence[Clip]) -> list[Row]:
    """Keyframes, waypoints and gaps of real clips, given back to the model."""
    if not chosen:
        return [Row("control", "no test clip of 2.5 s or more", None, "")]
    rows = _keyframe_rows(material, chosen)
    rows += _path_rows(material, chosen)
    return rows + _between_rows(material, chosen)


def _keyframe_rows(material: Material, chosen: Sequence[Clip]) -> list[Row]:
    metres, degrees, peaks, real = [], [], [], []
    for seed, clip in enumerate(chosen):
        at = torch.tensor([0, len(clip.motion) // 2, len(clip.motion) - 1])
        control = Control.of(material.body, keyframes=clip.motion[at])
        made = _directed(material, clip, control, seed=seed)
        joints = material.body.joints_of(made)[:, :JOINTS]
        metres.append(float((joints[at] - clip.joints[at]).norm(dim=-1).max()))
        turned = geodesic_distance(made.rotations[at, :JOINTS], clip.motion.rotations[at, :JOINTS])
        degrees.append(float(turned.rad2deg().max()))
        peaks += acceleration_peaks(joints, at[1:2].tolist(), fps=FILE_FPS)
        real += acceleration_peaks(clip.joints, range(len(clip.joints)), fps=FILE_FPS)
    told = f"keyframes in {len(chosen)} clips: largest"
    return [
        Row(
            "control/keyframe",
            f"{told} distance of a joint",
            1000 * max(metres),
            "mm",
            MOST_MM,
            "<=",
        ),
        Row(
            "control/keyframe-turn", f"{told} angle of a joint", max(degrees), "deg", MOST_DEG, "<="
        ),
        *peak_rows("keyframe", peaks, real),
    ]


def _path_rows(material: Material, chosen: Sequence[Clip]) -> list[Row]:
    metres = []
    for seed, clip in enumerate(chosen):
        at = torch.arange(0, len(clip.motion), round(FILE_FPS))
        pelvis = clip.joints[at, 0, :2]
        times = (at / FILE_FPS).tolist()
        path = [(t, x, y) for t, (x, y) in zip(times, pelvis.tolist(), strict=True)]
        made = _directed(material, clip, Control.of(material.body, path=path), seed=seed)
        joints = material.body.joints_of(made)
        metres.append(float((joints[at, 0, :2] - pelvis).norm(dim=-1).max()))
    told = f"waypoints a second apart in {len(chosen)} clips: largest distance of the pelvis"
    return [Row("control/path", told, 1000 * max(metres), "mm", MOST_MM, "<=")]


def _between_rows(material: Material, chosen: Sequence[Clip]) -> list[Row]:
    ours: list[float] = []
    turned: list[float] = []
    for seed, clip in enumerate(chosen):
        first = min(len(clip.motion) // 2 - GAP // 2, len(clip.motion) - GAP - CONTEXT)
        missing = torch.arange(first, first + GAP)
        # A quarter of a frame within, so that no rounding takes a frame in or out.
        gap = (first - 0.75) / FILE_FPS, (first + GAP - 0.25) / FILE_FPS
        control = Control.around(clip.motion, material.body, gap=gap)
        made = _directed(material, clip, control, seed=seed)
        for found, each in ((made, ours), (slerped(clip.motion, first), turned)):
            joints = material.body.joints_of(found)[missing, :JOINTS]
            each.append(float((joints - clip.joints[missing]).norm(dim=-1).mean()))
    own, peer = (1000 * sum(x) / len(x) for x in (ours, turned))
    told = f"{GAP} frames in between, {len(chosen)} clips: joint error in the world"
    return [
        Row("control/between", told, own, "mm", baseline=Baseline("slerp", peer)),
        Row("control/between-share", f"{told}, over slerp's", own / max(peer, 1e-9), "",
            MOST_OF_SLERP, "<=", Baseline("slerp", peer)),
    ]  # fmt: skip


def slerped(motion: Motion, first: int) -> Motion:
    """`motion` with GAP frames from `first` on turned and moved evenly from one side to the other."""
    ends = torch.tensor([first - 1, first + GAP])
    known, grid = motion.times[ends], motion.times[ends[0] : int(ends[1]) + 1]
    turns = motion.rotations.clone()
    turns[ends[0] : int(ends[1]) + 1] = resample_rotations(turns[ends], known, grid)
    share = ((grid - known[0]) / (known[1] - known[0]))[:, None].to(motion.transl)
    path = motion.transl.clone()
    path[ends[0] : int(ends[1]) + 1] = torch.lerp(path[ends[0]], path[ends[1]], share)
    return motion.with_rotations(turns, transl=path)


def _directed(material: Material, clip: Clip, control: Control, *, seed: int) -> Motion:
    seconds = len(clip.motion) / FILE_FPS
    (made,) = directed(material.make, clip.caption, control, seconds=seconds, seed=seed)
    return cleaned(made, material.body, control=control)


def peak_rows(name: str, peaks: Sequence[float], real: Sequence[float]) -> list[Row]:
    """The worst hit against its bar, and how many pass beside how many windows of real motion do."""
    passing = [sum(p <= MOST_PEAK for p in x) / max(len(x), 1) for x in (peaks, real)]
    told = f"acceleration within 0.25 s of {len(peaks)} {name}s over the clip's 95th percentile"
    return [
        Row(f"control/{name}-peak", f"{told}, the largest", max(peaks), "", MOST_PEAK, "<=",
            Baseline("real windows, largest", max(real))),
        Row(f"control/{name}-passing", f"{told}: share of at most {MOST_PEAK:g}", passing[0], "",
            baseline=Baseline("real windows", passing[1])),
    ]  # fmt: skip


def moving(motion: Sequence[Motion], body: BodyModel) -> Tensor:
    """Joints `(T, 22, 3)` of motions that follow on each other, cleaned up as a whole."""
    return body.joints_of(cleaned(concat(list(motion)), body))[:, :JOINTS]
