"""The world of `to_world` put right by one optimisation over all shots, and stood on its feet again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.contacts import standing_feet
from humanmotion.body.floor import foot_shape
from humanmotion.body.planting import plant_feet
from humanmotion.keypoints import Keypoints
from humanmotion.metrics import heading
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.detector_noise import exchanged
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.joint import STEPS, optimise
from humanmotion.recovery.joint_problem import Evidence, Terms
from humanmotion.recovery.joint_terms import FEET, Standing, World
from humanmotion.recovery.landmark_terms import observe
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.support import support_level
from humanmotion.recovery.world import WorldResult
from humanmotion.rotations import wrap_angle

LENS_SIGMA = 0.2
"""Of the logarithm of a focal length, at most: the pictures are to move it, not the seams alone."""


@dataclass(frozen=True)
class Look:
    """How one person was seen in every frame."""

    track: PoseTrack
    """Its poses are not read: those of the world are where the optimisation begins."""
    keypoints: Keypoints
    guess: PoseGuess
    """Without one nothing would say which pose a place belongs to."""


@dataclass(frozen=True)
class JointResult:
    """A world after the joint optimisation."""

    world: WorldResult
    betas: tuple[Tensor, ...]
    """Everybody's shape `(10)` that was found."""
    K: Tensor
    """`(T, 3, 3)` with the focal lengths that were found."""


@dataclass(frozen=True)
class _Told:
    """What is known of one person, read as `to_world` decided; windows are made when asked for."""

    look: Look
    flipped: Tensor
    """`(T)` bool: front and back exchanged."""
    K: Tensor
    shot_id: Tensor
    standing: Standing
    """By the path so far."""
    still: Tensor
    lens_sigma: Tensor
    body: BodyModel

    def __getitem__(self, frames: slice) -> Evidence:
        points, guess = self._decided(frames)
        seen = observe(points, self.K[frames], self.shot_id[frames])
        shown = self.look.track.confidence[frames].amax(-1) > 0
        # What posture says of standing and what the path so far says err in different places.
        told = guess.contact * guess.sure(points.confidence)[:, None]
        standing = self.standing[frames]
        contact = (standing.contact + told) / 2 * shown[:, None]
        return Evidence(
            seen, guess, replace(standing, contact=contact), self.still[frames],
            self.lens_sigma[frames],
        )  # fmt: skip

    def _decided(self, frames: slice) -> tuple[Keypoints, PoseGuess]:
        """Keypoints and guess with front and back exchanged where that was decided."""
        points = self.look.keypoints[frames].to_set(SET)
        guess, flipped = self.look.guess[frames], self.flipped[frames]
        if not bool(flipped.any()):
            return points, guess
        there = flipped[:, None].expand(points.confidence.shape)
        xyz = points.xyz
        if xyz is not None:
            back = torch.where(there[..., None], xyz * xyz.new_tensor((1.0, 1.0, -1.0)), xyz)
            xyz = exchanged(back, there)
        points = replace(
            points,
            xy=exchanged(points.xy, there),
            confidence=exchanged(points.confidence[..., None], there)[..., 0],
            xyz=xyz,
        )
        track = self.look.track
        pelvis = track.transl[frames] + self.body.rest_joints(track.betas)[0]
        ray = torch.nn.functional.normalize(pelvis, dim=-1)
        return points, guess.decided(flipped, ray=ray)


def optimise_world(
    world: WorldResult,
    looks: Sequence[Look],
    *,
    K: Tensor,
    shots: Sequence[Shot],
    cameras: Sequence[CameraMotion],
    body: BodyModel,
    prior: PosePrior | None = None,
    terms: Terms | None = None,
    steps: int = STEPS,
) -> JointResult:
    """Optimise the first person with the cameras, then each other one before those cameras.

    Where a shot does not show the first person, nothing would hold its camera, and the world is
    returned as it is.
    """
    terms, unseen = terms or Terms(), JointResult(world, tuple(x.track.betas for x in looks), K)
    if not all(bool(looks[0].track.seen[s.start : s.stop].any()) for s in shots):
        return unseen
    lengths = torch.tensor([len(s) for s in shots])
    shot_id = torch.arange(len(shots)).repeat_interleave(lengths)
    still = torch.tensor([c.kind != "moving" for c in cameras])[shot_id]
    lens_sigma = torch.tensor([min(c.focal.sigma, LENS_SIGMA) for c in cameras])[shot_id]
    levels = [_level(world, k, look.track, body) for k, look in enumerate(looks)]
    found: list[World] = []
    for k, look in enumerate(looks):
        start = _start(world, k, look.track, body)
        if k:
            start = replace(start, R_w2c=found[0].R_w2c, centre=found[0].centre)
        flipped = torch.tensor(world.flipped[k])[shot_id]
        standing = _standing(world, k, look.track, level=levels[k], body=body)
        told = _Told(look, flipped, K, shot_id, standing, still, lens_sigma, body)
        found.append(optimise(start, told, body=body, prior=prior, terms=terms, steps=steps))
        if not k:
            K, terms = _zoomed(K, found[0].camera[:, 6]), replace(terms, cameras=False, lens=False)
    fps = looks[0].track.fps
    people = [_planted(w, x, body, fps=fps) for w, x in zip(found, levels, strict=True)]
    first = found[0]
    t_w2c = -(first.R_w2c @ first.centre[..., None])[..., 0]
    cuts = tuple(_cut(c, world, first) for c in world.cuts)
    moved = replace(world, people=tuple(people), R_w2c=first.R_w2c, t_w2c=t_w2c, cuts=cuts)
    return JointResult(moved, tuple(w.betas for w in found), K)


def _start(world: WorldResult, person: int, track: PoseTrack, body: BodyModel) -> World:
    placed, R = world.people[person], world.R_w2c.float()
    return World(
        rotations=placed.rotations.float(),
        pelvis=placed.transl.float() + body.rest_joints(track.betas)[0],
        R_w2c=R,
        centre=-(R.mT @ world.t_w2c.float()[..., None])[..., 0],
        camera=torch.zeros(len(R), 7),
        betas=track.betas,
    )


def _feet(world: WorldResult, person: int, track: PoseTrack, body: BodyModel) -> Tensor:
    """Foot joints of one person in the world `(T, 2, 3)`."""
    placed = world.people[person]
    joints = body.joints(placed.rotations.float(), betas=track.betas, transl=placed.transl.float())
    return joints[:, list(FEET)]


def _level(world: WorldResult, person: int, track: PoseTrack, body: BodyModel) -> Tensor:
    """Height `(T)` of what somebody stands on: a stage, a stair, most often the floor at 0."""
    lower = (_feet(world, person, track, body)[..., 2] - body.sole_offset(track.betas)).amin(-1)
    level = support_level(lower.double().numpy(), seen=track.seen.numpy(), fps=track.fps, floor=0.0)
    return torch.from_numpy(level).float()


def _standing(
    world: WorldResult, person: int, track: PoseTrack, *, level: Tensor, body: BodyModel
) -> Standing:
    """Where feet stand by the path so far, and how high."""
    feet, contact = _feet(world, person, track, body), world.people[person].contact.float()
    on = level[:, None] + body.sole_offset(track.betas)
    return Standing(contact, torch.where(contact > 0, feet[..., 2], on))


def _zoomed(K: Tensor, log_focal: Tensor) -> Tensor:
    out = K.clone()
    out[:, [0, 1], [0, 1]] *= log_focal.exp()[:, None]
    return out


def _planted(world: World, level: Tensor, body: BodyModel, *, fps: float) -> WorldPerson:
    """Standing feet put exactly where they stand, on what lies at `level` `(T)`."""
    shape = foot_shape(body, world.betas)
    up = level[:, None] * torch.tensor((0.0, 0.0, 1.0))
    transl = world.pelvis - body.rest_joints(world.betas)[0] - up
    joints = body.joints(world.rotations, betas=world.betas, transl=transl)
    feet = joints[:, list(FEET)].double().numpy()
    stands = standing_feet(feet, sole=shape.sole.double().numpy(), fps=fps)
    rotations, transl, contact = plant_feet(
        world.rotations, transl, contact=torch.from_numpy(stands > 0), betas=world.betas,
        shape=shape, body=body, fps=fps,
    )  # fmt: skip
    return WorldPerson(rotations, transl + up, contact)


def _cut(cut: CutAlignment, before: WorldResult, found: World) -> CutAlignment:
    """A cut with the heading and the place that its cameras have now; its sigma is the alignment's."""
    sides = slice(cut.frame - 1, cut.frame + 1)
    turned = heading(found.R_w2c[sides].mT) - heading(before.R_w2c[sides].float().mT)
    shift = found.centre[cut.frame] - found.centre[cut.frame - 1]
    yaw = float(wrap_angle(cut.yaw_rad + turned[1] - turned[0]))
    return replace(cut, yaw_rad=yaw, translation=tuple(shift.tolist()))
