"""The front/back confusion of detectors: a body seen from behind taken for one seen from the front.

Swapping left and right in a picture and reversing depth leaves every keypoint where it was, so a fit
to swapped keypoints is the true body mirrored in the plane across the viewing ray, sides exchanged.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.motion import MIRROR_JOINTS
from humanmotion.recovery.pose_track import PoseTrack


def reverse_depth(track: PoseTrack, *, pelvis: Tensor) -> PoseTrack:
    """The track with front and back exchanged; applied twice it is the track again.

    `pelvis` `(T, 3)` in camera space gives the ray. Every body point keeps its direction from the
    camera as far as the body is small against its distance; the pelvis stays where it is.
    """
    order = list(MIRROR_JOINTS)
    return replace(
        track,
        rotations=reversed_rotations(
            track.rotations, torch.nn.functional.normalize(pelvis, dim=-1)
        ),
        confidence=track.confidence[:, order],
    )


def decided(track: PoseTrack, flipped: Tensor, *, pelvis: Tensor) -> PoseTrack:
    """The track with front and back exchanged where `flipped` `(T)` bool says so."""
    if not bool(flipped.any()):
        return track
    other = reverse_depth(track, pelvis=pelvis)
    return replace(
        track,
        rotations=torch.where(flipped[:, None, None, None], other.rotations, track.rotations),
        confidence=decided_confidence(track.confidence, flipped),
    )


def decided_confidence(confidence: Tensor, flipped: Tensor) -> Tensor:
    """Confidence of joints `(T, 55)` with sides exchanged where `flipped` `(T)` bool says so."""
    return torch.where(flipped[:, None], confidence[:, list(MIRROR_JOINTS)], confidence)


def reversed_rotations(rotations: Tensor, ray: Tensor) -> Tensor:
    """Local rotations `(T, 55, 3, 3)` after mirroring across unit rays `(T, 3)` with sides swapped.

    With S the mirror in the body's own x: local `L_j -> S L_mirror(j) S`, root `G -> M G S`, M the
    mirror along the ray. Both have determinant +1.
    """
    sign = torch.tensor((-1.0, 1.0, 1.0), dtype=rotations.dtype, device=rotations.device)
    through = torch.diag_embed(torch.ones_like(ray)) - 2 * ray[:, :, None] * ray[:, None, :]
    out = rotations[:, list(MIRROR_JOINTS)]
    out *= sign[:, None] * sign
    out[:, 0] = through @ rotations[:, 0] * sign
    return out
