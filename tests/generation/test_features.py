"""The 276 numbers: both ways exact, blind to where the world lies, and seen in a mirror."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.features import (
    FPS,
    ORIENT,
    POSITIONS,
    SIZE,
    STEP,
    TRANSL,
    TURN,
    VELOCITIES,
    Place,
    body_joints,
    canonical,
    decode,
    encode,
    features_of,
    inverse,
    mirrored,
    motion_of,
    recanonical,
    rowwise_matrix,
    rowwise_sixd,
    seen_from,
    self_consistency,
)
from humanmotion.motion import Motion
from humanmotion.rotations import rotation_about_z, rotvec_to_matrix


def slow_features(motion: Motion, body, floor: str) -> torch.Tensor:
    """Frame by frame, joint by joint, as the specification's table says; in doubles."""
    even = motion.resample(FPS)
    rotations = even.rotations[:, :22].double()
    joints = body.joints_of(even)[:, :22].double()
    rest = body.rest_joints()[0].double()
    across = joints[0, 2] - joints[0, 1]
    x = torch.tensor((float(across[0]), float(across[1]), 0.0), dtype=torch.float64)
    x = x / x.norm()
    z = torch.tensor((0.0, 0.0, 1.0), dtype=torch.float64)
    basis = torch.stack((x, torch.linalg.cross(z, x), z), 1)
    origin = joints[0, 0].clone()
    origin[2] = {"world": 0.0, "lowest": float(joints[..., 2].min()), "pelvis": origin[2]}[floor]
    inverse = torch.linalg.inv(basis)
    rows = []
    for t in range(len(even) - 1):
        row = []
        for joint in range(1, 22):
            m = rotations[t, joint]
            row += [m[0, 0], m[0, 1], m[1, 0], m[1, 1], m[2, 0], m[2, 1]]
        here, there = ((joints[i] - origin) @ inverse.T for i in (t, t + 1))
        row += [*here.flatten(), *(there - here).flatten()]
        root, after = inverse @ rotations[t, 0], inverse @ rotations[t + 1, 0]
        for m in (root, after @ root.T):
            row += [m[0, 0], m[0, 1], m[1, 0], m[1, 1], m[2, 0], m[2, 1]]
        transl = [inverse @ (even.transl[i].double() + rest - origin) - rest for i in (t, t + 1)]
        row += [*transl[0], *(transl[1] - transl[0])]
        rows.append(torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in row]))
    return torch.stack(rows)


@pytest.mark.parametrize("floor", ["world", "lowest", "pelvis"])
def test_agrees_with_the_table_read_line_by_line(wandering, body, floor) -> None:
    found = features_of(wandering, body, floor=floor)
    want = slow_features(wandering, body, floor)
    assert found.shape == want.shape == (60, SIZE)
    torch.testing.assert_close(found.double(), want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
class TestRoundTrip:
    def poses(self, shape):
        generator = torch.Generator().manual_seed(0)
        rotations = rotvec_to_matrix(torch.randn(*shape, 9, 22, 3, generator=generator))
        return rotations, torch.randn(*shape, 9, 3, generator=generator)

    def test_absolute(self, rest, shape):
        rotations, transl = self.poses(shape)
        features = encode(rotations, transl, rest=rest)
        assert features.shape == (*shape, 8, SIZE)
        turned, moved = decode(features)
        torch.testing.assert_close(turned, rotations[..., :-1, :, :, :], atol=1e-6, rtol=0)
        torch.testing.assert_close(moved, transl[..., :-1, :], atol=0, rtol=0)

    def test_integrated_is_absolute(self, rest, shape):
        features = encode(*self.poses(shape), rest=rest)
        for found, want in zip(
            decode(features, decoding="integrated"), decode(features), strict=True
        ):
            torch.testing.assert_close(found, want, atol=1e-5, rtol=0)
        gaps = self_consistency(features, rest=rest)
        assert gaps.integrated.shape == gaps.positions.shape == shape
        assert float(gaps.integrated.max()) < 2e-5 and float(gaps.positions.max()) < 2e-6

    def test_six_numbers_are_a_rotation(self, rest, shape):
        rotations, _ = self.poses(shape)
        torch.testing.assert_close(rowwise_matrix(rowwise_sixd(rotations)), rotations)

    def test_canonical_leads_back(self, rest, shape):
        rotations, transl = self.poses(shape)
        turned, moved, place = canonical(rotations, transl, rest=rest)
        joints = body_joints(turned, moved, rest=rest)
        back = joints @ place.turn[..., None, :, :].mT + place.origin[..., None, None, :]
        torch.testing.assert_close(
            back, body_joints(rotations, transl, rest=rest), atol=3e-6, rtol=0
        )


def test_the_identity_reads_as_published() -> None:
    assert rowwise_sixd(torch.eye(3)).tolist() == [1, 0, 0, 1, 0, 0]


class TestRealMotion:
    def test_round_trip(self, recorded, body, rest):
        for motion in recorded:
            again = motion_of(features_of(motion, body), body)
            even = motion.resample(FPS)[:-1]
            turned, moved, _ = canonical(even.rotations[:, :22], even.transl, rest=rest)
            joints = body.joints_of(again)[:, :22]
            want = body_joints(turned, moved, rest=rest)
            assert float((joints - want).norm(dim=-1).max()) < 1e-5

    def test_the_two_decodings_agree(self, recorded, body, rest):
        """Ten seconds and more of added-up changes."""
        for motion in recorded:
            gaps = self_consistency(features_of(motion, body), rest=rest)
            assert float(gaps.integrated) < 1e-3 and float(gaps.positions) < 1e-5

    def test_the_floor_stays_where_it_was(self, recorded, body):
        for motion in recorded:
            height = body.joints_of(motion.resample(FPS))[:-1, :22, 2]
            found = features_of(motion, body)[:, POSITIONS].unflatten(-1, (22, 3))[..., 2]
            torch.testing.assert_close(found, height, atol=1e-5, rtol=0)


@pytest.mark.parametrize("yaw", [0.3, -2.0, 3.1])
def test_blind_to_heading_and_place(wandering, body, yaw) -> None:
    turn = rotation_about_z(torch.tensor(yaw))
    rotations = wandering.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    pelvis = body.rest_joints()[0]
    way = torch.tensor((3.0, -2.0, 0.0))
    moved = (wandering.transl + pelvis) @ turn.T - pelvis + way
    other = features_of(wandering.with_rotations(rotations, transl=moved), body)
    torch.testing.assert_close(other, features_of(wandering, body), atol=2e-5, rtol=0)


def test_lowest_and_pelvis_are_blind_to_height_and_world_is_not(wandering, body) -> None:
    higher = replace(wandering, transl=wandering.transl + torch.tensor((0.0, 0.0, 1.0)))
    for floor in ("lowest", "pelvis"):
        a, b = (features_of(m, body, floor=floor) for m in (wandering, higher))
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    rise = features_of(higher, body) - features_of(wandering, body)
    assert float(rise[:, 272].mean()) == pytest.approx(1, abs=1e-5)


def test_a_mirrored_motion_has_mirrored_features(wandering, recorded, body) -> None:
    for motion in [wandering, *recorded]:
        found = features_of(motion.mirror(), body)
        features = features_of(motion, body)
        torch.testing.assert_close(found, mirrored(features), atol=2e-5, rtol=0)
        torch.testing.assert_close(mirrored(mirrored(features)), features, atol=0, rtol=0)


@pytest.mark.parametrize("start", [0, 1, 30])
def test_a_window_reads_as_if_encoded_from_its_own_start(wandering, body, rest, start) -> None:
    even = wandering.resample(FPS)
    turned, moved, _ = canonical(even.rotations[start:, :22], even.transl[start:], rest=rest)
    want = encode(turned, moved, rest=rest)
    found = recanonical(features_of(wandering, body)[start:], rest=rest)
    torch.testing.assert_close(found, want, atol=2e-5, rtol=0)
    torch.testing.assert_close(recanonical(found, rest=rest), found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_seen_from_a_place_and_back(rest, shape) -> None:
    generator = torch.Generator().manual_seed(1)
    rotations = rotvec_to_matrix(torch.randn(*shape, 6, 22, 3, generator=generator))
    features = encode(rotations, torch.randn(*shape, 6, 3, generator=generator), rest=rest)
    turn = rotation_about_z(torch.randn(shape, generator=generator))
    place = Place(turn, torch.randn(*shape, 3, generator=generator))
    there = seen_from(features, place, rest=rest)
    torch.testing.assert_close(
        seen_from(there, inverse(place), rest=rest), features, atol=1e-5, rtol=0
    )
    joints, seen = (body_joints(*decode(f), rest=rest) for f in (features, there))
    back = seen @ place.turn[..., None, :, :].mT + place.origin[..., None, None, :]
    torch.testing.assert_close(back, joints, atol=1e-5, rtol=0)


def test_an_inconsistent_motion_is_seen_to_be(wandering, body, rest) -> None:
    features = features_of(wandering, body)
    drifting = features.clone()
    drifting[:, STEP] += 0.01
    gap = self_consistency(drifting, rest=rest)
    assert float(gap.integrated) == pytest.approx(0.01 * 3**0.5 * 59, rel=0.02)
    assert float(gap.positions) < 1e-5
    torn = features.clone()
    torn[:, POSITIONS] += 0.1
    assert float(self_consistency(torn, rest=rest).positions) == pytest.approx(0.1 * 3**0.5, 1e-3)


def test_a_shape_becomes_the_mean_shape_with_steps_to_scale(wandering, body) -> None:
    tall = replace(wandering, betas=torch.eye(10)[0] * 2)
    scale = float(body.leg_length() / body.leg_length(tall.betas))
    assert abs(scale - 1) > 0.01
    found, plain = features_of(tall, body), features_of(wandering, body)
    torch.testing.assert_close(found[:, STEP][:, :2], scale * plain[:, STEP][:, :2], atol=1e-3,
                               rtol=0)  # fmt: skip
    torch.testing.assert_close(found[:, ORIENT], plain[:, ORIENT], atol=1e-5, rtol=0)


def test_a_body_with_one_hip_over_the_other_has_a_frame(rest) -> None:
    """Lying exactly on the side: the left hip at the top."""
    turn = rotvec_to_matrix(torch.tensor((0.0, -torch.pi / 2, 0.0)))
    rotations = torch.eye(3).expand(3, 22, 3, 3).clone()
    rotations[:, 0] = turn
    turned, moved, place = canonical(rotations, torch.zeros(3, 3), rest=rest)
    assert torch.isfinite(encode(turned, moved, rest=rest)).all()
    torch.testing.assert_close(place.turn @ place.turn.mT, torch.eye(3))


class TestHostileInput:
    def test_other_bodies(self, wandering, body):
        with pytest.raises(UsageError, match=r"on body smplx_male.*put it onto that body first"):
            features_of(replace(wandering, body_id="smplx_male"), body)

    def test_one_frame(self, wandering, body):
        with pytest.raises(UsageError, match="1 poses given"):
            features_of(wandering[:1], body)

    @pytest.mark.parametrize("shape", [(276,), (0, 276), (4, 263)])
    def test_other_numbers(self, shape):
        with pytest.raises(UsageError, match="expected"):
            decode(torch.zeros(shape))

    def test_not_finite(self):
        with pytest.raises(UsageError, match="not finite"):
            decode(torch.full((3, SIZE), torch.nan))


def test_the_slices_are_those_of_the_table(wandering, body) -> None:
    features = features_of(wandering, body)
    for place, change in ((POSITIONS, VELOCITIES), (TRANSL, STEP)):
        torch.testing.assert_close(
            features[:, place].diff(dim=0), features[:-1, change], atol=1e-5, rtol=0
        )
    root, turn = (rowwise_matrix(features[:, part]) for part in (ORIENT, TURN))
    torch.testing.assert_close(turn[:-1] @ root[:-1], root[1:], atol=1e-5, rtol=0)
