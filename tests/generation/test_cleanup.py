"""Clean-up: sliding and sinking fall, clean motion stays, what was hit stays hit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.body.planting import BLEND_SECONDS, fade
from humanmotion.errors import UsageError
from humanmotion.generation.cleanup import (
    CLEAR,
    LONGEST_BLEND,
    MOST_HELD,
    PUSH,
    SHORTEST,
    _blend,
    _near,
    _shifts,
    cleaned,
    held,
)
from humanmotion.generation.control import Control, frames_at
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.metrics import floor_penetration, foot_contact, foot_sliding, jitter
from humanmotion.motion import Motion
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix


@pytest.fixture(scope="module")
def walk(body) -> Motion:
    return walking_motion(body, seconds=4)


def skated(walk: Motion, speed: float, sunk: float) -> Motion:
    """The walk on a floor that slides away under it, and lower by `sunk`."""
    drift = torch.zeros_like(walk.transl)
    drift[:, 0], drift[:, 2] = speed * walk.times.float(), -sunk
    return replace(walk, transl=walk.transl + drift)


def slides(motion: Motion, body, *, truth: Motion) -> float:
    """Metres per frame while the truth stands."""
    sole = body.sole_offset()
    contact = foot_contact(body.joints_of(truth), sole=sole, fps=30)
    return float(foot_sliding(body.joints_of(motion), contact))


def deepest(motion: Motion, body) -> float:
    return float(floor_penetration(body.joints_of(motion), sole=body.sole_offset()).max())


@pytest.mark.parametrize("speed", [0.05, 0.15, 0.3])
def test_a_skated_walk_slides_no_more_than_a_clean_one(walk, body, speed) -> None:
    bad = skated(walk, speed, 0.03)
    good = cleaned(bad, body)
    own = slides(walk, body, truth=walk)
    assert slides(good, body, truth=walk) < 1.1 * own < slides(bad, body, truth=walk)
    assert deepest(bad, body) > 0.02 > 1e-4 > deepest(good, body)
    shake = [float(jitter(body.joints_of(m)[:, :22], fps=30).mean()) for m in (good, walk)]
    # What dragged 3 cm deep is raised within half a swing.
    assert shake[0] < 1.3 * shake[1]
    torch.testing.assert_close(good.transl[:, :2], bad.transl[:, :2])
    assert float(good.contact.mean()) > 0.3


def test_feet_that_shake_are_calmed(walk, body) -> None:
    noise = torch.randn(walk.rotvec[:, :22].shape, generator=torch.Generator().manual_seed(0))
    turns = rotvec_to_matrix(torch.nn.functional.pad(0.02 * noise, (0, 0, 0, 33)))
    bad = walk.with_rotations(walk.rotations @ turns)
    good = cleaned(bad, body)
    assert slides(good, body, truth=walk) < 0.25 * slides(bad, body, truth=walk)


def test_feet_that_never_rest_are_held_where_they_stand(walk, body) -> None:
    """As in motion that a network made: a third of a metre a second too much, one way and another."""
    time = walk.times.to(walk.transl)
    sway = 0.15 * torch.stack((torch.sin(5 * time), torch.cos(4 * time), 0 * time), -1)
    bad = replace(walk, transl=walk.transl + sway)
    good = cleaned(bad, body)
    feet = body.joints_of(good)[:, [10, 11]]
    inside = (good.contact[1:] > 0) & (good.contact[:-1] > 0)
    steps = feet.diff(dim=0)[..., :2].norm(dim=-1)
    assert float(inside.float().mean()) > 0.2
    assert float(steps[inside].median()) < 1e-3


def test_a_clean_walk_hardly_moves(walk, body) -> None:
    away = (body.joints_of(cleaned(walk, body)) - body.joints_of(walk))[:, :22].norm(dim=-1)
    assert float(away.mean()) < 2e-3


def test_recorded_motion_hardly_moves_and_slides_no_more(recorded, body) -> None:
    for motion in (m.resample(30)[:200] for m in recorded[::3]):
        done = cleaned(motion, body)
        away = (body.joints_of(done) - body.joints_of(motion))[:, :22].norm(dim=-1)
        assert float(away.mean()) < 8e-3
        assert slides(done, body, truth=motion) <= slides(motion, body, truth=motion) + 1e-4


def test_a_body_in_the_air_stays_there(walk, body) -> None:
    high = skated(walk, 0.3, -0.5)
    done = cleaned(high, body)
    assert not done.contact.any()
    torch.testing.assert_close(body.joints_of(done), body.joints_of(high), atol=6e-3, rtol=0)


def test_keyframes_and_waypoints_are_hit_after_clean_up(walk, body) -> None:
    bad = skated(walk, 0.3, 0.03)
    frames = torch.tensor([0, 20, 71, 110])
    x, y, _ = (body.joints_of(bad)[50, 0] + 0.05).tolist()
    control = Control.of(body, keyframes=bad[frames], path=[(50 / 30, x, y)])
    done = cleaned(control.hit(bad, body), body, control=control)
    joints = body.joints_of(done)
    assert float((joints[frames] - body.joints_of(bad)[frames])[:, :22].norm(dim=-1).max()) < 1e-4
    turns = geodesic_distance(done.rotations[frames, :22], bad.rotations[frames, :22])
    assert float(torch.rad2deg(turns).max()) < 0.05
    assert (joints[50, 0, :2] - torch.tensor((x, y))).norm() < 1e-4
    assert slides(done, body, truth=walk) < 0.7 * slides(bad, body, truth=walk)
    assert torch.equal(frames_at(control.times, 30), frames)


def test_a_foot_that_slides_stands_still_and_one_that_walks_off_is_let_go() -> None:
    time = np.arange(20)[:, None] / 30
    np.testing.assert_allclose(held(np.zeros((20, 2))), 0)
    slid = np.concatenate((0.2 * time, -0.1 * time), 1)
    place = slid + held(slid)
    assert np.ptp(place, axis=0).max() < 0.01 < np.ptp(slid, axis=0).min()
    far = 10 * slid
    assert np.linalg.norm(held(far), axis=-1).max() < MOST_HELD


def test_another_body_and_a_motion_too_short(walk, body) -> None:
    with pytest.raises(UsageError, match="put it onto that body first"):
        cleaned(replace(walk, body_id="SMPL-X of somebody"), body)
    assert cleaned(walk[: SHORTEST - 1], body) is not None
    for frames in (SHORTEST, SHORTEST + 1):
        assert len(cleaned(walk[:frames], body)) == frames


def test_a_foot_that_swings_clears_the_floor_and_one_that_glides_stays_on_it(walk, body) -> None:
    sole = body.sole_offset()
    done = cleaned(skated(walk, 0.0, 0.03), body)
    height = body.joints_of(done)[:, [10, 11], 2] - sole
    stands = done.contact.bool()
    other = stands.flip(-1) & ~stands
    # Well within a swing, the other foot standing.
    inside = torch.nn.functional.max_pool1d(stands.float().mT, 11, 1, 5).mT == 0
    assert bool((inside & other).any())
    assert float(height[inside & other].min()) > 0.8 * CLEAR
    # Carried along while it stands still: both feet go, and none is raised.
    one = walk[:1]
    t = (torch.arange(90) / 30 - 0.7).clamp(0, 1.6)[:, None]
    along = Motion.create(
        one.rotvec[:, :22].expand(90, -1, -1),
        one.transl + t * torch.tensor((0.0, 1.5, 0.0)),
        fps=30,
        body_id=body.body_id,
    )
    before, after = (body.joints_of(m)[:, [10, 11], 2] for m in (along, cleaned(along, body)))
    gliding = slice(40, 51)
    assert float((after - before)[gliding].max()) < 0.01


@pytest.mark.parametrize("far", [0.02, 0.1, 0.2])
def test_a_correction_pushes_no_more_than_it_may(far) -> None:
    gap = np.zeros((100, 3))
    gap[:, 0] = far
    seconds = _blend(gap, 10.0)
    share = fade(100, 40, 41, fps=30, seconds=(seconds, seconds))
    push = np.abs(np.diff(far * share, 2)).max() * 30**2
    assert push < 1.15 * PUSH or seconds == LONGEST_BLEND
    assert BLEND_SECONDS <= seconds <= LONGEST_BLEND
    # It is gone where the foot stands again, if that is no nearer than the usual fade.
    assert _blend(gap, 0.3) <= 0.3 and _blend(gap, 0.0) == BLEND_SECONDS


def test_how_near_a_stand_is_fades() -> None:
    stands = np.zeros(40, dtype=bool)
    assert (_near(stands, fps=30) == 0).all()
    stands[10:20] = True
    near = _near(stands, fps=30)
    assert (near[10:20] == 1).all() and (near[:5] == 0).all() and (near[25:] == 0).all()
    assert np.abs(np.diff(near)).max() < 0.5


def test_what_lifts_a_swinging_foot_fades_as_the_other_one_leaves_the_floor() -> None:
    """One foot glides at the height of the floor from frame 10 on, the other stands until frame 30."""
    balls = torch.zeros(60, 2, 3)
    lowest = torch.zeros(60, 2)
    stands = np.zeros((60, 2), dtype=bool)
    stands[:10, 0], stands[:30, 1] = True, True
    up = _shifts(balls, lowest, stands, fps=30)[:, 0, 2]
    assert float(up[20:29].min()) > 0.8 * CLEAR and float(up[36:].abs().max()) < 1e-3
    assert float(up.diff().abs().max()) < 0.5 * CLEAR
