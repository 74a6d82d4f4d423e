"""Cameras in rendered rooms: what kind, how turned; and pictures that say nothing."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch

from humanmotion.errors import MotionError, UsageError
from humanmotion.io.video import read_frames
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.camera_kind import gric
from humanmotion.recovery.focal import FocalEstimate, choose_focal
from humanmotion.recovery.odometry import (
    CameraMotion,
    OdometryTracker,
    estimate_motions,
    shrink,
    tracked_size,
)
from humanmotion.recovery.shots import Shot

KINDS = {"static": "static", "pan": "pan", "slow pan": "pan", "moving": "moving"}
FRAMES = 24
RIGHT_WITHIN_DEG = {"static": 0.2, "pan": 0.1, "slow pan": 0.1, "moving": 1.0}


@pytest.fixture(scope="module")
def takes(room):
    return {kind: room.take(kind, seed, frames=FRAMES) for seed, kind in enumerate(KINDS, start=20)}


def motion_of(frames, masks=None, *, kind="auto", focal=None) -> CameraMotion:
    height, width = frames[0].shape[:2]
    tracker = OdometryTracker(width, height, kind=kind)
    for frame, mask in zip(frames, masks or [None] * len(frames), strict=True):
        tracker.add(frame, mask)
    pan = tracker.pan_focal()
    pans = [pan] if pan else []
    return tracker.result(choose_focal(pans, width=width, height=height, given=focal))


def check(motion: CameraMotion, frames: int) -> None:
    """What holds of every result, good or bad."""
    assert len(motion) == frames
    eye = motion.R_c2c0 @ motion.R_c2c0.mT
    assert torch.allclose(eye, torch.eye(3).expand_as(eye), atol=1e-5)
    assert (motion.flow_px >= 0).all()
    if frames and motion.kind == "static":
        assert (motion.R_c2c0 == torch.eye(3)).all() and (motion.t_c2c0 == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_kind_and_rotation_with_a_known_lens(room, takes, kind):
    take = takes[kind]
    motion = motion_of(take.frames, take.masks, focal=take.focal)
    check(motion, len(take.frames))
    assert motion.kind == KINDS[kind]
    assert motion.confidence > 0.7 and not motion.warnings
    error = room.angle_deg(motion.R_c2c0.numpy().astype(float), take.relative())
    assert error.max() < RIGHT_WITHIN_DEG[kind]


def test_a_pan_measures_its_own_lens(room, takes):
    take = takes["pan"]
    motion = motion_of(take.frames, take.masks)
    assert motion.focal.method == "pan"
    assert motion.focal.focal_px == pytest.approx(take.focal, rel=0.05)
    error = room.angle_deg(motion.R_c2c0.numpy().astype(float), take.relative())
    assert np.median(error) < 0.3


@pytest.mark.parametrize("kind", ["static", "slow pan"])
def test_someone_unmasked_does_not_move_the_camera(room, takes, kind):
    take = takes[kind]
    motion = motion_of(take.frames, focal=take.focal)
    assert motion.kind == KINDS[kind]
    error = room.angle_deg(motion.R_c2c0.numpy().astype(float), take.relative())
    assert error.max() < RIGHT_WITHIN_DEG[kind]


def test_a_travelling_camera_goes_where_it_went(takes):
    take = takes["moving"]
    motion = motion_of(take.frames, take.masks, focal=take.focal)
    path = motion.t_c2c0[-1].numpy()
    true = take.rotation[0] @ (take.centre[-1] - take.centre[0])
    cosine = path @ true / (np.linalg.norm(path) * np.linalg.norm(true))
    assert cosine > 0.9


def test_running_the_frames_backwards_inverts_the_motion(takes):
    take = takes["pan"]
    forth = motion_of(take.frames, take.masks, focal=take.focal)
    back = motion_of(take.frames[::-1], take.masks[::-1], focal=take.focal)
    assert torch.allclose(forth.R_c2c0[-1], back.R_c2c0[-1].mT, atol=2e-3)


def test_a_view_that_returns_is_recognised(room, takes):
    take = takes["pan"]
    there_and_back = take.frames[::2] + take.frames[::-2]
    masks = take.masks[::2] + take.masks[::-2]
    motion = motion_of(there_and_back, masks, focal=take.focal)
    truth = take.rotation[[*range(0, FRAMES, 2), *range(FRAMES - 1, 0, -2)]]
    relative = np.einsum("ij,tkj->tik", truth[0], truth)
    assert room.angle_deg(motion.R_c2c0.numpy().astype(float), relative).max() < 0.15


@pytest.mark.parametrize("kind", ["static", "pan", "moving"])
def test_a_forced_kind_is_obeyed(takes, kind):
    for take in takes.values():
        motion = motion_of(take.frames[:8], take.masks[:8], kind=kind, focal=take.focal)
        check(motion, 8)
        assert motion.kind == kind
        if kind != "moving":
            assert (motion.t_c2c0 == 0).all()


@pytest.mark.parametrize("spoil", ["white", "black", "noise"])
def test_a_spoilt_frame_in_a_pan_is_bridged(room, takes, spoil):
    take = takes["pan"]
    frames = list(take.frames)
    noise = np.random.default_rng(0).integers(0, 256, frames[0].shape).astype(np.uint8)
    frames[9] = {"white": np.full_like(noise, 255), "black": np.zeros_like(noise), "noise": noise}[
        spoil
    ]
    motion = motion_of(frames, take.masks, focal=take.focal)
    assert motion.kind == "pan"
    error = room.angle_deg(motion.R_c2c0.numpy().astype(float), take.relative())
    assert np.delete(error, 9).max() < 0.15
    assert error[9] < 0.5


RANDOM = np.random.default_rng(1)
NOTHING = {
    "blank": [np.full((90, 160), 127, np.uint8)] * 6,
    "another noise each time": [RANDOM.integers(0, 256, (90, 160)).astype(np.uint8)] * 1
    + [np.random.default_rng(s).integers(0, 256, (90, 160)).astype(np.uint8) for s in range(14)],
    "one pixel": [np.zeros((1, 1), np.uint8)] * 3,
    "a thin strip": [RANDOM.integers(0, 256, (2, 300)).astype(np.uint8)] * 3,
    "colour": [RANDOM.integers(0, 256, (40, 40, 3)).astype(np.uint8)] * 3,
    "one frame": [RANDOM.integers(0, 256, (90, 160)).astype(np.uint8)],
}


@pytest.mark.parametrize("kind", ["auto", "static", "pan", "moving"])
@pytest.mark.parametrize("name", NOTHING)
def test_pictures_that_say_nothing_give_a_plain_answer(name, kind):
    motion = motion_of(NOTHING[name], kind=kind)
    check(motion, len(NOTHING[name]))
    if name in ("blank", "one pixel", "a thin strip"):
        assert motion.confidence == 0
        assert "too little background" in motion.warnings[0]
        assert motion.kind == (kind if kind != "auto" else "static")


def test_a_person_who_fills_the_picture_leaves_no_background(takes):
    take = takes["pan"]
    motion = motion_of(take.frames, [np.zeros_like(m) for m in take.masks])
    check(motion, len(take.frames))
    assert motion.kind == "static" and motion.confidence == 0 and motion.warnings


def test_a_cover_that_passes_is_bridged(room, takes):
    take = takes["pan"]
    cover = [np.full_like(take.frames[0], 90)] * 4
    frames = take.frames[:10] + cover + take.frames[14:]
    motion = motion_of(frames, take.masks, focal=take.focal)
    error = room.angle_deg(motion.R_c2c0.numpy().astype(float), take.relative())
    assert motion.kind == "pan" and not motion.warnings
    assert np.delete(error, range(10, 14)).max() < 0.15
    assert motion.confidence < motion_of(take.frames, take.masks, focal=take.focal).confidence


def test_a_background_that_never_comes_back_is_told(takes):
    other = takes["moving"]
    cover = [np.full_like(other.frames[0], 90)] * 4
    frames = takes["pan"].frames[:12] + cover + other.frames[:12]
    motion = motion_of(frames, focal=other.focal)
    check(motion, len(frames))
    assert "lost 1 x" in motion.warnings[-1]
    assert motion.confidence < 0.5


def test_no_frames_give_an_empty_motion():
    tracker = OdometryTracker(64, 48)
    check(tracker.result(choose_focal(width=64, height=48)), 0)


def clip(frames):
    return [(i / 30, np.repeat(f[..., None], 3, -1)) for i, f in enumerate(frames)]


def test_shots_are_taken_one_by_one(takes):
    """Two shots in one video give what each gives alone; frames between shots are left out."""
    pan, still = takes["pan"], takes["static"]
    frames = [*pan.frames, still.frames[0], *still.frames]
    shots = [Shot(0, FRAMES), Shot(FRAMES + 1, 2 * FRAMES + 1)]
    motions = estimate_motions(iter(clip(frames)), tracks=(), shots=shots, focal=pan.focal)
    alone = [
        estimate_motions(clip(t.frames), tracks=(), shots=[Shot(0, FRAMES)], focal=pan.focal)[0]
        for t in (pan, still)
    ]
    assert [m.kind for m in motions] == ["pan", "static"]
    for together, single in zip(motions, alone, strict=True):
        assert torch.equal(together.R_c2c0, single.R_c2c0)


def test_people_are_masked_in_the_frame_they_are_in(takes):
    """The thing that crosses the picture, told as a person, is hidden; elsewhere nothing is."""
    take = takes["static"]
    xy, confidence = torch.zeros(FRAMES, 17, 2), torch.ones(FRAMES, 17)
    for f, mask in enumerate(take.masks):
        rows, columns = np.nonzero(mask == 0)
        if len(rows) == 0:
            confidence[f] = 0
            continue
        span = torch.linspace(0, 1, 17)
        xy[f, :, 0] = columns.min() + span * float(np.ptp(columns))
        xy[f, :, 1] = rows.min() + span.flip(0) * float(np.ptp(rows))
    height, width = take.frames[0].shape
    track = Keypoints(xy, confidence, torch.arange(FRAMES) / 30, "coco_17", width, height)
    masked, bare = (
        estimate_motions(clip(take.frames), tracks=tracks, shots=[Shot(0, FRAMES)])[0]
        for tracks in ([track], [])
    )
    assert masked.kind == bare.kind == "static"
    assert masked.confidence >= bare.confidence


def test_no_shots_need_no_frames():
    assert estimate_motions(iter(()), tracks=(), shots=()) == ()


def test_frames_are_read_once_and_no_further_than_needed(takes):
    source = itertools.chain(clip(takes["static"].frames), [(2.0, None)])
    with pytest.raises(AttributeError):
        estimate_motions(source, tracks=(), shots=[Shot(0, FRAMES + 1)])


def test_too_few_frames_are_told(takes):
    with pytest.raises(UsageError, match="has 24 frames, the last shot ends at 40"):
        estimate_motions(clip(takes["static"].frames), tracks=(), shots=[Shot(0, 40)])


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="auto, static, pan, moving"):
        OdometryTracker(64, 48, kind="still")
    with pytest.raises(UsageError, match="auto, static, pan, moving"):
        estimate_motions((), tracks=(), shots=(), kind="still")


def test_frames_of_another_size_are_refused():
    tracker = OdometryTracker(64, 48)
    with pytest.raises(UsageError, match="48x64"):
        tracker.add(np.zeros((64, 48), np.uint8))


@pytest.mark.parametrize(
    "size", [(1, 1), (640, 3), (641, 360), (1280, 720), (1768, 994), (7680, 4320)]
)
def test_pictures_are_shrunk_to_the_size_told(size):
    small = tracked_size(*size)
    assert max(small) <= 640
    assert shrink(np.zeros(size[::-1], np.uint8)).shape == small[::-1]
    if min(small) > 30:
        assert small[0] / small[1] == pytest.approx(size[0] / size[1], rel=0.02)


def test_an_empty_frame_is_refused():
    with pytest.raises(UsageError, match="0x10"):
        tracked_size(0, 10)


def test_gric_of_a_perfect_and_of_a_useless_model():
    count = 50
    perfect = gric(np.zeros(count), dimension=2, parameters=4)
    assert perfect == pytest.approx(2 * math.log(4) + 4 * math.log(4 * count) / count)
    useless = gric(np.full(count, 1e9), dimension=2, parameters=4)
    assert useless == pytest.approx(perfect + 4)


def test_a_motion_checks_itself():
    focal = FocalEstimate(500.0, 0.1, "given")
    eye, zero, flow = torch.eye(3).expand(4, 3, 3), torch.zeros(4, 3), torch.zeros(4)
    CameraMotion("pan", eye, zero, flow, 1.0, focal, ())
    with pytest.raises(MotionError, match="R_c2c0"):
        CameraMotion("pan", eye[:3], zero, flow, 1.0, focal, ())
    with pytest.raises(MotionError, match="confidence"):
        CameraMotion("pan", eye, zero, flow, 1.1, focal, ())


def test_the_sample_clips_are_told_right(data):
    """Without masks; the hand-held clip needs them to be sure, so it must only not be static."""
    folder = data / "videos"
    for line in (folder / "index.jsonl").read_text().splitlines():
        record = json.loads(line)
        every = 3
        frames = list(itertools.islice(read_frames(folder / record["file"]), 0, None, every))
        cuts = [0, *(math.ceil(c / every) for c in record["cuts"]), len(frames)]
        shots = [Shot(a, b) for a, b in itertools.pairwise(cuts)]
        for motion in estimate_motions(frames, tracks=(), shots=shots):
            if record["camera_motion"] == "static":
                assert motion.kind == "static", record["id"]
            else:
                assert motion.kind != "static", record["id"]
