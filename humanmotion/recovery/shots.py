"""Where a video was cut: by what the whole picture shows, and by what the people in it do.

A cut is accepted if the picture's content changes at once and for good, or if two of four weaker
signs coincide: the box jumps, the joints jump, the body's heading jumps, the content changes a bit.
A picture that is back within a few frames was flashed at, not cut. After HumanMM (CVPR 2025)
section 3, whose box and pose tests lack numbers; ours are measured on real clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.content import LEVEL, RATIO, WINDOW, Content
from humanmotion.recovery.person_jumps import person_jumps

LASTING = 0.5
"""Share of a change that must still be there later; less is a flash."""
WEAK_LEVEL = 6.0
"""Change that, when sudden and lasting, counts as one sign beside the people's."""
SIGNS = 2
"""Weaker signs that make a cut together."""
MIN_SHOT = 8
"""Frames of the shortest shot; of cuts nearer to each other the clearest is taken."""
DISSOLVE_REACH = 12
"""Frames around a dissolve's middle in which it counts once."""


@dataclass(frozen=True)
class Shot:
    """Frames `start` to `stop - 1` of a video, seen by one camera without a cut."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise UsageError(f"a shot from frame {self.start} to {self.stop} has no frame")

    def __len__(self) -> int:
        return self.stop - self.start


def find_shots(content: Content, tracks: Sequence[Keypoints], *, times: Tensor) -> tuple[Shot, ...]:
    """The shots of a video, in order and without gaps, from `content` and `tracks` over `T` frames.

    `times` `(T)` in seconds must be those of the tracks. A dissolve becomes a cut at its middle.
    Raises UsageError when content, tracks and times differ in length, or there is no frame.
    """
    frames = len(times)
    if not frames or {len(content.change), *(len(track) for track in tracks)} != {frames}:
        raise UsageError(
            f"{frames} times, {len(content.change)} content scores and tracks of "
            f"{[len(track) for track in tracks]} frames; give the same number of each, at least 1"
        )
    strength = cut_strength(content, tracks)
    starts = [0, *_chosen(strength), frames]
    return tuple(Shot(a, b) for a, b in pairwise(starts))


def cut_strength(content: Content, tracks: Sequence[Keypoints]) -> Tensor:
    """How clearly each frame begins a shot `(T)`; 0 where it does not."""
    sudden = _sudden(content.change) & (content.lasting > LASTING * content.change)
    strength = torch.where(sudden & (content.change > LEVEL), content.change, 0.0)
    signs = person_jumps(tracks, len(strength)) + (sudden & (content.change > WEAK_LEVEL)).long()
    # Behind every hard cut, however weak its content: the content only orders them.
    beside = torch.where(signs >= SIGNS, content.change.clamp(max=LEVEL) + signs, 0.0)
    strength = torch.where(strength > 0, strength, beside)
    return torch.where(strength > 0, strength, _dissolves(content, strength))


def _sudden(change: Tensor) -> Tensor:
    """Where the change is several times the median of the frames around, itself left out."""
    padded = torch.nn.functional.pad(change, (WINDOW, WINDOW), value=torch.nan)
    around = padded.unfold(0, 2 * WINDOW + 1, 1).clone()
    around[:, WINDOW] = torch.nan
    usual = torch.nanmedian(around, dim=1).values.nan_to_num(0.0)
    return (change > RATIO * usual) & (change > 0)


def _dissolves(content: Content, strength: Tensor) -> Tensor:
    """Middles of dissolves `(T)`, where no hard cut is near; their values stay below a cut's."""
    score = content.dissolve
    window = 2 * DISSOLVE_REACH + 1
    peak = _around(score, window)
    # A mixture scores over several frames around its middle: take the middle of the best ones.
    best = (score >= 0.98 * peak) & (score > 0)
    out = torch.zeros_like(score)
    places = best.nonzero()[:, 0].tolist()
    while places:
        group = [p for p in places if p <= places[0] + DISSOLVE_REACH]
        out[group[len(group) // 2]] = score[group[len(group) // 2]] / 255
        places = places[len(group) :]
    return torch.where(_around(strength, window) > 0, 0.0, out)


def _around(values: Tensor, window: int) -> Tensor:
    pooled = torch.nn.functional.max_pool1d(values[None, None], window, 1, window // 2)
    return pooled[0, 0]


def _chosen(strength: Tensor) -> list[int]:
    """Cuts, clearest first, none too near another or the ends."""
    frames = len(strength)
    cuts: list[int] = []
    for frame in sorted(strength.nonzero()[:, 0].tolist(), key=lambda f: -float(strength[f])):
        far = all(abs(frame - other) >= MIN_SHOT for other in cuts)
        if far and MIN_SHOT <= frame <= frames - MIN_SHOT:
            cuts.append(frame)
    return sorted(cuts)
