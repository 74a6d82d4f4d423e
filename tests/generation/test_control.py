"""Control: everything given is hit exactly, between the hits nothing jumps, and nonsense is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.control import Control, directed, eased, frames_at
from humanmotion.generation.features import canonical, encode, features_of
from humanmotion.rotations import geodesic_distance, rotation_about_z

WALK = "a person walks in a circle"
PATH = [(0.0, 1.0, 2.0), (1.0, 1.8, 2.1), (2.5, 2.5, 3.0)]


def missed(motion, control, body) -> tuple[float, float]:
    """Largest distance in metres and angle in degrees from what was to be hit."""
    at, on = frames_at(control.times, 30), frames_at(control.path_times, 30)
    joints = body.joints_of(motion)
    away = [(joints[at, 0] - control.pelvis).norm(dim=-1), torch.zeros(1),
            (joints[on, 0, :2] - control.path).norm(dim=-1)]  # fmt: skip
    turns = geodesic_distance(motion.rotations[at, :22], control.rotations)
    return float(torch.cat(away).max()), float(torch.rad2deg(turns).max()) if len(at) else 0.0


class TestHits:
    def control(self, wandering, body, times):
        frames = torch.tensor([round(30 * t) for t in times])
        return Control.of(body, keyframes=wandering[frames])

    @pytest.mark.parametrize("times", [[0.0], [1.3], [0.0, 1.0, 2.9], [0.5, 0.6, 0.7, 2.0]])
    def test_keyframes(self, make, wandering, body, times):
        control = self.control(wandering, body, times)
        for motion in directed(make, WALK, control, seconds=3.0, num=2, steps=2):
            assert len(motion) == 90
            metres, degrees = missed(motion, control, body)
            assert metres < 1e-4 and degrees < 0.05

    def test_a_path(self, make, body):
        control = Control.of(body, path=PATH)
        (motion,) = directed(make, WALK, control, seconds=3.0, steps=2)
        assert missed(motion, control, body)[0] < 1e-4

    def test_both(self, make, wandering, body):
        frames = wandering[torch.tensor([30, 75])]
        x, y, _ = body.joints_of(frames)[0, 0].tolist()
        path = [(0.0, x - 1, y), (1.0, x, y), (1.5, x + 0.5, y)]
        control = Control.of(body, keyframes=frames, path=path)
        (motion,) = directed(make, WALK, control, seconds=3.0, steps=2)
        metres, degrees = missed(motion, control, body)
        assert metres < 1e-4 and degrees < 0.05

    def test_the_frames_around_a_gap(self, make, wandering, body):
        control = Control.around(wandering, body, gap=(1.0, 2.0))
        (motion,) = directed(make, WALK, control, seconds=3.0 + 1 / 30, steps=2)
        metres, degrees = missed(motion, control, body)
        assert metres < 1e-4 and degrees < 0.05
        outside = torch.cat((torch.arange(31), torch.arange(60, 91)))
        assert torch.equal(frames_at(control.times, 30), outside)

    def test_turning_the_world_turns_the_motion(self, make, wandering, body):
        turn, way = rotation_about_z(torch.tensor(2.0)), torch.tensor((3.0, -1.0, 0.0))
        plain = self.control(wandering, body, [0.0, 1.0])
        root = turn @ plain.rotations[:, :1]
        turned = replace(
            plain, rotations=torch.cat((root, plain.rotations[:, 1:]), 1),
            pelvis=plain.pelvis @ turn.T + way,
        )  # fmt: skip
        (a,), (b,) = (directed(make, WALK, c, seconds=2.0, steps=2) for c in (plain, turned))
        joints, other = body.joints_of(a), body.joints_of(b)
        torch.testing.assert_close(other, joints @ turn.T + way, atol=2e-3, rtol=0)

    def test_the_same_seed_is_the_same_motion(self, make, wandering, body):
        control = self.control(wandering, body, [0.5])
        a, b = directed(make, WALK, control, seconds=2.0, steps=2, num=2, seed=3)
        (again,) = directed(make, WALK, control, seconds=2.0, steps=2, seed=3)
        assert not torch.equal(a.rotvec, b.rotvec)
        torch.testing.assert_close(again.rotvec, a.rotvec, atol=1e-4, rtol=0)


def test_what_the_network_is_given_are_the_features_of_that_motion(wandering, body, rest) -> None:
    """Of a motion's frames at 20 fps, all of them: its features, seen from its start."""
    even = wandering.resample(20)
    control = Control.of(body, keyframes=even)
    kept = control.kept(len(even), control.start(rest), rest=rest)
    assert kept.mask[0, :-1].all()
    torch.testing.assert_close(kept.values[0, :-1], features_of(wandering, body), atol=3e-5, rtol=0)
    turned, moved, place = canonical(even.rotations[:, :22], even.transl, rest=rest)
    torch.testing.assert_close(control.start(rest).turn, place.turn)
    few = Control.of(body, keyframes=even[torch.tensor([3, 4, 9])])
    part = few.kept(20, control.start(rest), rest=rest)
    want = encode(turned, moved, rest=rest)
    torch.testing.assert_close(
        part.values[part.mask], want[None, :20][part.mask], atol=3e-5, rtol=0
    )
    assert part.mask[0].any(1).nonzero()[:, 0].tolist() == [3, 4, 9]
    # How a pose moves on is known where the next one is.
    assert part.mask[0, :, 192].nonzero()[:, 0].tolist() == [3]


def test_keyframes_in_a_row_are_read_between_their_frames(wandering, body, rest) -> None:
    """All frames at 30 fps give what the motion at 20 fps is."""
    control = Control.of(body, keyframes=wandering)
    kept = control.kept(60, control.start(rest), rest=rest)
    assert kept.mask[0, :-1].all()
    want = features_of(wandering, body)
    torch.testing.assert_close(kept.values[0, :-1], want[:59], atol=3e-5, rtol=0)


def test_a_path_leads_ahead(body, rest) -> None:
    place = Control.of(body, path=PATH).start(rest)
    ahead = place.turn.T @ torch.tensor((0.8, 0.1, 0.0))
    assert abs(float(ahead[0])) < 1e-6 and float(ahead[1]) > 0
    torch.testing.assert_close(place.turn @ place.turn.T, torch.eye(3))
    assert place.origin.tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize("at", [[0], [5], [3, 4, 9], [0, 19]])
@pytest.mark.parametrize("shape", [(2,), (4, 3)])
def test_easing_goes_through_its_points_and_rests_there(at, shape) -> None:
    values = torch.randn(len(at), *shape, generator=torch.Generator().manual_seed(0))
    found = eased(torch.tensor(at), values, 20)
    assert found.shape == (20, *shape)
    torch.testing.assert_close(found[at], values, atol=1e-6, rtol=0)
    for frame in range(20):
        later = [k for k, a in enumerate(at) if a >= frame]
        high = later[0] if later else len(at) - 1
        low = max(high - 1, 0) if frame > at[0] else high
        if not later:
            want = values[-1]
        else:
            s = (frame - at[low]) / max(at[high] - at[low], 1) if frame > at[0] else 1.0
            want = values[low] + (6 * s**5 - 15 * s**4 + 10 * s**3) * (values[high] - values[low])
        torch.testing.assert_close(found[frame], want, atol=1e-5, rtol=0)


class TestHostileInput:
    def test_paths(self, body):
        for path, message in (
            ([(0.0, 0, 0), (0.01, 0, 0)], "rise by a frame"),
            ([(1.0, 0, 0), (0.5, 0, 0)], "rise by a frame"),
            ([(-1.0, 0, 0)], "0 or more"),
            ([(0.0, 0, 0), (0.5, 100, 0)], "200 m/s"),
            ([(0.0, float("nan"), 0)], "not finite"),
        ):
            with pytest.raises(UsageError, match=message):
                Control.of(body, path=path)

    @pytest.mark.parametrize("path", [[(0.0, 1.0)] * 3, [(0.0, 1.0, 2.0), (1.0, 2.0)]])
    def test_waypoints_of_other_sizes_are_not_read_as_others(self, body, path):
        with pytest.raises(UsageError, match="give three: seconds, x, y"):
            Control.of(body, path=path)

    def test_a_path_that_contradicts_a_keyframe(self, wandering, body):
        with pytest.raises(UsageError, match=r"keyframe and path disagree at 1.00 s"):
            Control.of(body, keyframes=wandering[30:31], path=[(1.0, 9.0, 9.0)])

    def test_behind_the_end(self, make, wandering, body):
        control = Control.of(body, keyframes=wandering[60:61])
        with pytest.raises(UsageError, match=r"at 2.00 s lies behind the motion's end at 1.5 s"):
            directed(make, WALK, control, seconds=1.5)

    @pytest.mark.parametrize("seconds", [-1.0, 0.0, 60.0, float("nan")])
    def test_lengths(self, make, body, seconds):
        with pytest.raises(UsageError, match=r"give 0.5 to 10"):
            directed(make, WALK, Control.of(body), seconds=seconds)

    @pytest.mark.parametrize("num", [0, 100])
    def test_counts(self, make, body, num):
        with pytest.raises(UsageError, match="give 1 to 16"):
            directed(make, WALK, Control.of(body), seconds=2.0, num=num)

    @pytest.mark.parametrize("gap", [(2.0, 1.0), (5.0, 6.0), (-1.0, 1.0), (1.0, 1.01)])
    def test_gaps(self, wandering, body, gap):
        with pytest.raises(UsageError, match="gap"):
            Control.around(wandering, body, gap=gap)
