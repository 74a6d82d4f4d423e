"""What the baselines are trained on: the same clips as our prior, as whole numbers without gaps.

Their networks know no missing joints. Numbers that a source did not record are drawn once from a full
Gaussian given those that it did, which does them no harm that we can think of. Where a pose has no
jaw, or no expression, which none has, it is given one from the anatomical sampler.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.errors import InputError
from humanmotion.jobs.prior_data import PoseSet
from humanmotion.prior.baselines import Gaussian
from humanmotion.prior.published import mirror_hand
from humanmotion.prior.space import BODY, JAW, RIGHT_HAND
from humanmotion.prior.synthetic import sample_faces, sample_hands

LEAST_MADE_UP = 4096
"""Made-up hands and faces are as many as real ones, but not fewer than this."""


@dataclass(frozen=True)
class Parts:
    """Raw numbers of one split; rotation vectors in radians. Every pose is there mirrored too."""

    bodies: Tensor
    """`(N, 63)`."""
    bare: Tensor
    """Those whose source has no fingers `(B, 63)`."""
    hands: Tensor
    """Right hands, real ones of both sides and as many made-up ones `(H, 45)`."""
    made_up_hands: Tensor
    """`(M, 45)`."""
    faces: Tensor
    """Jaw and expression `(F, 13)`: real jaws with made-up expressions, and made-up faces."""
    whole: Tensor
    """Body, left hand, right hand, face `(W, 166)` of poses with both hands."""


def parts(poses: PoseSet, *, seed: int) -> Parts:
    """Of poses some of which have hands; raises InputError where none has both."""
    generator = torch.Generator().manual_seed(seed)
    body, (right, there) = bodies(poses), right_hands(poses)
    # The mirror image of a left hand is a right one: that of the pose half the list away.
    other, its = right.roll(len(poses), 0), there.roll(len(poses), 0)
    if not bool((there & its).any()):
        raise InputError("no pose has both hands; give motion with fingers, such as rocketbox")
    hands = sample_hands(max(int(there.sum()), LEAST_MADE_UP), generator=generator)
    made_up = mirror_hand(hands.flatten(1))
    faces, real, invented = _faces(poses, generator)
    whole = torch.cat((body, mirror_hand(other), right, faces), -1)
    return Parts(
        bodies=body,
        bare=body[~(there | its)],
        hands=torch.cat((right[there], made_up)),
        made_up_hands=made_up,
        faces=torch.cat((faces[real], invented)),
        whole=whole[there & its],
    )


def bodies(poses: PoseSet) -> Tensor:
    """Raw body numbers `(2 N, 63)` without gaps, mirrored ones last."""
    return _filled(*raw_numbers(poses, BODY))


def right_hands(poses: PoseSet) -> tuple[Tensor, Tensor]:
    """Right hands of poses and of their mirror images `(2 N, 45)`, and which are there `(2 N)`."""
    raw, seen = raw_numbers(poses, RIGHT_HAND)
    there = seen.any(-1)
    if bool(there.any()):
        raw[there] = _filled(raw[there], seen[there])
    return raw, there


def raw_numbers(poses: PoseSet, tokens: slice) -> tuple[Tensor, Tensor]:
    """Rotation vectors `(2 N, D)`, mirrored ones last, and which were recorded, as 0 and 1."""
    both = (poses, poses.mirrored())
    raw = torch.cat([p.rotvec[:, tokens].flatten(1) for p in both])
    seen = torch.cat([p.recorded[:, tokens].repeat_interleave(3, 1).float() for p in both])
    return raw, seen


def _filled(raw: Tensor, seen: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return Gaussian.fit(raw, seen).filled(raw, seen, generator=generator)


def _faces(poses: PoseSet, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A face for each pose `(2 N, 13)`, which have a real jaw `(2 N)`, and made-up ones `(M, 13)`."""
    jaws, seen = raw_numbers(poses, JAW)
    real = seen.all(-1)
    count = max(int(real.sum()), LEAST_MADE_UP)
    expression, jaw = sample_faces(count, generator=generator)
    made_up = torch.cat((jaw, expression), -1)
    faces = made_up[torch.randint(count, (len(jaws),), generator=generator)]
    return (
        torch.cat((torch.where(real[:, None], jaws, faces[:, :3]), faces[:, 3:]), -1),
        real,
        made_up,
    )
