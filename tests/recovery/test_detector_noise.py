"""A made-up detector: exact when it does not err, and erring as much as it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.camera import looking_at
from humanmotion.recovery.detector_noise import (
    HIPS,
    NONE,
    DetectorNoise,
    detect,
    exchanged,
    facing_away,
    watch,
)
from humanmotion.recovery.initial_pose import NAMES
from humanmotion.recovery.self_occlusion import CAPSULES, CLEAR, hidden_by_body
from humanmotion.recovery.virtual_cameras import draw_cameras, film

FPS = 30.0
SIZE = (640, 360)


@pytest.fixture(scope="module")
def walker(body, walk):
    rotations, transl = walk[0][:60], walk[1][:60]
    joints = body.joints(rotations, transl=transl)
    return body.landmarks("mediapipe_33", rotations, transl=transl), joints


def _many(walker, noise: DetectorNoise, count: int = 200, seed: int = 0):
    marks, joints = (x.expand(count, *x.shape) for x in walker)
    generator = torch.Generator().manual_seed(seed)
    azimuth = 6.28 * torch.rand(count, generator=generator)
    _, camera = draw_cameras(joints[:, :, 0], azimuth, fps=FPS, size=SIZE, generator=generator)
    found = detect(marks, joints, camera, fps=FPS, noise=noise, generator=generator)
    true = camera.project(marks.flatten(0, 1)).unflatten(0, (count, 60))
    return found, true, camera


def test_without_error_it_says_what_is_there(walker) -> None:
    marks, joints = walker
    generator = torch.Generator().manual_seed(0)
    shots = film(joints[:, 0], cuts=(30,), fps=FPS, size=SIZE, generator=generator)
    seen = watch(marks, joints, shots, fps=FPS, noise=NONE, generator=generator)
    for shot in shots:
        part = slice(shot.start, shot.stop)
        there = seen.seen[part]
        torch.testing.assert_close(seen.xy[part][there], shot.camera.project(marks[part])[there])
        inside = shot.camera.to_camera(marks[part])
        hips = inside[:, list(HIPS)].mean(1, keepdim=True)
        true = (inside - hips) @ looking_at(hips[:, 0])
        torch.testing.assert_close(seen.xyz[part][there], true[there], atol=1e-5, rtol=0)


def test_errors_have_the_size_that_is_given(walker) -> None:
    only = replace(NONE, bias=0.01, noise=(0.004, 0.004, 0.004), hidden_factor=1.0)
    (xy, confidence, _), true, _ = _many(walker, only)
    size = (true.amax(-2) - true.amin(-2)).amax(-1)[..., None, None]
    error = ((xy - true) / size)[confidence > 0]
    assert float(error.std()) == pytest.approx((0.01**2 + 0.004**2) ** 0.5, rel=0.05)
    doubled = replace(only, scale=2.0)
    (xy2, confidence2, _), true2, _ = _many(walker, doubled)
    again = ((xy2 - true2) / size)[confidence2 > 0]
    assert float(again.std()) == pytest.approx(2 * float(error.std()), rel=1e-3)


def test_confidence_falls_with_the_error_but_does_not_tell_it(walker) -> None:
    (xy, confidence, _), true, _ = _many(walker, DetectorNoise())
    size = (true.amax(-2) - true.amin(-2)).amax(-1)[..., None]
    there = confidence > 0
    error = ((xy - true).norm(dim=-1) / size)[there]
    ranks = torch.stack([x.argsort().argsort().float() for x in (-error, confidence[there])])
    assert 0.25 < float(torch.corrcoef(ranks)[0, 1]) < 0.75


def test_what_is_out_of_the_picture_is_not_sure(walker) -> None:
    (xy, confidence, _), _, _ = _many(walker, DetectorNoise())
    inside = ((xy >= 0) & (xy < torch.tensor(SIZE))).all(-1)
    assert float(confidence[~inside].max()) <= 0.2


def test_a_back_taken_for_a_front_leaves_the_picture_as_it_is(walker) -> None:
    always = replace(NONE, flip_chance=1.0)
    (xy, _, xyz), _, camera = _many(walker, always)
    (plain, _, xyz0), _, _ = _many(walker, NONE)
    body = camera.to_camera(walker[1].expand(200, *walker[1].shape).flatten(0, 1))
    back = (facing_away(body).unflatten(0, (200, 60)) > 0.3).float().mean(-1) > 0.5
    assert 0.2 < float(back.float().mean()) < 0.6
    everywhere = torch.ones(200, 60, 33, dtype=torch.bool)
    torch.testing.assert_close(xy[back], exchanged(plain, everywhere)[back])
    torch.testing.assert_close(xy[~back], plain[~back])
    turned = exchanged(xyz0, everywhere) * torch.tensor((1.0, 1.0, -1.0))
    torch.testing.assert_close(xyz[back], turned[back])


def test_twins_are_exchanged_and_exchanging_twice_does_nothing() -> None:
    values = torch.randn(3, 33, 2)
    where = torch.ones(3, 33, dtype=torch.bool)
    once = exchanged(values, where)
    assert torch.equal(exchanged(once, where), values)
    left, right = NAMES.index("left_wrist"), NAMES.index("right_wrist")
    assert torch.equal(once[:, left], values[:, right])
    assert torch.equal(once[:, 0], values[:, 0])


def test_hidden_points_are_those_behind_a_sampled_limb(walker) -> None:
    """The slow twin walks along every line of sight."""
    (_, _, _), _, camera = _many(walker, NONE, count=4)
    marks = camera.to_camera(walker[0].expand(4, *walker[0].shape).flatten(0, 1))[::20]
    joints = camera.to_camera(walker[1].expand(4, *walker[1].shape).flatten(0, 1))[::20]
    found = hidden_by_body(marks, joints)
    disagree = 0
    for t in range(len(marks)):
        for j in range(33):
            length = float(marks[t, j].norm())
            steps = torch.arange(0.3, max(length - CLEAR, 0.3), 0.004)
            points = marks[t, j] / length * steps[:, None]
            slow = False
            for first, last, radius in CAPSULES:
                ahead = steps < length - CLEAR - radius
                a, b = joints[t, first], joints[t, last]
                share = ((points - a) @ (b - a) / (b - a).square().sum()).clamp(0, 1)
                apart = (points - a - share[:, None] * (b - a)).norm(dim=-1)
                slow |= bool(((apart < radius) & ahead).any())
            disagree += slow != bool(found[t, j])
    # The fast way asks where the line comes nearest, the slow one whether it comes near at all.
    assert disagree <= 0.03 * marks.shape[0] * 33
    assert 0.02 < float(found.float().mean()) < 0.6
