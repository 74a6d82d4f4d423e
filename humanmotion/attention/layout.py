"""What the tokens of a sequence are, and in which order they stand so that near ones share a block.

A sequence is a row of segments. No block ever crosses from one segment into the next, so a segment of
any length is fine: its last block is short and says how short. Nothing is padded in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, SupportsIndex, get_args

import torch
from torch import Tensor

from humanmotion.errors import UsageError

Order = Literal["windows", "frames", "pixels"]
"""How a grid's tokens stand: space-time windows, frame after frame, or place after place."""


@dataclass(frozen=True)
class VideoGrid:
    """Tokens of a video, frames first: token `(t, y, x)` is number `(t * height + y) * width + x`."""

    frames: int
    height: int
    width: int
    window: tuple[int, int, int] = (2, 4, 8)
    """Frames, rows and columns of the windows that stand together."""
    edges: Literal["short", "appended"] = "short"
    """What becomes of a grid that windows do not divide: short windows at its edges, or, as in the
    published RainFusion2.0 code, frame 0 untouched and each later frame's leftover rows, then columns,
    behind its windows."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        return self.frames, self.height, self.width


@dataclass(frozen=True)
class MotionGrid:
    """Tokens of a motion, frames first: joint `j` of frame `t` is number `t * joints + j`."""

    frames: int
    joints: int
    window: tuple[int, int] = (16, 4)
    """Frames and joints that stand together: joints are slow, and few of them move alike."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, joints, 1."""
        return self.frames, self.joints, 1


@dataclass(frozen=True)
class LooseTokens:
    """Text, registers, or whatever else has no grid: attends everything and is always attended."""

    count: int

    @property
    def shape(self) -> tuple[int]:
        """Their number."""
        return (self.count,)


Segment = VideoGrid | MotionGrid | LooseTokens


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """Segments with an order of their tokens; build it with `TokenLayout.of`."""

    segments: tuple[Segment, ...]
    kind: Order
    order: Tensor
    """`(N)`: which token of the sequence stands at each place."""
    inverse: Tensor
    """`(N)`: at which place each token of the sequence stands."""
    runs: tuple[int, ...]
    """Lengths of the stretches of places that no block crosses."""
    loose: Tensor
    """`(N)` bool by place: tokens without a grid."""
    first: Tensor
    """`(N)` bool by place: tokens of the first of a grid's frames; none of a still picture."""

    @classmethod
    def of(
        cls,
        *segments: Segment,
        order: Order = "windows",
        device: torch.device | str = "cpu",
    ) -> TokenLayout:
        """Lay `segments` out; the result for equal arguments is built once and shared.

        The first frame of a grid is a stretch of its own, since methods attend it always: with "frames"
        and "pixels" behind the other frames (RainFusion's sink), with windows before them, unless their
        edges are those of the published code. Raises UsageError for sizes that are no whole numbers
        of 1 or more, windows that do not fit, and an order or edges that there are not.
        """
        _check(segments, order)
        return _layout(segments, order, torch.device(device))

    def to(self, device: torch.device | str) -> TokenLayout:
        """The same on another device, copied there once."""
        return _layout(self.segments, self.kind, torch.device(device))

    @property
    def tokens(self) -> int:
        """N."""
        return len(self.order)

    def pairs_kept(self, keys: TokenLayout, *, share: float, sink: bool = True) -> float:
        """Share of all pairs with `keys` where `share` of them is kept, and all of the tokens that
        attend and are attended always: loose ones, and first frames with `sink`. Asks no device."""
        rows, columns = (layout._always(sink=sink) for layout in (self, keys))
        return 1 - (1 - share) * (1 - rows) * (1 - columns)

    def _always(self, *, sink: bool) -> float:
        whole = 0
        for segment in self.segments:
            if isinstance(segment, LooseTokens):
                whole += segment.count
            elif sink and segment.shape[0] > 1:
                whole += math.prod(segment.shape[1:])
        return whole / self.tokens

    def permute(self, x: Tensor) -> Tensor:
        """`(..., N, d)` from the order of the sequence to the order of places."""
        return x.index_select(-2, self.order)

    def restore(self, x: Tensor) -> Tensor:
        """`(..., N, d)` from the order of places to the order of the sequence."""
        return x.index_select(-2, self.inverse)


def _check(segments: tuple[Segment, ...], order: str) -> None:
    if order not in get_args(Order):
        raise UsageError(f"order {order!r}: choose one of {', '.join(get_args(Order))}")
    if not segments or not all(_are_counts(s.shape) for s in segments):
        shapes = [tuple(s.shape) for s in segments]
        raise UsageError(
            f"segments of shapes {shapes}: give at least one, every size a whole number of 1 or more"
        )
    for segment in segments:
        if isinstance(segment, LooseTokens):
            continue
        window, axes = segment.window, 3 if isinstance(segment, VideoGrid) else 2
        if not isinstance(window, tuple) or len(window) != axes or not _are_counts(window):
            raise UsageError(f"window {window}: give a tuple of {axes} whole numbers of 1 or more")
        if isinstance(segment, VideoGrid) and segment.edges not in ("short", "appended"):
            raise UsageError(f"edges {segment.edges!r}: choose one of short, appended")


def _are_counts(numbers: Sequence[int]) -> bool:
    return all(isinstance(n, SupportsIndex) and n >= 1 for n in numbers)


@lru_cache(maxsize=64)
def _layout(segments: tuple[Segment, ...], order: Order, device: torch.device) -> TokenLayout:
    # Shared by all later calls: no inference tensors, nor those of the caller's default device.
    with torch.inference_mode(False), torch.device("cpu"):
        return _laid_out(segments, order, device)


def _laid_out(segments: tuple[Segment, ...], order: Order, device: torch.device) -> TokenLayout:
    places: list[Tensor] = []
    loose: list[Tensor] = []
    first: list[Tensor] = []
    runs: list[int] = []
    start = 0
    for segment in segments:
        for run in _runs(segment, order):
            places.append(start + run)
            runs.append(len(run))
            free = isinstance(segment, LooseTokens)
            loose.append(torch.full((len(run),), free))
            alone = free or segment.shape[0] == 1
            first.append((run < math.prod(segment.shape[1:])) & (not alone))
        start += math.prod(segment.shape)
    stands = torch.cat(places)
    return TokenLayout(
        segments,
        order,
        stands.to(device),
        stands.argsort().to(device),
        tuple(runs),
        torch.cat(loose).to(device),
        torch.cat(first).to(device),
    )


def _runs(segment: Segment, order: Order) -> list[Tensor]:
    """Token numbers within the segment, by place, in stretches that no block crosses."""
    count = math.prod(segment.shape)
    if isinstance(segment, LooseTokens):
        return [torch.arange(count)]
    if order == "windows":
        return _windows(segment)
    numbers = torch.arange(count).reshape(segment.shape[0], -1)
    later = numbers[1:] if order == "frames" else numbers[1:].T
    return [part.flatten() for part in (later, numbers[:1]) if part.numel()]


def _windows(segment: VideoGrid | MotionGrid) -> list[Tensor]:
    window = segment.window if len(segment.window) == 3 else (*segment.window, 1)
    if isinstance(segment, VideoGrid) and segment.edges == "appended":
        return [_appended_order(segment.shape, window)]
    # A window that held the first frame and later ones would make sinks of them all.
    frames, *place = segment.shape
    first = _sorted_by(_tiles((1, *place), window))
    if frames == 1:
        return [first]
    return [first, len(first) + _sorted_by(_tiles((frames - 1, *place), window))]


def _tiles(shape: Sequence[int], window: Sequence[int]) -> list[Tensor]:
    """Which window each token of a grid lies in, `(N)` along every axis."""
    axes = [
        torch.arange(n).div(w, rounding_mode="floor") for n, w in zip(shape, window, strict=True)
    ]
    return [grid.flatten() for grid in torch.meshgrid(*axes, indexing="ij")]


def _sorted_by(keys: Sequence[Tensor]) -> Tensor:
    """Token numbers sorted by the first key, then the second, ..., then by themselves."""
    key = torch.zeros_like(keys[0])
    for part in keys:
        key = key * (int(part.max()) + 1) + part
    return key.argsort(stable=True)


def _appended_order(shape: tuple[int, int, int], window: tuple[int, int, int]) -> Tensor:
    """RainFusion2.0's traversal (arXiv 2512.24086; public code of MindIE-SD): leftovers last."""
    frames, height, width = shape
    tile_t, tile_y, tile_x = _tiles(shape, window)
    if height % window[1] == 0 and width % window[2] == 0:
        return _sorted_by([tile_t, tile_y, tile_x])
    right = tile_x >= width // window[2]
    bottom = tile_y >= height // window[1]
    part = torch.where(bottom, 1, torch.where(right, 2, 0))
    # Leftovers stand as they come, not by window.
    tile_y, tile_x = (torch.where(part == 0, tile, 0) for tile in (tile_y, tile_x))
    frame = torch.arange(frames).repeat_interleave(height * width)
    first = frame == 0
    later = _sorted_by([tile_t, part, tile_y, tile_x])
    return torch.cat((first.nonzero()[:, 0], later[~first[later]]))
