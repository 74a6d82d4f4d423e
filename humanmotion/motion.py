"""Motion: SMPL-X parameters of one person over time in one world (metres, z up, floor at 0)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from humanmotion.checks import check_tensor, check_times, check_within
from humanmotion.errors import MotionError, UsageError
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.rotations import (
    interpolation_weights,
    matrix_to_rotvec,
    resample_rotations,
    rotvec_to_matrix,
)

JOINTS = len(SMPLX_JOINTS)
POSE_FIELDS = {
    "global_orient": 1,
    "body_pose": 21,
    "jaw_pose": 1,
    "leye_pose": 1,
    "reye_pose": 1,
    "left_hand_pose": 15,
    "right_hand_pose": 15,
}
"""Rotation fields in the order of the 55 joints, and how many joints each holds."""
MAX_FRAMES = 500_000
"""Frames that are read or resampled to: 4.6 hours at 30 fps, some gigabytes at work."""
LIMITS = dict.fromkeys(POSE_FIELDS, 1e3) | {"betas": 1e3, "expression": 1e3, "transl": 1e8}
"""Largest numbers taken for real. Radians: 159 full turns, beyond which float32 forgets the angle;
shape and face: a thousand standard deviations; metres: farther than any map's coordinates."""
_RESAMPLE_BLOCK = 10_000


def _mirror_order() -> list[int]:
    swap = {"left": "right", "right": "left"}
    names = list(SMPLX_JOINTS)
    return [
        names.index(swap[n.split("_")[0]] + n[n.index("_") :]) if n.split("_")[0] in swap else i
        for i, n in enumerate(names)
    ]


MIRROR_JOINTS: tuple[int, ...] = tuple(_mirror_order())
"""For each of the 55 joints, the joint on the other side (itself on the middle line)."""


@dataclass(frozen=True, repr=False)
class Motion:
    """One person over `T` frames; checks itself when built (raises MotionError).

    Rotations are local rotation vectors in radians with smplx's field names; a flat hand is zero.
    The root turns about the pelvis joint: `pelvis = transl + J0(betas)`. Frames in which the person
    is absent have confidence 0 (never NaN). Build one with `Motion.create` to fill what is missing.
    """

    fps: float
    """Nominal frame rate, > 0."""
    times: Tensor
    """Seconds `(T)`, rising."""
    global_orient: Tensor
    """Root rotation `(T, 3)`."""
    body_pose: Tensor
    """21 body joints `(T, 63)`."""
    left_hand_pose: Tensor
    """15 finger joints `(T, 45)`."""
    right_hand_pose: Tensor
    """15 finger joints `(T, 45)`."""
    jaw_pose: Tensor
    """`(T, 3)`."""
    leye_pose: Tensor
    """`(T, 3)`."""
    reye_pose: Tensor
    """`(T, 3)`."""
    betas: Tensor
    """Shape `(10)`, one for the whole motion."""
    expression: Tensor
    """`(T, 10)`."""
    transl: Tensor
    """Metres `(T, 3)`."""
    confidence: Tensor
    """How far each joint was observed, in [0, 1], `(T, 55)`."""
    contact: Tensor
    """Left, right foot on the ground, in [0, 1], `(T, 2)`."""
    shot_id: Tensor
    """Index of the video shot each frame comes from, int64 `(T)`; 0 without shots."""
    joints_present: Tensor
    """Which joints the source carries at all, bool `(55)`; the others are at rest, not measured."""
    body_id: str
    """Name of the body that shape and translation refer to."""
    body_sha256: str
    """Hash of that body's file; empty when unknown."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Free notes that survive a JSON round trip: source, person, licence, text."""

    def __post_init__(self) -> None:
        if not 0 < self.fps < 1e6:
            raise MotionError(f"fps is {self.fps}, expected a number above 0")
        frames = len(self.times)
        check_times(self.times, frames)
        for name, joints in POSE_FIELDS.items():
            check_tensor(name, getattr(self, name), (frames, 3 * joints))
        shapes = {"betas": (10,), "expression": (frames, 10), "transl": (frames, 3)}
        shapes |= {"confidence": (frames, JOINTS), "contact": (frames, 2), "shot_id": (frames,)}
        for name, shape in (shapes | {"joints_present": (JOINTS,)}).items():
            check_tensor(name, getattr(self, name), shape)
        for name, limit in LIMITS.items():
            check_within(name, getattr(self, name), limit)
        _check_notes(self.meta)
        for name in ("confidence", "contact"):
            value = getattr(self, name)
            outside = ((value < 0) | (value > 1)).any(-1)
            if outside.any():
                raise MotionError(f"{name} leaves [0, 1] at frame {int(outside.nonzero()[0])}")

    @classmethod
    def create(
        cls,
        rotvec: Tensor,
        transl: Tensor,
        *,
        fps: float,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        times: Tensor | None = None,
        confidence: Tensor | None = None,
        contact: Tensor | None = None,
        shot_id: Tensor | None = None,
        joints_present: Tensor | None = None,
        body_id: str = "",
        body_sha256: str = "",
        meta: dict[str, Any] | None = None,
    ) -> Motion:
        """A motion from local rotation vectors `(T, J, 3)`, J = 22 or 55, and `transl` `(T, 3)`.

        Missing joints are at rest and marked absent in `joints_present`; missing fields are zero,
        times run from 0 at `fps`, confidence is 1 for the joints present.
        """
        frames, joints = rotvec.shape[0], rotvec.shape[1] if rotvec.ndim == 3 else -1
        if joints not in (22, JOINTS):
            raise MotionError(f"rotvec has shape {tuple(rotvec.shape)}, expected (T, 22 or 55, 3)")
        present = torch.arange(JOINTS, device=rotvec.device) < joints
        present = present if joints_present is None else joints_present
        full = rotvec.new_zeros(frames, JOINTS, 3)
        full[:, :joints] = rotvec
        if confidence is None:
            confidence = present.to(rotvec.dtype).expand(frames, JOINTS).clone()
        zeros = rotvec.new_zeros
        return cls(
            fps=float(fps),
            times=_even_times(frames, fps, rotvec.device) if times is None else times,
            betas=zeros(10) if betas is None else betas,
            expression=zeros(frames, 10) if expression is None else expression,
            transl=transl,
            confidence=confidence,
            contact=zeros(frames, 2) if contact is None else contact,
            shot_id=zeros(frames, dtype=torch.long) if shot_id is None else shot_id,
            joints_present=present,
            body_id=body_id,
            body_sha256=body_sha256,
            meta={} if meta is None else meta,
            **_split(full),
        )

    def __repr__(self) -> str:
        body = self.body_id or "an unnamed body"
        return f"Motion({len(self)} frames at {self.fps:g} fps, {self.duration:.2f} s, on {body})"

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice | Tensor) -> Motion:
        """The motion at some frames (a slice, or rising int64 indices); times are kept."""
        names = [name for name in _tensor_fields() if name not in ("betas", "joints_present")]
        cut: dict[str, Any] = {name: getattr(self, name)[frames] for name in names}
        return replace(self, **cut)

    @property
    def rotvec(self) -> Tensor:
        """All 55 local rotation vectors `(T, 55, 3)` in joint order."""
        parts = [getattr(self, name) for name in POSE_FIELDS]
        return torch.cat(parts, -1).reshape(len(self), JOINTS, 3)

    @property
    def rotations(self) -> Tensor:
        """All 55 local rotations as matrices `(T, 55, 3, 3)`; the root's is in the world."""
        return rotvec_to_matrix(self.rotvec)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last frame."""
        return float(self.times[-1] - self.times[0]) if len(self) else 0.0

    def with_rotations(self, rotations: Tensor, *, transl: Tensor | None = None) -> Motion:
        """The same motion with other local rotations `(T, 55, 3, 3)` and, if given, translation."""
        moved = self.transl if transl is None else transl
        return replace(self, transl=moved, **_split(matrix_to_rotvec(rotations)))

    def to(self, device: torch.device | str) -> Motion:
        """The same motion with every tensor on `device`."""
        tensors: dict[str, Any] = {
            name: getattr(self, name).to(device) for name in _tensor_fields()
        }
        return replace(self, **tensors)

    def resample(self, fps: float) -> Motion:
        """The same movement at another rate: rotations by SLERP, the rest linearly.

        The last new frame is never later than the last old one. Raises UsageError unless fps lies
        between 0 and 1e6, and for more than MAX_FRAMES new frames. One frame stays one frame.
        """
        if not 0 < fps < 1e6:
            raise UsageError(f"fps {fps} given; it must be above 0 and below 1e6")
        if not len(self):
            return replace(self, fps=float(fps))
        # The margin keeps the last frame when the product of two floats falls just short of it.
        count = math.floor(self.duration * fps + 1e-6) + 1
        if count > MAX_FRAMES:
            raise UsageError(
                f"{len(self)} frames over {self.duration:.0f} s would become {count} at {fps:g} "
                f"fps; at most {MAX_FRAMES} are made, so cut the motion or give a lower rate"
            )
        new = self.times[:1] + _even_times(count, fps, self.times.device).to(self.times.dtype)
        low, share = interpolation_weights(self.times, new)
        high = (low + 1).clamp(max=len(self) - 1)
        linear: dict[str, Any] = {
            name: _lerp(getattr(self, name), low, high, share=share)
            for name in ("expression", "transl", "confidence", "contact")
        }
        turned = self.rotations
        # In blocks: every step of SLERP takes several times the memory of its result.
        rotvec = torch.cat(
            [
                matrix_to_rotvec(resample_rotations(turned, self.times, part))
                for part in new.split(_RESAMPLE_BLOCK)
            ]
        )
        return replace(
            self,
            fps=float(fps),
            times=new,
            shot_id=self.shot_id[torch.where(share < 0.5, low, high)],
            **linear,
            **_split(rotvec),
        )

    def mirror(self) -> Motion:
        """The motion seen in a mirror: left and right swap, x turns to -x.

        Exact for a left-right symmetric body; shape and expression are kept as they are.
        """
        order = torch.tensor(MIRROR_JOINTS, device=self.transl.device)
        sign = torch.tensor((1.0, -1.0, -1.0), dtype=self.transl.dtype, device=self.transl.device)
        turned = self.rotvec[:, order] * sign
        # The pose is mirrored in the body's own x, the world's x is the same plane.
        flip = torch.tensor((-1.0, 1.0, 1.0), dtype=self.transl.dtype, device=self.transl.device)
        return replace(
            self,
            transl=self.transl * flip,
            confidence=self.confidence[:, order],
            contact=self.contact.flip(-1),
            joints_present=self.joints_present[order],
            **_split(turned),
        )


def concat(motions: list[Motion]) -> Motion:
    """Motions of one body one after the other; times run on at the first one's rate.

    Raises UsageError when there is none, or bodies, rates or shapes differ.
    """
    if not motions:
        raise UsageError("no motion given to concat; give at least one")
    first = motions[0]
    for m in motions[1:]:
        same = (m.body_id, m.fps) == (first.body_id, first.fps) and torch.equal(
            m.betas, first.betas
        )
        if not same:
            raise UsageError(
                "motions to concat must share body, fps and betas; resample them first"
            )
    names = [n for n in _tensor_fields() if n not in ("betas", "joints_present", "times")]
    joined: dict[str, Any] = {n: torch.cat([getattr(m, n) for m in motions]) for n in names}
    start = torch.cat([m.times[:1] for m in motions])[:1]
    count = sum(map(len, motions))
    steps = _even_times(count, first.fps, first.times.device).to(first.times.dtype)
    times = start + steps if count else steps
    present = torch.stack([m.joints_present for m in motions]).all(0)
    return replace(first, times=times, joints_present=present, **joined)


def _tensor_fields() -> list[str]:
    return [f.name for f in fields(Motion) if f.type == "Tensor"]


def _even_times(frames: int, fps: float, device: torch.device) -> Tensor:
    return torch.arange(frames, dtype=torch.float64, device=device) / fps


def _check_notes(meta: dict[str, Any]) -> None:
    """Raise MotionError unless `notes`, which every reader may add to, is a list of texts."""
    notes = meta.get("notes", [])
    if not isinstance(notes, list | tuple) or not all(isinstance(note, str) for note in notes):
        raise MotionError(f"meta: notes must be a list of texts, not {str(notes)[:40]}")


def _lerp(value: Tensor, low: Tensor, high: Tensor, *, share: Tensor) -> Tensor:
    """Rows of `value` `(T, k)` between the rows `low` and `high` `(N)`; `(N, k)`."""
    return torch.lerp(value[low], value[high], share.to(value.dtype)[:, None])


def _split(rotvec: Tensor) -> dict[str, Any]:
    """`(T, 55, 3)` rotation vectors to the pose fields."""
    parts = rotvec.split(list(POSE_FIELDS.values()), dim=-2)
    return {n: p.reshape(len(p), 3 * p.shape[1]) for n, p in zip(POSE_FIELDS, parts, strict=True)}
