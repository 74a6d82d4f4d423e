"""The whole world stage on scenes whose truth is known: one walk filmed from several places."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.errors import MotionError
from humanmotion.jobs.data import list_clips, load_clip
from humanmotion.metrics import (
    cut_yaw_error,
    floor_penetration,
    foot_contact,
    foot_sliding,
    heading,
    rte,
    seam_error,
    wa_mpjpe,
)
from humanmotion.recovery.world import join_shots, read_shots, to_world
from humanmotion.rotations import wrap_angle

FPS = 30.0


def _solve(scene, body):
    return to_world([scene.track], shots=scene.shots, cameras=scene.cameras, body=body)


def _cuts(scene) -> tuple[int, ...]:
    return tuple(shot.start for shot in scene.shots[1:])


def _joints(body, result, k: int = 0) -> torch.Tensor:
    person = result.people[k]
    return body.joints(person.rotations, transl=person.transl)


@pytest.fixture(scope="module")
def scene(body, walk, synthetic):
    return synthetic.make_scene(
        *walk, body=body, shots=3, seed=4, kinds=("static", "pan", "static"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(scene, body):
    return _solve(scene, body)


def test_a_noisy_three_shot_walk_becomes_one_walk(scene, result, body) -> None:
    truth = body.joints(scene.rotations, transl=scene.transl)
    got = _joints(body, result)
    error = cut_yaw_error(
        result.people[0].rotations[:, 0], scene.rotations[:, 0], cuts=_cuts(scene)
    )
    assert math.degrees(float(error.max())) < 25
    assert wa_mpjpe(got[:, :22], truth[:, :22], chunk=None, scale=False).mean() < 0.25
    assert rte(got[:, 0], truth[:, 0]).mean() < 0.25
    assert seam_error(got[:, 0], truth[:, 0], cuts=_cuts(scene)).max() < 0.03
    contact = foot_contact(truth, sole=body.sole_offset(), fps=FPS)
    assert foot_sliding(got, contact) < 0.006
    assert floor_penetration(got, sole=body.sole_offset()).max() < 1e-3


def test_cameras_fit_the_people_they_saw(scene, result, body) -> None:
    seen = body.joints(scene.track.rotations, transl=scene.track.transl)
    back = _joints(body, result) @ result.R_w2c.mT + result.t_w2c[:, None]
    apart = (back[..., :2] / back[..., 2:] - seen[..., :2] / seen[..., 2:]).norm(dim=-1)
    share = apart * seen[..., 2] / 1.7
    assert float(share[:, :22].median()) < 0.03
    centre = -(result.R_w2c.mT @ result.t_w2c[..., None])[..., 0]
    first = scene.shots[0]
    assert centre[first.start : first.stop].diff(dim=0).abs().max() < 1e-3


def test_the_result_keeps_its_promises(scene, result) -> None:
    frames = len(scene.track)
    assert result.R_w2c.shape == (frames, 3, 3) and result.t_w2c.shape == (frames, 3)
    assert torch.allclose(
        result.R_w2c @ result.R_w2c.mT, torch.eye(3).expand(frames, 3, 3), atol=1e-5
    )
    assert len(result.cuts) == 2 and [c.frame for c in result.cuts] == list(_cuts(scene))
    assert all(0 < c.sigma_rad <= math.pi and c.people == 1 for c in result.cuts)
    assert torch.allclose(result.people[0].transl[0, :2], torch.zeros(2), atol=1e-5)
    view = result.R_w2c[0, 2]
    assert abs(float(view[0])) < 1e-4 and float(view[1]) > 0


def test_the_same_input_gives_the_same_bytes(scene, result, body) -> None:
    again = _solve(scene, body)
    assert torch.equal(again.people[0].rotations, result.people[0].rotations)
    assert torch.equal(again.t_w2c, result.t_w2c)


def test_given_turns_join_the_shots(scene, result, body) -> None:
    read = read_shots([scene.track], shots=scene.shots, cameras=scene.cameras, body=body)
    own = join_shots(read, body=body, turns=[turn for turn, _ in read.turns])
    assert torch.equal(own.people[0].rotations, result.people[0].rotations)
    wrong = [replace(turn, yaw_rad=turn.yaw_rad + 1.0) for turn, _ in read.turns]
    turned = join_shots(read, body=body, turns=wrong)
    for i, start in enumerate(_cuts(scene)):
        moved = heading(turned.R_w2c[start].T) - heading(result.R_w2c[start].T)
        assert float(wrap_angle(moved - (i + 1.0)).abs()) < 1e-3
    with pytest.raises(MotionError, match="1 turns given for 2 cuts"):
        join_shots(read, body=body, turns=wrong[:1])


def test_up_that_is_known_stands_in_for_the_estimate(scene, body) -> None:
    ups = [R[s.start, :, 2] for R, s in ((scene.R_w2c, s) for s in scene.shots)]
    told = [replace(c, up=up) for c, up in zip(scene.cameras, ups, strict=True)]
    read = read_shots([scene.track], shots=scene.shots, cameras=told, body=body)
    for frame, up in zip(read.frames, ups, strict=True):
        assert torch.allclose(frame.turn[0].T[:, 2], up.to(frame.turn.dtype), atol=1e-5)
        assert frame.gravity.pitch_sigma_rad == 0
    with pytest.raises(MotionError, match="up"):
        replace(scene.cameras[0], up=torch.zeros(2))


def test_a_perfect_fit_gives_nearly_the_truth(body, walk, synthetic) -> None:
    scene = synthetic.make_scene(
        *walk, body=body, shots=2, seed=1, noise=synthetic.Noise().scaled(0),
        kinds=("static", "static"),
    )  # fmt: skip
    result = _solve(scene, body)
    truth, got = body.joints(scene.rotations, transl=scene.transl), _joints(body, result)
    assert wa_mpjpe(got[:, :22], truth[:, :22], chunk=None, scale=False).mean() < 0.12
    error = cut_yaw_error(
        result.people[0].rotations[:, 0], scene.rotations[:, 0], cuts=_cuts(scene)
    )
    assert math.degrees(float(error.max())) < 8


def test_a_shot_seen_back_to_front_is_found_by_the_way_people_walk(body, walk, synthetic) -> None:
    found = []
    for seed in range(6):
        flips = tuple(i == seed % 2 for i in range(2))
        scene = synthetic.make_scene(
            *walk, body=body, shots=2, seed=seed, flipped=flips, kinds=("static", "static"),
            noise=synthetic.Noise().scaled(0.5),
        )  # fmt: skip
        result = _solve(scene, body)
        found.append(result.flipped[0] == flips)
        assert result.cuts[0].flipped == (result.flipped[0][0] != result.flipped[0][1])
    assert sum(found) >= 5


def test_without_the_test_of_flips_nothing_is_taken_for_one(body, walk, synthetic) -> None:
    scene = synthetic.make_scene(
        *walk, body=body, shots=2, seed=0, flipped=(True, False), kinds=("static", "static"),
        noise=synthetic.Noise().scaled(0.5),
    )  # fmt: skip
    given = {"shots": scene.shots, "cameras": scene.cameras, "body": body}
    tested = read_shots([scene.track], **given)
    untested = read_shots([scene.track], **given, flips=False)
    assert [c.flipped for c in tested.choices] == [(True, False)]
    assert [c.flipped for c in untested.choices] == [(False, False)]
    assert untested.people[0].track is scene.track


def test_two_people_keep_their_distance_in_the_shared_world(body, walk, synthetic) -> None:
    rotations, transl = walk
    beside = transl + torch.tensor((1.2, -0.6, 0.0))
    noise = synthetic.Noise().scaled(0)
    kinds = ("static", "static")
    first = synthetic.make_scene(
        rotations, transl, body=body, shots=2, seed=2, noise=noise, kinds=kinds
    )
    pelvis = beside + body.rest_joints()[0]
    seen = (first.R_w2c @ pelvis[..., None])[..., 0] + first.t_w2c
    other = replace(first.track, transl=seen - body.rest_joints()[0])
    result = to_world([first.track, other], shots=first.shots, cameras=first.cameras, body=body)
    gap = result.people[1].transl - result.people[0].transl
    assert (gap.norm(dim=-1) - 1.342).abs().max() < 0.25
    assert all(c.people == 1 for c in result.cuts)


def test_a_cut_nobody_spans_is_said_to_be_unknown(body, walk, synthetic) -> None:
    scene = synthetic.make_scene(*walk, body=body, shots=2, seed=3, kinds=("static", "static"))
    confidence = scene.track.confidence.clone()
    confidence[scene.shots[1].start - 20 : scene.shots[1].start] = 0
    result = to_world(
        [replace(scene.track, confidence=confidence)],
        shots=scene.shots, cameras=scene.cameras, body=body,
    )  # fmt: skip
    assert result.cuts[0].people == 0
    assert result.cuts[0].sigma_rad == pytest.approx(math.pi)
    assert torch.isfinite(result.people[0].transl).all()


def test_somebody_never_seen_breaks_nothing(body, walk, synthetic) -> None:
    scene = synthetic.make_scene(*walk, body=body, shots=2, seed=3, kinds=("static", "moving"))
    nobody = replace(scene.track, confidence=torch.zeros_like(scene.track.confidence))
    for tracks in ([nobody], [scene.track, nobody]):
        result = to_world(tracks, shots=scene.shots, cameras=scene.cameras, body=body)
        assert all(torch.isfinite(p.transl).all() for p in result.people)
        assert torch.isfinite(result.t_w2c).all()


def test_one_frame_is_a_world_too(body, walk, synthetic) -> None:
    scene = synthetic.make_scene(*walk, body=body, shots=1, seed=3, kinds=("static",))
    camera = replace(
        scene.cameras[0], R_c2c0=torch.eye(3)[None], t_c2c0=torch.zeros(1, 3),
        flow_px=torch.zeros(1),
    )  # fmt: skip
    shot = type(scene.shots[0])(0, 1)
    result = to_world([scene.track[:1]], shots=[shot], cameras=[camera], body=body)
    assert result.people[0].transl.shape == (1, 3)


def test_what_does_not_fit_is_refused(scene, body) -> None:
    short = [scene.track, scene.track[:50]]
    cases = [
        ([], scene.shots, scene.cameras, "no person"),
        ([scene.track], scene.shots[:2], scene.cameras, "follow"),
        ([scene.track], scene.shots, scene.cameras[:2], "2 cameras"),
        (short, scene.shots, scene.cameras, "person 1 has 50 frames"),
    ]
    for tracks, shots, cameras, told in cases:
        with pytest.raises(MotionError, match=told):
            to_world(tracks, shots=shots, cameras=cameras, body=body)


def test_it_is_fast_enough(scene, body) -> None:
    started = time.process_time()
    _solve(scene, body)
    seconds = time.process_time() - started
    assert seconds < 2.0 * len(scene.track) / 300


@pytest.fixture(scope="module")
def scores(data, body, synthetic) -> list[dict[str, float]]:
    """Real motion of the validation split, two shots each."""
    rows = []
    for clip in list_clips(data / "cmu", split="val"):
        motion = load_clip(clip, body)[:240]
        if clip.excluded or clip.bad or len(motion) < 120 or clip.id.startswith(("001", "003")):
            continue
        scene = synthetic.make_scene(
            motion.rotations, motion.transl, body=body, shots=2, seed=len(rows),
            kinds=("static", "static"),
        )  # fmt: skip
        result = _solve(scene, body)
        truth, got = body.joints_of(motion), _joints(body, result)
        yaw = cut_yaw_error(result.people[0].rotations[:, 0], motion.rotations[:, 0],
                            cuts=_cuts(scene))  # fmt: skip
        contact = foot_contact(truth, sole=body.sole_offset(), fps=FPS)
        rows.append({
            "yaw": math.degrees(float(yaw[0])),
            "rte": float(rte(got[:, 0], truth[:, 0]).mean()),
            "slide": float(foot_sliding(got, contact)),
            "sink": float(floor_penetration(got, sole=body.sole_offset()).max()),
        })  # fmt: skip
    return rows


def test_real_motion_is_recovered_within_the_bars(scores) -> None:
    median = {name: float(np.median([row[name] for row in scores])) for name in scores[0]}
    worst = {name: float(np.percentile([row[name] for row in scores], 90)) for name in scores[0]}
    assert len(scores) >= 5
    assert median["yaw"] < 10 and worst["yaw"] < 30
    assert median["rte"] < 0.2
    assert median["slide"] < 0.003
    assert worst["sink"] < 0.002
