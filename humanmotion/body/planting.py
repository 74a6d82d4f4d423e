"""Standing feet stay exactly where they stand, and no sole sinks: targets for the feet, then leg IK."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body.contacts import segments
from humanmotion.body.floor import ANKLES, FEET, FootShape
from humanmotion.body.leg_ik import Posed, overreach, reach_ankles
from humanmotion.body.model import BodyModel
from humanmotion.rotations import rotvec_to_matrix

WANDER = 0.2
"""A foot that strays further than this from one place, in metres, does not stand there."""
SHORTEST_SECONDS = 0.1
BLEND_SECONDS = 0.25
"""A correction fades out this long before and after a stand."""
LEGS = slice(0, 12)
"""Joints from the pelvis to the feet."""
BLOCK = 4096
"""Frames posed at once."""
STEP_SECONDS = 0.07
"""A stand that strays is divided, and the foot gets this long on both sides to go over."""


def plant_feet(
    rotations: Tensor,
    transl: Tensor,
    *,
    contact: Tensor,
    betas: Tensor,
    shape: FootShape,
    body: BodyModel,
    fps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations `(T, 55, 3, 3)`, translation `(T, 3)` and contact `(T, 2)` with planted feet.

    `contact` `(T, 2)` bool is the wish; the contact returned is what was kept.
    """
    posed = posed_legs(rotations, transl, betas=betas, body=body)
    shift, kept = _shifts(posed.joints[:, list(FEET)], contact, sole=shape.sole, fps=fps)
    moved, down = move_feet(rotations, posed, shift=shift, shape=shape)
    return moved, transl + down, kept.to(transl.dtype)


def move_feet(
    rotations: Tensor, posed: Posed, *, shift: Tensor, shape: FootShape
) -> tuple[Tensor, Tensor]:
    """Rotations `(T, 55, 3, 3)` with foot joints moved by `shift` `(T, 2, 3)`, no sole under the floor.

    The second result `(T, 3)` is how far the whole body goes down where a leg is too short.
    """
    target = posed.joints[:, list(FEET)] + shift
    feet_world = _heels_up(posed.world[:, list(ANKLES)], target[..., 2], shape)
    target = target + _lift(target, feet_world, shape)
    ankles = target - (feet_world @ shape.ball[..., None])[..., 0]
    drop = _smooth_drop(overreach(posed, ankles=ankles).amax(-1))
    down = torch.stack((drop * 0, drop * 0, -drop), -1)
    posed = Posed(posed.joints + down[:, None], posed.world)
    moved = reach_ankles(rotations, posed, ankles=ankles, feet_world=feet_world)
    return _toes_up(moved, feet_world, target[..., 2], shape), down


def posed_legs(rotations: Tensor, transl: Tensor, *, betas: Tensor, body: BodyModel) -> Posed:
    """The body down from the pelvis; of a long video the rest is too much to hold."""
    joints, world = [], []
    for turns, places in zip(rotations.split(BLOCK), transl.split(BLOCK), strict=True):
        points, frames = body.frames(turns, betas=betas, transl=places)
        joints.append(points[:, LEGS].clone())
        world.append(frames[:, LEGS].clone())
    return Posed(torch.cat(joints), torch.cat(world))


def _shifts(balls: Tensor, contact: Tensor, *, sole: Tensor, fps: float) -> tuple[Tensor, Tensor]:
    """How far each foot joint `(T, 2, 3)` must move, and the stands kept `(T, 2)` bool."""
    shift, kept = torch.zeros_like(balls), torch.zeros_like(contact)
    for side in range(2):
        path = balls[:, side].double().numpy()
        total, wished = np.zeros((len(path), 1)), np.zeros_like(path)
        for start, stop in _stands(path, contact[:, side].numpy(), fps=fps):
            place = np.median(path[start:stop], axis=0)
            place[2] = float(sole[side])
            kept[start:stop, side] = True
            share, gap = fade(len(path), start, stop, fps=fps), place - path
            # Beyond the stand the correction of its nearest frame fades out.
            gap[:start], gap[stop:] = gap[start], gap[stop - 1]
            total += share[:, None]
            wished += share[:, None] * gap
        shift[:, side] = torch.from_numpy(wished / np.maximum(total, 1.0)).to(balls.dtype)
    return shift, kept


def fade(
    frames: int,
    start: int,
    stop: int,
    *,
    fps: float,
    seconds: tuple[float, float] = (BLEND_SECONDS, BLEND_SECONDS),
) -> NDArray[np.float64]:
    """1 inside [start, stop), smooth steps up to it and down from it in so many seconds, `(T)`."""
    index = np.arange(frames)
    before, behind = (start - index) / (seconds[0] * fps), (index - stop + 1) / (seconds[1] * fps)
    x = np.clip(1 - np.maximum(np.maximum(before, behind), 0), 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def _stands(
    path: NDArray[np.float64], on: NDArray[np.bool_], *, fps: float
) -> list[tuple[int, int]]:
    """Ranges in which the foot `(T, 3)` keeps to one place; long ones that stray are divided."""
    todo, out = segments(on), []
    step, shortest = max(1, round(STEP_SECONDS * fps)), max(2, round(SHORTEST_SECONDS * fps))
    while todo:
        start, stop = todo.pop()
        if stop - start < shortest:
            continue
        away = np.linalg.norm(path[start:stop] - np.median(path[start:stop], axis=0), axis=-1)
        if away.max() <= WANDER:
            out.append((start, stop))
            continue
        # The fastest step is where the foot left one place for another.
        fastest = (
            start + 1 + int(np.linalg.norm(np.diff(path[start:stop], axis=0), axis=-1).argmax())
        )
        todo += [(start, fastest - step), (fastest + step, stop)]
    return sorted(out)


def _raise(vector: Tensor, height: Tensor) -> Tensor:
    """Rotations `(..., 3, 3)` that turn vectors `(..., 3)` upwards to reach at least `height`."""
    length = vector.norm(dim=-1).clamp(min=1e-6)
    now = torch.asin((vector[..., 2] / length).clamp(-1, 1))
    wanted = torch.asin((height / length).clamp(-1, 1))
    up = torch.zeros_like(vector)
    up[..., 2] = 1.0
    axis = torch.nn.functional.normalize(torch.linalg.cross(vector, up), dim=-1)
    return rotvec_to_matrix(axis * (wanted - now).clamp(min=0)[..., None])


def _heels_up(feet_world: Tensor, ball_height: Tensor, shape: FootShape) -> Tensor:
    """Feet `(T, 2, 3, 3)` turned about the ball so that no heel is below the floor."""
    heel = (feet_world @ (shape.heel - shape.ball)[..., None])[..., 0]
    low = torch.maximum(ball_height, shape.sole)
    return _raise(heel, -low) @ feet_world


def _toes_up(
    rotations: Tensor, feet_world: Tensor, ball_height: Tensor, shape: FootShape
) -> Tensor:
    """Toes bent up about the ball so that none is below the floor."""
    out = rotations.clone()
    for side, foot in enumerate(FEET):
        world = feet_world[:, side] @ rotations[:, foot]
        toe = (world @ shape.toe[side][:, None])[..., 0]
        low = torch.maximum(ball_height[:, side], shape.sole[side])
        out[:, foot] = feet_world[:, side].mT @ _raise(toe, -low) @ world
    return out


def _lift(target: Tensor, feet_world: Tensor, shape: FootShape) -> Tensor:
    """What is still missing for balls `(T, 2, 3)` and heels to be above the floor, `(T, 2, 3)`."""
    heel = (feet_world @ (shape.heel - shape.ball)[..., None])[..., 0][..., 2] + target[..., 2]
    lowest = torch.minimum(heel, target[..., 2] - shape.sole)
    up = torch.zeros_like(target)
    up[..., 2] = (-lowest).clamp(min=0)
    return up


def _smooth_drop(excess: Tensor) -> Tensor:
    """A smooth curve `(T)` that lies on or above `excess` `(T)`, metres."""
    if len(excess) < 2:
        return excess
    wide = torch.nn.functional.max_pool1d(excess[None, None], 7, stride=1, padding=3)
    padded = torch.nn.functional.pad(wide, (3, 3), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, 7, stride=1)[0, 0]
