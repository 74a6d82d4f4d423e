"""One optimisation over all shots: body, cameras, lenses and shape at once, in one world.

What the published system leaves out (HumanMM ends with a feed-forward refiner): once the shots are
joined, everything that was found shot by shot is put right together. Terms: the detector's 2D and 3D,
the lifter's guess, the prior of movement over the whole video, standing feet, and motion that goes on
over the cuts. Gauss-Newton on a band with a border; long videos in windows, each beginning where the
one before it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.joint_problem import Evidence, Problem, Terms
from humanmotion.recovery.joint_terms import World
from humanmotion.rotations import rotation_about_z

STEPS = 6
"""Of Gauss-Newton; the usual choice."""
WINDOW = 600
"""Frames solved at once, or more where a shot's end is near; memory grows with it."""
CONTEXT = 2
"""Frames of the window before that hold a window's beginning."""


def optimise(
    world: World,
    evidence: Evidence,
    *,
    body: BodyModel,
    prior: PosePrior | None,
    terms: Terms | None = None,
    steps: int = STEPS,
) -> World:
    """`world` `T` frames put right by all of `evidence` at once, from the first shot's heading on."""
    terms = terms or Terms()
    shot_id, known = evidence.seen.shot_id, evidence.seen.confidence.amax(-1) > 0
    for start, stop in _windows(shot_id):
        low = max(start - CONTEXT, 0)
        part = slice(low, stop)
        shown = bool(known[start:stop].any())
        now = replace(terms, shape=terms.shape and shown)
        problem = Problem(evidence[part], body, prior, now, held=start - low)
        solved = problem.solve(world[part], steps=steps)
        rest = world[slice(stop - 1, None)]
        if terms.cameras:
            rest = _carried(rest, solved[slice(-1, None)], shot_id[stop - 1 :])
        rest = replace(rest[slice(1, None)], betas=solved.betas)
        world = world.joined(solved, at=low).joined(rest, at=stop)
        # The first window that shows the body gives its shape to all later ones.
        terms = replace(terms, shape=terms.shape and not shown)
    return world


def _windows(shot_id: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of about WINDOW frames, which end with a shot wherever one ends in their second half."""
    frames, start = len(shot_id), 0
    ends = set((shot_id.diff().nonzero()[:, 0] + 1).tolist())
    while frames - start > 1.5 * WINDOW:
        near = [t for t in ends if start + WINDOW // 2 <= t <= start + WINDOW]
        stop = max(near, default=start + WINDOW)
        yield start, stop
        start = stop
    yield start, frames


def _carried(old: World, new: World, shot_id: Tensor) -> World:
    """`old`, moved over the ground as its first frame was to become `new`, with its cameras.

    Later frames of the same shot keep the camera that was found.
    """
    yaw = _heading(new.rotations[0, 0] @ old.rotations[0, 0].T)
    turn = rotation_about_z(yaw)
    shift = new.pelvis[0] - turn @ old.pelvis[0]
    shift = shift * shift.new_tensor((1.0, 1.0, 0.0))
    same = shot_id == shot_id[0]
    rotations = old.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = new.camera[0] - old.camera[0]
    found = old.R_w2c @ (old.R_w2c[0].T @ new.R_w2c[0])
    R = torch.where(same[:, None, None], found, old.R_w2c @ turn.T)
    beside = old.centre + new.centre[0] - old.centre[0]
    centre = torch.where(same[:, None], beside, old.centre @ turn.T + shift)
    return World(
        rotations=rotations, pelvis=old.pelvis @ turn.T + shift, R_w2c=R, centre=centre,
        camera=old.camera + moved * same[:, None], betas=new.betas,
    )  # fmt: skip


def _heading(turn: Tensor) -> Tensor:
    """Angle about z of a rotation `(3, 3)` that is nearly one."""
    return torch.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
