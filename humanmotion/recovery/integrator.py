"""From shots that agree on up and on heading to one motion on one floor.

Contacts and paths are found in turns: a first guess of which feet stand gives paths, paths give better
contacts. Then the legs are bent so that standing feet stay exactly where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.contacts import lower_foot, standing_feet, told_feet
from humanmotion.body.floor import FootShape, foot_shape, lowest_point
from humanmotion.body.planting import plant_feet
from humanmotion.recovery.support import support_level
from humanmotion.recovery.trajectory import PersonPath, solve_paths

FIRST_GUESS = 0.3
"""How much the first guess of contact is believed."""
ROUNDS = 3
LEAST_FOOT_CONFIDENCE = 0.1


@dataclass(frozen=True)
class Placed:
    """One person's body in world axes, not yet at a place in the world; `T` frames of the video."""

    rotations: Tensor
    """Local `(T, 55, 3, 3)`, the root's in the world."""
    betas: Tensor
    """`(10)`."""
    offset: Tensor
    """Pelvis minus camera centre in world axes `(T, 3)`."""
    seen: Tensor
    """`(T)` in [0, 1]; 0 where absent."""
    feet_seen: Tensor
    """Confidence of both feet `(T, 2)`."""
    contact: Tensor | None = None
    """How likely each foot stands `(T, 2)`, where a network says it."""
    velocity: Tensor | None = None
    """Of the pelvis in the world `(T, 3)`, m/s, where a network says it: the step to each frame."""


@dataclass(frozen=True)
class WorldPerson:
    """One person in the world: z up, floor at z = 0, metres."""

    rotations: Tensor
    """Local `(T, 55, 3, 3)`, the root's in the world."""
    transl: Tensor
    """`(T, 3)`; `pelvis = transl + J0(betas)`."""
    contact: Tensor
    """Left, right foot standing, `(T, 2)` in [0, 1]."""


def integrate(
    people: Sequence[Placed],
    *,
    still: NDArray[np.bool_],
    shot_id: NDArray[np.int64],
    fps: float,
    body: BodyModel,
    centre: Tensor | None = None,
) -> tuple[tuple[WorldPerson, ...], Tensor]:
    """Everybody in the world, and the camera's centre `(T, 3)`.

    `still` `(T)` says where the camera's centre keeps its place, `shot_id` `(T)` where it may jump.
    With `centre` the camera is known already and people are placed before it.
    """
    fixed = None if centre is None else centre.double().numpy()
    shapes = [foot_shape(body, p.betas) for p in people]
    bodies = [body.joints(p.rotations, betas=p.betas) for p in people]
    known = [_person_path(p, j, s, fps=fps) for p, j, s in zip(people, bodies, shapes, strict=True)]
    levels = [_levels(p, still=still, shot_id=shot_id, fps=fps, centre=fixed) for p in known]
    # Everybody is brought down to the floor for the solve, and back up to what they stand on.
    known = [_lowered(p, level) for p, level in zip(known, levels, strict=True)]
    for _ in range(ROUNDS):
        paths = solve_paths(known, still=still, shot_id=shot_id, fps=fps, centre=fixed)
        known = _with_contacts(known, paths.pelvis, people, fps=fps)
    paths = solve_paths(known, still=still, shot_id=shot_id, fps=fps, centre=fixed)
    known = _with_contacts(known, paths.pelvis, people, fps=fps)
    out = []
    for k, person in enumerate(people):
        rest = body.rest_joints(person.betas)[0]
        transl = torch.from_numpy(paths.pelvis[k]).to(rest.dtype) - rest
        contact = torch.from_numpy(known[k].contact > 0)
        planted = plant_feet(person.rotations, transl, contact=contact, betas=person.betas,
                             shape=shapes[k], body=body, fps=fps)  # fmt: skip
        rotations, moved, stands = planted
        moved = moved.clone()
        moved[:, 2] += torch.from_numpy(levels[k]).to(moved.dtype)
        out.append(WorldPerson(rotations, moved, stands))
    return tuple(out), torch.from_numpy(paths.centre)


def _person_path(person: Placed, joints: Tensor, shape: FootShape, *, fps: float) -> PersonPath:
    pelvis = joints[:, :1]
    feet = (joints[:, [10, 11]] - pelvis).double().numpy()
    sole = shape.sole.double().numpy()
    believed = person.feet_seen.clamp(min=LEAST_FOOT_CONFIDENCE).double().numpy()
    return PersonPath(
        offset=person.offset.double().numpy(),
        seen=person.seen.double().numpy(),
        feet=feet,
        sole=sole,
        feet_seen=believed,
        contact=FIRST_GUESS * believed * lower_foot(feet, sole=sole),
        lowest=lowest_point(joints - pelvis).double().numpy(),
        steps=None if person.velocity is None else person.velocity[1:].double().numpy() / fps,
    )


def _levels(
    person: PersonPath,
    *,
    still: NDArray[np.bool_],
    shot_id: NDArray[np.int64],
    fps: float,
    centre: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Height `(T)` of what a person stands on over the floor; 0 where the camera moves."""
    height = person.offset[:, 2] + (person.feet[..., 2] - person.sole).min(-1)
    levels = np.zeros(len(height))
    for shot in np.unique(shot_id):
        part = shot_id == shot
        if not still[part].all():
            continue
        over = height[part] if centre is None else height[part] + centre[part, 2]
        floor = None if centre is None else 0.0
        levels[part] = support_level(over, seen=person.seen[part] > 0, fps=fps, floor=floor)
    return levels


def _lowered(person: PersonPath, level: NDArray[np.float64]) -> PersonPath:
    offset = person.offset.copy()
    offset[:, 2] -= level
    return replace(person, offset=offset)


def _with_contacts(
    known: Sequence[PersonPath],
    paths: NDArray[np.float64],
    people: Sequence[Placed],
    *,
    fps: float,
) -> list[PersonPath]:
    """Everybody with the contacts that these paths `(K, T, 3)` show, or that they are told to have."""
    out = []
    for path, pelvis, person in zip(known, paths, people, strict=True):
        if person.contact is None:
            stands = standing_feet(path.feet + pelvis[:, None], sole=path.sole, fps=fps)
        else:
            stands = told_feet(person.contact.double().numpy(), fps=fps)
        out.append(path.standing(stands))
    return out
