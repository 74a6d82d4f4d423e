"""Joint positions of any file as points of a body: read, named, in metres, z up, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.named_points import NamedPoint, set_points
from humanmotion.errors import UsageError
from humanmotion.io.convert import read_any
from humanmotion.io.joint_track import JointTrack, joint_track
from humanmotion.io.joints_csv import read_joints_csv
from humanmotion.io.trc import read_trc
from humanmotion.jobs.joint_checks import (
    UNITS,
    Units,
    Up,
    check_sides,
    metres_per_unit,
    shape_of_bones,
    to_z_up,
    up_axis,
)
from humanmotion.jobs.joint_names import LEAST_POINTS, recognise, recognised_notes
from humanmotion.motion import MAX_FRAMES
from humanmotion.rotations import interpolation_weights

FPS = 30.0
"""Frame rate that the prior of movement knows."""
_HANDS = {"left": tuple(range(25, 40)), "right": tuple(range(40, 55))}
_BODY = tuple(range(22))
_UP_WORDS = {"y": "y is up", "-y": "y is down, as in cameras", "-z": "z is down"}


@dataclass(frozen=True)
class JointInput:
    """Points of one body over `T` frames."""

    points: tuple[NamedPoint, ...]
    """`L` of them."""
    times: Tensor
    """Seconds `(T)`."""
    xyz: Tensor
    """`(T, L, 3)` metres, z up; NaN where not seen."""
    betas: Tensor
    """Shape `(10)`: the file's own, or the one that its bones show."""
    notes: tuple[str, ...] = ()
    own_shape: bool = False
    """Whether the file says what shape the body has."""

    @property
    def seen(self) -> Tensor:
        """Frames in which any point was seen, `(T)` bool."""
        return self.xyz.isfinite().all(-1).any(-1)

    @property
    def free(self) -> tuple[int, ...]:
        """Joints to be solved for."""
        return free_joints(self.points)


def free_joints(points: Sequence[NamedPoint]) -> tuple[int, ...]:
    """Joints that `points` ask to be solved: the body's, and those of a hand of which some are."""
    hands = [joints for side, joints in _HANDS.items() if any(_on_hand(p, side) for p in points)]
    return (*_BODY, *(j for hand in hands for j in hand))


def is_finger(point: NamedPoint) -> bool:
    """Whether a point is of a hand beyond its wrist."""
    return any(_on_hand(point, side) for side in _HANDS)


def read_points(
    source: str | Path,
    body: BodyModel,
    *,
    joint_set: str | None = None,
    units: Units | None = None,
    up: Up | None = None,
    hands: bool = False,
) -> JointInput:
    """The points in a motion file, or in joint positions (`.csv`, `.trc`).

    Raises UsageError where the names, the unit, the up axis or the sides cannot be told or are
    wrong, and where no frame shows three points; with what to do.
    """
    source = Path(source)
    readers = {".csv": read_joints_csv, ".trc": read_trc}
    reader = readers.get(source.suffix.lower())
    if reader is None:
        if (joint_set, units, up) != (None, None, None):
            raise UsageError(
                f"{source} says itself what its joints, units and axes are; leave --joints, "
                "--units and --up out"
            )
        motion = read_any(source, body=body)
        track = joint_track(motion, body)
        found = _named(track, body, joint_set="smplx_55", source=source, hands=hands)
        return replace(
            found,
            betas=motion.betas,
            notes=tuple(motion.meta.get("notes", ())),
            own_shape=True,
        )
    declared: Up | None = "z" if source.suffix.lower() == ".trc" else None
    found = _named(reader(source), body, joint_set=joint_set, source=source, hands=hands)
    scale = UNITS[units] if units else metres_per_unit(found.xyz, found.points, body, source=source)
    found = replace(found, xyz=found.xyz * scale)
    if scale != 1:
        unit = {v: k for k, v in UNITS.items()}[scale]
        found = replace(found, notes=(*found.notes, f"lengths are read as {unit}"))
    found = _upright(found, body, declared=declared, up=up, source=source)
    check_sides(found.xyz, found.points, source=source)
    return replace(found, betas=shape_of_bones(found.xyz, found.points, body))


def standing(times: Tensor, body: BodyModel) -> JointInput:
    """A pelvis that stays where it is on a body that stands at rest, `times` `(T)`."""
    foot = body.rest_joints()[10, 1] - body.sole_offset()[0]
    height = float(body.rest_joints()[0, 1] - foot)
    xyz = torch.tensor((0.0, 0.0, height)).expand(len(times), 1, 3).clone()
    return JointInput((set_points(body, "smplx_55")["pelvis"],), times, xyz, torch.zeros(10),
                      ("no position is given; the pelvis stays where it is",))  # fmt: skip


def _named(
    track: JointTrack, body: BodyModel, *, joint_set: str | None, source: Path, hands: bool
) -> JointInput:
    known = recognise(track.names, body, source=source, joint_set=joint_set)
    kept = [(c, p) for c, p in zip(known.columns, known.points, strict=True)
            if hands or not is_finger(p)]  # fmt: skip
    columns, points = [c for c, _ in kept], tuple(p for _, p in kept)
    seen = track.seen[:, columns]
    most = int(seen.sum(-1).amax()) if len(columns) else 0
    if most < LEAST_POINTS:
        raise UsageError(
            f"{source} shows at most {most} points of the body in a frame; give at least "
            f"{LEAST_POINTS}, for example pelvis, left_wrist, right_wrist"
        )
    xyz = torch.where(seen[..., None], track.positions[:, columns].float(), torch.nan)
    return JointInput(points, track.times, xyz, torch.zeros(10), tuple(recognised_notes(known)))


def _upright(
    found: JointInput, body: BodyModel, *, declared: Up | None, up: Up | None, source: Path
) -> JointInput:
    told = up or up_axis(found.xyz, found.points, body) or declared
    if told is None:
        raise UsageError(
            f"it cannot be told which way is up in {source} (nobody stands or sits upright in it); "
            "say it as --up z or --up y"
        )
    if told == "z":
        return found
    # The reader of TRC has turned its y up to z already, so that "y" is said of our axes.
    notes = (*found.notes, f"{_UP_WORDS[told]}; turned to z up")
    return replace(found, xyz=to_z_up(found.xyz, told), notes=notes)


def _on_hand(point: NamedPoint, side: str) -> bool:
    kind, row = point.sources[0]
    return (kind == "joint" and row in _HANDS[side]) or kind == f"hand21_{side}"


def at_rate(times: Tensor, values: Tensor, *, source: object) -> tuple[Tensor, Tensor]:
    """Times at 30 fps and `values` `(T, ...)` there, linearly; NaN beside NaN.

    Raises UsageError for more than MAX_FRAMES.
    """
    if len(times) < 2:
        return times, values
    count = int(float(times[-1] - times[0]) * FPS + 1e-6) + 1
    if count > MAX_FRAMES:
        raise UsageError(
            f"{source}: {len(times)} frames over {float(times[-1] - times[0]):.0f} s would become "
            f"{count} at {FPS:g} fps, more than {MAX_FRAMES}; cut the file"
        )
    new = times[0] + torch.arange(count, dtype=torch.float64) / FPS
    low, share = interpolation_weights(times.contiguous(), new)
    # Frames that fall together are taken as they are: a neighbour's gap is not theirs.
    near = (share - share.round()).abs() < 1e-4
    share = torch.where(near, share.round(), share)
    high = (low + 1).clamp(max=len(times) - 1)
    amount = share.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    mixed = torch.lerp(values[low], values[high], amount)
    alone = torch.where(amount < 0.5, values[low], values[high])
    return new, torch.where((amount == 0) | (amount == 1), alone, mixed)
