"""RainFusion: planted heads are told apart, and each type attends what its definition says."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from humanmotion.attention.gather import attend_gather
from humanmotion.attention.head_types import SPATIAL, TEMPORAL, TEXTURAL, head_types, main_grid
from humanmotion.attention.layout import LooseTokens, MotionGrid, TokenLayout, VideoGrid
from humanmotion.attention.problem import Problem
from humanmotion.attention.rainfusion import RainFusion
from humanmotion.attention.reference import attend_reference
from humanmotion.errors import UsageError

GRID = (9, 6, 8)
TEXT = 5
SEGMENTS = (LooseTokens(TEXT), VideoGrid(*GRID))
SIZE = 64


def problem(segments=SEGMENTS, *, key_mask=None, tail=False, executor=attend_gather):
    layout = TokenLayout.of(*segments)
    return Problem(layout, layout, key_mask, SIZE**-0.5, tail, executor)


def waves(places, length):
    """Unit features `(N, SIZE)` whose products peak where places along one axis are near."""
    angle = places[:, None] / length * math.pi * torch.arange(1, SIZE // 2 + 1)
    return torch.cat((angle.cos(), angle.sin()), 1) / math.sqrt(SIZE / 2)


def planted(kind, normal):
    """Queries and keys `(N, SIZE)` of one head that attends as its type says."""
    count = math.prod(GRID)
    place = torch.arange(count)
    frame, within = place // (GRID[1] * GRID[2]), place % (GRID[1] * GRID[2])
    if kind == TEMPORAL:
        both = waves(within, GRID[1] * GRID[2])
        q, k = both, both
    elif kind == SPATIAL:
        both = waves(frame, GRID[0])
        q, k = both, both
    else:
        liked = (place * 7919) % 11 == 0
        k = torch.zeros(count, SIZE)
        k[liked, 0] = 1
        q = torch.zeros(count, SIZE)
        q[:, 0] = 1
    noise = [0.02 * normal(count, SIZE) for _ in range(2)]
    text = torch.zeros(TEXT, SIZE)
    return [torch.cat((text, 10 * (x + n))) for x, n in zip((q, k), noise, strict=True)]


class TestTypes:
    def test_planted_heads_are_told_apart(self, normal, generator):
        kinds = torch.randint(3, (4, 12), generator=generator)
        heads = [[planted(int(kind), normal) for kind in row] for row in kinds]
        q, k = (
            torch.stack([torch.stack([head[side] for head in row]) for row in heads])
            for side in (0, 1)
        )
        found = head_types(q, k, SEGMENTS, half_width=0.2, recall=0.9)
        assert torch.equal(found, kinds)

    def test_scores_that_are_shared_are_textural(self, normal):
        q = torch.zeros(1, 2, math.prod(GRID) + TEXT, 4)
        assert (head_types(q, q, SEGMENTS, half_width=0.2, recall=0.9) == TEXTURAL).all()

    def test_a_band_as_wide_as_everything_is_temporal(self, normal):
        q = normal(1, 2, math.prod(GRID) + TEXT, 4)
        assert (head_types(q, q, SEGMENTS, half_width=1.0, recall=0.9) == TEMPORAL).all()

    def test_grouped_heads_read_their_key_head(self, normal):
        heads = [planted(kind, normal) for kind in (TEMPORAL, SPATIAL)]
        q = torch.stack([heads[0][0], heads[0][0], heads[1][0], heads[1][0]])[None]
        k = torch.stack([heads[0][1], heads[1][1]])[None]
        found = head_types(q, k, SEGMENTS, half_width=0.2, recall=0.9)
        assert found.tolist() == [[TEMPORAL, TEMPORAL, SPATIAL, SPATIAL]]

    def test_the_largest_grid_is_judged(self):
        segments = (MotionGrid(3, 4), LooseTokens(40), VideoGrid(2, 3, 4), MotionGrid(5, 2))
        assert main_grid(segments) == (52, (2, 3, 4))
        with pytest.raises(UsageError, match="hold no grid"):
            main_grid((LooseTokens(3),))


def slow_mask(method, kind):
    """Pairs of tokens of SEGMENTS that a head of a type may attend at the least, and at the most."""
    frames, height, width = GRID
    size, later = height * width, (frames - 1) * height * width
    least = torch.zeros(size * frames + TEXT, size * frames + TEXT, dtype=torch.bool)
    number = torch.arange(later)
    frame, within = number // size, number % size
    place = number if kind == SPATIAL else within * (frames - 1) + frame
    apart = (place[:, None] - place).abs()
    reach = int(method.half_width * later)
    most = least.clone()
    least[TEXT + size :, TEXT + size :] = apart <= reach
    most[TEXT + size :, TEXT + size :] = apart <= reach + sum(method.block)
    for mask in (least, most):
        mask[: TEXT + size] = True
        mask[:, : TEXT + size] = True
    return least, most


@pytest.mark.parametrize("kind", [SPATIAL, TEMPORAL])
@pytest.mark.parametrize("sparsity", [0.5, 0.64, 0.9])
def test_a_band_is_what_it_says_widened_to_whole_blocks(kind, sparsity):
    method = RainFusion(sparsity=sparsity, block=(16, 8))
    rows = torch.arange(math.prod(GRID) + TEXT)
    kept = method.kept(torch.tensor([[kind]]), rows=rows, problem=problem())[0, 0]
    least, most = slow_mask(method, kind)
    assert not (least & ~kept).any() and not (kept & ~most).any()
    assert kept.any() and not kept.all()


def test_a_textural_head_reads_a_checkerboard_that_frames_complete():
    method = RainFusion(stride=2)
    rows = torch.tensor([0, 300])
    kept = method.kept(torch.tensor([[TEXTURAL]]), rows=rows, problem=problem())[0, 0]
    assert torch.equal(kept[0], kept[1])
    board = kept[0, TEXT:].reshape(GRID)
    assert kept[0, :TEXT].all() and board[0].all()
    for frame in range(1, GRID[0]):
        assert (board[frame, 1:] ^ board[frame, :-1]).all()
        assert (board[frame, :, 1:] ^ board[frame, :, :-1]).all()
        assert frame == 1 or (board[frame] ^ board[frame - 1]).all()


@pytest.mark.parametrize("masked", [False, True])
def test_heads_of_all_types_together_equal_masked_dense_attention(masked, normal, generator):
    tokens = math.prod(GRID) + TEXT
    q, k, v = normal(3, 4, tokens, SIZE), normal(3, 2, tokens, SIZE), normal(3, 2, tokens, 24)
    key_mask = torch.rand(3, tokens, generator=generator) < 0.6 if masked else None
    types = torch.randint(3, (3, 4), generator=generator)
    method, given = RainFusion(block=(32, 16)), problem(key_mask=key_mask)
    kept = method.kept(types, rows=torch.arange(tokens), problem=given)
    torch.testing.assert_close(
        method.density(types, given), kept.double().mean(), atol=1e-9, rtol=0
    )
    if masked:
        kept = kept & key_mask[:, None, None]
    want = scaled_dot_product_attention(q, k, v, attn_mask=kept, enable_gqa=True)
    for executor in (attend_gather, attend_reference):
        given = problem(key_mask=key_mask, executor=executor)
        found = method.attend(q, k, v, prediction=types, problem=given)
        torch.testing.assert_close(found, want, atol=2e-6, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
def test_a_tail_stands_for_what_a_textural_head_leaves_out(masked, normal, generator):
    tokens = math.prod(GRID) + TEXT
    q, k, v = normal(2, 2, tokens, SIZE), normal(2, 2, tokens, SIZE), normal(2, 2, tokens, 24)
    key_mask = torch.rand(2, tokens, generator=generator) < 0.6 if masked else None
    method, types = RainFusion(block=(32, 16)), torch.full((2, 2), TEXTURAL)
    found = method.attend(q, k, v, prediction=types, problem=problem(key_mask=key_mask, tail=True))
    kept = method.kept(types[:1, :1], rows=torch.tensor([0]), problem=problem())[0, 0, 0]
    order, blocks = method.textural_rest(SEGMENTS, torch.device("cpu"))
    assert torch.equal(order.sort().values, (~kept).nonzero()[:, 0])
    allowed = torch.ones(2, tokens, dtype=torch.bool) if key_mask is None else key_mask
    for item in range(2):
        # Every key that is left out becomes the mean of the allowed ones of its block.
        keys, values = k[item].clone(), v[item].clone()
        for block in range(blocks.count):
            inside = order[blocks.block == block]
            inside = inside[allowed[item, inside]]
            for x in (keys, values):
                x[:, inside] = x[:, inside].mean(1, keepdim=True)
        mask = allowed[item].expand(1, tokens)
        want = scaled_dot_product_attention(q[item], keys, values, attn_mask=mask)
        torch.testing.assert_close(found[item], want, atol=2e-6, rtol=0)


@pytest.mark.parametrize("tail", [False, True])
def test_where_chosen_keys_are_all_forbidden_the_others_are_attended(tail, normal):
    tokens = math.prod(GRID) + TEXT
    q, method, types = normal(3, 1, tokens, SIZE), RainFusion(), torch.full((3, 1), TEXTURAL)
    kept = method.kept(types[:1], rows=torch.tensor([0]), problem=problem())[0, 0, 0]
    key_mask = torch.stack((~kept, torch.ones_like(kept), torch.zeros_like(kept)))
    given = problem(key_mask=key_mask, tail=tail)
    found = method.attend(q, q, q, prediction=types, problem=given)
    want = scaled_dot_product_attention(*(q[:1],) * 3, attn_mask=key_mask[:1, None, None])
    torch.testing.assert_close(found[:1], want, atol=2e-6, rtol=0)
    assert found[1].any() and not found[2].any()


@pytest.mark.parametrize("kind", [SPATIAL, TEMPORAL, TEXTURAL])
@pytest.mark.parametrize("executor", [attend_gather, attend_reference])
def test_no_query_is_left_without_an_allowed_key(kind, executor, normal):
    tokens = math.prod(GRID) + TEXT
    q, k, v = (normal(2, 2, tokens, SIZE) for _ in range(3))
    method, types = RainFusion(sparsity=0.9, block=(16, 8)), torch.full((2, 2), kind)
    # Of the first item only one token is allowed: none of the text, the first frame or the board.
    key_mask = torch.ones(2, tokens, dtype=torch.bool)
    key_mask[0] = torch.arange(tokens) == TEXT + 8 * 48 + 1
    given = problem(key_mask=key_mask, executor=executor)
    found = method.attend(q, k, v, prediction=types, problem=given)
    torch.testing.assert_close(found[0], v[0, :, None, TEXT + 8 * 48 + 1].expand_as(found[0]))
    kept = method.kept(types, rows=torch.arange(tokens), problem=given)
    torch.testing.assert_close(method.density(types, given), kept.double().mean())
    kept = kept & key_mask[:, None, None]
    assert kept.any(-1).all()
    want = scaled_dot_product_attention(q, k, v, attn_mask=kept)
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)


def test_tokens_of_different_grids_all_attend_each_other(normal):
    segments = (LooseTokens(3), VideoGrid(5, 4, 6), MotionGrid(40, 3), VideoGrid(1, 3, 5))
    given, method = problem(segments), RainFusion(sparsity=0.9, block=(16, 8))
    sizes = [math.prod(s.shape) for s in segments]
    grid = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    q, k, v = (normal(1, 2, sum(sizes), SIZE) for _ in range(3))
    types = torch.tensor([[SPATIAL, TEMPORAL]])
    kept = method.kept(types, rows=torch.arange(sum(sizes)), problem=given)
    assert kept[..., grid[:, None] != grid].all() and not kept.all()
    assert not kept[..., grid == 1, :][..., grid == 1].all()
    torch.testing.assert_close(method.density(types, given), kept.double().mean())
    found = method.attend(q, k, v, prediction=types, problem=given)
    want = scaled_dot_product_attention(q, k, v, attn_mask=kept)
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)


def test_one_type_of_heads_is_enough(normal):
    tokens = math.prod(GRID) + TEXT
    q = normal(1, 2, tokens, SIZE)
    for kind in (SPATIAL, TEMPORAL, TEXTURAL):
        types = torch.full((1, 2), kind)
        out = RainFusion().attend(q, q, q, prediction=types, problem=problem())
        assert out.shape == q.shape and out.isfinite().all()


def test_predictions_follow_the_sparsity(normal):
    heads = [planted(kind, normal) for kind in (TEMPORAL, SPATIAL, TEXTURAL)]
    q, k = (torch.stack([head[side] for head in heads])[None] for side in (0, 1))
    found = RainFusion(sparsity=0.64).predict(q, k, problem())
    assert found.tolist() == [[TEMPORAL, SPATIAL, TEXTURAL]]


def test_a_still_picture_has_no_sink(normal):
    given, method = problem((VideoGrid(1, 6, 8),)), RainFusion(sparsity=0.8, block=(16, 8))
    q, types = normal(1, 3, 48, SIZE), torch.tensor([[TEMPORAL, SPATIAL, TEXTURAL]])
    kept = method.kept(types, rows=torch.arange(48), problem=given)
    assert (kept.double().mean((-1, -2)) < 0.8).all()
    out = method.attend(q, q, q, prediction=types, problem=given)
    want = scaled_dot_product_attention(q, q, q, attn_mask=kept)
    torch.testing.assert_close(out, want, atol=2e-6, rtol=0)
    assert method.predict(q, q, given).shape == (1, 3)


def test_cross_attention_is_refused(normal):
    given = Problem(
        TokenLayout.of(VideoGrid(2, 2, 2)), TokenLayout.of(LooseTokens(4)), None, 1.0, False,
        attend_gather,
    )  # fmt: skip
    with pytest.raises(UsageError, match="same tokens"):
        RainFusion().predict(normal(1, 1, 8, 4), normal(1, 1, 4, 4), given)


@pytest.mark.parametrize(
    "numbers",
    [
        {"sparsity": 1.0},
        {"recall": 1.5},
        {"stride": 0},
        {"sparsity": -0.5},
        {"block": (0, 64)},
        {"block": (64,)},
        {"block": (64.0, 64)},
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(numbers):
    with pytest.raises(UsageError):
        RainFusion(**numbers)
