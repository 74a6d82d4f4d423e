"""Reconstruct ms-mocap: one fit of every sequence, joined over its cuts in several ways."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from humanmotion.bench.humanmm import published_world
from humanmotion.bench.ms_alignment import METHODS, Cut, essential, turn_by
from humanmotion.bench.ms_mocap import Filmed
from humanmotion.body import BodyModel
from humanmotion.camera import intrinsics
from humanmotion.jobs.fit_person import Learnt, View, fit_body, guess_body
from humanmotion.keypoints import Keypoints
from humanmotion.metrics import (
    cut_yaw_error,
    foot_contact,
    foot_sliding,
    heading,
    jitter,
    low_passed,
    pa_mpjpe,
    roe,
    rte,
    sole_height,
    w_mpjpe,
    wa_mpjpe,
)
from humanmotion.recovery.alignment import Turn
from humanmotion.recovery.gravity import gravity_view
from humanmotion.recovery.humanmm import HumanMM
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.joint_problem import Terms
from humanmotion.recovery.joint_world import Look, optimise_world
from humanmotion.recovery.motion_refining import HELPFUL, Part
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.refiner import Refiner
from humanmotion.recovery.resection import resect
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.world import ShotsRead, WorldResult, join_shots, read_shots

BODY = 22
FIRST_FRAMES = 10
"""Frames of the first shot that a whole video is aligned on."""
OURS, NAIVE, TRUE_YAW = "ours", "naive concatenation", "oracle: true yaw"
CAMERA_SPACE = "camera space, shots not joined"
"""Everybody as each frame's camera has them, as if it stood level in one place: no world at all."""
JOINED, UNREFINED = "ours, shots joined only", "ours without the refiner"
"""Before the joint optimisation over all shots."""

TERMS = {f"without {f.name}": Terms(**{f.name: False}) for f in fields(Terms)}
OPTIMISED = {OURS: Terms()} | TERMS
"""Ways that end with the joint optimisation: all of it, and each term of it left out."""
HUMANMM = "published modules (HumanMM)"
"""Joined by the essential matrix, then encoder, integrator and trajectory refiner."""
REFINED: dict[str, Set[Part]] = {
    "shots joined only, without the refiner": frozenset(),
    "shots joined only, contact of the refiner too": HELPFUL | {"contact"},
    "shots joined only, poses of the refiner too": HELPFUL | {"pose"},
}
"""Joined with other parts of what the refiner says."""


@dataclass(frozen=True)
class Errors:
    """Of one sequence, joined in one way."""

    yaw: Tensor
    """At each cut `(C)`, degrees, by how the person's heading steps there."""
    sigma: Tensor
    """What was said of it `(C)`, degrees; NaN where nothing is said."""
    roe_first: float
    """Degrees."""
    w_all: float
    """Millimetres."""
    wa_all: float
    pa: float
    rte: float
    """Metres."""
    sliding: float | None
    """Millimetres a frame in true contact; None without any, as the next two."""
    true_sliding: float | None
    """The same of the truth."""
    floor: float | None
    """Millimetres between the heights of a sole and of the true one while that stands."""
    jitter: float
    """Of the joints after a zero-phase low-pass of 6 Hz, m/s^3."""
    true_jitter: float
    """The same of the truth."""


@dataclass(frozen=True)
class Known:
    """What a reconstruction knows beyond the usual, or does not know."""

    focal: bool = False
    up: bool = False
    visibility: bool = True
    """Whether one landmark is more certain than another."""
    flips: bool = True
    """Whether a back may have been taken for a front."""


def reconstructed(
    seq: Filmed,
    body: BodyModel,
    *,
    learnt: Learnt,
    ways: Sequence[str],
    known: Known | None = None,
    refiner: Refiner | None = None,
    humanmm: HumanMM | None = None,
) -> dict[str, Errors]:
    """Errors of `ways`: those named above, or names of METHODS, REFINED or OPTIMISED.

    The `refiner` has a say in ours and the oracle; HUMANMM is the way of those networks.
    """
    known = known or Known()
    if not known.visibility:
        seq = replace(seq, keypoints=_evenly_sure(seq.keypoints))
    cameras = seq.odometry(focal_known=known.focal, up_known=known.up)
    lengths = torch.tensor([s.stop - s.start for s in seq.spans])
    focal = torch.tensor([c.focal.focal_px for c in cameras]).repeat_interleave(lengths)
    K = intrinsics(focal, width=seq.keypoints.width, height=seq.keypoints.height)
    shot_id = torch.arange(len(cameras)).repeat_interleave(lengths)
    view = View(K, torch.cat([c.R_c2c0 for c in cameras]), shot_id)
    track = fit_body(seq.keypoints, body, learnt, view=view)
    read = read_shots([track], shots=seq.spans, cameras=cameras, body=body, flips=known.flips)
    fitted = _Fitted(seq, body, learnt, refiner, humanmm, cameras, view, track, read)
    return {
        way: errors(seq, *fitted.by(way), body=body, said=way in (OURS, JOINED)) for way in ways
    }


def _evenly_sure(points: Keypoints) -> Keypoints:
    """All landmarks that are there with one confidence, the median of theirs."""
    there = points.confidence > 0
    return replace(points, confidence=there * points.confidence[there].median())


@dataclass(frozen=True)
class _Fitted:
    """A sequence after its fit, to be joined in several ways."""

    seq: Filmed
    body: BodyModel
    learnt: Learnt
    refiner: Refiner | None
    humanmm: HumanMM | None
    cameras: tuple[CameraMotion, ...]
    view: View
    track: PoseTrack
    read: ShotsRead

    def by(self, way: str) -> tuple[WorldResult, PoseTrack]:
        """The world of one way, and the person as it has them in camera axes."""
        if way in OPTIMISED:
            return self._together(self._ours, OPTIMISED[way])
        if way == TRUE_YAW:
            turns = _true_turns(self.seq, self._plain)
            return self._together(self._world(turns, HELPFUL), Terms())
        if way == UNREFINED:
            return self._together(self._world(None), Terms())
        if way in METHODS:
            return self._world([turn_by(METHODS[way], c) for c in self._cuts]), self.track
        if way in REFINED:
            return self._world(None, REFINED[way]), self.track
        if way == HUMANMM:
            assert self.humanmm is not None
            turns = [turn_by(essential, c) for c in self._cuts]
            world = published_world(self.read, self.humanmm, turns=turns, body=self.body)
            return world, self.track
        if way == CAMERA_SPACE:
            return camera_space(self.track, self.body), self.track
        return {NAIVE: self._plain, JOINED: self._ours}[way], self.track

    def _world(self, turns: list[Turn] | None, parts: Set[Part] = frozenset()) -> WorldResult:
        return join_shots(
            self.read, body=self.body, turns=turns, refiner=self.refiner, refined=parts
        )

    @cached_property
    def _plain(self) -> WorldResult:
        return self._world([Turn(0.0, math.inf, 0.0, 0.0) for _ in self.seq.cuts])

    @cached_property
    def _ours(self) -> WorldResult:
        return self._world(None, HELPFUL)

    @cached_property
    def _cuts(self) -> list[Cut]:
        return _cuts(self.seq, self._plain, self.track, self.view.K, self.body)

    def _together(self, joined: WorldResult, terms: Terms) -> tuple[WorldResult, PoseTrack]:
        return optimised(
            joined, self.track, self.seq.keypoints, view=self.view, shots=self.seq.spans,
            cameras=self.cameras, body=self.body, learnt=self.learnt, terms=terms,
        )  # fmt: skip


def camera_space(track: PoseTrack, body: BodyModel) -> WorldResult:
    """Camera axes taken for a world's: x to the right, y ahead, z up, in every frame of every shot."""
    turn = gravity_view(track.transl.new_tensor((0.0, -1.0, 0.0)))
    rotations, rest = track.rotations.clone(), body.rest_joints(track.betas)[0]
    rotations[:, 0] = turn @ track.rotations[:, 0]
    person = WorldPerson(
        rotations, (track.transl + rest) @ turn.T - rest, torch.zeros(len(rotations), 2)
    )
    return WorldResult(
        people=(person,), R_w2c=turn.T.repeat(len(rotations), 1, 1),
        t_w2c=torch.zeros(len(rotations), 3), cuts=(), flipped=(), gravity_sigma_rad=(),
    )  # fmt: skip


def optimised(
    joined: WorldResult,
    track: PoseTrack,
    keypoints: Keypoints,
    *,
    view: View,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
    learnt: Learnt,
    terms: Terms,
) -> tuple[WorldResult, PoseTrack]:
    """Joined shots of one person after resection and the joint optimisation, and the person.

    The optimisation needs a lifter's guess; without one the joined shots are the result.
    """
    if learnt.lifter is None:
        return joined, track
    look = Look(track, keypoints, guess_body(keypoints, learnt.lifter, view=view))
    lie = resect(joined, [track], K=view.K, shots=shots, cameras=cameras, body=body)
    found = optimise_world(lie, [look], K=view.K, shots=shots, cameras=cameras, body=body,
                           prior=learnt.prior, terms=terms)  # fmt: skip
    return found.world, replace(track, betas=found.betas[0])


def _cuts(
    seq: Filmed, plain: WorldResult, track: PoseTrack, K: Tensor, body: BodyModel
) -> list[Cut]:
    marks = body.landmarks(SET, track.rotations, betas=track.betas, transl=track.transl)
    R = plain.R_w2c.mT
    return [Cut(c, seq.keypoints, K, (R[c - 1], R[c]), marks) for c in seq.cuts]


def _true_turns(seq: Filmed, plain: WorldResult) -> list[Turn]:
    """Turns that give the cameras their true headings relative to each other at the cuts."""
    true = torch.cat([heading(s.camera.R_w2c.mT) for s in seq.shots])
    ours = heading(plain.R_w2c.mT)
    return [
        Turn(float((true[c] - true[c - 1]) - (ours[c] - ours[c - 1])), 0.0, 0.0, 0.0)
        for c in seq.cuts
    ]


def errors(
    seq: Filmed, world: WorldResult, track: PoseTrack, *, body: BodyModel, said: bool
) -> Errors:
    """What differs between a reconstruction and the truth."""
    person = world.people[0]
    joints = body.joints(person.rotations.float(), betas=track.betas, transl=person.transl.float())[
        :, :BODY
    ]
    truth = seq.joints[:, :BODY]
    root, true_root = person.rotations[:, 0].float(), seq.motion.rotations[:, 0]
    first = seq.spans[0].stop
    contact = foot_contact(seq.joints, sole=body.sole_offset(seq.motion.betas), fps=seq.motion.fps)
    yaw = cut_yaw_error(root, true_root, cuts=seq.cuts)
    stands = bool((contact[1:] & contact[:-1]).any())
    return Errors(
        yaw=torch.rad2deg(yaw),
        sigma=torch.tensor([math.degrees(c.sigma_rad) if said else math.nan for c in world.cuts]),
        roe_first=math.degrees(float(roe(root, true_root, first=first).mean())),
        w_all=1000 * float(w_mpjpe(joints, truth, chunk=None, first=FIRST_FRAMES).mean()),
        wa_all=1000 * float(wa_mpjpe(joints, truth, chunk=None).mean()),
        pa=1000 * float(pa_mpjpe(joints, truth).mean()),
        rte=float(rte(joints[:, 0], truth[:, 0]).mean()),
        sliding=1000 * float(foot_sliding(joints, contact)) if stands else None,
        true_sliding=1000 * float(foot_sliding(truth, contact)) if stands else None,
        floor=_floor_error(joints, truth, contact, body=body, betas=(track.betas, seq.motion.betas))
        if stands
        else None,
        jitter=_calm_jitter(joints, seq.motion.fps),
        true_jitter=_calm_jitter(truth, seq.motion.fps),
    )


def _floor_error(
    joints: Tensor, truth: Tensor, contact: Tensor, *, body: BodyModel, betas: tuple[Tensor, Tensor]
) -> float:
    """Millimetres between the heights of both soles while the true one stands."""
    heights = [
        sole_height(j, sole=body.sole_offset(b))
        for j, b in zip((joints, truth), betas, strict=True)
    ]
    return 1000 * float((heights[0] - heights[1]).abs()[contact].mean())


def _calm_jitter(joints: Tensor, fps: float) -> float:
    """Mean jitter of joints `(T, J, 3)` without what shakes faster than people do."""
    return float(jitter(low_passed(joints, fps=fps), fps=fps).mean())
