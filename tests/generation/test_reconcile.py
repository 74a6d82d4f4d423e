"""Roots whose places and changes say different things."""

from __future__ import annotations

import pytest
import torch

from humanmotion.generation.features import (
    ORIENT,
    POSE,
    POSITIONS,
    STEP,
    TRANSL,
    TURN,
    decode,
    encode,
    features_of,
    rowwise_matrix,
    rowwise_sixd,
    self_consistency,
)
from humanmotion.generation.reconcile import FLESH, GROUNDING, grounded, levelled, reconciled
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.motion import Motion
from humanmotion.rotations import geodesic_distance, rotation_about_z, rotvec_to_matrix


def jitter(places: torch.Tensor) -> float:
    return float(places.diff(n=3, dim=-2).norm(dim=-1).mean())


def test_what_agrees_stays(wandering, body) -> None:
    features = features_of(wandering, body)
    made = reconciled(features, rest=body.rest_joints())
    torch.testing.assert_close(made, features, atol=2e-4, rtol=0)


def test_what_is_made_agrees(wandering, body) -> None:
    features = features_of(wandering, body)
    generator = torch.Generator().manual_seed(0)
    spoilt = features + 0.02 * torch.randn(features.shape, generator=generator)
    gap = self_consistency(reconciled(spoilt, rest=body.rest_joints()), rest=body.rest_joints())
    assert float(gap.positions) < 1e-4 and float(gap.integrated) < 1e-3


def test_trembling_places_do_not_tremble(wandering, body) -> None:
    features, generator = features_of(wandering, body), torch.Generator().manual_seed(0)
    spoilt = features.clone()
    spoilt[1:, TRANSL] += 0.03 * torch.randn(len(features) - 1, 3, generator=generator)
    made = reconciled(spoilt, rest=body.rest_joints())
    assert jitter(made[:, TRANSL]) < 0.1 * jitter(spoilt[:, TRANSL])
    assert float((made[:, TRANSL] - features[:, TRANSL]).norm(dim=-1).max()) < 0.03


def test_changes_that_drift_do_not_drift(wandering, body) -> None:
    """5 mm and half a degree a frame too many."""
    features = features_of(wandering, body)
    spoilt = features.clone()
    spoilt[:, STEP] += torch.tensor((0.005, 0.0, 0.0))
    more = rotation_about_z(torch.tensor(0.5).deg2rad())
    spoilt[:, TURN] = rowwise_sixd(more @ rowwise_matrix(features[:, TURN]))
    rotations, added = decode(spoilt, decoding="integrated")
    made = reconciled(spoilt, rest=body.rest_joints())
    assert float((added - features[:, TRANSL]).norm(dim=-1).max()) > 0.25
    assert float((made[:, TRANSL] - features[:, TRANSL]).norm(dim=-1).max()) < 0.01
    want = rowwise_matrix(features[:, ORIENT])
    assert float(geodesic_distance(rotations[:, 0], want).max()) > 0.4
    assert float(geodesic_distance(rowwise_matrix(made[:, ORIENT]), want).max()) < 0.08


def test_a_heading_that_drifts_past_half_a_turn_is_not_turned_back(body) -> None:
    """Five degrees a frame too many, for four seconds."""
    time = torch.arange(121) / 30
    turns = torch.zeros(121, 22, 3)
    turns[:, 0, 0] = torch.pi / 2
    way = torch.stack((0.5 * time, 0 * time, 0 * time + 0.9), -1)
    features = features_of(Motion.create(turns, way, fps=30, body_id=body.body_id), body)
    spoilt = features.clone()
    more = rotation_about_z(torch.tensor(5.0).deg2rad())
    spoilt[:, TURN] = rowwise_sixd(more @ rowwise_matrix(features[:, TURN]))
    made = rowwise_matrix(reconciled(spoilt, rest=body.rest_joints())[:, ORIENT])
    assert float(geodesic_distance(made, rowwise_matrix(features[:, ORIENT])).max()) < 1e-3


def test_local_poses_and_the_frames_before_stay_to_the_last_digit(wandering, body) -> None:
    features, generator = features_of(wandering, body), torch.Generator().manual_seed(0)
    spoilt = features + 0.01 * torch.randn(features.shape, generator=generator)
    spoilt[:, POSE] = features[:, POSE]
    made = reconciled(spoilt, rest=body.rest_joints(), held=13)
    assert torch.equal(made[:13], spoilt[:13])
    torch.testing.assert_close(made[28:, POSE], features[28:, POSE], atol=1e-5, rtol=0)
    # From there on it moves as the changes say: no step where the two meet.
    step = made[13, TRANSL] - made[12, TRANSL]
    assert float((step - spoilt[12, STEP]).norm()) < 0.01


def test_a_step_behind_what_is_held_fades(wandering, body) -> None:
    features, rest = features_of(wandering, body), body.rest_joints()
    local = rowwise_matrix(features[:, POSE].unflatten(-1, (21, 6)))
    bent = rotvec_to_matrix(torch.tensor([0.0, 0.4, 0.1]))
    spoilt = features.clone()
    spoilt[20:, POSE] = rowwise_sixd(local[20:] @ bent).flatten(-2)
    made = rowwise_matrix(reconciled(spoilt, rest=rest, held=20)[:, POSE].unflatten(-1, (21, 6)))
    steps, real = (geodesic_distance(x[:-1], x[1:]) for x in (made, local))
    spoilt_steps = geodesic_distance(local[19], local[20] @ bent)
    assert float(spoilt_steps.max()) > 0.35
    assert float((steps - real)[19].abs().max()) < 0.03
    assert float((steps - real).abs().max()) < 0.08
    # Far from there it is what the network says.
    want = local[40:] @ bent
    torch.testing.assert_close(made[40:], want, atol=1e-4, rtol=0)


def test_batches_are_their_rows_and_a_single_frame_is_itself(wandering, body) -> None:
    features, rest = features_of(wandering, body), body.rest_joints()
    turned = features.clone()
    turned[:, ORIENT] = rowwise_sixd(
        rotvec_to_matrix(torch.tensor([0.1, 0.0, 0.2])) @ rowwise_matrix(features[:, ORIENT])
    )
    both = reconciled(torch.stack((features, turned)), rest=rest)
    torch.testing.assert_close(both[1], reconciled(turned, rest=rest), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reconciled(features[:1], rest=rest), features[:1], atol=1e-5, rtol=0)


def test_the_root_is_where_it_is_known_to_be(wandering, body) -> None:
    features = features_of(wandering, body)
    generator = torch.Generator().manual_seed(0)
    spoilt = features.clone()
    for part in (STEP, TURN):
        spoilt[:, part] += 0.02 * torch.randn(features[:, part].shape, generator=generator)
    sure = torch.zeros_like(features)
    sure[:, [*range(ORIENT.start, ORIENT.stop), *range(TRANSL.start, TRANSL.stop)]] = 1
    made = reconciled(spoilt, rest=body.rest_joints(), sure=sure)
    for part in (ORIENT, TRANSL):
        torch.testing.assert_close(made[:, part], features[:, part], atol=1e-4, rtol=0)
    unsure = reconciled(spoilt, rest=body.rest_joints(), sure=0 * sure)
    torch.testing.assert_close(unsure, reconciled(spoilt, rest=body.rest_joints()))


@pytest.mark.parametrize("lift", [0.3, -0.2])
def test_who_floats_comes_down_and_who_sinks_comes_up(wandering, body, lift: float) -> None:
    features, held, sole = features_of(wandering, body), 20, body.sole_offset()
    rest = body.rest_joints()
    rotations, transl = decode(features)
    low = lowest(encode(rotations, transl, rest=rest), sole)[held + GROUNDING - 1 :].min()
    transl = transl + torch.tensor((0.0, 0.0, lift - float(low)))
    lifted = encode(rotations, transl, rest=rest)
    found = grounded(lifted, sole=sole, held=held)
    assert torch.equal(found[: held - 1], lifted[: held - 1])
    level = lowest(found, sole)[held + GROUNDING - 1 :].min()
    assert float(level) == pytest.approx(0, abs=1e-5)
    gap = self_consistency(found[:-1], rest=rest)
    assert float(gap.positions) < 1e-4 and float(gap.integrated) < 1e-3
    speeds = (found - lifted)[:, TRANSL.stop - 1].diff().abs()
    assert float(speeds.max()) < 2 * abs(lift) / GROUNDING


def lowest(features: torch.Tensor, sole: torch.Tensor) -> torch.Tensor:
    """Joint by joint: feet stand on their soles, all else lies on its flesh."""
    above = torch.full((22,), FLESH)
    above[10], above[11] = sole
    return (features[:, POSITIONS].reshape(-1, 22, 3)[..., 2] - above).min(-1).values


@pytest.fixture(scope="module")
def walk_features(body) -> torch.Tensor:
    return features_of(walking_motion(body, seconds=6), body)


def raised_by(features: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    out = features.clone()
    out[:, TRANSL.stop - 1] += shift
    out[:, POSITIONS.start + 2 : POSITIONS.stop : 3] += shift[:, None]
    return out


def soles(features: torch.Tensor, sole: torch.Tensor) -> torch.Tensor:
    return features[:, POSITIONS].unflatten(-1, (-1, 3))[:, [10, 11], 2] - sole


def test_a_motion_that_hovers_or_sinks_comes_to_the_floor(body, walk_features) -> None:
    """Slowly, and by what stands: a jump stays one."""
    sole, frames = body.sole_offset(), len(walk_features)
    shift = 0.08 * torch.cos(torch.arange(frames) / 60) + 0.05
    high = raised_by(walk_features, shift)
    was, before, after = (
        soles(f, sole).amin(-1) for f in (walk_features, high, levelled(high, sole=sole))
    )
    assert float((after - was).abs().mean()) < 0.02 < 0.06 < float((before - was).abs().mean())
    jump = raised_by(walk_features, 0.4 * (abs(torch.arange(frames) - frames // 2) < 5))
    height = soles(levelled(jump, sole=sole), sole)[frames // 2].amin()
    assert float(height) > 0.35


def test_levelled_features_say_the_same_of_steps_and_places(body, walk_features) -> None:
    done = levelled(raised_by(walk_features, torch.full((len(walk_features),), 0.1)),
                    sole=body.sole_offset())  # fmt: skip
    gaps = self_consistency(done, rest=body.rest_joints())
    assert float(gaps.integrated) < 1e-4 and float(gaps.positions) < 1e-4
