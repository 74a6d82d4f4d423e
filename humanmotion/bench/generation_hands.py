"""Rows of `bench generation` for hands and jaw: generated ones for real bodies, beside the real ones.

Which fingers would have moved is not decided by how a body moves, so no error is given; whether hands
tremble, stay within what hands do, and move as much as real ones is. Only parts that a clip's source
recorded count, for generated hands as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.bench.report import Row
from humanmotion.body import BodyModel
from humanmotion.generation.hand_flow import HandMaker
from humanmotion.generation.hands import HAND_JOINTS, PARTS, hand_rotations, mirrored_hands
from humanmotion.jobs.generator_data import clips_of
from humanmotion.jobs.hand_shards import HandTracks
from humanmotion.jobs.shards import Shards
from humanmotion.rotations import matrix_to_rotvec

TIPS = (4, 8, 12, 16, 20)
"""Of the 21 landmarks of a hand."""
SLACK = 5.0
"""Degrees by which an angle may leave the range of the training data before it is called out of it."""


@dataclass(frozen=True)
class HandClip:
    """One clip: what is known of it, and hands of the same frames, real first, then by seed."""

    known: Tensor
    """`(3)` bool."""
    hands: Tensor
    """`(1 + seeds, T, 186)`."""


def rows(
    maker: HandMaker,
    folder_shards: tuple[Shards, HandTracks],
    *,
    split: str,
    body: BodyModel,
    seeds: Sequence[int] = (0, 1, 2),
    most: int | None = None,
) -> list[Row]:
    """Figures of a split, the first `most` clips or all: tremor, range, spread, and fit to the body.

    A caption of the clip is told to the network, where it has one.
    """
    shards, tracks = folder_shards
    clips = [i for i in clips_of(shards.rows, split) if tracks.starts[i] >= 0][:most]
    if not clips:
        return [Row(f"hands-{split}", f"hands, {split}: no clip carries any", None, "")]
    made = [_made(maker, shards, tracks, clip=i, seeds=seeds) for i in clips]
    said = f"hands, {split}, {len(made)} clips x {len(seeds)} seeds"
    return [
        *_tremor(made, body, said=said, split=split),
        *_range(made, training_range(shards, tracks), said=said, split=split),
        *_spread(made, body, said=said, split=split),
        *_fit(made, body, said=said, split=split),
    ]


def _made(
    maker: HandMaker, shards: Shards, tracks: HandTracks, *, clip: int, seeds: Sequence[int]
) -> HandClip:
    row, start = shards.rows[clip], int(tracks.starts[clip])
    number = shards.captions.index(row["captions"][0]) if row["captions"] else None
    text = None if number is None else (shards.tokens[number].float(), shards.mask[number])
    real = tracks.hands[start : start + row["frames"]]
    made = [maker(shards.of_clip(clip), text=text, seed=seed) for seed in seeds]
    return HandClip(tracks.known[clip], torch.stack([real, *made]))


def tips(hands: Tensor, body: BodyModel) -> Tensor:
    """Finger tips `(..., 2, 5, 3)` of hands `(..., 186)`, the wrists at rest; metres.

    Left and right, the right one seen in a mirror, so that both are alike.
    """
    turns = torch.eye(3).expand(*hands.shape[:-1], 55, 3, 3).clone()
    turns[..., list(HAND_JOINTS), :, :] = hand_rotations(hands)
    sides = [body.landmarks(f"hand21_{side}", turns)[..., TIPS, :] for side in ("left", "right")]
    return torch.stack((sides[0], sides[1] * turns.new_tensor((-1.0, 1.0, 1.0))), -3)


def jaw_degrees(hands: Tensor) -> Tensor:
    """Rotation vector of the jaw `(..., 3)`, degrees."""
    return torch.rad2deg(matrix_to_rotvec(hand_rotations(hands)[..., -1, :, :]))


def _parts(made: Sequence[HandClip], body: BodyModel) -> dict[str, tuple[str, list[Tensor]]]:
    """Unit and values `(1 + seeds, T, points, 3)` of recorded hands (tips in mm) and jaws."""
    fingers, jaws = [], []
    for clip in made:
        places = 1000 * tips(clip.hands, body)
        fingers += [places[..., side, :, :] for side in (0, 1) if clip.known[side]]
        jaws += [jaw_degrees(clip.hands)[..., None, :]] if clip.known[2] else []
    return {"fingertips": ("mm", fingers), "jaw": ("deg", jaws)}


def _tremor(made: Sequence[HandClip], body: BodyModel, *, said: str, split: str) -> list[Row]:
    """Mean second difference, real beside generated; pooled over frames."""
    out = []
    for name, (unit, values) in _parts(made, body).items():
        if not values:
            continue
        second = [v.diff(n=2, dim=1).norm(dim=-1).mean(-1) for v in values]
        real = float(torch.cat([s[0] for s in second]).mean())
        ours = float(torch.cat([s[1:].flatten() for s in second]).mean())
        what = f"{said}: jitter of {name}"
        out += [
            Row(f"hands-{split}-{name}-jitter-real", f"{what}, real", real, f"{unit}/frame^2"),
            Row(f"hands-{split}-{name}-jitter", f"{what} over real's", ours / real, "",
                bar=1.2, direction="<="),
        ]  # fmt: skip
    return out


def training_range(shards: Shards, tracks: HandTracks) -> tuple[Tensor, Tensor]:
    """Least and most of each joint's rotation vector `(31, 3)` in train, in degrees, either side."""
    low, high = torch.full((31, 3), torch.inf), torch.full((31, 3), -torch.inf)
    for clip in clips_of(shards.rows, "train"):
        if (start := int(tracks.starts[clip])) < 0:
            continue
        hands = tracks.hands[start : start + shards.rows[clip]["frames"]]
        known = tracks.known[clip]
        for values, there in ((hands, known), (mirrored_hands(hands), known[[1, 0, 2]])):
            angles, joints = _angles(values), _joints(there)
            low[joints] = torch.minimum(low, angles.amin(0))[joints]
            high[joints] = torch.maximum(high, angles.amax(0))[joints]
    return low, high


def _angles(hands: Tensor) -> Tensor:
    """Rotation vectors `(..., 31, 3)` in degrees."""
    return torch.rad2deg(matrix_to_rotvec(hand_rotations(hands)))


def _joints(known: Tensor) -> Tensor:
    """Which of the 31 joints `(31)` are known where parts `(3)` are."""
    counts = torch.tensor([(part.stop - part.start) // 6 for part in PARTS.values()])
    return known.repeat_interleave(counts)


def _range(
    made: Sequence[HandClip], bounds: tuple[Tensor, Tensor], *, said: str, split: str
) -> list[Row]:
    low, high = bounds[0] - SLACK, bounds[1] + SLACK
    out: list[list[Tensor]] = [[], []]
    for clip in made:
        angles = _angles(clip.hands)[..., _joints(clip.known), :]
        own = (angles < low[_joints(clip.known)]) | (angles > high[_joints(clip.known)])
        for kind, values in enumerate((own[0], own[1:])):
            out[kind].append(values.any(-1).flatten().float())
    real, ours = (100 * float(torch.cat(values).mean()) for values in out)
    what = f"{said}: joints beyond train's range by more than {SLACK:g} degrees"
    return [
        Row(f"hands-{split}-range-real", f"{what}, real", real, "%"),
        Row(f"hands-{split}-range", what, ours, "%", bar=max(1.0, real), direction="<="),
    ]


def _spread(made: Sequence[HandClip], body: BodyModel, *, said: str, split: str) -> list[Row]:
    """How far parts move within a clip, and how far their mean poses lie apart from clip to clip."""
    out = []
    for name, (unit, values) in _parts(made, body).items():
        if len(values) < 2:
            continue
        within = torch.stack([v.std(1).norm(dim=-1).mean(-1) for v in values])
        between = torch.stack([v.mean(1) for v in values]).std(0).norm(dim=-1).mean(-1)
        for key, found in (("over time", within.mean(0)), ("over clips", between)):
            what = f"{said}: spread of {name} {key}"
            mark = f"hands-{split}-{name}-spread-{key.split()[-1]}"
            out += [
                Row(f"{mark}-real", f"{what}, real", float(found[0]), unit),
                Row(mark, f"{what}, over real's", float(found[1:].mean() / found[0]), ""),
            ]
        if len(made[0].hands) > 2:
            seeds = torch.stack([v[1:].std(0).norm(dim=-1).mean() for v in values]).mean()
            what = f"{said}: spread of {name} over seeds, same body"
            out.append(Row(f"hands-{split}-{name}-spread-seeds", what, float(seeds), unit))
    return out


def _fit(made: Sequence[HandClip], body: BodyModel, *, said: str, split: str) -> list[Row]:
    """Mean poses: how far generated ones lie from their own clip's real hands, over other clips'."""
    values = _parts(made, body)["fingertips"][1]
    if len(values) < 2:
        return []
    mean = torch.stack([v.mean(1) for v in values])
    apart = (mean[:, None, 1:] - mean[None, :, :1]).norm(dim=-1).mean((-1, -2))
    own = torch.eye(len(mean), dtype=torch.bool)
    ratio = float(apart[own].mean() / apart[~own].mean())
    what = f"{said}: fingertips' mean place from the own clip's real one, over that of other clips"
    return [Row(f"hands-{split}-fit", what, ratio, "")]
