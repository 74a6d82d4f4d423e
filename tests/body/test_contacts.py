"""Which feet stand, in clean and in noisy motion, and the ranges they stand in."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.body.contacts import lower_foot, segments, smoothed_speed, standing_feet

SOLE = np.array((0.02, 0.02))


def _steps(frames: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Feet (T, 2, 3) that take turns of 20 frames standing and 20 swinging 70 cm, and the truth."""
    t = np.arange(frames)
    feet, stands = np.zeros((frames, 2, 3)), np.zeros((frames, 2), bool)
    for side, offset in ((0, 0), (1, 20)):
        phase, cycle = (t + offset) % 40, (t + offset) // 40
        share = np.clip(phase - 20, 0, None) / 20
        share = share * share * (3 - 2 * share)
        feet[:, side, 0] = 0.7 * (cycle + share)
        feet[:, side, 2] = 0.02 + 0.14 * np.sin(np.pi * share)
        stands[:, side] = phase < 20
    return feet, stands


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.015])
def test_stands_are_found_under_noise(noise: float) -> None:
    feet, truth = _steps()
    g = np.random.default_rng(0)
    kernel = np.ones(5) / 5
    shake = np.stack(
        [np.convolve(c, kernel, "same") for c in g.normal(0, noise * 5**0.5, (6, 160))], -1
    )
    found = standing_feet(feet + shake.reshape(160, 2, 3), sole=SOLE, fps=30.0) > 0
    assert (found == truth).mean() > 0.85
    assert found[truth].mean() > 0.95


def test_the_lower_foot_stands_in_a_walk_seen_from_the_pelvis() -> None:
    feet, truth = _steps()
    pelvis = feet.mean(1, keepdims=True) + np.array((0, 0, 0.9))
    found = lower_foot(feet - pelvis, sole=SOLE) > 0
    assert found.any(-1).all()
    assert found[truth].mean() > 0.98


def test_a_foot_held_still_in_the_air_does_not_stand() -> None:
    feet = np.zeros((60, 2, 3))
    feet[:, 0, 2], feet[:, 1, 2] = 0.02, 0.35
    found = standing_feet(feet, sole=SOLE, fps=30.0)
    assert found[:, 0].all() and not found[:, 1].any()


def test_speed_is_that_of_a_steady_foot_at_any_rate_and_zero_for_one_frame() -> None:
    for fps in (24.0, 60.0):
        feet = np.zeros((30, 2, 3))
        feet[:, 0, 1] = 1.3 * np.arange(30) / fps
        speed = smoothed_speed(feet, fps=fps)
        np.testing.assert_allclose(speed, [[1.3, 0.0]] * 30, atol=1e-9)
    assert smoothed_speed(np.ones((1, 2, 3)), fps=30.0).tolist() == [[0.0, 0.0]]


def test_segments_twin() -> None:
    on = np.random.default_rng(1).uniform(size=50) > 0.4
    slow, start = [], None
    for i, value in enumerate([*on, False]):
        if value and start is None:
            start = i
        if not value and start is not None:
            slow.append((start, i))
            start = None
    assert segments(on) == slow
    assert segments(np.zeros(5, bool)) == []
