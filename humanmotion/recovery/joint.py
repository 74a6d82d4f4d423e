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
from typing import Protocol

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.memory import give_back
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


class Told(Protocol):
    """What is known of one person over a video, made of a window's frames when they are asked for."""

    @property
    def shot_id(self) -> Tensor:
        """`(T)`."""

    def __getitem__(self, frames: slice) -> Evidence: ...


def optimise(
    world: World,
    evidence: Told,
    *,
    body: BodyModel,
    prior: PosePrior | None,
    terms: Terms | None = None,
    steps: int = STEPS,
) -> World:
    """`world` `T` frames put right by all of `evidence` at once, from the first shot's heading on."""
    terms, shot_id = terms or Terms(), evidence.shot_id
    # One copy, changed window by window: of a long video a second one would be felt.
    world = world.map(torch.clone)
    for start, stop in _windows(shot_id):
        give_back()
        low = max(start - CONTEXT, 0)
        now = evidence[low:stop]
        shown = bool((now.seen.confidence[start - low :] > 0).any())
        free = replace(terms, shape=terms.shape and shown)
        problem = Problem(now, body, prior, free, held=start - low)
        last = world[stop - 1 : stop].map(torch.clone)
        solved = problem.solve(world[low:stop], steps=steps)
        world = replace(world.put(solved, at=low), betas=solved.betas)
        if terms.cameras:
            same = shot_id[stop:] == shot_id[stop - 1]
            _carry(world[stop:], last, solved[-1:], same=same)
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


def _carry(rest: World, old: World, new: World, *, same: Tensor) -> None:
    """Move what follows over the ground as its last frame before was, from `old` to `new`, in place.

    Frames of the `same` `(T)` shot keep the camera that was found.
    """
    turn = rotation_about_z(_heading(new.rotations[0, 0] @ old.rotations[0, 0].T))
    shift = new.pelvis[0] - turn @ old.pelvis[0]
    shift = shift * shift.new_tensor((1.0, 1.0, 0.0))
    rest.rotations[:, 0] = turn @ rest.rotations[:, 0]
    rest.pelvis[:] = rest.pelvis @ turn.T + shift
    found = rest.R_w2c @ (old.R_w2c[0].T @ new.R_w2c[0])
    rest.R_w2c[:] = torch.where(same[:, None, None], found, rest.R_w2c @ turn.T)
    beside = rest.centre + new.centre[0] - old.centre[0]
    rest.centre[:] = torch.where(same[:, None], beside, rest.centre @ turn.T + shift)
    rest.camera.add_((new.camera[0] - old.camera[0]) * same[:, None])


def _heading(turn: Tensor) -> Tensor:
    """Angle about z of a rotation `(3, 3)` that is nearly one."""
    return torch.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
