"""The world of `to_world` put right by one optimisation over all shots, and stood on its feet again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.keypoints import Keypoints
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.alignment import CutAlignment
from humanmotion.recovery.contacts import standing_feet
from humanmotion.recovery.floor import foot_shape
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.integrator import WorldPerson
from humanmotion.recovery.joint import STEPS, optimise
from humanmotion.recovery.joint_problem import Evidence, Terms
from humanmotion.recovery.joint_terms import FEET, Standing, World
from humanmotion.recovery.landmark_terms import observe
from humanmotion.recovery.odometry import CameraMotion
from humanmotion.recovery.planting import plant_feet
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.recovery.shots import Shot
from humanmotion.recovery.world import WorldResult
from humanmotion.rotations import wrap_angle


@dataclass(frozen=True)
class Look:
    """How one person was seen in every frame."""

    track: PoseTrack
    keypoints: Keypoints
    guess: PoseGuess
    """Without one nothing would say which pose a place belongs to."""


@dataclass(frozen=True)
class JointResult:
    """A world after the joint optimisation."""

    world: WorldResult
    tracks: tuple[PoseTrack, ...]
    """Everybody in camera axes, with the shape that was found."""
    K: Tensor
    """`(T, 3, 3)` with the focal lengths that were found."""


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
    """Optimise the first person with the cameras, then each other one before those cameras."""
    terms = terms or Terms()
    lengths = torch.tensor([len(s) for s in shots])
    shot_id = torch.arange(len(shots)).repeat_interleave(lengths)
    still = torch.tensor([c.kind != "moving" for c in cameras])[shot_id]
    first, others = looks[0], looks[1:]
    found = _start(world, 0, first.track, body)
    evidence = _evidence(world, 0, first, K=K, shot_id=shot_id, still=still, body=body)
    found = optimise(found, evidence, body=body, prior=prior, terms=terms, steps=steps)
    K = _zoomed(K, found.camera[:, 6])
    everybody = [found]
    for k, look in enumerate(others, 1):
        start = replace(_start(world, k, look.track, body), R_w2c=found.R_w2c, centre=found.centre)
        evidence = _evidence(world, k, look, K=K, shot_id=shot_id, still=still, body=body)
        fixed = replace(terms, cameras=False, lens=False)
        everybody.append(
            optimise(start, evidence, body=body, prior=prior, terms=fixed, steps=steps)
        )
    fps = evidence.seen.fps
    moved = replace(
        world,
        people=tuple(_planted(w, body, fps=fps) for w in everybody),
        R_w2c=found.R_w2c,
        t_w2c=-(found.R_w2c @ found.centre[..., None])[..., 0],
        cuts=tuple(_cut(c, found) for c in world.cuts),
    )
    tracks = [_track(x.track, w, body) for x, w in zip(looks, everybody, strict=True)]
    return JointResult(moved, tuple(tracks), K)


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


def _evidence(
    world: WorldResult, person: int, look: Look, *, K: Tensor, shot_id: Tensor, still: Tensor,
    body: BodyModel,
) -> Evidence:  # fmt: skip
    placed = world.people[person]
    joints = body.joints(
        placed.rotations.float(), betas=look.track.betas, transl=placed.transl.float()
    )
    contact, height = placed.contact.float(), joints[:, list(FEET), 2]
    height = torch.where(contact > 0, height, body.sole_offset(look.track.betas))
    # What posture says of standing and what the path so far says err in different places.
    standing = Standing((contact + look.guess.contact) / 2, height)
    seen = observe(look.keypoints.to_set(SET), K, shot_id)
    return Evidence(seen, look.guess, standing, still)


def _zoomed(K: Tensor, log_focal: Tensor) -> Tensor:
    out = K.clone()
    out[:, [0, 1], [0, 1]] *= log_focal.exp()[:, None]
    return out


def _planted(world: World, body: BodyModel, *, fps: float) -> WorldPerson:
    """Standing feet put exactly where they stand."""
    shape = foot_shape(body, world.betas)
    transl = world.pelvis - body.rest_joints(world.betas)[0]
    joints = body.joints(world.rotations, betas=world.betas, transl=transl)
    feet = joints[:, list(FEET)].double().numpy()
    stands = standing_feet(feet, sole=shape.sole.double().numpy(), fps=fps)
    planted = plant_feet(world.rotations, transl, contact=torch.from_numpy(stands > 0),
                         betas=world.betas, shape=shape, body=body, fps=fps)  # fmt: skip
    return WorldPerson(*planted)


def _track(track: PoseTrack, world: World, body: BodyModel) -> PoseTrack:
    state = world.seen(body)
    transl = state.pelvis - body.rest_joints(world.betas)[0]
    return replace(track, rotations=state.rotations, transl=transl, betas=world.betas)


def _cut(cut: CutAlignment, world: World) -> CutAlignment:
    """A cut with the heading and the place that its cameras have now."""
    turned = world.camera[cut.frame, 2] - world.camera[cut.frame - 1, 2]
    shift = world.centre[cut.frame] - world.centre[cut.frame - 1]
    yaw = float(wrap_angle(torch.as_tensor(cut.yaw_rad) + turned))
    return replace(cut, yaw_rad=yaw, translation=tuple(shift.tolist()))
