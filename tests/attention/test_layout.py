"""Segments: every order is a permutation, near tokens share blocks, nothing is padded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from humanmotion.attention.blocks import Blocks
from humanmotion.attention.layout import LooseTokens, MotionGrid, TokenLayout, VideoGrid
from humanmotion.errors import UsageError

ORDERS = ["windows", "frames", "pixels"]
SHAPES = [(1, 1, 1), (1, 8, 8), (3, 5, 7), (4, 8, 16), (5, 9, 8), (2, 3, 30)]


def slow_windows(shape, window, *, first=0):
    """Visit windows one after the other, and the tokens of each, in the frames from `first` on."""
    frames, height, width = shape
    starts = itertools.product(
        range(first, frames, window[0]), range(0, height, window[1]), range(0, width, window[2])
    )
    return [
        (t * height + y) * width + x
        for t0, y0, x0 in starts
        for t in range(t0, min(t0 + window[0], frames))
        for y in range(y0, min(y0 + window[1], height))
        for x in range(x0, min(x0 + window[2], width))
    ]


def slow_appended(shape):
    """RainFusion2.0's traversal of a grid that 8 x 8 windows do not divide."""
    frames, height, width = shape
    if height % 8 == 0 and width % 8 == 0:
        return slow_windows(shape, (1, 8, 8))
    main_h, main_w = height - height % 8, width - width % 8
    out = list(range(height * width))
    for t in range(1, frames):
        at = [
            (y0 + y, x0 + x)
            for y0 in range(0, main_h, 8)
            for x0 in range(0, main_w, 8)
            for y in range(8)
            for x in range(8)
        ]
        at += [(y, x) for y in range(main_h, height) for x in range(width)]
        at += [(y, x) for y in range(main_h) for x in range(main_w, width)]
        out += [(t * height + y) * width + x for y, x in at]
    return out


@pytest.mark.parametrize("shape", SHAPES)
class TestOrders:
    @pytest.mark.parametrize("order", ORDERS)
    def test_is_a_permutation_that_can_be_undone(self, shape, order, normal):
        layout = TokenLayout.of(LooseTokens(3), VideoGrid(*shape), MotionGrid(5, 3), order=order)
        assert sorted(layout.order.tolist()) == list(range(layout.tokens))
        x = normal(2, layout.tokens, 4)
        torch.testing.assert_close(layout.restore(layout.permute(x)), x, rtol=0, atol=0)
        assert sum(layout.runs) == layout.tokens

    @pytest.mark.parametrize("window", [(1, 1, 1), (2, 4, 8), (1, 8, 8), (3, 2, 5)])
    def test_windows_are_visited_one_after_the_other_behind_the_first_frame(self, shape, window):
        layout = TokenLayout.of(VideoGrid(*shape, window=window))
        first = slow_windows((1, *shape[1:]), window)
        assert layout.order.tolist() == first + slow_windows(shape, window, first=1)
        assert layout.runs[0] == len(first)

    def test_appended_leftovers(self, shape):
        layout = TokenLayout.of(VideoGrid(*shape, window=(1, 8, 8), edges="appended"))
        assert layout.order.tolist() == slow_appended(shape)

    def test_first_frame_and_loose_tokens_are_where_they_stand(self, shape):
        video = VideoGrid(*shape)
        for order in ORDERS:
            layout = TokenLayout.of(LooseTokens(3), video, LooseTokens(2), order=order)
            number, count = layout.order, layout.tokens
            assert layout.loose.tolist() == ((number < 3) | (number >= count - 2)).tolist()
            first = (number >= 3) & (number < 3 + shape[1] * shape[2]) & (shape[0] > 1)
            assert layout.first.tolist() == first.tolist()


def test_a_block_of_windows_is_compact_in_space_and_time():
    layout = TokenLayout.of(VideoGrid(9, 16, 32))
    place = torch.stack(torch.unravel_index(layout.order, (9, 16, 32)), -1)
    spans = [block.amax(0) - block.amin(0) + 1 for block in place.split(64)]
    assert {tuple(span.tolist()) for span in spans[:8]} == {(1, 4, 16)}
    assert {tuple(span.tolist()) for span in spans[8:]} == {(2, 4, 8)}


def test_a_motion_block_holds_four_joints_over_sixteen_frames():
    layout = TokenLayout.of(MotionGrid(33, 8))
    place = torch.stack(torch.unravel_index(layout.order, (33, 8)), -1)[8:]
    assert {tuple((b.amax(0) - b.amin(0) + 1).tolist()) for b in place.split(64)} == {(16, 4)}


def test_equal_arguments_share_one_layout():
    assert TokenLayout.of(VideoGrid(3, 5, 7)) is TokenLayout.of(VideoGrid(3, 5, 7))


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ((), r"\[\]"),
        ((VideoGrid(0, 4, 4),), r"\(0, 4, 4\)"),
        ((LooseTokens(0),), r"\(0,\)"),
        ((VideoGrid(4.0, 4, 4),), r"\(4.0, 4, 4\)"),
        ((VideoGrid(2, 4, 4, window=(0, 1, 1)),), r"\(0, 1, 1\)"),
        ((VideoGrid(2, 4, 4, window=(2, 4)),), r"window \(2, 4\): give a tuple of 3"),
        ((VideoGrid(2, 4, 4, window=[2, 4, 8]),), r"window \[2, 4, 8\]: give a tuple of 3"),
        ((MotionGrid(2, 4, window=(2, 4, 8)),), r"window \(2, 4, 8\): give a tuple of 2"),
        ((VideoGrid(2, 4, 4, edges="append"),), "edges 'append': choose one of short, appended"),
    ],
)
def test_what_cannot_be_laid_out_is_named(segments, said):
    with pytest.raises(UsageError, match=said):
        TokenLayout.of(*segments)


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert TokenLayout.of(LooseTokens(np.int64(3)), VideoGrid(*np.array([2, 4, 8]))).tokens == 67


def test_an_order_that_there_is_not_is_named():
    with pytest.raises(UsageError, match="order 'frame': choose one of windows, frames, pixels"):
        TokenLayout.of(VideoGrid(4, 4, 4), order="frame")


@pytest.mark.parametrize("runs", [(1,), (63,), (65, 3), (64, 128), (1, 1, 200)])
class TestBlocks:
    def test_no_block_crosses_a_run(self, runs):
        blocks = Blocks.cut(runs, 64)
        run = torch.arange(len(runs)).repeat_interleave(torch.tensor(runs))
        for number, length in enumerate(blocks.lengths.tolist()):
            inside = blocks.block == number
            assert int(inside.sum()) == length <= 64
            assert len(run[inside].unique()) == 1

    def test_split_and_join(self, runs, normal):
        blocks, x = Blocks.cut(runs, 64), normal(2, 3, sum(runs), 5)
        tiles = blocks.split(x)
        assert tiles.shape == (2, 3, blocks.count, 64, 5)
        torch.testing.assert_close(blocks.join(tiles), x, rtol=0, atol=0)
        torch.testing.assert_close(tiles.sum((-2, -3)), x.sum(-2), rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_means_are_those_of_float32_rounded(self, runs, dtype, normal, generator):
        blocks, x = Blocks.cut(runs, 64), normal(2, 3, sum(runs), 5, dtype=dtype)
        allowed = torch.rand(2, sum(runs), generator=generator) < 0.6
        for given in (None, allowed):
            found = blocks.means(x, given)
            assert found.dtype == torch.float32
            for item, number in itertools.product(range(2), range(blocks.count)):
                inside = blocks.block == number
                inside = inside if given is None else inside & allowed[item]
                rows = x[item][:, inside].float()
                want = rows.mean(1) if len(rows[0]) else torch.zeros(3, 5)
                # Of few allowed keys, the mean over all 64 rows is rounded before it is enlarged.
                rounding = {torch.float32: 1e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
                torch.testing.assert_close(
                    found[item, :, number], want, atol=rounding, rtol=rounding
                )
