"""Standing feet are planted, soles that sink or drag raised; what was to be hit is hit all the same.

Contacts are judged with hysteresis from the speed and height of the feet (`body/contacts.py` states the
thresholds), legs are moved by two bones in closed form (`body/leg_ik.py`), corrections fade in and out
over a quarter of a second or, where they are large, longer. The pelvis moves only where a leg is too
short, and straight down, so a path over the floor is kept. The ball of a standing foot stays in its
place: what rolls about it rolls, and no roll of a network's can be told from sliding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.contacts import segments, standing_feet
from humanmotion.body.floor import ANKLES, FEET, FootShape, foot_shape
from humanmotion.body.leg_ik import Posed
from humanmotion.body.planting import BLEND_SECONDS, fade, move_feet, posed_legs
from humanmotion.errors import UsageError
from humanmotion.generation.control import Control
from humanmotion.motion import Motion
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

HIT_SECONDS = 0.4
"""This near to a keyframe or a target corrections fade; at it the pose is the one that was given."""
LOWEST_SHARE = 0.2
"""How low a stand is taken to be: a sole is lower in this share of it."""
NEAR_FLOOR = 0.01
"""Metres from the floor within which a stand is not raised or lowered as a whole."""
MOST_HELD = 0.25
"""Metres by which a foot is held back at most."""
PUSH, LONGEST_BLEND = 3.0, 0.6
"""Acceleration in m/s^2 that a correction adds at most as it fades in and out, but where it would take
longer than so many seconds."""
CLEAR, CLEAR_SECONDS = 0.025, 0.15
"""Metres that a swinging sole is above the floor at least, which seven of ten real swings are, and how
long it rises before and sinks behind."""
CLEAR_EASE = 0.005
"""Metres over which a sole that is just high enough is eased onto being raised."""
SHORTEST = 4
"""Frames below which no foot can be said to stand."""


def cleaned(motion: Motion, body: BodyModel, *, control: Control | None = None) -> Motion:
    """`motion` on `body` with planted feet and no sole under the floor, `contact` being what stands.

    What `control` gives is hit as exactly as before: corrections fade out towards its frames, and
    what is left over is put right. Raises UsageError for a motion on another body; one of less than
    SHORTEST frames comes back as it is.
    """
    if motion.body_id and motion.body_id != body.body_id:
        raise UsageError(
            f"the motion is on body {motion.body_id}, not {body.body_id}; put it onto that body first"
        )
    if len(motion) < SHORTEST:
        return motion
    rotations, betas = motion.rotations, motion.betas
    shape = foot_shape(body, betas)
    posed = posed_legs(rotations, motion.transl, betas=betas, body=body)
    balls = posed.joints[:, list(FEET)]
    stands = standing_feet(
        balls.double().cpu().numpy(), sole=shape.sole.double().cpu().numpy(), fps=motion.fps
    )
    shift = _shifts(balls, _lowest(posed, shape), stands > 0, fps=motion.fps)
    moved, down = move_feet(rotations, posed, shift=shift, shape=shape)
    transl = motion.transl + down
    if control is not None:
        share = _away_from(control.posed_frames(), len(motion), fps=motion.fps).to(transl)
        turn = matrix_to_rotvec(rotations.mT @ moved)
        moved = rotations @ rotvec_to_matrix(share[:, None, None] * turn)
        transl = torch.lerp(motion.transl, transl, share[:, None])
    done = motion.with_rotations(moved, transl=transl)
    done = replace(done, contact=torch.from_numpy(stands).to(motion.contact))
    return done if control is None else control.hit(done, body)


def _lowest(posed: Posed, shape: FootShape) -> Tensor:
    """Height `(T, 2)` of the lower end of each sole."""
    balls = posed.joints[:, list(FEET)]
    ankles, turned = posed.joints[:, list(ANKLES), 2], posed.world[:, list(ANKLES)]
    heels = ankles + (turned @ shape.heel[..., None])[..., 2, 0]
    return torch.minimum(balls[..., 2] - shape.sole, heels)


def _shifts(balls: Tensor, lowest: Tensor, stands: NDArray[np.bool_], *, fps: float) -> Tensor:
    """How far each foot joint `(T, 2, 3)` is to move, from how low its sole is, `(T, 2)`."""
    shift = torch.zeros_like(balls)
    for side in range(2):
        path, low = balls[:, side].double().numpy(), lowest[:, side].double().numpy()
        total, wished = np.zeros((len(path), 1)), np.zeros_like(path)
        there = segments(stands[:, side])
        ends = [0, *(stop for _, stop in there)], [*(start for start, _ in there[1:]), len(path)]
        for (start, stop), before, behind in zip(there, *ends, strict=False):
            gap = np.zeros_like(path)
            gap[start:stop, :2] = held(path[start:stop, :2])
            gap[:start], gap[stop:] = gap[start], gap[stop - 1]
            height = float(np.quantile(low[start:stop], LOWEST_SHARE))
            gap[:, 2] = np.clip(height, -NEAR_FLOOR, NEAR_FLOOR) - height
            seconds = _blend(gap, (start - before) / fps), _blend(gap, (behind - stop) / fps)
            share = fade(len(path), start, stop, fps=fps, seconds=seconds)[:, None]
            total += share
            wished += share * gap
        found = wished / np.maximum(total, 1.0)
        swings, other = 1 - _near(stands[:, side], fps=fps), _near(stands[:, 1 - side], fps=fps)
        # One that never stands may lie.
        share = swings * other * stands[:, side].any()
        short = CLEAR * share - low - found[:, 2]
        found[:, 2] += share * (short + np.sqrt(short**2 + CLEAR_EASE**2)) / 2
        shift[:, side] = torch.from_numpy(found).to(balls.dtype)
    return shift


def _blend(gap: NDArray[np.float64], free: float) -> float:
    """Seconds over which a correction of what is farthest off of `(T, 3)` pushes no more than PUSH.

    No longer than the `free` ones until the foot stands again, but BLEND_SECONDS.
    """
    far = float(np.linalg.norm(gap, axis=-1).max())
    longest = min(LONGEST_BLEND, max(free, BLEND_SECONDS))
    return float(np.clip((6 * far / PUSH) ** 0.5, BLEND_SECONDS, longest))


def _near(stands: NDArray[np.bool_], *, fps: float) -> NDArray[np.float64]:
    """1 where a foot stands, sinking smoothly to 0 at CLEAR_SECONDS from where it does, `(T)`."""
    if not stands.any():
        return np.zeros(len(stands))
    index, at = np.arange(len(stands)), np.flatnonzero(stands)
    place = np.searchsorted(at, index)
    before = np.abs(index - at[np.maximum(place - 1, 0)])
    behind = np.abs(at[np.minimum(place, len(at) - 1)] - index)
    return 1 - _step(np.minimum(before, behind) / (CLEAR_SECONDS * fps))


def held(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """What holds a foot's path over the floor `(n, 2)` at its mean, less of it the farther it goes.

    A leg that had to reach back for all of a long slide would pull the body down. Stands that stray are
    not divided, as `planting` does with a video's: between their places soles slid half as far again.
    """
    gap = path.mean(0) - path
    far = np.linalg.norm(gap, axis=-1, keepdims=True) / MOST_HELD
    return np.asarray(gap / (1 + far**4) ** 0.25)


def _away_from(at: Tensor, frames: int, *, fps: float) -> Tensor:
    """0 at frames `at` `(K)`, rising smoothly to 1 at HIT_SECONDS from all of them, `(frames)`."""
    if not len(at):
        return torch.ones(frames)
    away = (torch.arange(frames)[:, None] - at).abs().amin(-1) / (HIT_SECONDS * fps)
    return torch.from_numpy(_step(away.double().numpy()))


def _step(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 at 0 to 1 at 1 and beyond, smoothly."""
    x = np.minimum(x, 1)
    return np.asarray(x * x * (3 - 2 * x))
