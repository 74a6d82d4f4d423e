"""Rotary positions: lengths stay, only differences of positions count, the order costs nothing."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.attention.layout import LooseTokens, MotionGrid, TokenLayout, VideoGrid
from humanmotion.attention.rope import Rotary, grid_positions
from humanmotion.errors import UsageError

CHANNELS = (4, 6, 8)
SIZE = sum(CHANNELS)


def slow_turn(x, positions):
    """One token and pair at a time, as complex numbers."""
    out = torch.zeros_like(x)
    for token in range(len(x)):
        start = 0
        for axis, count in enumerate(CHANNELS):
            for pair in range(count // 2):
                angle = float(positions[token, axis]) * 10000.0 ** (-2 * pair / count)
                at = start + 2 * pair
                number = complex(*x[token, at : at + 2].tolist())
                number *= complex(math.cos(angle), math.sin(angle))
                out[token, at : at + 2] = torch.tensor([number.real, number.imag])
            start += count
    return out


def test_equals_complex_rotation(normal):
    x, positions = normal(7, SIZE), 30 * normal(7, 3)
    found = Rotary.of(positions, channels=CHANNELS).turn(x)
    torch.testing.assert_close(found, slow_turn(x, positions), atol=2e-5, rtol=0)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lengths_stay_and_the_origin_turns_nothing(batch, dtype, normal):
    x = normal(*batch, 5, SIZE, dtype=dtype)
    turned = Rotary.of(9 * normal(5, 3), channels=CHANNELS).turn(x)
    assert turned.dtype == dtype and turned.shape == x.shape
    close = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), rtol=close, atol=close)
    assert torch.equal(Rotary.of(torch.zeros(5, 3), channels=CHANNELS).turn(x), x)


def test_only_differences_of_positions_count(normal):
    q, k, positions = normal(6, SIZE), normal(6, SIZE), 5 * normal(6, 3)
    scores = []
    for shift in (torch.zeros(3), torch.tensor([0.37, -2.5, 11.0])):
        rotary = Rotary.of(positions + shift, channels=CHANNELS)
        scores.append(rotary.turn(q) @ rotary.turn(k).T)
    torch.testing.assert_close(scores[0], scores[1], atol=2e-4, rtol=0)


@pytest.mark.parametrize("axis", range(3))
def test_an_axis_turns_its_own_channels(axis, normal):
    x, positions = normal(4, SIZE), torch.zeros(4, 3)
    positions[:, axis] = torch.tensor([0.5, 1.0, 2.0, -3.0])
    changed = (Rotary.of(positions, channels=CHANNELS).turn(x) != x).all(0)
    start = sum(CHANNELS[:axis])
    assert changed.nonzero()[:, 0].tolist() == list(range(start, start + CHANNELS[axis]))


def test_tables_in_the_order_of_places(normal):
    layout = TokenLayout.of(LooseTokens(3), VideoGrid(3, 5, 7), MotionGrid(5, 3))
    rotary = Rotary.of(grid_positions(layout, spacing=(0.04, 1.0, 1.0)), channels=CHANNELS)
    x = normal(2, layout.tokens, SIZE)
    found = rotary.permuted(layout).turn(layout.permute(x))
    assert torch.equal(found, layout.permute(rotary.turn(x)))


def test_positions_of_a_grid():
    layout = TokenLayout.of(LooseTokens(1), VideoGrid(2, 2, 3), MotionGrid(2, 2))
    found = grid_positions(layout, spacing=(0.5, 1.0, 2.0)).tolist()
    assert found[0] == [0, 0, 0] and found[1:4] == [[0, 0, 0], [0, 0, 2], [0, 0, 4]]
    assert found[12] == [0.5, 1, 4] and found[-1] == [0.5, 1, 0]


@pytest.mark.parametrize(
    ("positions", "channels", "said"),
    [((5, 2), CHANNELS, r"\(5, 2\)"), ((5, 3), (3, 2, 2), "even"), ((5, 3), (0, 0, 0), "above 0")],
)
def test_what_cannot_be_is_refused(positions, channels, said):
    with pytest.raises(UsageError, match=said):
        Rotary.of(torch.zeros(positions), channels=channels)


def test_a_tensor_of_another_size_is_named():
    rotary = Rotary.of(torch.zeros(5, 3), channels=CHANNELS)
    with pytest.raises(UsageError, match=r"\(1, 4, 18\)"):
        rotary.turn(torch.zeros(1, 4, SIZE))


def test_tables_follow_the_tensor_to_its_device():
    rotary = Rotary.of(torch.zeros(5, 1), channels=(4,))
    assert rotary.to("meta").cos.device.type == rotary.to("meta").sin.device.type == "meta"
    assert rotary.turn(torch.zeros(2, 5, 4, device="meta")).device.type == "meta"
