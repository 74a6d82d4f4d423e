"""What the lifter says of one person over a video: windows blended, shots apart, any frame rate."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from humanmotion.body.skeleton import JOINTS as ALL_JOINTS
from humanmotion.keypoints import Keypoints
from humanmotion.prior.rates import values_at
from humanmotion.recovery.flip import reversed_rotations
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.lifter import JOINTS, Lifter, Shown, bodies, show
from humanmotion.rotations import (
    interpolation_weights,
    matrix_to_rotvec,
    matrix_to_sixd,
    sixd_to_matrix,
)

FPS = 30.0
"""Frame rate the lifter is trained at."""
WINDOW = 64
"""Frames it is trained on at once."""
UNSURE = 0.3
"""Somebody seen with less confidence than this is fitted without the guess, which is one there."""


@dataclass(frozen=True)
class PoseGuess:
    """A body in every frame, in camera space."""

    rotations: Tensor
    """Local `(T, 22, 3, 3)` of the body's joints, the root's in camera axes."""
    up: Tensor
    """In camera axes, unit vectors `(T, 3)`."""
    contact: Tensor
    """Probability that each foot stands `(T, 2)`, left and right."""
    velocity: Tensor
    """Of the pelvis in the root's axes `(T, 3)`, m/s: of the step that led to the frame."""

    def __getitem__(self, frames: slice) -> PoseGuess:
        return PoseGuess(*(getattr(self, f.name)[frames] for f in fields(self)))

    def sure(self, confidence: Tensor) -> Tensor:
        """Frames `(T)` bool in which the person is seen well, by landmarks' confidence `(T, L)`."""
        return confidence.mean(-1) > UNSURE

    def decided(self, flipped: Tensor, *, ray: Tensor) -> PoseGuess:
        """With front and back exchanged where `flipped` `(T)`; unit `ray` `(T, 3)` to the person."""
        turned = reversed_rotations(self.whole(), ray)[:, :JOINTS]
        mirror = self.velocity.new_tensor((-1.0, 1.0, 1.0))
        there = flipped[:, None]
        return replace(
            self,
            rotations=torch.where(there[..., None, None], turned, self.rotations),
            contact=torch.where(there, self.contact.flip(-1), self.contact),
            velocity=torch.where(there, self.velocity * mirror, self.velocity),
        )

    def whole(self) -> Tensor:
        """Local rotations `(T, 55, 3, 3)`, fingers and face at rest."""
        rotations = torch.eye(3).repeat(len(self.rotations), ALL_JOINTS, 1, 1)
        rotations[:, :JOINTS] = self.rotations
        return rotations

    def pull(
        self,
        blocks: Tensor,
        right: Tensor,
        rotations: Tensor,
        *,
        confidence: Tensor,
        sigma: float,
    ) -> Tensor:
        """Add the pull of present `rotations` `(T, 55, 3, 3)` to normal equations of 69, in place.

        `sigma` is how far a joint is taken to be off, radians. Returns the frames `(T)` bool in which
        there is a pull: those in which the person is seen well.
        """
        there = self.sure(confidence)
        turn = self.rotations @ rotations[:, :JOINTS].mT
        trust = (there / sigma**2)[:, None]
        right[:, : 3 * JOINTS] += trust * matrix_to_rotvec(turn).flatten(1)
        blocks.diagonal(dim1=-2, dim2=-1)[:, : 3 * JOINTS].add_(trust)
        return there


@torch.no_grad()
def guess_poses(
    lifter: Lifter, keypoints: Keypoints, *, K: Tensor, R_c2c0: Tensor, shot_id: Tensor
) -> PoseGuess:
    """Poses of the person in `keypoints`, of any joint set that shares names with MediaPipe's.

    `K` and `R_c2c0`, the camera's turn since the start of its shot, `(T, 3, 3)`; `shot_id` `(T)`.
    """
    points = keypoints.to_set(SET)
    parts = []
    for shot in shot_id.unique_consecutive():
        rows = (shot_id == shot).nonzero()[:, 0]
        here = slice(int(rows[0]), int(rows[-1]) + 1)
        parts.append(_shot(lifter, points[here], K[here], R_c2c0[here]))
    return PoseGuess(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(PoseGuess)))


def _shot(lifter: Lifter, points: Keypoints, K: Tensor, R_c2c0: Tensor) -> PoseGuess:
    times = points.times
    count = int(float(times[-1] - times[0]) * FPS + 1e-6) + 1
    even = times[0] + torch.arange(count, dtype=times.dtype) / FPS
    low, share = interpolation_weights(times, even)
    nearest = (low + (share > 0.5).long()).clamp(max=len(times) - 1)
    xyz = torch.zeros(*points.xy.shape[:2], 3) if points.xyz is None else points.xyz
    shown = show(points.xy[None, nearest], points.confidence[None, nearest], xyz[None, nearest],
                 K=K[None, nearest], R_c2c0=R_c2c0[None, nearest], fps=FPS)  # fmt: skip
    lifted = bodies(_in_windows(lifter, shown), shown)
    turns = values_at(matrix_to_sixd(lifted.rotations[0]), even, times)
    up = torch.nn.functional.normalize(values_at(lifted.up[0], even, times), dim=-1)
    contact = values_at(lifted.contact[0].sigmoid(), even, times)
    velocity = values_at(lifted.velocity[0], even, times)
    return PoseGuess(sixd_to_matrix(turns), up, contact, velocity)


def _in_windows(lifter: Lifter, shown: Shown) -> Tensor:
    """What is said of overlapping windows, blended by a weight that falls to their ends."""
    frames = shown.values.shape[1]
    last = max(frames - WINDOW, 0)
    total: Tensor | None = None
    weight = torch.zeros(frames, 1)
    for start in (*range(0, last, WINDOW // 2), last):
        part = slice(start, start + WINDOW)
        said = lifter(shown.values[:, part])
        length = said.shape[1]
        ramp = 1 - (torch.arange(length) - (length - 1) / 2).abs()[:, None] / (WINDOW / 2 + 1)
        total = said.new_zeros(1, frames, said.shape[-1]) if total is None else total
        total[:, part] += said * ramp
        weight[part] += ramp
    assert total is not None
    return total / weight
