"""PoseTrack checks itself and cuts cleanly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.errors import MotionError
from humanmotion.recovery.pose_track import PoseTrack


def _track(frames: int = 6) -> PoseTrack:
    return PoseTrack(
        rotations=torch.eye(3).repeat(frames, 55, 1, 1), transl=torch.zeros(frames, 3),
        betas=torch.zeros(10), expression=torch.zeros(frames, 10),
        confidence=torch.full((frames, 55), 0.5), times=torch.arange(frames) / 30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("rotations", torch.zeros(6, 55, 3, 3), "no rotation at frame 0"),
        ("rotations", torch.eye(3).repeat(6, 22, 1, 1), r"shape \(6, 22, 3, 3\)"),
        ("transl", torch.full((6, 3), torch.nan), "transl is not finite at frame 0"),
        ("confidence", torch.full((6, 55), 1.5), "confidence"),
        ("times", torch.zeros(6), "times must rise"),
        ("betas", torch.zeros(6, 10), "betas"),
    ],
)
def test_bad_fields_are_named(field, value, told) -> None:
    with pytest.raises(MotionError, match=told):
        replace(_track(), **{field: value})


def test_a_slice_is_the_same_person_over_fewer_frames() -> None:
    track = _track()
    part = track[2:5]
    assert len(part) == 3 and torch.equal(part.times, track.times[2:5])
    assert torch.equal(part.betas, track.betas)
    assert len(track[:0]) == 0


def test_absent_frames_are_those_without_confidence() -> None:
    track = _track()
    confidence = track.confidence.clone()
    confidence[4:] = 0
    assert replace(track, confidence=confidence).seen.tolist() == [True] * 4 + [False] * 2
