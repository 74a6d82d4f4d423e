"""What people stand on, from heights whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.recovery.support import LEAST_STEP, support_level

FPS = 30.0
SEEN = np.ones(120, bool)


def _noise(scale: float = 0.1) -> np.ndarray:
    return scale * np.random.default_rng(0).normal(size=120)


@pytest.mark.parametrize("base", [-1.6, 0.0, 40.0])
def test_a_flat_floor_stays_the_floor_whatever_its_height(base: float) -> None:
    assert not support_level(base + _noise(), seen=SEEN, fps=FPS).any()


def test_a_hop_is_no_stage() -> None:
    height = _noise(0.02)
    height[50:65] += 1.2 * np.sin(np.linspace(0, np.pi, 15))
    assert not support_level(height, seen=SEEN, fps=FPS).any()


def test_a_roof_and_the_ground_below_it() -> None:
    height = np.where(np.arange(120) < 70, 2.5, 0.0) + _noise(0.03)
    level = support_level(height, seen=SEEN, fps=FPS)
    assert np.abs(level[:60] - 2.5).max() < 0.1
    assert not level[85:].any()
    assert (np.diff(level[60:85]) < 0.1).all()  # it only goes down


def test_lower_ground_of_a_known_floor() -> None:
    level = support_level(-2.0 + _noise(0.03), seen=SEEN, fps=FPS, floor=0.0)
    assert np.abs(level + 2.0).max() < 0.1


def test_small_heights_are_drift() -> None:
    height = np.linspace(0, 0.9 * LEAST_STEP, 120)
    assert not support_level(height, seen=SEEN, fps=FPS).any()


def test_unseen_frames_take_what_is_around() -> None:
    height = np.where(np.arange(120) < 60, 2.0, 0.0)
    seen = SEEN.copy()
    seen[50:70] = False
    height[50:70] = 99.0
    level = support_level(height, seen=seen, fps=FPS)
    assert level.max() < 2.1
    assert not support_level(height, seen=np.zeros(120, bool), fps=FPS).any()
