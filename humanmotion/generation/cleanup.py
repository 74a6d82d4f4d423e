"""Feet that stand are planted, soles that sink are raised; what was to be hit is hit all the same.

Contacts are judged with hysteresis from the speed and height of the feet (`body/contacts.py` states the
thresholds), legs are moved by two bones in closed form (`body/leg_ik.py`), corrections fade in and out
over a quarter of a second (`body/planting.py`). The pelvis moves only where a leg is too short, and
straight down, so a path over the floor is kept. Feet roll as they did: only sliding is taken out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.contacts import segments, smoothed_speed, standing_feet, unrest
from humanmotion.body.floor import ANKLES, FEET, FootShape, foot_shape
from humanmotion.body.leg_ik import Posed
from humanmotion.body.planting import fade, move_feet, posed_legs
from humanmotion.errors import UsageError
from humanmotion.generation.control import Control
from humanmotion.motion import Motion
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

HIT_SECONDS = 0.2
"""This near to a keyframe or a target corrections fade; at it the pose is the one that was given."""
ROLLS = 0.06
"""Metres per second beside its sliding from which a standing foot rolls, and is left to it."""
SHAKES = 2.0
"""Or so many times what it shakes with, if that is more: shaking hides whether a foot rolls."""
CALM_SECONDS = 0.034
"""What a foot does faster than this, to either side, is shaking and no rolling."""
LOWEST_SHARE = 0.2
"""How low a stand is taken to be: a sole is lower in this share of it."""
NEAR_FLOOR = 0.01
"""Metres from the floor within which a stand is not raised or lowered as a whole."""
RESTLESS = 0.25
"""Where the slower foot usually moves faster than this, m/s, no roll can be told from sliding, and feet
that stand are held: so one recorded clip in twenty, and nearly all that the network makes."""
MOST_HELD = 0.25
"""Metres by which such a foot is held back at most."""
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
    restless = unrest(smoothed_speed(balls.double().cpu().numpy(), fps=fps)) > RESTLESS
    for side in range(2):
        path, low = balls[:, side].double().numpy(), lowest[:, side].double().numpy()
        total, wished = np.zeros((len(path), 1)), np.zeros_like(path)
        for start, stop in segments(stands[:, side]):
            share = fade(len(path), start, stop, fps=fps)[:, None]
            gap = np.zeros_like(path)
            own = path[start:stop, :2]
            gap[start:stop, :2] = held(own) if restless else standstill(own, fps=fps)
            gap[:start], gap[stop:] = gap[start], gap[stop - 1]
            height = float(np.quantile(low[start:stop], LOWEST_SHARE))
            gap[:, 2] = np.clip(height, -NEAR_FLOOR, NEAR_FLOOR) - height
            total += share
            wished += share * gap
        shift[:, side] = torch.from_numpy(wished / np.maximum(total, 1.0)).to(balls.dtype)
    return shift


def held(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """What holds a foot's path over the floor `(n, 2)` at its mean, less of it the farther it goes.

    A leg that had to reach back for all of a long slide would pull the body down. Stands that stray are
    not divided, as `planting` does with a video's: between their places soles slid half as far again.
    """
    gap = path.mean(0) - path
    far = np.linalg.norm(gap, axis=-1, keepdims=True) / MOST_HELD
    return np.asarray(gap / (1 + far**4) ** 0.25)


def standstill(path: NDArray[np.float64], *, fps: float) -> NDArray[np.float64]:
    """What takes the sliding out of a standing foot's path over the floor `(n, 2)`.

    A foot that rolls over heel and toe moves at both ends of its stand and not in between, so the
    velocity that its slower half shares is sliding, and so is what little is left beside that, and what
    shakes.
    """
    velocity = np.diff(path, axis=0) * fps
    speed = np.linalg.norm(velocity, axis=-1)
    slide = np.median(velocity[speed <= np.median(speed)], axis=0)
    calm = _calmed(velocity - slide, max(1, round(CALM_SECONDS * fps)))
    shake = velocity - slide - calm
    rolls = max(ROLLS, SHAKES * float(np.sqrt((shake**2).sum(-1).mean())))
    x = np.clip(np.linalg.norm(calm, axis=-1) / rolls, 0, 1)[:, None]
    undone = (x * x * (3 - 2 * x) * calm - velocity) / fps
    moved = np.concatenate((np.zeros((1, 2)), np.cumsum(undone, axis=0)))
    return np.asarray(moved - np.median(moved, axis=0))


def _calmed(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Running mean `(n, 2)` over `half` to either side, over less at the ends."""
    total = np.concatenate((np.zeros((1, 2)), np.cumsum(values, axis=0)))
    at = np.arange(len(values))
    reach = np.minimum(half, np.minimum(at, len(values) - 1 - at))
    low, high = at - reach, at + reach + 1
    return np.asarray((total[high] - total[low]) / (high - low)[:, None])


def _away_from(at: Tensor, frames: int, *, fps: float) -> Tensor:
    """0 at frames `at` `(K)`, rising smoothly to 1 at HIT_SECONDS from all of them, `(frames)`."""
    if not len(at):
        return torch.ones(frames)
    away = (torch.arange(frames)[:, None] - at).abs().amin(-1) / (HIT_SECONDS * fps)
    x = away.clamp(max=1)
    return x * x * (3 - 2 * x)
