"""What a file of joint positions does not say: unit, up axis, whether left is left, how long bones are.

Every answer comes from the named points alone and is said in one line; where none can be given, the
error says why and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.named_points import NamedPoint, rest_places
from humanmotion.errors import UsageError
from humanmotion.io.axes import turn_up
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

Units = Literal["m", "cm", "mm"]
UNITS: dict[Units, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001}
Up = Literal["y", "z"]
BONE_RANGE = (0.5, 1.7)
"""Bones of people, children among them, over those of the mean body."""
SPAN_RANGE = (0.25, 2.0)
"""As above for the farthest two points, where no bone is seen whole: people crouch."""
LEAST_BONES = 2
NOISE_FRAMES = 5
"""Frames from which the noise of a bone's length can be told."""
CLEAR = 0.6
"""Mean cosine from which an axis is believed to be up."""
BACKWARDS = -0.3
"""Mean cosine from which feet, knees and nose are believed to point backwards."""
BONE_SIGMA = {"joint": 0.002, "skin": 0.015}
"""Metres by which bones between joints, and between places on the skin, do not keep their length."""
_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
_ARMS = ("elbow", "wrist", "hand", "thumb", "index", "middle", "ring", "pinky")


def bones(points: Sequence[NamedPoint]) -> list[tuple[int, int]]:
    """Pairs of points that keep their distance."""
    index = {point.name: i for i, point in enumerate(points)}
    names = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LIMBS]
    names += [("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")]
    joints = {p.name for p in points if p.sources[0][0] == "joint"}
    for joint, parent in zip(SMPLX_JOINTS[1:22], SMPLX_PARENTS[1:22], strict=True):
        pair = (SMPLX_JOINTS[parent], joint)
        # The shoulders turn about their collars: their own distance is no bone then.
        if set(pair) <= joints and pair not in names:
            names.append(pair)
    return [(index[a], index[b]) for a, b in names if a in index and b in index]


def bone_lengths(xyz: Tensor, pairs: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Lengths `(B)` of bones of points `(T, L, 3)`, NaN where never seen, and their noise `(B)`.

    Noise lengthens the mean of a length: by three times the variance along it, in the square.
    """
    a, b = (xyz[:, [pair[i] for pair in pairs]] for i in (0, 1))
    length = (a - b).norm(dim=-1)
    count = length.isfinite().sum(0)
    mean = length.nanmean(0)
    spread = (length - mean).square().nanmean(0)
    square = (length.square().nanmean(0) - 3 * spread).clamp(min=0.04 * mean.square())
    noisy = count >= NOISE_FRAMES
    doubt = ((spread + 1.5 * spread.square() / square) / count).sqrt()
    return torch.where(noisy, square.sqrt(), mean), torch.where(noisy, doubt, 0.0)


def metres_per_unit(
    xyz: Tensor, points: Sequence[NamedPoint], body: BodyModel, *, source: object
) -> float:
    """What a number of the points `(T, L, 3)` is in metres: 1, 0.01 or 0.001.

    Raises UsageError where none of these makes them a person's.
    """
    rest, _ = rest_places(body, points)
    pairs = bones(points)
    ratio = torch.empty(0)
    if len(pairs) >= LEAST_BONES:
        own = torch.stack([(rest[a] - rest[b]).norm() for a, b in pairs])
        ratio = (bone_lengths(xyz, pairs)[0] / own)[None].flatten()
        ratio = ratio[ratio.isfinite()]
    if len(ratio) >= LEAST_BONES:
        size, (least, most), what = float(ratio.median()), BONE_RANGE, "bones"
    else:
        size, (least, most), what = _span(xyz, rest), SPAN_RANGE, "extent"
    for unit in UNITS.values():
        if least < size * unit < most:
            return unit
    raise UsageError(
        f"the {what} of the body in {source} would be {size:.3g}, {0.01 * size:.3g} or "
        f"{0.001 * size:.3g} times a person's if it were in m, cm or mm; convert the file to one of "
        "these"
    )


def _span(xyz: Tensor, rest: Tensor) -> float:
    """Largest distance between points of a frame over that at rest, median over the frames."""
    apart = torch.cdist(xyz.nan_to_num(0.0), xyz.nan_to_num(0.0))
    seen = xyz.isfinite().all(-1)
    apart = torch.where(seen[:, :, None] & seen[:, None], apart, torch.zeros(()))
    whole = seen.sum(-1) >= 2
    return float((apart[whole].amax((1, 2)) / torch.pdist(rest).amax()).median())


def up_axis(xyz: Tensor, points: Sequence[NamedPoint], body: BodyModel) -> str | None:
    """`y`, `z`, `-y` (as cameras have it), `-z`, or None where nothing clear can be said.

    Over the points `(T, L, 3)`: the axis along which what is high on the body is high, arms aside.
    """
    kept = [i for i, p in enumerate(points) if not any(part in p.name for part in _ARMS)]
    if len(kept) < 2:
        return None
    rest, _ = rest_places(body, points)
    seen = xyz[:, kept].isfinite().all(-1)
    weight = seen / seen.sum(-1, keepdim=True).clamp(min=1)
    height = rest[kept, 1] - (weight * rest[kept, 1]).sum(-1, keepdim=True)
    rising = ((weight * height)[..., None] * xyz[:, kept].nan_to_num(0.0)).sum(1)
    size = rising.norm(dim=-1, keepdim=True)
    whole = size[:, 0] > 1e-6
    if not bool(whole.any()):
        return None
    mean = (rising[whole] / size[whole]).mean(0)
    axis = int(mean.abs().argmax())
    if axis == 0 or float(mean[axis].abs()) < CLEAR:
        return None
    return ("" if mean[axis] > 0 else "-") + "xyz"[axis]


def to_z_up(xyz: Tensor, up: str) -> Tensor:
    """Points of a world whose `up` is `y`, `z`, `-y` or `-z` in ours."""
    if up.startswith("-"):
        xyz = xyz * xyz.new_tensor((1.0, -1.0, -1.0))
    return turn_up(xyz, "z") if up.endswith("y") else xyz


def check_sides(xyz: Tensor, points: Sequence[NamedPoint], *, source: object) -> None:
    """Raise UsageError where left and right are swapped, or the whole body is seen in a mirror.

    Says nothing where feet, knees and nose are not among the points `(T, L, 3)`.
    """
    at = {point.name: xyz[:, i] for i, point in enumerate(points)}
    arms, legs = (_across(at, part) for part in ("shoulder", "hip"))
    if arms is not None and legs is not None and _cosine(arms, legs) < BACKWARDS:
        raise UsageError(
            f"left and right of {source} differ between shoulders and hips; swap the names of one "
            "of them"
        )
    ahead = _ahead(at)
    across = [v for v in (arms, legs) if v is not None]
    low, high = (_mean(at, names) for names in (("left_hip", "right_hip", "pelvis", "mid_hip"), (
        "left_shoulder", "right_shoulder", "neck", "head", "nose")))  # fmt: skip
    if ahead is None or not across or low is None or high is None:
        return
    front = torch.linalg.cross(torch.stack(across).nanmean(0), high - low)
    if _cosine(ahead, front) < BACKWARDS:
        raise UsageError(
            f"left and right of {source} are swapped, or it is mirrored: feet, knees or nose point "
            "backwards; swap the left and right names, or turn the sign of one axis"
        )


def _across(at: dict[str, Tensor], part: str) -> Tensor | None:
    left, right = at.get(f"left_{part}"), at.get(f"right_{part}")
    return None if left is None or right is None else left - right


def _ahead(at: dict[str, Tensor]) -> Tensor | None:
    """Sum `(T, 3)` of what points forwards on a body."""
    found = []
    for side in ("left", "right"):
        ankle = at.get(f"{side}_ankle")
        for toe in ("foot", "big_toe"):
            if ankle is not None and f"{side}_{toe}" in at:
                found.append(at[f"{side}_{toe}"] - ankle)
        hip, knee = at.get(f"{side}_hip"), at.get(f"{side}_knee")
        if ankle is not None and hip is not None and knee is not None:
            found.append(2 * knee - hip - ankle)
    ears = _mean(at, ("left_ear", "right_ear"))
    if ears is not None and "nose" in at:
        found.append(at["nose"] - ears)
    return torch.stack(found).nansum(0) if found else None


def _mean(at: dict[str, Tensor], names: Sequence[str]) -> Tensor | None:
    found = [at[name] for name in names if name in at]
    return torch.stack(found).nanmean(0) if found else None


def _cosine(a: Tensor, b: Tensor) -> float:
    """Mean over the frames; 1 where it is known in none."""
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1)
    cosine = cosine[cosine.isfinite() & (a.norm(dim=-1) > 0)]
    return float(cosine.mean()) if len(cosine) else 1.0


def shape_of_bones(xyz: Tensor, points: Sequence[NamedPoint], body: BodyModel) -> Tensor:
    """Betas `(10)` that give the body the bone lengths of points `(T, L, 3)` in metres.

    The likeliest under the standard normal that shapes follow; zero where no bone is seen.
    """
    betas = torch.zeros(10)
    pairs = bones(points)
    if not pairs:
        return betas
    rest, slope = rest_places(body, points)
    a, b = ([pair[i] for pair in pairs] for i in (0, 1))
    length, noise = bone_lengths(xyz, pairs)
    seen = length.isfinite()
    inside = all(p.sources[0][0] == "joint" for p in points)
    own_sigma = BONE_SIGMA["joint" if inside else "skin"]
    weight = torch.where(seen, (own_sigma**2 + noise.nan_to_num(0.0) ** 2).rsqrt(), 0.0)
    for _ in range(4):
        vector = rest[a] - rest[b] + (slope[a] - slope[b]) @ betas
        own = vector.norm(dim=-1)
        rows = weight[:, None] * ((vector / own[:, None])[..., None] * (slope[a] - slope[b])).sum(1)
        away = weight * torch.where(seen, length - own, 0.0)
        step = torch.linalg.solve(rows.mT @ rows + torch.eye(10), rows.mT @ away - betas)
        betas = betas + step
    return betas
