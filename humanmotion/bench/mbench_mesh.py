"""Rows of `bench mbench` for what needs a mesh, a prior or an evaluator.

Body penetration's speed and laws, what the two priors tell of real and of spoilt poses, and how often
the evaluator picks a real clip's own label. Poses and clips are those of the val split, on which the
pose field's weights and DPoser-X's noise level were chosen too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.bench.report import Direction, Row
from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.generation.retrieval_tasks import WRONG, choice_hits, match_threshold
from humanmotion.jobs.data import list_clips, load_clip
from humanmotion.jobs.evaluator_scores import Embedded, own_and_others
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.pose_field_data import real_poses, turned
from humanmotion.jobs.pose_field_weights import load_pose_field
from humanmotion.jobs.prior_data import SETS
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.body_inside import BodyInside
from humanmotion.metrics.body_penetration import STRIDE, BodyPenetration
from humanmotion.metrics.joint_limits import joint_limit_rate
from humanmotion.metrics.mbench_names import (
    CHOICE,
    DPOSERX,
    MATCH,
    MESH_INSIDE,
    MESH_PENETRATION,
    POSE_FIELD,
)
from humanmotion.metrics.text import repeated
from humanmotion.motion import Motion
from humanmotion.prior.pose_field import JOINTS, body_rotvec
from humanmotion.prior.pose_quality import dposerx_distance_of, pose_field_distance_of
from humanmotion.recovery.pose_statistics import PoseStatistics

FPS = 20.0
CLIP_SECONDS = 5.0
SECONDS_A_FRAME, SECONDS_A_CLIP = 0.2, 2.0
INTO_BODY = (-65.0, -70.0, -75.0, -80.0, -85.0)
"""Degrees that the left upper arm is lowered by from the T-pose."""
FAULTS = {
    "5 degrees in all joints": (5.0, JOINTS), "10 degrees in all joints": (10.0, JOINTS),
    "20 degrees in all joints": (20.0, JOINTS), "45 degrees in three joints": (45.0, 3),
    "90 degrees in one joint": (90.0, 1),
}  # fmt: skip
_TOLD_APART = "20 degrees in all joints"
LEAST_AUC = 0.9
SEEN_BAR, UNSEEN_BAR = 0.8, 0.5
_Bar = tuple[float, Direction]


def rows(
    data: Path, *, quick: bool = False, real: Sequence[tuple[str, Embedded]] = (), seed: int = 0
) -> list[Row]:
    """All rows; `real` are the evaluator's vectors of the real clips of named splits, `val` first.

    Without `real` the rows of the evaluator read `not run`. Raises InputError without a val split.
    """
    clips = val_clips(data, 2 if quick else 24)
    return [
        *penetration_rows(clips),
        *inside_rows(clips),
        *pose_rows(data, count=300 if quick else 3000, seed=seed),
        *retrieval_rows(real, seed=seed),
    ]


def penetration_rows(clips: Sequence[Motion], body: BodyModel | None = None) -> list[Row]:
    """Processor seconds a frame and a clip of 5 s, laws, and the value of real clips."""
    body = BodyModel.load() if body is None else body
    metric = BodyPenetration(body)
    deeper = [metric.of_mesh(body.pose(_lowered_arm(d)).vertices[0]) for d in INTO_BODY]
    metric.of_mesh(body.template)
    frames = [_timed(lambda x: metric(x).value, clip[:1])[0] for clip in clips]
    timed = [_timed(lambda x: metric(x).value, clip) for clip in clips]
    values = torch.tensor([value for _, value in timed])
    rise = min(b - a for a, b in pairwise(deeper))
    mesh = f"{len(body.faces)} faces"
    return [
        _row("penetration/frame", f"{MESH_PENETRATION} of one frame, {mesh}, slowest of {len(clips)}",
             max(frames), "s", bar=(SECONDS_A_FRAME, "<=")),
        _row("penetration/clip", f"of {CLIP_SECONDS:g} s at {FPS:g} fps, stride {STRIDE}, slowest",
             max(seconds for seconds, _ in timed), "s", bar=(SECONDS_A_CLIP, "<=")),
        _row("penetration/rest", "at rest", metric.of_mesh(body.template), "%", bar=(0.0, "<=")),
        _row("penetration/arm", f"an arm at {INTO_BODY[-1]:g} degrees, in the side", deeper[-1], "%"),
        _row("penetration/rise", "least rise from one arm to the next deeper one of "
             + ", ".join(f"{d:g}" for d in INTO_BODY), rise, "%", bar=(0.01, ">=")),
        _row("penetration/real", f"real val clips, {len(clips)}, mean", float(values.mean()), "%"),
        _row("penetration/real-none", "real val clips in which no triangles meet, share",
             float((values == 0).double().mean()), ""),
    ]  # fmt: skip


def inside_rows(clips: Sequence[Motion], body: BodyModel | None = None) -> list[Row]:
    """As `penetration_rows`, of the metric of what is inside; its seconds are those of both."""
    body = BodyModel.load() if body is None else body
    metric = BodyInside(body)
    deeper = [metric.of_mesh(body.pose(_lowered_arm(d)).vertices[0]) for d in INTO_BODY]
    frames = [_timed(lambda x: metric(x)[1].value, clip[:1])[0] for clip in clips]
    timed = [_timed(lambda x: metric(x)[1].value, clip) for clip in clips]
    values = torch.tensor([value for _, value in timed])
    rise = min(b - a for a, b in pairwise(deeper))
    both = f"{MESH_INSIDE} and {MESH_PENETRATION} together"
    return [
        _row("inside/frame", f"{both}, one frame, {len(body.faces)} faces, slowest of {len(clips)}",
             max(frames), "s", bar=(SECONDS_A_FRAME, "<=")),
        _row("inside/clip", f"{both}, {CLIP_SECONDS:g} s at {FPS:g} fps, stride {STRIDE}, slowest",
             max(seconds for seconds, _ in timed), "s", bar=(SECONDS_A_CLIP, "<=")),
        _row("inside/rest", f"{MESH_INSIDE} at rest", metric.of_mesh(body.template), "%",
             bar=(0.0, "<=")),
        _row("inside/rise", "least rise from one arm to the next deeper one of "
             + ", ".join(f"{d:g}" for d in INTO_BODY), rise, "%", bar=(0.01, ">=")),
        _row("inside/real", f"{MESH_INSIDE}, real val clips, {len(clips)}, mean",
             float(values.mean()), "%"),
    ]  # fmt: skip


def pose_rows(data: Path, *, count: int, seed: int = 0) -> list[Row]:
    """What both priors tell of real val poses and of spoilt ones, joint limits beside them."""
    generator = torch.Generator().manual_seed(seed)
    poses = real_poses(data, split="val")
    poses = poses[torch.randperm(len(poses), generator=generator)[:count]]
    field, prior, limits = load_pose_field(), load_prior(), PoseStatistics.load("body_pose")
    low, high = (x.view(JOINTS, 3) for x in (limits.low, limits.high))
    measures: dict[str, Callable[[Tensor], Tensor]] = {
        POSE_FIELD: lambda x: pose_field_distance_of(field, x),
        DPOSERX: lambda x: dposerx_distance_of(prior, x),
        "joint-limit rate": lambda x: joint_limit_rate(x, low=low, high=high),
    }
    real = {name: of(body_rotvec(poses)) for name, of in measures.items()}
    out = [_row(f"pose/{name}/real", f"{name} of {len(poses)} real val poses, mean",
                float(v.double().mean()), "") for name, v in real.items()]  # fmt: skip
    for fault, (degrees, joints) in FAULTS.items():
        spoilt = body_rotvec(turned(poses, _turns(len(poses), degrees, joints, generator)))
        for name, of in measures.items():
            found, told = of(spoilt), name != "joint-limit rate"
            bar: _Bar | None = (LEAST_AUC, ">=") if told and fault == _TOLD_APART else None
            out += [
                _row(f"pose/{name}/{fault}", f"{name} after {fault}, mean",
                     float(found.double().mean()), ""),
                _row(f"pose/{name}/{fault}/AUC", f"{name}: real and spoilt poses told apart",
                     auc(real[name], found), "", bar=bar),
            ]  # fmt: skip
    return out


def retrieval_rows(real: Sequence[tuple[str, Embedded]], *, seed: int = 0) -> list[Row]:
    """10-way and yes/no figures of real clips, chance beside; the threshold is the first split's."""
    names = [name for name, _ in real] or ["val", "seen", "test"]
    if not real:
        return [Row(f"real/{task}/{n}", f"{task}, real {n} clips", None, "")
                for n in names for task in (CHOICE, MATCH)]  # fmt: skip
    threshold = match_threshold(*own_and_others(real[0][1]))
    out = []
    for name, own in real:
        said, other = (x > threshold for x in own_and_others(own))
        out += [
            *_choice_rows(name, own, seed=seed),
            _row(f"real/{MATCH}/{name}", f"{MATCH}, real {name} clips and their own labels; other "
                 f"clips' labels {float(other.double().mean()):.3f}",
                 float(said.double().mean()), ""),
        ]  # fmt: skip
    return out


def _choice_rows(name: str, own: Embedded, *, seed: int) -> list[Row]:
    """The 10-way task with wrong labels of other actions; and of any, which has no bar."""
    bar = SEEN_BAR if name == "seen" else UNSEEN_BAR
    what = f"{CHOICE}, {len(own.text)} real {name} clips"
    if int((~own.right).sum(1).min()) < WRONG:
        return [Row(f"real/{CHOICE}/{name}", f"{what}: too few are of other actions", None, "")]
    found, harder = (
        repeated(partial(_accuracy, own, right), seed=seed) for right in (own.right, own.same)
    )
    return [
        _row(f"real/{CHOICE}/{name}", f"{what}, wrong labels of other actions, chance 0.1, "
             f"+-{found.half_width:.3f} over {found.repetitions} draws of labels", found.mean, "",
             bar=(bar, ">=")),
        _row(f"real/{CHOICE}/{name}/any", "where labels of the same action count as wrong too, if "
             f"they read differently, +-{harder.half_width:.3f}", harder.mean, ""),
    ]  # fmt: skip


def auc(real: Tensor, spoilt: Tensor) -> float:
    """Chance that a spoilt pose's value `(M)` is above a real one's `(N)`; a half for equal ones."""
    order = torch.cat((real, spoilt)).double().unique(return_inverse=True)[1]
    counts = torch.stack([torch.bincount(x, minlength=int(order.max()) + 1).double()
                          for x in order.split((len(real), len(spoilt)))])  # fmt: skip
    below = counts[0].cumsum(0) - counts[0] / 2
    return float((below * counts[1]).sum() / (len(real) * len(spoilt)))


def _accuracy(own: Embedded, right: Tensor, generator: torch.Generator) -> float:
    hits = choice_hits(own.text, own.motion, same=right, generator=generator)
    return float(hits.double().mean())


def _turns(count: int, degrees: float, joints: int, generator: torch.Generator) -> Tensor:
    """Turns `(count, 21, 3)` by so many degrees about drawn axes, in so many joints of each pose."""
    axis = torch.randn(count, JOINTS, 3, generator=generator)
    rank = torch.rand(count, JOINTS, generator=generator).argsort(1).argsort(1)
    axis = axis / axis.norm(dim=-1, keepdim=True) * (rank < joints)[..., None]
    return axis * math.radians(degrees)


def _lowered_arm(degrees: float) -> Motion:
    turns = torch.zeros(1, 22, 3)
    turns[0, SMPLX_JOINTS.index("left_shoulder"), 2] = math.radians(degrees)
    return Motion.create(turns, torch.zeros(1, 3), fps=FPS)


def _timed(metric: Callable[[Motion], float | None], clip: Motion) -> tuple[float, float]:
    """Seconds of the processor and value; what is found once for a body is found before."""
    start = time.process_time()
    value = metric(clip)
    return time.process_time() - start, math.nan if value is None else value


def val_clips(data: Path, count: int) -> list[Motion]:
    """The first 5 s of val clips of all sets that lie in `data`; raises InputError without any."""
    body, found = BodyModel.load(), []
    folders = [data / name for name in SETS if (data / name / "index.jsonl").exists()]
    for folder in folders:
        clips = [c for c in list_clips(folder, split="val") if not c.excluded]
        for clip in clips[:: max(len(clips) * len(folders) // count, 1)]:
            motion = load_clip(clip, body).resample(FPS)
            found.append(motion[: int(CLIP_SECONDS * FPS)])
    if not found:
        raise InputError(f"{data} holds no val clip of {', '.join(SETS)}")
    return found[:count]


def _row(id: str, what: str, value: float, unit: str, *, bar: _Bar | None = None) -> Row:
    limit, direction = bar if bar is not None else (None, None)
    return Row(id, what, value, unit, limit, direction)
