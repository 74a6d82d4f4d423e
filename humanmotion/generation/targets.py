"""Single joints at given places at given times: a wrist at a handle, a foot on a step.

The sampler is given their places. What is left is put right by two bones in closed form (wrists,
ankles), by turning the first bone (elbows, knees), and by moving the whole body for the pelvis, the
head and what a limb does not reach. Corrections swell up and die away around each target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.leg_ik import Posed, two_bones
from humanmotion.errors import UsageError
from humanmotion.generation.easing import frames_at, swelling
from humanmotion.generation.features import POSITIONS, TRANSL, Place
from humanmotion.generation.sampler import FILE_FPS
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.motion import Motion
from humanmotion.rotations import between_vectors, matrix_to_rotvec, rotvec_to_matrix

LIMBS = {7: (1, 4, 7), 8: (2, 5, 8), 20: (16, 18, 20), 21: (17, 19, 21)}
"""First, middle and end joint of the limb that an ankle or a wrist ends."""
BONES = {4: (1, 4), 5: (2, 5), 18: (16, 18), 19: (17, 19)}
"""Ends of the bone that a knee or an elbow ends."""
WHOLE = (0, 15)
"""Pelvis and head, which nothing but the body's place moves."""
REACHED = tuple(SMPLX_JOINTS[j] for j in sorted((*LIMBS, *BONES, *WHOLE)))
"""Names of the joints that can be given."""
RAMP_SECONDS = 0.4
"""From so long before a target to so long behind it the motion gives way to it."""
FASTEST = 15.0
"""Metres per second that no one moves at: hits farther apart contradict each other."""
EXACT = 1e-4
"""Metres within which a target is hit."""
_ROUNDS = 200
_LEGS = (7, 8)


@dataclass(frozen=True)
class Targets:
    """Where joints are to be; raises UsageError for what cannot be."""

    times: Tensor
    """Seconds from the motion's start `(N)`."""
    joints: Tensor
    """`(N)` int64, of the 55."""
    places: Tensor
    """Metres in the caller's world `(N, 3)`."""

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.times).all() and torch.isfinite(self.places).all()):
            raise UsageError("times and places of the targets are not all finite")
        if len(self.times) and float(self.times.min()) < 0:
            raise UsageError(f"a target at {float(self.times.min()):g} s given; give 0 or more")
        at = frames_at(self.times, FILE_FPS).tolist()
        limbs = [_limb(joint) for joint in self.joints.tolist()]
        twice = [
            (t, j) for t, j, pair in zip(
                self.times.tolist(), self.joints.tolist(), zip(at, limbs, strict=True), strict=True
            ) if list(zip(at, limbs, strict=True)).count(pair) > 1
        ]  # fmt: skip
        if twice:
            raise UsageError(
                f"two targets for the limb of {SMPLX_JOINTS[twice[0][1]]} at {twice[0][0]:.2f} s; "
                "give one at a time"
            )
        for joint in set(self.joints.tolist()):
            _check_speed(self, joint)

    def put(self, values: Tensor, mask: Tensor, place: Place, *, rest: Tensor) -> None:
        """Write them into features `(T, 276)` at 20 fps seen from `place`, and that they are given."""
        local = (self.places - place.origin) @ place.turn
        for at, joint, point in zip(
            frames_at(self.times, 20.0).tolist(), self.joints.tolist(), local, strict=True
        ):
            if at >= len(values) or joint >= 22:
                continue
            start = POSITIONS.start + 3 * joint
            values[at, start : start + 3] = point
            mask[at, start : start + 3] = True
            if joint == 0:
                values[at, TRANSL] = point - rest[0]
                mask[at, TRANSL] = True


def no_targets() -> Targets:
    """None at all."""
    return Targets(torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0, 3))


def targets_of(rows: Sequence[tuple[float, str, float, float, float]]) -> Targets:
    """From (seconds, joint, x, y, z); raises UsageError for joints that cannot be given."""
    for _, name, *_rest in rows:
        if name not in REACHED:
            raise UsageError(f"joint {name!r} given as a target; give {', '.join(REACHED)}")
    ordered = sorted(rows, key=lambda row: row[0])
    return Targets(
        torch.tensor([row[0] for row in ordered], dtype=torch.float32),
        torch.tensor([SMPLX_JOINTS.index(row[1]) for row in ordered], dtype=torch.long),
        torch.tensor([row[2:] for row in ordered], dtype=torch.float32).reshape(-1, 3),
    )


def _limb(joint: int) -> int:
    """What can only follow one target at a time: a limb by its first joint, or pelvis, or head."""
    return LIMBS.get(joint, BONES.get(joint, (joint,)))[0]


def _check_speed(targets: Targets, joint: int) -> None:
    own = targets.joints == joint
    times, places = targets.times[own], targets.places[own]
    speed = places.diff(dim=0).norm(dim=-1) / times.diff().clamp(min=1 / FILE_FPS)
    if len(speed) and float(speed.max()) > FASTEST:
        raise UsageError(
            f"targets of {SMPLX_JOINTS[joint]} ask for {float(speed.max()):.0f} m/s; "
            f"give them at most {FASTEST:g} m/s apart"
        )


def reached(
    motion: Motion, body: BodyModel, targets: Targets, *, fixed: Tensor, passed: Tensor
) -> Motion:
    """`motion` at 30 fps with every target hit.

    Poses at frames `fixed` `(K)` stay as they are, and so does the pelvis over the floor at frames
    `passed` `(P)`. Raises UsageError for targets that no pose reaches together.
    """
    at = frames_at(targets.times, FILE_FPS)
    frames = at.unique()
    row = torch.searchsorted(frames, at)
    before, transl = motion.rotations[frames], motion.transl[frames]
    free = torch.ones_like(transl)
    free[torch.isin(frames, passed), :2] = 0
    after, shift = _solved(
        before, transl, targets, body=body, row=row, free=free, betas=motion.betas
    )
    ramp, count = round(RAMP_SECONDS * FILE_FPS), len(motion)
    turns = matrix_to_rotvec(before.mT @ after)
    rotations = motion.rotations.clone()
    for first in {_limb(j) for j in targets.joints.tolist()} - set(WHOLE):
        own = torch.tensor([_limb(j) == first for j in targets.joints.tolist()])
        known = row[own].unique()
        chain = _chain(first)
        eased_turns = swelling(frames[known], turns[known][:, chain], count, ramp=ramp, zero=fixed)
        rotations[:, chain] = rotations[:, chain] @ rotvec_to_matrix(eased_turns)
    level = swelling(frames, shift[:, :2], count, ramp=ramp, zero=torch.cat((fixed, passed)))
    height = swelling(frames, shift[:, 2:], count, ramp=ramp, zero=fixed)
    moved = motion.transl + torch.cat((level, height), -1)
    return motion.with_rotations(rotations, transl=moved)


def _chain(first: int) -> list[int]:
    """The joints of a limb whose turns change."""
    return next(list(limb) for limb in LIMBS.values() if limb[0] == first)


def _solved(
    rotations: Tensor, transl: Tensor, targets: Targets, *, body: BodyModel, row: Tensor, free: Tensor,
    betas: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Poses `(F, 55, 3, 3)` that hit targets in rows `row` `(N)`, and how far the body moves `(F, 3)`.

    Limbs reach from where the body stands, then it moves by what they lack, until nothing is lacking.
    """
    shift = torch.zeros_like(transl)
    # Where the pelvis or the head is given, limbs have no say in where the body goes.
    whole = torch.tensor([j in WHOLE for j in targets.joints.tolist()])
    ruled = torch.zeros(len(transl), dtype=torch.bool)
    ruled[row[whole]] = True
    says = (whole | ~ruled[row]).float()
    for _ in range(_ROUNDS):
        posed = Posed(*body.frames(rotations, betas=betas, transl=transl + shift))
        found = _reaching(rotations, posed, targets, row)
        joints = body.joints(found, betas=betas, transl=transl + shift)
        lacking = targets.places - joints[row, targets.joints]
        if float(lacking.norm(dim=-1).max()) < EXACT / 10:
            break
        voices = torch.zeros(len(transl)).index_add(0, row, says).clamp(min=1)
        step = torch.zeros_like(shift).index_add(0, row, lacking * says[:, None])
        shift = shift + free * step / voices[:, None]
    worst = lacking.norm(dim=-1)
    if float(worst.max()) > EXACT:
        n = int(worst.argmax())
        name, time = SMPLX_JOINTS[int(targets.joints[n])], float(targets.times[n])
        raise UsageError(
            f"{name} misses its target at {time:.2f} s by {float(worst[n]):.3f} m, with all else that "
            "is to be hit then; leave something out"
        )
    return found, shift


def _reaching(rotations: Tensor, posed: Posed, targets: Targets, row: Tensor) -> Tensor:
    """Local rotations `(F, 55, 3, 3)` with limbs stretched out to their targets."""
    out = rotations.clone()
    for joint in set(targets.joints.tolist()) - set(WHOLE):
        own = targets.joints == joint
        at, place = row[own], targets.places[own]
        here = Posed(posed.joints[at], posed.world[at])
        if joint in BONES:
            first, end = BONES[joint]
            swing = between_vectors(
                here.joints[:, end] - here.joints[:, first], place - here.joints[:, first]
            )
            out[at, first] = here.world[:, SMPLX_PARENTS[first]].mT @ swing @ here.world[:, first]
            continue
        first, middle, end = LIMBS[joint]
        # Knees bend to the front of the thigh, elbows to the back of the upper arm.
        front = here.world[:, first, :, 2] * (1 if joint in _LEGS else -1)
        upper, lower = two_bones(here, (first, middle, end), place, front=front)
        out[at, first] = here.world[:, SMPLX_PARENTS[first]].mT @ upper
        out[at, middle] = upper.mT @ lower
        if joint in _LEGS:
            out[at, end] = lower.mT @ here.world[:, end]
    return out
