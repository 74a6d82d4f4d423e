"""Closed forms and laws of acceleration and jitter."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import (
    acceleration,
    acceleration_error,
    acceleration_peaks,
    jitter,
    low_passed,
)


def _fall(fps: float, frames: int = 40) -> torch.Tensor:
    t = torch.arange(frames).double() / fps
    path = torch.stack((t, 0 * t, 5 - 0.5 * 9.81 * t**2), -1)
    return path[:, None] + torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("fps", [24.0, 30.0, 120.0])
def test_free_fall_has_gravity_and_no_jitter_at_any_rate(fps: float) -> None:
    joints = _fall(fps)
    assert torch.allclose(
        acceleration(joints, fps=fps), torch.tensor((0.0, 0.0, -9.81)).double(), atol=1e-8
    )
    assert jitter(joints, fps=fps).max() < 1e-6


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_jitter_of_a_cubic_is_its_third_derivative(lead: tuple[int, ...]) -> None:
    t = torch.arange(20).double() / 30
    joints = (2.0 * t**3)[:, None, None] * torch.tensor((0.6, 0.8, 0.0)).double()
    got = jitter(joints.expand(*lead, 20, 4, 3), fps=30.0)
    assert got.shape == (*lead, 17)
    assert torch.allclose(got, torch.full_like(got, 12.0), atol=1e-6)


def test_acceleration_error_ignores_what_the_root_does_only_when_told() -> None:
    joints = _fall(30.0)
    swayed = joints + (torch.arange(40).double() ** 2)[:, None, None]
    assert acceleration_error(swayed, joints, fps=30.0).max() < 1e-6
    world = acceleration_error(swayed, joints, fps=30.0, root=None)
    assert torch.allclose(world, torch.full_like(world, 2 * 900 * 3**0.5))


def test_acceleration_error_twin() -> None:
    g = torch.Generator().manual_seed(1)
    a, b = (torch.randn(7, 4, 3, generator=g).double() for _ in range(2))
    x, y = a - (a[:, 1:2] + a[:, 2:3]) / 2, b - (b[:, 1:2] + b[:, 2:3]) / 2
    fast = acceleration_error(a, b, fps=30.0)
    for t in range(5):
        d = [(x[t, j] - 2 * x[t + 1, j] + x[t + 2, j]) - (y[t, j] - 2 * y[t + 1, j] + y[t + 2, j])
             for j in range(4)]  # fmt: skip
        assert float(fast[t]) == pytest.approx(sum(float(v.norm()) for v in d) / 4 * 900)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(UsageError, match="T >= 4"):
        jitter(torch.zeros(3, 5, 3), fps=30.0)


def test_a_low_pass_keeps_what_people_do_and_takes_what_shakes() -> None:
    time = torch.arange(200).double() / 30

    def swing(hertz: float) -> torch.Tensor:
        return torch.sin(2 * torch.pi * hertz * time)[:, None, None].expand(-1, 22, 3)

    slow, fast = (low_passed(swing(f), fps=30.0) for f in (1.0, 12.0))
    inside = slice(30, -30)
    assert torch.allclose(slow[inside], swing(1.0)[inside], atol=0.01)
    assert float(fast[inside].abs().max()) < 0.05
    both = low_passed(swing(1.0) + swing(12.0), fps=30.0)
    assert torch.allclose(both, slow + fast, atol=1e-9)
    with pytest.raises(UsageError, match="T >= 10"):
        low_passed(swing(1.0)[:9], fps=30.0)


@pytest.mark.parametrize("fps", [20.0, 30.0])
def test_a_peak_at_a_frame_is_told_and_one_elsewhere_is_not(fps) -> None:
    t = torch.arange(80) / fps
    calm = (torch.sin(3 * t) * 0.1)[:, None, None].repeat(1, 22, 3)
    near = 19 + round(0.25 * fps)
    assert acceleration_peaks(calm, [19], fps=fps)[0] < 1.5
    for at, high in ((19, True), (near, True), (60, False)):
        hit = calm.clone()
        hit[at] += 0.05
        # Three accelerations in eighty are no usual ones.
        assert (acceleration_peaks(hit, [19], fps=fps)[0] > 1.5) is high
