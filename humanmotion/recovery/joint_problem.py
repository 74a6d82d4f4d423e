"""The normal equations of one window of a joint optimisation, and its steps of Gauss-Newton."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.prior.model import PosePrior
from humanmotion.recovery.bordered import BorderedSystem
from humanmotion.recovery.joint_terms import (
    BODY,
    CENTRE,
    FRAME,
    PELVIS,
    SHAPE,
    SHOT,
    Standing,
    World,
    contact_terms,
    smooth_terms,
    velocity_terms,
    world_columns,
)
from humanmotion.recovery.landmark_terms import (
    Observed,
    State,
    data_rows,
    limited,
    shared_rows,
)
from humanmotion.recovery.plausible_pose import GUESS_SIGMA, frame_share, prior_pull, sightings
from humanmotion.recovery.pose_guess import PoseGuess
from humanmotion.rotations import rotvec_to_matrix

TILT_SIGMA, YAW_SIGMA = 0.05, 0.3
"""Radians that a shot's camera may be turned."""
SHIFT_SIGMA = 1.0
"""Metres that it may be shifted."""
SHAPE_SIGMA = 1.0
SAME_SECONDS = 1.0
"""What was known of a camera or a shape counts once in so long: within it, frames err alike."""
MOST_SHAPE = 3.0
DAMPING = 1e-2
BLOCK = 128
"""Frames whose landmarks' slopes are held at once."""
HELD = 1e10
"""Weight of what is not to change."""


@dataclass(frozen=True)
class Terms:
    """Which terms have a say, and what may change."""

    prior: bool = True
    guess: bool = True
    contact: bool = True
    velocity: bool = True
    seam: bool = True
    """Whether motion goes on over the cuts: smoothly, on standing feet, and as one to the prior."""
    cameras: bool = True
    lens: bool = True
    shape: bool = True


@dataclass(frozen=True)
class Evidence:
    """What is known of one person in `T` frames besides where they were put."""

    seen: Observed
    guess: PoseGuess
    standing: Standing
    still: Tensor
    """`(T)` bool: the camera's centre keeps its place within a shot."""
    lens_sigma: Tensor
    """Of the logarithm of the shot's focal length `(T)`; 0 where it is known."""

    @property
    def shot_id(self) -> Tensor:
        """`(T)`."""
        return self.seen.shot_id

    def __getitem__(self, frames: slice) -> Evidence:
        return Evidence(
            self.seen[frames], self.guess[frames], self.standing[frames], self.still[frames],
            self.lens_sigma[frames],
        )  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One window; its shots are numbered from 0."""

    evidence: Evidence
    body: BodyModel
    prior: PosePrior | None
    terms: Terms
    held: int
    """So many frames at the beginning are not to change, nor is the camera of their shot."""

    def solve(self, world: World, *, steps: int) -> World:
        """`world` after so many steps."""
        for _ in range(steps):
            frames, shared = self.equations(world).solve()
            world = self._moved(world, torch.from_numpy(frames), torch.from_numpy(shared))
        return world

    def equations(self, world: World) -> BorderedSystem:
        """All terms at `world`."""
        blocks, right = self._pictures(world)
        diagonal, frame_right = blocks[:, :FRAME, :FRAME].clone(), right[:, :FRAME].clone()
        below = diagonal.new_zeros(len(diagonal) - 1, FRAME, FRAME)
        for own, across, pull in self._movement(world):
            diagonal[:, BODY, BODY] += self._count * own
            below[:, BODY, BODY] += self._count * across
            frame_right[:, BODY] += self._count * pull
        fps = self.evidence.seen.fps
        second, smooth = smooth_terms(world, fps=fps, joined=self._joined, travels=self._travels)
        diagonal.diagonal(dim1=1, dim2=2).add_(self._holding())
        border, corner, corner_right = self._shared(blocks, right, world)
        return BorderedSystem(
            diagonal=diagonal.numpy(),
            below=below.numpy(),
            second=self._count * second,
            right=frame_right.double().numpy() + self._count * smooth,
            border=border.numpy(),
            corner=corner.numpy(),
            corner_right=corner_right.numpy(),
        )

    @property
    def _count(self) -> float:
        return frame_share(self.evidence.seen.fps)

    @property
    def _shots(self) -> Tensor:
        """Of each frame, counted within the window `(T)`."""
        return self.evidence.seen.shot_id.unique_consecutive(return_inverse=True)[1]

    @property
    def _joined(self) -> NDArray[np.bool_]:
        return (
            np.ones_like(self.evidence.seen.joined)
            if self.terms.seam
            else self.evidence.seen.joined
        )

    @property
    def _travels(self) -> NDArray[np.bool_]:
        return self.evidence.seen.joined & ~self.evidence.still[2:].numpy()

    def _pictures(self, world: World) -> tuple[Tensor, Tensor]:
        """What the detector, the prior and the guess say, of all unknowns `(T, 89, 89)`, `(T, 89)`."""
        seen = self.evidence.seen
        zoomed = seen.K.clone()
        zoomed[:, [0, 1], [0, 1]] *= world.camera[:, 6:].exp()
        seen = replace(seen, K=zoomed)
        state = world.seen(self.body)
        parts = [slice(t, t + BLOCK) for t in range(0, len(seen.times), BLOCK)]
        told = [_detected(state[part], seen[part]) for part in parts]
        blocks, right = map(torch.cat, zip(*told, strict=True))
        del told
        self._add_learnt(blocks[:, BODY, BODY], right[:, BODY], state, seen)
        turned = [self._in_world(world[p], p, blocks[p], right[p]) for p in parts]
        blocks, right = map(torch.cat, zip(*turned, strict=True))
        return blocks, right

    def _in_world(
        self, world: World, frames: slice, blocks: Tensor, right: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Equations of what a picture depends on as those of all unknowns."""
        columns = world_columns(world, still=self.evidence.still[frames])
        if not self.terms.cameras:
            columns[..., CENTRE] = 0
        return columns.mT @ blocks @ columns, (columns.mT @ right[..., None])[..., 0]

    def _movement(self, world: World) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """What is known of steps from frame to frame."""
        seen, guess = self.evidence.seen, self.evidence.guess
        same = seen.shot_id[1:] == seen.shot_id[:-1]
        if self.terms.contact:
            followed = same | self.terms.seam
            yield contact_terms(world, self.evidence.standing, self.body, followed=followed)
        if self.terms.velocity:
            yield velocity_terms(
                world, guess.velocity, sure=same * guess.sure(seen.confidence)[1:], fps=seen.fps
            )

    def _add_learnt(self, blocks: Tensor, right: Tensor, state: State, seen: Observed) -> None:
        """The prior's pull and the lifter's, in place."""
        if self.terms.prior and self.prior is not None:
            whole = torch.zeros_like(seen.shot_id) if self.terms.seam else seen.shot_id
            seen_whole = replace(seen, shot_id=whole)
            prior_pull(blocks, right, state=state, seen=seen_whole, prior=self.prior)
        if self.terms.guess:
            sigma = GUESS_SIGMA / self._count**0.5
            self.evidence.guess.pull(
                blocks, right, state.rotations, confidence=seen.confidence, sigma=sigma
            )

    def _holding(self) -> Tensor:
        """What keeps a frame's unknowns `(T, 72)` from running away, or from moving at all."""
        weight = torch.full((len(self.evidence.still), FRAME), DAMPING)
        free = ~self.evidence.still & self.terms.cameras
        weight[:, CENTRE] += HELD * ~free[:, None]
        weight[: self.held] += HELD
        return weight

    def _shared(self, blocks: Tensor, right: Tensor, world: World) -> tuple[Tensor, Tensor, Tensor]:
        """The border `(T, 72, Q)`, corner `(Q, Q)` and its right-hand side `(Q)`; shots, then shape."""
        shots = self._shots
        count = int(shots[-1]) + 1
        own = SHOT * shots[:, None] + torch.arange(SHOT)
        shape = (SHOT * count + torch.arange(SHAPE)).expand(len(shots), -1)
        columns = torch.cat((own, shape), -1)  # (T, 17)
        size = SHOT * count + SHAPE
        border = blocks.new_zeros(len(shots), FRAME, size)
        border.scatter_(2, columns[:, None].expand(-1, FRAME, -1), blocks[:, :FRAME, FRAME:])
        place = columns[:, :, None] * size + columns[:, None]
        corner = torch.zeros(size * size, dtype=torch.float64)
        corner.index_add_(0, place.flatten(), blocks[:, FRAME:, FRAME:].double().flatten())
        pull = torch.zeros(size, dtype=torch.float64)
        pull.index_add_(0, columns.flatten(), right[:, FRAME:].double().flatten())
        known, off = self._known(world, count)
        return border, corner.reshape(size, size) + torch.diag(known), pull - known * off

    def _known(self, world: World, count: int) -> tuple[Tensor, Tensor]:
        """How surely cameras and shape were known before `(Q)`, and how far they have gone `(Q)`."""
        shots = self._shots
        first = torch.tensor([int((shots == s).nonzero()[0]) for s in range(count)])
        sigma = torch.tensor([TILT_SIGMA] * 2 + [YAW_SIGMA] + [SHIFT_SIGMA] * 3 + [1.0])
        sigma = sigma.double().repeat(count, 1)
        sigma[:, 6] = self.evidence.lens_sigma[first].clamp(min=HELD**-0.5)
        known = sigma**-2
        known *= (shots.bincount() / (SAME_SECONDS * self.evidence.seen.fps)).clamp(min=1.0)[
            :, None
        ]
        fixed = torch.zeros(count, SHOT, dtype=torch.bool)
        if self.held:
            fixed[: int(shots[self.held - 1]) + 1] = True
        else:
            # Nothing in a video says which way north is, nor where the world begins.
            fixed[0, 2:5] = True
        fixed[:, :6] |= not self.terms.cameras
        fixed[:, 6] |= not self.terms.lens
        off = torch.where(fixed, 0.0, world.camera[first].double())
        known = torch.where(fixed, HELD, known)
        body = SHAPE_SIGMA**-2 * max(len(shots) / (SAME_SECONDS * self.evidence.seen.fps), 1.0)
        shape = torch.full((SHAPE,), body if self.terms.shape else HELD, dtype=torch.float64)
        gone = world.betas.double() * self.terms.shape
        return torch.cat((known.flatten(), shape)), torch.cat((off.flatten(), gone))

    def _moved(self, world: World, frames: Tensor, shared: Tensor) -> World:
        """`world` after a step of the frames' unknowns `(T, 72)` and the shared ones `(Q)`."""
        frames, shared = frames.to(world.pelvis.dtype), shared.to(world.pelvis.dtype)
        camera = shared[:-SHAPE].reshape(-1, SHOT)[self._shots]
        rotations = world.rotations.clone()
        turn = limited(frames[:, :66].unflatten(-1, (22, 3)))
        rotations[:, :22] = rotvec_to_matrix(turn) @ rotations[:, :22]
        return World(
            rotations=rotations,
            pelvis=world.pelvis + frames[:, PELVIS],
            R_w2c=world.R_w2c @ rotvec_to_matrix(-camera[:, :3]),
            centre=world.centre + frames[:, CENTRE] + camera[:, 3:6] * self.evidence.still[:, None],
            camera=world.camera + camera,
            betas=(world.betas + shared[-SHAPE:]).clamp(-MOST_SHAPE, MOST_SHAPE),
        )


def _detected(state: State, seen: Observed) -> tuple[Tensor, Tensor]:
    """What the detector says of what a picture depends on, `(T, 80, 80)` and `(T, 80)`."""
    counts = sightings(seen.fps)
    rows, residual = data_rows(state, seen, counts=counts)
    rows = torch.cat((rows, shared_rows(state, seen, counts=counts)), -1)
    return rows.mT @ rows, -(rows.mT @ residual[..., None])[..., 0]
